//! The end in good order: running answers finish up to a deadline, every event is stored, the exit code says so.

mod drain;
mod idle;
mod store;
