//! `mindweave check-config`

use super::{Outcome, layers};
use crate::cli::Common;
use crate::config::{Config, Purpose};
use crate::out;

pub(super) fn run(common: &Common) -> Outcome {
    let layers = layers(common, None);
    for warning in &layers.warnings {
        out::error_line(format!("mindweave: {warning}"));
    }
    Config::read(layers, Purpose::Serve)?;
    out::line("the configuration is valid");
    Ok(())
}
