//! The data plane: HTTP in, the Claude API out, every answer metered on its way.
//!
//! Guarantees:
//! - the caller gets the upstream's bytes, status and headers, less what belongs to a connection; the one body
//!   that is edited is a batch object, whose `results_url` must lead back here;
//! - every admitted request hands over exactly one usage event, on whatever path it ends;
//! - nothing on a request's way does I/O but the two sockets, and nothing waits for another thread.
//!
//! It knows no SQL, no configuration file and no environment.

mod admission;
mod answer;
mod answer_meter;
mod authenticate;
mod batch_gate;
mod batch_items;
mod batch_objects;
mod batch_relay;
mod batch_upload;
mod body_budget;
mod coding;
mod collector;
mod connection;
mod counted_io;
mod credentials;
mod ended;
mod exchange;
mod failure;
mod forward;
mod forward_body;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod headers;
mod inspect;
mod keys;
mod limits;
mod listener;
mod looks;
mod mcp;
mod meter;
mod metrics;
mod notes;
mod objects;
mod ops;
mod options;
mod pipeline;
mod read_body;
mod refusals;
mod relay;
mod request_body;
mod rescue;
mod response_body;
mod route;
mod server;
mod silence;
mod skip;
mod spending;
mod text;
mod trial;
mod upload;
mod upstream;
mod worker;

pub use answer_meter::AnswerMeter;
pub use collector::{CollectError, Collector, Errands, Seen};
pub use inspect::{InspectError, Inspected, inspect};
pub use keys::{
    AllowedIps, KeyIndex, KeyRecord, KeyStatus, OnClientDisconnect, Scopes, Tenant, TenantState,
};
pub use mcp::{McpRegistry, McpServers};
pub use objects::UpstreamObjects;
pub use ops::{OpsSource, serve as serve_ops};
pub use options::Options;
pub use server::{DataPlane, Resources, Server};
pub use spending::Spending;
pub use trial::{Asked, Refusal, Trials, Verdict, With};
pub use upstream::{Target, TargetError, UpstreamOptions};
