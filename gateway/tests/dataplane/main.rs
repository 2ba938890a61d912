//! The data plane from outside: the real binary between callers and upstreams that do as they are told.
//!
//! What callers get, what the upstream gets, what stands in `usage_events`, and what the metrics say.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the helpers of tests may fail like the tests themselves, whom clippy.toml allows it"
)]

mod errors;
mod identity;
mod meter;
mod policies;
mod relay;
mod stage;

/// The binary under test.
const MINDWEAVE: &str = env!("CARGO_BIN_EXE_mindweave");
