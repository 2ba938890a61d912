//! The log: structured, on standard error. No line of it holds a key, a prompt or a body.

use std::io::IsTerminal as _;

use metrics::{counter, describe_counter};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use crate::config::{LogFormat, LogOptions};

/// Starts the log. Later calls change nothing.
pub(crate) fn start(options: &LogOptions) {
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let lines = match options.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.boxed(),
    };
    let level = LevelFilter::from_level(options.level);
    // The driver would log the parameters of its statements, which may be secret.
    let targets = Targets::new()
        .with_default(level)
        .with_target("tokio_postgres", level.min(LevelFilter::INFO));
    if let Err(error) = registry()
        .with(lines.and_then(CountErrors).with_filter(targets))
        .try_init()
    {
        tracing::debug!(%error, "the log was already started");
    }
}

/// Registers the metric, so that it is there before the first error.
pub(crate) fn describe_metrics() {
    describe_counter!("mindweave_log_errors_total", "Lines logged at level error");
    counter!("mindweave_log_errors_total").absolute(0);
}

/// Counts the lines that somebody should look at.
struct CountErrors;

impl<S: Subscriber> Layer<S> for CountErrors {
    fn on_event(&self, event: &Event<'_>, _ctx: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            counter!("mindweave_log_errors_total").increment(1);
        }
    }
}
