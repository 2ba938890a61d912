//! The commands: what each does between its words and its exit code.

mod admin_key;
mod check_config;
mod migrate;
mod serve;
mod simulator;
mod spool;
mod up;
mod usage;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::{Cli, Command, Common, Listen};
use crate::config::{Config, Faults, Layers, Purpose, environment};
use crate::shutdown::Shutdown;
use crate::{logging, out, tls};
use domain::error_chain;

/// What still runs when a command has ended gets so long to stop.
const TASKS_DEADLINE: Duration = Duration::from_secs(1);

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Config(#[from] Faults),
    #[error(transparent)]
    Database(#[from] ingest::DatabaseError),
    #[error("a query failed")]
    Query(#[from] tokio_postgres::Error),
    #[error("the migrations failed")]
    Migrations(#[from] migrations::Error),
    #[error(transparent)]
    Embedded(#[from] crate::embedded::EmbeddedError),
    #[error(transparent)]
    Demo(#[from] crate::demo::DemoError),
    #[error(transparent)]
    Start(#[from] crate::running::StartError),
    #[error("the ready file can't be written")]
    ReadyFile(#[source] std::io::Error),
    #[error("{what}")]
    Io {
        what: &'static str,
        source: std::io::Error,
    },
    #[error(transparent)]
    Spool(#[from] ingest::SpoolFault),
    #[error(transparent)]
    Unstored(#[from] ingest::Unstored),
    #[error(
        "no database is given: use --database-url, MINDWEAVE_DATABASE_URL or DATABASE_URL{hint}"
    )]
    NoDatabase { hint: &'static str },
    #[error("{0}")]
    Input(String),
}

/// A command's own result.
pub(crate) type Outcome = Result<(), CommandError>;

/// Runs a command.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("can't start the control runtime: {error}")),
    };
    let outcome = runtime.block_on(dispatch(cli));
    // Before the last word is said: tasks that a failed start leaves behind may still be logging.
    runtime.shutdown_timeout(TASKS_DEADLINE);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(CommandError::Config(faults)) => {
            out::error_line(format!("mindweave: {faults}").trim_end());
            ExitCode::from(64)
        }
        Err(error) => failed(&error_chain(&error)),
    }
}

fn failed(problem: &str) -> ExitCode {
    out::error_line(format!("mindweave: {problem}"));
    ExitCode::FAILURE
}

async fn dispatch(cli: Cli) -> Outcome {
    let Cli { common, command } = cli;
    match command {
        Command::Up(listen) => Box::pin(up::run(&common, &listen)).await,
        Command::Serve(listen) => Box::pin(serve::run(&common, &listen)).await,
        Command::Migrate(words) => migrate::run(&common, words).await,
        Command::AdminKey(words) => admin_key::run(&common, words).await,
        Command::Usage(words) => usage::run(&common, &words).await,
        Command::Spool(words) => spool::run(&common, words).await,
        Command::CheckConfig => check_config::run(&common),
        Command::Simulator(words) => simulator::run(&words).await,
    }
}

/// Reads the configuration with all its layers, and starts the log as it says.
pub(crate) fn configure(
    common: &Common,
    listen: Option<&Listen>,
    purpose: Purpose,
) -> Result<Config, CommandError> {
    let layers = layers(common, listen);
    let warnings = layers.warnings.clone();
    let config = Config::read(layers, purpose)?;
    logging::start(&config.log);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

fn layers(common: &Common, listen: Option<&Listen>) -> Layers {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut layers = Layers::default();
    if let Some(file) = &common.config {
        layers.add_file(file);
    }
    layers.add_environment(&environment());
    layers.add_flag(
        "data_dir",
        "--data-dir",
        common.data_dir.as_deref().map(text),
    );
    layers.add_flag(
        "database.url",
        "--database-url",
        common.database_url.clone(),
    );
    if let Some(listen) = listen {
        let address =
            |address: Option<std::net::SocketAddr>| address.map(|address| address.to_string());
        layers.add_flag("proxy.listen", "--listen", address(listen.listen));
        layers.add_flag(
            "admin.listen",
            "--admin-listen",
            address(listen.admin_listen),
        );
        layers.add_flag(
            "metrics.listen",
            "--metrics-listen",
            address(listen.metrics_listen),
        );
        layers.add_flag("upstream.url", "--upstream", listen.upstream.clone());
    }
    layers
}

/// The database that the configuration names, or the embedded one's of a running `up`.
pub(crate) async fn connect(common: &Common) -> Result<tokio_postgres::Client, CommandError> {
    connect_to(&configure(common, None, Purpose::Other)?).await
}

/// The same for a configuration that was read already.
async fn connect_to(config: &Config) -> Result<tokio_postgres::Client, CommandError> {
    let url = match &config.database_url {
        Some(url) => url.0.clone(),
        None => up::database_url_of(&config.data_dir).ok_or(CommandError::NoDatabase {
            hint: "; without one, `mindweave up` has to be running on the same --data-dir",
        })?,
    };
    let database = ingest::Database::new(&url, tls::client())?;
    // Lives as long as the client does.
    let connection = tokio_util::task::TaskTracker::new();
    Ok(database.connect(&connection).await?)
}

/// Takes the signals over.
fn install_shutdown() -> Result<Shutdown, CommandError> {
    Shutdown::install().map_err(|source| CommandError::Io {
        what: "signals can't be received",
        source,
    })
}
