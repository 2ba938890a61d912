//! `mindweave simulator`

use tokio::net::TcpListener;

use super::{CommandError, Outcome, install_shutdown};
use crate::cli::Simulator;
use crate::out;

pub(super) async fn run(words: &Simulator) -> Outcome {
    let failed = |source| CommandError::Io {
        what: "the simulator can't listen",
        source,
    };
    let mut shutdown = install_shutdown()?;
    let listener = TcpListener::bind(words.listen).await.map_err(failed)?;
    out::line(format!(
        "the simulator listens on http://{}",
        listener.local_addr().map_err(failed)?
    ));
    let options = simulator::Options {
        seed: words.seed,
        ..simulator::Options::default()
    };
    simulator::Simulator::new(options)
        .serve(listener, async move { shutdown.requested().await })
        .await
        .map_err(failed)
}
