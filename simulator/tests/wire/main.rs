//! The simulator as a client meets it: over sockets, on port 0.
//!
//! `cfg(test)` tells clippy that helpers outside test functions may unwrap, too.

#[cfg(test)]
mod assembly;
#[cfg(test)]
mod batches;
#[cfg(test)]
mod client;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod models;
#[cfg(test)]
mod protocols;
#[cfg(test)]
mod streams;
