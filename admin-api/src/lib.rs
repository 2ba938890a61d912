//! The control plane: REST over the relational tables, for those who run the gateway and for those who rent it.
//!
//! Guarantees: a change and the row of `audit_logs` that says who made it are one transaction; a caller bound to an organization
//! sees and changes that organization's rows and nothing else, by every query and by row-level security; secrets are shown
//! once, in the answer that makes them. Nothing here changes the data plane but through the database: of what it has in memory
//! some is read.

mod body;
mod caller;
mod changes;
mod check;
mod data_plane;
mod database;
mod document;
mod error;
mod etag;
mod export;
mod idempotency;
mod identify;
mod kept;
mod limits;
mod listener;
mod listing;
mod login;
mod mcp;
mod new_key;
mod origin;
mod params;
mod places;
mod reference;
mod reports;
mod resources;
mod role;
mod rules;
mod sealing;
mod server;
mod sql;
mod transaction;
mod whoami;

pub use data_plane::{Asked, DataPlane, InForce, Refusal, Verdict, With};
pub use database::{Connect, ConnectError};
pub use mcp::{McpOptions, SecretStore};
pub use new_key::NewKey;
pub use server::{AdminApi, openapi};
