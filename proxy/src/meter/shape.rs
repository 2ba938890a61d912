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
    BlockType,
    FallbackModel,
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
    /// See whether an array has anything in it.
    Weigh,
    /// Look for these members in it, if it is an object.
    Enter(Shape),
}

/// The members of an object that matter.
pub(super) type Shape = &'static [(&'static str, Plan)];

/// An answer in one piece: a message or an error envelope.
pub(super) const ANSWER: Shape = &[
    ("type", Plan::Keep(Field::Type)),
    ("model", Plan::Keep(Field::Model)),
    ("usage", Plan::Keep(Field::Usage)),
    ("stop_reason", Plan::Keep(Field::StopReason)),
    ("content", Plan::Weigh),
    ("error", Plan::Enter(ERROR)),
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

/// Of `content_block_start`: a `fallback` block names the model that goes on.
const CONTENT_BLOCK: Shape = &[
    ("type", Plan::Keep(Field::BlockType)),
    (
        "to",
        Plan::Enter(&[("model", Plan::Keep(Field::FallbackModel))]),
    ),
];
