//! The whole gateway: the real binary against a real PostgreSQL, asked over real sockets.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "the helpers of tests may fail like the tests themselves, whom clippy.toml allows it"
)]

mod odd_keys;
mod recordings;
mod streams;

/// The binary under test.
const MINDWEAVE: &str = env!("CARGO_BIN_EXE_mindweave");
