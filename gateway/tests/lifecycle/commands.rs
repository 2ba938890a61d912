//! The commands beside `up` and `serve`, and what all of them have in common.

mod admin_key;
mod config;
mod migrate;
mod pricing;
mod refusals;
mod simulator;
mod spool;
mod usage;
