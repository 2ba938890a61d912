//! Raw values of the configuration, each with where it came from. Flags beat the environment beats the file.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Value;

use super::fault::Fault;

/// Every key there is. Tables are written with dots.
const KEYS: &[&str] = &[
    "admin.listen",
    "admin.mfa_key",
    "admin.tls.cert",
    "admin.tls.key",
    "admin.trusted_proxies",
    "data_dir",
    "database.read_url",
    "database.url",
    "ingest.batch_interval",
    "ingest.batch_rows",
    "ingest.max_pending_events",
    "ingest.writers",
    "log.format",
    "log.level",
    "mcp.allowed_networks",
    "mcp.secrets_dir",
    "metering.on_client_disconnect",
    "metering.poll_interval",
    "metrics.listen",
    "prices.file",
    "proxy.drain_seconds",
    "proxy.listen",
    "proxy.max_body_bytes",
    "proxy.max_connections",
    "proxy.threads",
    "proxy.tls.cert",
    "proxy.tls.key",
    "proxy.trusted_proxies",
    "spool.dir",
    "spool.durability",
    "spool.keep",
    "spool.max_bytes",
    "upstream.api_key",
    "upstream.connect_timeout",
    "upstream.first_byte_timeout",
    "upstream.http2",
    "upstream.idle_timeout",
    "upstream.url",
];

/// Secrets, which may also be read from a file that the variable with `_FILE` at its end names.
const SECRETS: &[&str] = &[
    "admin.mfa_key",
    "database.read_url",
    "database.url",
    "upstream.api_key",
];

/// Secrets of organizations, for MCP servers: `MINDWEAVE_SECRET_ACME__GITHUB_TOKEN`. They are no settings.
pub(crate) const SECRET_PREFIX: &str = "MINDWEAVE_SECRET_";

/// Upstream keys by organization slug; only in the file.
const UPSTREAM_KEYS: &str = "upstream.keys";

/// Names that other programs use for the same thing.
const FOREIGN_NAMES: &[(&str, &str)] = &[
    ("database.url", "DATABASE_URL"),
    ("upstream.api_key", "ANTHROPIC_API_KEY"),
];

/// A raw value.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) text: String,
    pub(crate) origin: String,
}

/// All raw values, the strongest of each key.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    pub(crate) values: BTreeMap<String, Raw>,
    pub(crate) faults: Vec<Fault>,
    /// Not faults, but worth a word.
    pub(crate) warnings: Vec<String>,
}

/// The environment of the process.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

impl Layers {
    /// Adds the file. A file that can't be read or has unknown keys is a fault.
    pub(crate) fn add_file(&mut self, path: &Path) {
        let origin = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => return self.fault("--config", Some(origin), &error.to_string()),
        };
        match text.parse::<toml::Table>() {
            Ok(table) => self.add_table("", table, &origin),
            Err(error) => self.fault("--config", Some(origin), &where_and_what(&text, &error)),
        }
    }

    fn add_table(&mut self, prefix: &str, table: toml::Table, origin: &str) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name
            } else {
                format!("{prefix}.{name}")
            };
            let known = KEYS.contains(&key.as_str()) || prefix == UPSTREAM_KEYS;
            if known {
                self.add_value(&key, &value, origin);
            } else if let Value::Table(table) = value {
                self.add_table(&key, table, origin);
            } else {
                self.fault(&key, Some(origin.to_owned()), "there is no such key");
            }
        }
    }

    fn add_value(&mut self, key: &str, value: &Value, origin: &str) {
        match text_of(value) {
            Some(text) => self.set(key, text, origin),
            None => {
                self.fault(
                    key,
                    Some(origin.to_owned()),
                    "must be a plain value or a list of them",
                );
            }
        }
    }

    /// Adds the environment: `MINDWEAVE_` and the key's path, and the names that other programs use.
    pub(crate) fn add_environment(&mut self, environment: &BTreeMap<String, String>) {
        for (key, name) in FOREIGN_NAMES {
            self.add_variable(key, name, environment);
        }
        for key in KEYS {
            self.add_variable(key, &variable(key), environment);
        }
        let unknown = environment
            .keys()
            .filter(|name| name.starts_with("MINDWEAVE_") && !is_variable(name));
        self.warnings
            .extend(unknown.map(|name| format!("{name} is not a setting of the gateway: ignored")));
    }

    fn add_variable(&mut self, key: &str, name: &str, environment: &BTreeMap<String, String>) {
        let file_name = format!("{name}_FILE");
        if SECRETS.contains(&key)
            && let Some(path) = environment.get(&file_name).filter(|path| !path.is_empty())
        {
            match std::fs::read_to_string(path) {
                Ok(text) => self.set(key, text.trim().to_owned(), &file_name),
                Err(error) => {
                    self.fault(key, Some(file_name), &format!("can't read {path}: {error}"));
                }
            }
        }
        // Set to nothing is how a compose file says "not set".
        if let Some(text) = environment.get(name).filter(|text| !text.is_empty()) {
            self.set(key, text.clone(), name);
        }
    }

    /// Adds a flag, if it was given.
    pub(crate) fn add_flag(&mut self, key: &str, flag: &str, value: Option<String>) {
        if let Some(text) = value {
            self.set(key, text, flag);
        }
    }

    fn set(&mut self, key: &str, text: String, origin: &str) {
        self.values.insert(
            key.to_owned(),
            Raw {
                text,
                origin: origin.to_owned(),
            },
        );
    }

    fn fault(&mut self, key: &str, origin: Option<String>, problem: &str) {
        self.faults.push(Fault {
            key: key.to_owned(),
            origin,
            problem: problem.to_owned(),
        });
    }
}

/// The error's own text would quote the line, which may hold a secret.
fn where_and_what(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    format!("line {line}: {}", error.message())
}

/// `proxy.max_body_bytes` is `MINDWEAVE_PROXY_MAX_BODY_BYTES`.
fn variable(key: &str) -> String {
    format!("MINDWEAVE_{}", key.replace('.', "_").to_uppercase())
}

fn is_variable(name: &str) -> bool {
    KEYS.iter().any(|key| name == variable(key))
        || SECRETS
            .iter()
            .any(|key| name.strip_suffix("_FILE") == Some(&variable(key)))
        || name.starts_with(SECRET_PREFIX)
}

/// Scalars as they are written; lists with commas.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Array(items) => items
            .iter()
            .map(text_of)
            .collect::<Option<Vec<_>>>()
            .map(|items| items.join(",")),
        Value::Datetime(_) | Value::Table(_) => None,
    }
}
