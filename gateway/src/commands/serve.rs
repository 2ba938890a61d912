//! `mindweave serve`: the gateway for production. Nothing is created that was not asked for.

use ingest::Database;

use super::{CommandError, Outcome, configure, install_shutdown};
use crate::cli::{Common, Listen};
use crate::config::Purpose;
use crate::ready_file::{self, Ready};
use crate::running::Running;
use crate::tls;

pub(super) async fn run(common: &Common, listen: &Listen) -> Outcome {
    let mut shutdown = install_shutdown()?;
    let config = configure(common, Some(listen), Purpose::Serve)?;
    let url = config
        .database_url
        .clone()
        .ok_or(CommandError::NoDatabase { hint: "" })?;
    let database = Database::new(&url.0, tls::client())?;
    let running = Running::start(&config, &database).await?;
    tracing::info!(
        proxy = running.proxy_url(),
        admin = running.admin_url(),
        metrics = running.metrics_url(),
        "listening"
    );
    if let Some(path) = &listen.ready_file {
        let ready = Ready {
            proxy_url: &running.proxy_url(),
            admin_url: &running.admin_url(),
            metrics_url: &running.metrics_url(),
            database_url: &url.0,
            pid: std::process::id(),
            api_key: None,
            test_api_key: None,
            admin_key: None,
        };
        ready_file::write_json(path, &ready).map_err(CommandError::ReadyFile)?;
    }
    shutdown.requested().await;
    tracing::info!("shutting down: running answers may finish");
    running.drain().await?;
    Ok(())
}
