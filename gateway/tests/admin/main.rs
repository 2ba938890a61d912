//! The admin API from outside: the real binary, real PostgreSQL, HTTP.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the helpers of tests may fail like the tests themselves, whom clippy.toml allows it"
)]

mod callers;
mod changes;
mod export;
mod faults;
mod idempotency;
mod life;
mod lists;
mod mcp;
mod members;
mod openapi;
mod plans;
mod reports;
mod stage;
mod usage;
mod usage_spans;

/// The binary under test.
const MINDWEAVE: &str = env!("CARGO_BIN_EXE_mindweave");
