//! The rules against a real database: what is loaded, and that every change of it is.

mod bench;
mod changes;
mod loading;
mod replacing;
