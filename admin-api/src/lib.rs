//! The control plane: REST over the relational tables, for those who run the gateway and for those who rent it.
//!
//! Guarantees: a change and the row of `audit_logs` that says who made it are one transaction; a caller bound to an organization
//! sees and changes that organization's rows and nothing else, by every query and by row-level security; secrets are shown
//! once, in the answer that makes them. Nothing here touches the data plane but through the database.

mod body;
mod caller;
mod changes;
mod check;
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
mod mcp;
mod new_key;
mod origin;
mod params;
mod reports;
mod resources;
mod role;
mod rules;
mod server;
mod sql;
mod transaction;
mod whoami;

pub use database::{Connect, ConnectError};
pub use mcp::{McpOptions, SecretStore};
pub use new_key::NewKey;
pub use server::{AdminApi, openapi};
