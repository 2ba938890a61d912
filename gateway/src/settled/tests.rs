//! What was spent before, against a real database and a real spool.

mod spool;
mod windows;
