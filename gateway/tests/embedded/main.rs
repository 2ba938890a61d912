//! The embedded server against real PostgreSQL: what a data directory keeps, and what survives which
//! death. The installed server binaries are needed; run by root, they also run as another user.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests may fail like the tests themselves, whom clippy.toml allows it"
)]

mod deaths;
mod fixture;
mod holder;
mod lasting;
mod places;
mod refusals;
