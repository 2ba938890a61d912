//! The admin API from outside: the real binary, real PostgreSQL, HTTP.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "the helpers of tests may fail like the tests themselves, whom clippy.toml allows it"
)]

mod budgets;
mod callers;
mod changes;
mod dry_runs;
mod export;
mod faults;
mod idempotency;
mod life;
mod lists;
mod login;
mod mcp;
mod members;
mod open_buckets;
mod openapi;
mod plans;
mod proxies;
mod replica;
mod reports;
mod serving;
mod stage;
mod turns;
mod usage;
mod usage_spans;

/// The binary under test.
const MINDWEAVE: &str = env!("CARGO_BIN_EXE_mindweave");
