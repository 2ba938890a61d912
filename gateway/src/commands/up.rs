//! `mindweave up`: everything for a first request, in one process.

use std::path::{Path, PathBuf};

use ingest::Database;
use tokio_util::task::TaskTracker;

use super::{CommandError, Outcome, configure, install_shutdown};
use crate::cli::{Common, Listen};
use crate::config::{Config, Purpose};
use crate::demo::{self, DemoKeys};
use crate::embedded::{Embedded, EmbeddedOptions};
use crate::ready_file::{self, Ready};
use crate::running::Running;
use crate::shutdown::Shutdown;
use crate::{out, tls};

/// Where a running `up` says how its database is reached, for the other commands.
const DATABASE_URL_FILE: &str = "database_url";

pub(super) async fn run(common: &Common, listen: &Listen) -> Outcome {
    let mut shutdown = install_shutdown()?;
    let config = configure(common, Some(listen), Purpose::Other)?;
    let data_dir = make_data_dir(&config.data_dir)?;
    // Dropped halfway, the embedded server is stopped too.
    let (embedded, url) = tokio::select! {
        started = database(&config, &data_dir) => started?,
        () = shutdown.requested() => return Ok(()),
    };
    let served = serve(&config, listen, &data_dir, &url, &mut shutdown).await;
    // Whatever became of the gateway, its database is stopped in good order, after it.
    if let Some(embedded) = embedded {
        progress("stopping PostgreSQL");
        embedded.stop().await?;
    }
    served
}

async fn serve(
    config: &Config,
    listen: &Listen,
    data_dir: &Path,
    url: &str,
    shutdown: &mut Shutdown,
) -> Outcome {
    let running = tokio::select! {
        running = start(config, listen, data_dir, url) => running?,
        () = shutdown.requested() => return Ok(()),
    };
    shutdown.requested().await;
    out::line("shutting down: running answers may finish");
    running.drain().await?;
    Ok(())
}

async fn start(
    config: &Config,
    listen: &Listen,
    data_dir: &Path,
    url: &str,
) -> Result<Running, CommandError> {
    let database = Database::new(url, tls::client())?;
    let mut client = database.connect(&TaskTracker::new()).await?;
    let applied = migrations::up(&mut client).await?;
    if !applied.is_empty() {
        progress(&format!("applied {} migrations", applied.len()));
    }
    let keys = demo::ensure(&mut client, data_dir, config.upstream.is_live).await?;
    drop(client);

    let running = Running::start(config, &database).await?;
    running.ready().await;
    if let Some(path) = &listen.ready_file {
        write_ready_file(path, &running, url, &keys)?;
    }
    announce(&running, data_dir, url, &keys);
    Ok(running)
}

fn progress(line: &str) {
    out::line(format!("  {line}"));
}

fn make_data_dir(path: &Path) -> Result<PathBuf, CommandError> {
    std::fs::create_dir_all(path)
        .and_then(|()| path.canonicalize())
        .map_err(|source| CommandError::Io {
            what: "the data directory can't be made",
            source,
        })
}

/// The database given, else one of our own.
async fn database(
    config: &Config,
    data_dir: &Path,
) -> Result<(Option<Embedded>, String), CommandError> {
    if let Some(url) = &config.database_url {
        return Ok((None, url.0.clone()));
    }
    progress("starting PostgreSQL");
    let options = EmbeddedOptions {
        data_dir: data_dir.to_owned(),
    };
    let embedded = Embedded::start(options, &progress).await?;
    let url = embedded.url().to_owned();
    let file = data_dir.join(DATABASE_URL_FILE);
    ready_file::write_json(&file, &url).map_err(|source| CommandError::Io {
        what: "the data directory can't be written",
        source,
    })?;
    Ok((Some(embedded), url))
}

/// The embedded database's URL, as the last `up` on this data directory left it.
pub(super) fn database_url_of(data_dir: &Path) -> Option<String> {
    let text = std::fs::read(data_dir.join(DATABASE_URL_FILE)).ok()?;
    serde_json::from_slice(&text).ok()
}

fn write_ready_file(path: &Path, running: &Running, url: &str, keys: &DemoKeys) -> Outcome {
    let ready = Ready {
        proxy_url: &running.proxy_url(),
        admin_url: &running.admin_url(),
        metrics_url: &running.metrics_url(),
        database_url: url,
        pid: std::process::id(),
        api_key: keys.api_key.as_deref(),
        test_api_key: keys.test_api_key.as_deref(),
        admin_key: keys.admin_key.as_deref(),
    };
    ready_file::write_json(path, &ready).map_err(CommandError::ReadyFile)
}

fn announce(running: &Running, data_dir: &Path, database_url: &str, keys: &DemoKeys) {
    let data_dir = data_dir.display();
    let proxy_url = running.proxy_url();
    out::line("\nMindWeave Gateway is ready.\n");
    out::line(format!(
        "  gateway     {proxy_url}          set ANTHROPIC_BASE_URL to this"
    ));
    out::line(format!(
        "  admin API   {}/admin/v1/reference",
        running.admin_url()
    ));
    out::line(format!("  metrics     {}/metrics", running.metrics_url()));
    out::line(format!("  database    {database_url}"));
    if let Some(key) = &keys.api_key {
        out::line(format!("  live key    {key}   answered by the upstream"));
    }
    if let Some(key) = &keys.test_api_key {
        out::line(format!(
            "  test key    {key}   answered by the simulator, costs nothing"
        ));
    }
    if let Some(key) = &keys.admin_key {
        out::line(format!("  admin key   {key}"));
    }
    let key = keys.test_api_key.as_deref().unwrap_or_default();
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "mindweave".to_owned());
    out::line(format!(
        "\nTry it:\n\n  curl {proxy_url}/v1/messages -H 'x-api-key: {key}' \\\n    \
         -H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' \\\n    \
         -d '{{\"model\":\"claude-sonnet-5-5\",\"max_tokens\":64,\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'\n\n\
         What it used:\n\n  {program} usage --data-dir {data_dir}\n\nCtrl-C stops it; the data stays.\n"
    ));
}
