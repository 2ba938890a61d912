//! The words of the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use uuid::Uuid;

/// A metering gateway in front of the Claude API.
///
/// Point your client's base URL at the gateway, use a MindWeave key, and every request is metered into
/// PostgreSQL. `mindweave up` starts everything needed for a first request.
#[derive(Debug, Parser)]
#[command(name = "mindweave", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes, before or after its own words.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the gateway keeps its files [default: ./.mindweave]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// PostgreSQL, as postgres://user:password@host:port/database
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start everything for a first request: PostgreSQL, schema, a demo tenant with keys, simulator, gateway
    Up(Listen),
    /// Run the gateway against a database that is there; nothing is created that was not asked for
    Serve(Listen),
    /// Change or inspect the database schema
    #[command(subcommand)]
    Migrate(Migrate),
    /// Make, list or revoke keys for the admin API
    #[command(subcommand)]
    AdminKey(AdminKey),
    /// Show what was used and what it cost, from the stored events
    Usage(Usage),
    /// Look at what waits on disk for the database
    #[command(subcommand)]
    Spool(Spool),
    /// Read the configuration as `serve` would, and report every fault at once
    CheckConfig,
    /// Run the Claude API simulator alone
    Simulator(Simulator),
}

#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Where callers connect; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where the admin API listens [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<SocketAddr>,
    /// Where /metrics, /healthz and /readyz are [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// The API that live keys are forwarded to [default: the Claude API]
    #[arg(long, value_name = "URL")]
    pub(crate) upstream: Option<String>,
    /// Write the URLs and keys to this file, as JSON, when everything listens
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Migrate {
    /// Apply every migration that is not applied yet
    Up,
    /// Undo at most N migrations, the newest first
    Down {
        /// How many
        #[arg(value_name = "N")]
        steps: usize,
    },
    /// List the migrations and which of them are applied
    Status,
    /// Print the version of the newest applied migration
    Version,
    /// Make a pair of empty migration files in ./migrations
    Create {
        /// What it does, in `snake_case`
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminKey {
    /// Make a key; it is printed once and can't be shown again
    Create(AdminKeyCreate),
    /// List the keys
    List,
    /// Revoke a key
    Revoke {
        /// Its id, as `list` shows it
        id: uuid::Uuid,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Spool {
    /// Show what is on disk, and how much of it is not yet in the database
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Read all of it, and say what isn't as it was written
    Verify,
}

#[derive(Debug, Args)]
pub(crate) struct AdminKeyCreate {
    /// What it is for
    #[arg(long)]
    pub(crate) name: String,
    /// The organization's slug; without, the key is for the whole installation
    #[arg(long, value_name = "SLUG")]
    pub(crate) org: Option<String>,
    /// What it may do
    #[arg(long, value_enum, default_value = "owner")]
    pub(crate) role: Role,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    Owner,
    Admin,
    Member,
    Viewer,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Usage {
    #[command(flatten)]
    pub(crate) report: UsageReport,
    #[command(subcommand)]
    pub(crate) command: Option<UsageCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UsageCommand {
    /// Show how the cost of a request comes about: counters, prices, multipliers, arithmetic
    Explain(UsageExplain),
    /// Price stored events again by another price book
    ///
    /// Reaches back 28 days. Rollups follow within a minute or two.
    Rerate(UsageRerate),
}

#[derive(Debug, Args)]
pub(crate) struct UsageExplain {
    /// The `x-mindweave-request-id` of the answer
    #[arg(value_name = "REQUEST_ID")]
    pub(crate) request_id: Uuid,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UsageRerate {
    /// From when on: a duration back from now (7d, 12h) or a date (2026-11-01, 2026-11-01T12:00:00Z)
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: String,
    /// Until when [default: now]
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// The prices, in the form of `prices.file`
    #[arg(long, value_name = "FILE")]
    pub(crate) price_book: PathBuf,
    /// Change nothing, and say what would change
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UsageReport {
    /// What the rows are
    #[arg(long, value_enum, default_value = "model")]
    pub(crate) by: UsageBy,
    /// From when on: a duration back from now (7d, 12h) or a date (2026-11-01, 2026-11-01T12:00:00Z)
    #[arg(long, default_value = "30d", value_name = "WHEN")]
    pub(crate) since: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum UsageBy {
    Model,
    Project,
    Key,
    User,
    Day,
}

#[derive(Debug, Args)]
pub(crate) struct Simulator {
    /// Where it listens; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Mixed into every text, id and count it makes up
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}
