//! The binary `mindweave` put together: command line, configuration, wiring.
//!
//! Everything here runs on the control runtime or before there is any; what a request meets is in `proxy`.

mod admin;
mod cli;
mod clock;
mod commands;
mod config;
mod demo;
mod descriptors;
pub mod embedded;
mod logging;
mod operations;
mod out;
mod polling;
mod prices;
mod ready_file;
mod running;
mod settled;
mod shutdown;
mod snapshot;
mod sweeping;
mod tls;
mod upkeep;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

/// Runs one command, from its words to its exit code.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    match cli::Cli::try_parse_from(words) {
        Ok(cli) => commands::run(cli),
        Err(error) => {
            // clap writes help to stdout and mistakes to stderr; nothing is left to do if even that fails.
            let _printed = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
    }
}
