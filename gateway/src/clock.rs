//! The clock of the running process.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::{Clock, Timestamp};

/// The system's clocks.
#[derive(Debug)]
struct SystemClock {
    started: Instant,
}

/// The one place where time is read from the system.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the Clock that is passed everywhere else"
)]
pub(crate) fn system() -> Arc<dyn Clock> {
    Arc::new(SystemClock {
        started: Instant::now(),
    })
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the Clock that is passed everywhere else"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp {
            unix_micros: i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        }
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}
