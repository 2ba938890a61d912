//! Tools: what servers are asked within an answer, and the call that ends an answer.

use serde_json::{Map, Value};

use super::answer::{Block, SearchResult};
use super::compose::Draft;
use super::request::{McpServer, MessageRequest, Tool, ToolChoice};
use super::schema;
use crate::api_error::ApiError;
use crate::draw::Draw;
use crate::steering::Steering;

/// A client tool to call, with its input.
#[derive(Debug)]
pub(super) struct Call {
    name: String,
    input: Map<String, Value>,
}

pub(super) fn searches_the_web(request: &MessageRequest<'_>) -> bool {
    let is_search = |tool: &Tool<'_>| {
        tool.kind
            .as_deref()
            .is_some_and(|kind| kind.starts_with("web_search_"))
    };
    !request.follows_tool_result && request.tools.iter().any(is_search)
}

pub(super) fn search_the_web(draft: &mut Draft<'_>) {
    let input = Map::from_iter([("query".to_owned(), "what a simulator knows".into())]);
    if !draft.take_all(tokens(&input)) {
        return;
    }
    let id = draft.draw.id("srvtoolu_");
    let content = vec![
        search_result(
            "A page that does not exist",
            "https://example.com/nowhere",
            draft.draw,
        ),
        search_result("Another one", "https://example.org/elsewhere", draft.draw),
    ];
    let chars = content.iter().map(SearchResult::chars).sum::<usize>();
    draft.web_searches += 1;
    draft.result_tokens.push((chars as u64).div_ceil(4));
    draft.content.push(Block::ServerToolUse {
        id: id.clone(),
        name: "web_search".to_owned(),
        input,
    });
    draft.content.push(Block::WebSearchToolResult {
        tool_use_id: id,
        content,
    });
}

pub(super) fn ask_mcp_server(server: &McpServer<'_>, draft: &mut Draft<'_>) {
    let input = Map::from_iter([("query".to_owned(), "what a server knows".into())]);
    if !draft.take_all(tokens(&input)) {
        return;
    }
    let id = draft.draw.id("mcptoolu_");
    let text = "Nothing was asked of this server: the simulator answered for it.".to_owned();
    draft.result_tokens.push((text.len() as u64).div_ceil(4));
    draft.content.push(Block::McpToolUse {
        id: id.clone(),
        name: server.tool_name().to_owned(),
        server_name: server.name.clone().into_owned(),
        input,
    });
    draft.content.push(Block::McpToolResult {
        tool_use_id: id,
        is_error: false,
        content: vec![Block::Text { text }],
    });
}

/// The client tool this answer must call: the one that steering or `tool_choice` names, or any.
pub(super) fn client_call(
    request: &MessageRequest<'_>,
    steering: &Steering,
    draw: &mut Draw,
) -> Result<Option<Call>, ApiError> {
    if request.follows_tool_result {
        return Ok(None);
    }
    let named = |name: &str| request.tools.iter().find(|tool| tool.name == name);
    let tool = match (&steering.tool, &request.tool_choice) {
        (Some(name), _) => {
            // Steering may call a tool that was never offered; it has no schema then.
            return Ok(Some(named(name).map_or_else(
                || Call {
                    name: name.clone(),
                    input: Map::new(),
                },
                |tool| call(tool, draw),
            )));
        }
        (None, ToolChoice::Tool { name }) => Some(named(name).ok_or_else(|| {
            ApiError::invalid(format!("Tool '{name}' not found in provided tools"))
        })?),
        (None, ToolChoice::Any) => request.tools.iter().find(|tool| is_client_tool(tool)),
        (None, ToolChoice::Auto | ToolChoice::None) => None,
    };
    Ok(tool.map(|tool| call(tool, draw)))
}

pub(super) fn call_client_tool(call: Call, draft: &mut Draft<'_>) {
    if draft.take_all(tokens(&call.input)) {
        let id = draft.draw.id("toolu_");
        draft.content.push(Block::ToolUse {
            id,
            name: call.name,
            input: call.input,
        });
    }
}

fn call(tool: &Tool<'_>, draw: &mut Draw) -> Call {
    let schema = tool
        .input_schema
        .and_then(|schema| serde_json::from_str(schema.get()).ok())
        .unwrap_or_default();
    Call {
        name: tool.name.clone().into_owned(),
        input: schema::input(&schema, draw),
    }
}

/// Whether the caller runs this tool, and not the API.
fn is_client_tool(tool: &Tool<'_>) -> bool {
    const SERVER_TOOLS: [&str; 6] = [
        "web_search_",
        "web_fetch_",
        "code_execution_",
        "advisor_",
        "tool_search_",
        "mcp_toolset",
    ];
    let kind = tool.kind.as_deref().unwrap_or("custom");
    !SERVER_TOOLS
        .iter()
        .any(|server_tool| kind.starts_with(server_tool))
}

fn search_result(title: &'static str, url: &'static str, draw: &mut Draw) -> SearchResult {
    SearchResult {
        title,
        url,
        encrypted_content: draw.opaque(400),
        page_age: None,
    }
}

impl SearchResult {
    fn chars(&self) -> usize {
        self.title.len() + self.url.len() + self.encrypted_content.len()
    }
}

fn tokens(input: &Map<String, Value>) -> u64 {
    schema::pieces(&schema::json(input)).count() as u64
}
