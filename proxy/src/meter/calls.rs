//! The MCP tools that an answer calls: those that the API called itself (`mcp_tool_use`, with its `mcp_tool_result`), and those
//! that the caller is asked to call, which by convention are named `mcp__<server>__<tool>`.

/// A block of content, as far as it matters.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) kind: BlockKind,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) server_name: Option<String>,
    pub(super) tool_use_id: Option<String>,
    pub(super) is_error: bool,
    pub(super) input_bytes: u64,
    pub(super) content_bytes: u64,
    pub(super) fallback_model: Option<String>,
}

/// What a block is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// Another model goes on.
    Fallback,
    /// The caller shall use a tool.
    ToolUse,
    /// The API uses one of its own.
    ServerToolUse,
    /// The API uses an MCP server's.
    McpToolUse,
    /// And this came of it.
    McpToolResult,
    #[default]
    Other,
}

impl BlockKind {
    pub(super) fn named(name: &[u8]) -> Self {
        match name {
            b"fallback" => Self::Fallback,
            b"tool_use" => Self::ToolUse,
            b"server_tool_use" => Self::ServerToolUse,
            b"mcp_tool_use" => Self::McpToolUse,
            b"mcp_tool_result" => Self::McpToolResult,
            _ => Self::Other,
        }
    }

    /// Whether the model wrote a call, which costs output.
    pub(super) fn is_call(self) -> bool {
        matches!(self, Self::ToolUse | Self::ServerToolUse | Self::McpToolUse)
    }
}

/// One call of an MCP tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// The id that its result refers to.
    pub(crate) id: String,
    /// None if the caller is to make the call: then it is a part of the name.
    pub(crate) server_name: Option<String>,
    /// The tool, or what the caller knows it by.
    pub(crate) name: String,
    /// The input, in bytes of JSON.
    pub(crate) input_bytes: u64,
    /// What came of it, where the answer tells.
    pub(crate) result: Option<CallResult>,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallResult {
    /// The tool failed.
    pub(crate) is_error: bool,
    /// The result, in bytes of JSON.
    pub(crate) bytes: u64,
}

/// Calls kept of one answer; of more, only how many they are.
const MOST: usize = 256;
/// What the names of the callers' own MCP tools begin with.
const CLIENT_PREFIX: &str = "mcp__";

/// The calls of one answer, in their order.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    /// Not kept.
    more: u64,
    /// The last block is the last of the calls, and its input is still coming in.
    is_open: bool,
    /// Whether input came in pieces: those are all of it.
    in_pieces: bool,
}

impl Calls {
    pub(super) fn take_block(&mut self, block: Block) {
        (self.is_open, self.in_pieces) = (false, false);
        let is_client = block
            .name
            .as_deref()
            .is_some_and(|name| name.starts_with(CLIENT_PREFIX));
        match block.kind {
            BlockKind::ToolUse if is_client => self.add(block, false),
            BlockKind::McpToolUse => self.add(block, true),
            BlockKind::McpToolResult => self.settle(&block),
            BlockKind::ToolUse
            | BlockKind::ServerToolUse
            | BlockKind::Fallback
            | BlockKind::Other => {}
        }
    }

    /// Input of the last block, in a piece.
    pub(super) fn take_input(&mut self, bytes: u64) {
        // A tool without parameters has `{}` from the start, and empty pieces.
        if !self.is_open || bytes == 0 {
            return;
        }
        if let Some(call) = self.calls.last_mut() {
            let before = if self.in_pieces { call.input_bytes } else { 0 };
            call.input_bytes = before + bytes;
            self.in_pieces = true;
        }
    }

    fn add(&mut self, block: Block, by_api: bool) {
        if self.calls.len() == MOST {
            self.more += 1;
            return;
        }
        self.is_open = true;
        self.calls.push(Call {
            id: block.id.unwrap_or_default(),
            server_name: by_api.then(|| block.server_name.unwrap_or_default()),
            name: block.name.unwrap_or_default(),
            input_bytes: block.input_bytes,
            result: None,
        });
    }

    fn settle(&mut self, block: &Block) {
        let id = block.tool_use_id.as_deref().unwrap_or_default();
        if let Some(call) = self.calls.iter_mut().rfind(|call| call.id == id) {
            call.result = Some(CallResult {
                is_error: block.is_error,
                bytes: block.content_bytes,
            });
        }
    }

    /// The calls, and how many there were beyond those.
    pub(super) fn finish(self) -> (Vec<Call>, u64) {
        (self.calls, self.more)
    }
}
