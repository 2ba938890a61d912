//! What happened, for good: usage events on their way from the data plane into PostgreSQL.
//!
//! ```text
//! request thread --lane--> flusher --batches--> writer --one transaction--> COPY usage_events
//!                                                                           UPDATE ingest_cursor
//! ```
//!
//! Guarantees:
//! - **An admitted event is never dropped.** Room for it is taken ([`Lane::reserve`]) before the request is
//!   forwarded; where there is none, the caller is refused before any money is spent.
//! - **A row is stored once.** The reading position moves in the transaction of the rows; after any doubt
//!   (a connection lost during COMMIT) the writer asks the database what became of it.
//! - **A request thread never waits.** Handing over an event is one bounded, lock-free send.
//!
//! What it doesn't promise yet: events wait in memory, so a kill of the process loses those not yet stored.

mod batch;
mod capacity;
mod database;
mod field;
mod flusher;
mod lane;
mod mcp_row;
mod metrics;
mod numeric;
mod once;
mod row;
mod service;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the flusher doesn't write to it yet")
)]
mod spool;
mod totals;
mod writer;

pub use batch::Batch;
pub use database::{Database, DatabaseError};
pub use lane::{Lane, Slot};
pub use row::{COPY_STATEMENT, encode};
pub use service::{Ingest, Memory, Options, Unstored};
