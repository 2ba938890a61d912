//! `mindweave usage`: what was used, from the stored events.

mod explain;
mod report;
mod rerate;
mod stored;
mod when;

use super::Outcome;
use crate::cli::{Common, Usage, UsageCommand};

pub(super) async fn run(common: &Common, words: &Usage) -> Outcome {
    match &words.command {
        None => report::run(common, &words.report).await,
        Some(UsageCommand::Explain(words)) => explain::run(common, words).await,
        Some(UsageCommand::Rerate(words)) => rerate::run(common, words).await,
    }
}
