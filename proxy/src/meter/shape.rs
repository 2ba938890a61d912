//! Which members of an answer matter, and where they are.
//!
//! The tables are all there is to know: every member that is not named in them is passed over unread.

/// A value worth knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Type,
    Model,
    Usage,
    StopReason,
    ErrorType,
    ErrorCode,
    ErrorMessage,
    ObjectId,
    CustomId,
    ResultType,
    BlockType,
    BlockId,
    BlockName,
    ServerName,
    ToolUseId,
    IsError,
    FallbackModel,
    SessionId,
    Speed,
    InferenceGeo,
    Multiagent,
}

/// A value of which only the size is worth knowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sized {
    /// Of a tool's input.
    Input,
    /// Of a tool's result.
    Content,
}

/// What to do with a member's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Plan {
    /// Pass over it.
    Pass,
    /// Hand it over whole.
    Keep(Field),
    /// Count a string's characters.
    Measure,
    /// Count its bytes, as they are written.
    Weigh(Sized),
    /// Look for these members in it, if it is an object.
    Enter(Shape),
    /// The same for each object in it, if it is an array.
    Each(Shape, Element),
}

/// What the objects in an array are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// Blocks of content.
    Block,
    /// Sessions, dreams or events of them.
    Object,
}

/// The members of an object that matter.
pub(super) type Shape = &'static [(&'static str, Plan)];

/// An answer in one piece: a message or an error envelope.
pub(super) const ANSWER: Shape = &[
    ("type", Plan::Keep(Field::Type)),
    ("model", Plan::Keep(Field::Model)),
    ("usage", Plan::Keep(Field::Usage)),
    ("stop_reason", Plan::Keep(Field::StopReason)),
    ("content", Plan::Each(CONTENT_BLOCK, Element::Block)),
    ("error", Plan::Enter(ERROR)),
];

/// An object that was made.
pub(super) const OBJECT: Shape = &[("id", Plan::Keep(Field::ObjectId))];

/// A line of a batch's results.
pub(super) const BATCH_RESULT: Shape = &[
    ("custom_id", Plan::Keep(Field::CustomId)),
    (
        "result",
        Plan::Enter(&[
            ("type", Plan::Keep(Field::ResultType)),
            ("message", Plan::Enter(ANSWER)),
        ]),
    ),
];

/// A session, a dream, or a list of those or of a session's events.
pub(super) const OBJECTS: Shape = &[
    ("type", Plan::Keep(Field::Type)),
    ("id", Plan::Keep(Field::ObjectId)),
    ("agent", Plan::Enter(AGENT)),
    ("model", Plan::Enter(MODEL_CONFIG)),
    ("session_id", Plan::Keep(Field::SessionId)),
    ("usage", Plan::Keep(Field::Usage)),
    ("data", Plan::Each(LISTED, Element::Object)),
];

const LISTED: Shape = &[
    ("type", Plan::Keep(Field::Type)),
    ("id", Plan::Keep(Field::ObjectId)),
    ("agent", Plan::Enter(AGENT)),
    ("model", Plan::Enter(MODEL_CONFIG)),
    ("session_id", Plan::Keep(Field::SessionId)),
    ("usage", Plan::Keep(Field::Usage)),
];

/// Of a session.
const AGENT: Shape = &[
    ("model", Plan::Enter(MODEL_CONFIG)),
    ("multiagent", Plan::Keep(Field::Multiagent)),
];

const MODEL_CONFIG: Shape = &[
    ("id", Plan::Keep(Field::Model)),
    ("speed", Plan::Keep(Field::Speed)),
    ("inference_geo", Plan::Keep(Field::InferenceGeo)),
];

/// The data of an event of a session's stream.
pub(super) const SESSION_EVENT: Shape = &[
    ("type", Plan::Keep(Field::Type)),
    ("usage", Plan::Keep(Field::Usage)),
];

/// The data of a stream's event, whatever its type.
pub(super) const EVENT: Shape = &[
    ("type", Plan::Keep(Field::Type)),
    ("delta", Plan::Enter(DELTA)),
    ("content_block", Plan::Enter(CONTENT_BLOCK)),
    ("usage", Plan::Keep(Field::Usage)),
    ("message", Plan::Enter(MESSAGE)),
    ("error", Plan::Enter(ERROR)),
];

const ERROR: Shape = &[
    ("type", Plan::Keep(Field::ErrorType)),
    ("message", Plan::Keep(Field::ErrorMessage)),
    (
        "details",
        Plan::Enter(&[("error_code", Plan::Keep(Field::ErrorCode))]),
    ),
];

/// Of `message_start`.
const MESSAGE: Shape = &[
    ("model", Plan::Keep(Field::Model)),
    ("usage", Plan::Keep(Field::Usage)),
];

/// Of `content_block_delta`, the texts of text, tool input and thinking; of `message_delta`, the reason.
const DELTA: Shape = &[
    ("text", Plan::Measure),
    ("partial_json", Plan::Measure),
    ("thinking", Plan::Measure),
    ("stop_reason", Plan::Keep(Field::StopReason)),
];

/// What a message is made of: a `fallback` block names the model that goes on, others call tools and tell what came of it.
const CONTENT_BLOCK: Shape = &[
    ("type", Plan::Keep(Field::BlockType)),
    ("id", Plan::Keep(Field::BlockId)),
    ("name", Plan::Keep(Field::BlockName)),
    ("server_name", Plan::Keep(Field::ServerName)),
    ("input", Plan::Weigh(Sized::Input)),
    ("tool_use_id", Plan::Keep(Field::ToolUseId)),
    ("is_error", Plan::Keep(Field::IsError)),
    ("content", Plan::Weigh(Sized::Content)),
    (
        "to",
        Plan::Enter(&[("model", Plan::Keep(Field::FallbackModel))]),
    ),
];
