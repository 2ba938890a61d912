//! The words every crate of the gateway speaks: ids, API keys, token counts, money and prices, usage events, time.
//!
//! Guarantees: no I/O, no clock, no runtime. Time is a value ([`Timestamp`]) that somebody else read;
//! whoever needs the present takes a [`Clock`]. A secret never appears in a `Debug` output.

pub mod client_address;
pub mod endpoint;
mod error_chain;
pub mod event;
pub mod id;
pub mod key;
pub mod model;
mod money;
pub mod object;
pub mod pricing;
pub mod time;
pub mod usage;

pub use endpoint::Endpoint;
pub use error_chain::error_chain;
pub use event::{
    BatchItem, CreatedObject, EventStatus, EventType, McpCall, McpStatus, Outcome, Refused,
    Repeatable, RunningTotal, UsageEvent, UsageQuality,
};
pub use id::{ApiKeyId, McpServerId, OrgId, PolicyId, ProjectId, RequestId, UserId};
pub use key::{KeyHash, KeyKind};
pub use money::{Cents, Picodollars};
pub use object::{ObjectKind, ObjectPath};
pub use pricing::{Basis, Cost, PriceBook, Prices};
pub use time::{Clock, Timestamp};
pub use usage::{Figure, TokenCounts, Usage, UsageObject, whole_ms};
