//! The price book in force: the one that came with the build, or a file's, read again whenever it changes.
//!
//! Guarantees: at start a faulty file is a fault of the configuration; later the last good book stays in force, and the log and a
//! metric say so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::PriceBook;
use domain::Prices;
use metrics::{describe_gauge, gauge};
use tokio_util::sync::CancellationToken;

const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// The embedded book has 10 kB.
const MAX_BYTES: u64 = 16 << 20;

/// Follows a file.
pub(crate) struct PriceFile {
    pub(crate) path: PathBuf,
    pub(crate) prices: Arc<Prices>,
}

impl PriceFile {
    pub(crate) fn describe() {
        describe_gauge!(
            "mindweave_price_file_faulty",
            "1 while the price file can't be used and the last good prices are in force, else 0"
        );
        gauge!("mindweave_price_file_faulty").set(0.0);
    }

    /// Runs until `stop`. The file is small and may be replaced in any way, so it is read rather than watched.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut seen = None;
        while stop
            .run_until_cancelled(tokio::time::sleep(POLL_INTERVAL))
            .await
            .is_some()
        {
            let path = self.path.clone();
            let read = tokio::task::spawn_blocking(move || read(&path)).await;
            let Ok(now) = read else { return };
            if seen.as_ref() == Some(&now) {
                continue;
            }
            match &now {
                Ok(book) if **self.prices.load() == *book => {}
                Ok(book) => {
                    tracing::info!(version = %book.version(), models = book.len(), "new prices are in force");
                    self.prices.store(Arc::new(book.clone()));
                }
                Err(problem) => {
                    let path = self.path.display();
                    tracing::error!(%path, problem, "the price file can't be used; the last prices stay in force");
                }
            }
            gauge!("mindweave_price_file_faulty").set(if now.is_ok() { 0.0 } else { 1.0 });
            seen = Some(now);
        }
    }
}

/// Reads a book.
///
/// # Errors
/// Why there is none, in words.
pub(crate) fn read(path: &Path) -> Result<PriceBook, String> {
    let size = std::fs::metadata(path)
        .map_err(|error| error.to_string())?
        .len();
    if size > MAX_BYTES {
        return Err(format!("it has {size} bytes, more than {MAX_BYTES}"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    PriceBook::parse(&text).map_err(|error| error.to_string())
}
