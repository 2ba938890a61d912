//! For tests only: databases, the running gateway, upstreams that do as they are told, links that can be cut.
//!
//! A helper that fails is a failed test: they panic, saying what they were about. Nothing here is ever a normal
//! dependency. What waits, waits for an event, with [`PATIENCE`] as the end of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a helper that fails is a failed test"
)]

pub mod certificate;
pub mod client;
pub mod command;
pub mod gateway;
pub mod link;
pub mod pgbouncer;
pub mod postgres;
pub mod scene;
pub mod tenant;
pub mod upstream;
pub mod wire;

use std::time::Duration;

pub use certificate::Certificate;
pub use client::Client;
pub use gateway::Gateway;
pub use link::Link;
pub use pgbouncer::PgBouncer;
pub use postgres::Database;
pub use scene::Scene;
pub use tenant::Tenant;
pub use upstream::Upstream;
pub use wire::Wire;

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a task until the test's runtime ends.
#[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
pub fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(task));
}

/// Asks again and again until there is an answer.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl FnMut() -> F) -> T {
    eventually_within(PATIENCE, what, ask).await
}

/// The same for what takes its time by design.
pub async fn eventually_within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(patience, asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("not within {patience:?}: {what}"),
    }
}
