//! The configuration: what was typed, where, and what it means.
//!
//! Two steps: [`Layers`] holds the raw values of file, environment and flags, each with where it came from;
//! [`Config`] is what the program works with. Every fault is found in one go, named by key and origin.

mod fault;
mod layers;
mod read;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use domain::PriceBook;
use ipnet::IpNet;
use proxy::{OnClientDisconnect, Target};
use tracing::Level;

pub(crate) use self::fault::Faults;
pub(crate) use self::layers::{Layers, SECRET_PREFIX, environment};
use self::read::Reader;
use crate::tls;

/// Two segments of each of two streams, and what is in between.
const SMALLEST_SPOOL_BYTES: u64 = 4 << 20;
/// As hexadecimal digits, 128 bits.
const SHORTEST_MFA_KEY: usize = 32;
const DEFAULT_UPSTREAM: &str = "https://api.anthropic.com";

/// A valid configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) database_url: Option<Secret>,
    /// A replica of it, for what only reads.
    pub(crate) read_url: Option<Secret>,
    pub(crate) proxy: ProxyOptions,
    pub(crate) upstream: UpstreamConfig,
    pub(crate) admin_listen: SocketAddr,
    pub(crate) admin_tls: Option<Arc<rustls::ServerConfig>>,
    /// Not those of the data plane: who may send requests from there is not the operator.
    pub(crate) admin_trusted_proxies: Vec<IpNet>,
    /// For the secrets of second factors.
    pub(crate) mfa_key: Option<Secret>,
    pub(crate) mcp: McpConfig,
    pub(crate) metrics_listen: SocketAddr,
    pub(crate) ingest: ingest::Options,
    pub(crate) on_client_disconnect: OnClientDisconnect,
    /// How often objects upstream are looked at; never without.
    pub(crate) poll_interval: Option<Duration>,
    pub(crate) prices: PriceOptions,
    pub(crate) log: LogOptions,
}

/// `proxy.*`
#[derive(Debug, Clone)]
pub(crate) struct ProxyOptions {
    pub(crate) listen: SocketAddr,
    pub(crate) threads: usize,
    pub(crate) max_body_bytes: u64,
    pub(crate) max_connections: usize,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) drain: Duration,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
}

/// `upstream.*`
#[derive(Debug, Clone)]
pub(crate) struct UpstreamConfig {
    /// With the installation's key, where there is one.
    pub(crate) target: Target,
    /// With the keys of organizations that have their own, by slug.
    pub(crate) by_org: BTreeMap<String, Target>,
    /// Whether live keys can be answered: a key is known, or the URL was given.
    pub(crate) is_live: bool,
    pub(crate) http2: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) first_byte_timeout: Duration,
    pub(crate) idle_timeout: Duration,
}

/// `mcp.*`
#[derive(Debug, Clone)]
pub(crate) struct McpConfig {
    /// What scans may reach though it isn't public.
    pub(crate) allowed_networks: Vec<IpNet>,
    /// Files with secrets of organizations.
    pub(crate) secrets_dir: Option<PathBuf>,
}

/// `prices.*`
#[derive(Debug, Clone)]
pub(crate) struct PriceOptions {
    /// Followed while the gateway runs.
    pub(crate) file: Option<PathBuf>,
    /// Its prices, or those of this build.
    pub(crate) book: PriceBook,
}

/// `log.*`
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogOptions {
    pub(crate) level: Level,
    pub(crate) format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// A text that no `Debug` output shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What a command needs of a configuration beyond its being valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `serve`: a database and an upstream key must be given.
    Serve,
    /// Anything else: what isn't given is made, or not needed.
    Other,
}

impl Config {
    /// Reads the layers.
    ///
    /// # Errors
    /// Every fault there is.
    pub(crate) fn read(layers: Layers, purpose: Purpose) -> Result<Self, Faults> {
        let mut reader = Reader::new(layers);
        let data_dir: PathBuf = reader.value("data_dir", PathBuf::from("./.mindweave"));
        let config = Self {
            data_dir: data_dir.clone(),
            database_url: reader.database_url("database.url"),
            read_url: reader.database_url("database.read_url"),
            proxy: proxy(&mut reader),
            upstream: upstream(&mut reader),
            admin_listen: reader.value("admin.listen", loopback(8081)),
            admin_tls: reader.server_tls("admin.tls.cert", "admin.tls.key", tls::HTTP1),
            admin_trusted_proxies: reader.networks("admin.trusted_proxies"),
            mfa_key: mfa_key(&mut reader),
            mcp: McpConfig {
                allowed_networks: reader.networks("mcp.allowed_networks"),
                secrets_dir: reader.directory("mcp.secrets_dir"),
            },
            metrics_listen: reader.value("metrics.listen", loopback(9464)),
            ingest: ingest(&mut reader, &data_dir),
            on_client_disconnect: reader
                .value("metering.on_client_disconnect", OnClientDisconnect::Cancel),
            poll_interval: reader.optional_duration("metering.poll_interval"),
            prices: reader.prices("prices.file"),
            log: log(&mut reader),
        };
        if purpose == Purpose::Serve {
            reader.require(
                "database.url",
                config.database_url.is_some(),
                "MINDWEAVE_DATABASE_URL or DATABASE_URL",
            );
            reader.require(
                "upstream.api_key",
                config.upstream.is_live || !config.upstream.by_org.is_empty(),
                "MINDWEAVE_UPSTREAM_API_KEY or ANTHROPIC_API_KEY",
            );
        }
        reader.finish(Self {
            ingest: ingest::Options {
                lanes: config.proxy.threads,
                ..config.ingest
            },
            ..config
        })
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn proxy(reader: &mut Reader) -> ProxyOptions {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ProxyOptions {
        listen: reader.value("proxy.listen", loopback(8080)),
        threads: reader.between("proxy.threads", 1, 1_024, cores),
        max_body_bytes: reader.at_least("proxy.max_body_bytes", 1, 500 << 20),
        max_connections: reader.at_least("proxy.max_connections", 1, 16_384),
        trusted_proxies: reader.networks("proxy.trusted_proxies"),
        drain: Duration::from_secs(reader.value("proxy.drain_seconds", 30)),
        tls: reader.server_tls("proxy.tls.cert", "proxy.tls.key", tls::HTTP2),
    }
}

/// Nothing that could be guessed.
fn mfa_key(reader: &mut Reader) -> Option<Secret> {
    let key = reader.secret("admin.mfa_key")?;
    if key.0.len() < SHORTEST_MFA_KEY {
        let problem = format!("must have at least {SHORTEST_MFA_KEY} characters");
        reader.fault("admin.mfa_key", problem);
    }
    Some(key)
}

fn upstream(reader: &mut Reader) -> UpstreamConfig {
    let given_url: Option<String> = reader.optional("upstream.url");
    let key = reader.secret("upstream.api_key");
    let url = given_url
        .clone()
        .unwrap_or_else(|| DEFAULT_UPSTREAM.to_owned());
    UpstreamConfig {
        target: reader.target("upstream.url", &url, key.as_ref()),
        by_org: reader.targets("upstream.keys", &url),
        is_live: key.is_some() || given_url.is_some(),
        http2: reader.value("upstream.http2", false),
        connect_timeout: reader.duration("upstream.connect_timeout", Duration::from_secs(5)),
        first_byte_timeout: reader
            .duration("upstream.first_byte_timeout", Duration::from_secs(600)),
        idle_timeout: reader.duration("upstream.idle_timeout", Duration::from_secs(300)),
    }
}

fn ingest(reader: &mut Reader, data_dir: &Path) -> ingest::Options {
    ingest::Options {
        lanes: 0,
        writers: reader.between("ingest.writers", 1, 64, 2),
        batch_rows: reader.between("ingest.batch_rows", 1, 50_000, 5_000),
        batch_interval: reader.duration("ingest.batch_interval", Duration::from_millis(200)),
        max_pending_events: reader.between("ingest.max_pending_events", 1, 1_000_000, 100_000),
        spool: spool(reader, data_dir),
    }
}

fn spool(reader: &mut Reader, data_dir: &Path) -> ingest::SpoolOptions {
    let durability: String = reader.value("spool.durability", "fsync".to_owned());
    if !matches!(durability.as_str(), "fsync" | "process") {
        reader.fault("spool.durability", "must be fsync or process");
    }
    let max_bytes: Option<u64> = reader.optional("spool.max_bytes");
    if max_bytes.is_some_and(|bytes| bytes < SMALLEST_SPOOL_BYTES) {
        let problem = format!("must be at least {SMALLEST_SPOOL_BYTES}");
        reader.fault("spool.max_bytes", problem);
    }
    ingest::SpoolOptions {
        dir: reader
            .value("spool.dir", data_dir.join("spool").display().to_string())
            .into(),
        survives_power_loss: durability != "process",
        max_bytes,
        keep: reader.longer_duration("spool.keep", Duration::from_secs(24 * 60 * 60)),
    }
}

fn log(reader: &mut Reader) -> LogOptions {
    let format: String = reader.value("log.format", "text".to_owned());
    LogOptions {
        level: reader.value("log.level", Level::INFO),
        format: match format.as_str() {
            "json" => LogFormat::Json,
            "text" => LogFormat::Text,
            _ => {
                reader.fault("log.format", "must be text or json");
                LogFormat::Text
            }
        },
    }
}

#[cfg(test)]
mod tests;
