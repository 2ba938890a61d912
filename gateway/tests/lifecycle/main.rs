//! The gateway's life: starts, outages, changes, ends. The real binary against a real PostgreSQL that is cut
//! off, crashes, stays silent and comes back.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "the helpers of tests may fail like the tests themselves, whom clippy.toml allows it"
)]

mod commands;
mod data_dir;
mod events;
mod keys;
mod load;
mod operators;
mod poolers;
mod prices;
mod rules;
mod shutdown;
mod sse;
mod stage;
mod up;
mod upkeep;

/// The binary under test.
const MINDWEAVE: &str = env!("CARGO_BIN_EXE_mindweave");
