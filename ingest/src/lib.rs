//! What happened, for good: usage events on their way from the data plane into PostgreSQL.
//!
//! ```text
//! request thread --lane--> flusher --groups--> spool on disk --> writer --one transaction--> COPY usage_events, mcp_usage
//!       ^                     |                                                              UPDATE ingest_cursor
//!       +---- it is durable --+
//! ```
//!
//! Guarantees:
//! - **An admitted event is never dropped.** Room for it is taken ([`Lane::admit`]) before the request is
//!   forwarded; where there is none, the caller is refused before any money is spent.
//! - **An acknowledged event survives** a kill of the process, and a power loss unless that was waived
//!   ([`SpoolOptions::survives_power_loss`]).
//! - **A request whose process died is accounted for**: the next start makes an event of it.
//! - **A row is stored once.** The reading position moves in the transaction of the rows; after any doubt
//!   (a connection lost during COMMIT) the writer asks the database what became of it.
//! - **A request thread never waits.** Handing over an event is one bounded, lock-free send. That it is durable comes as a
//!   wake-up, or is so at once where a power loss needn't be survived: then the thread keeps the event itself for the while.

mod allocating;
mod appending;
mod batch;
mod bell;
mod capacity;
mod connection;
mod database;
mod decided;
mod field;
mod flusher;
mod inspection;
mod kept;
mod lane;
mod lock;
mod mapped;
mod mcp_row;
mod metrics;
mod numeric;
mod once;
mod open_slots;
mod record;
mod recovery;
mod replacing;
mod row;
mod service;
mod spool;
mod spooled;
mod streams;
mod syncing;
mod totals;
mod unconfirmed;
mod writer;

pub use batch::Batch;
pub use database::{Database, DatabaseError};
pub use decided::Decided;
pub use inspection::{StreamOnDisk, inspect_spool};
pub use lane::{Lane, Slot, Ticket};
pub use open_slots::Opening;
pub use row::{COPY_STATEMENT, RowUsage, encode};
pub use service::{Ingest, Options, Room, Unstored};
pub use spooled::Spooled;
pub use streams::{SpoolFault, SpoolOptions, SpoolStartError};
