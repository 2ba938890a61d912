//! The gateway's memory while something else happens.

use std::time::Duration;

use testkit::Gateway;

use crate::figures::median;
use crate::kernel::Processes;

const INTERVAL: Duration = Duration::from_millis(50);

/// What was resident, in megabytes, from look to look.
#[derive(Debug)]
pub(super) struct Watched(Vec<f64>);

impl Watched {
    /// Looks until something is over.
    pub(super) async fn during<T>(gateway: &Gateway, what: impl Future<Output = T>) -> (T, Self) {
        let processes = Processes(vec![gateway.pid()]);
        let mut what = std::pin::pin!(what);
        let mut seen = Vec::new();
        loop {
            seen.push(megabytes(processes.resident()));
            if let Ok(over) = tokio::time::timeout(INTERVAL, &mut what).await {
                return (over, Self(seen));
            }
        }
    }

    /// In the middle third, and in the last.
    pub(super) fn thirds(&self) -> (f64, f64) {
        let third = self.0.len() / 3;
        let of = |range: std::ops::Range<usize>| median(self.0.get(range).unwrap_or_default());
        (of(third..2 * third), of(2 * third..self.0.len()))
    }

    pub(super) fn most(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }
}

#[expect(clippy::cast_precision_loss, reason = "for reading")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
