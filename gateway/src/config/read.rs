//! Raw values turned into what they mean. A wrong one leaves its default in place and a fault on the list.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use proxy::Target;

use super::fault::{Fault, Faults};
use super::layers::{Layers, Raw};
use super::{DEFAULT_UPSTREAM, PriceOptions, Secret};
use crate::{prices, tls};
use domain::{PriceBook, error_chain};

/// Nothing here waits longer.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct Reader {
    values: BTreeMap<String, Raw>,
    faults: Vec<Fault>,
}

impl Reader {
    pub(crate) fn new(layers: Layers) -> Self {
        Self {
            values: layers.values,
            faults: layers.faults,
        }
    }

    /// The result, unless there was a fault.
    pub(crate) fn finish<T>(mut self, result: T) -> Result<T, Faults> {
        if self.faults.is_empty() {
            return Ok(result);
        }
        self.faults.sort_by(|a, b| a.key.cmp(&b.key));
        Err(Faults(self.faults))
    }

    pub(crate) fn fault(&mut self, key: &str, problem: impl Into<String>) {
        let origin = self.values.get(key).map(|raw| raw.origin.clone());
        self.faults.push(Fault {
            key: key.to_owned(),
            origin,
            problem: problem.into(),
        });
    }

    pub(crate) fn require(&mut self, key: &str, given: bool, variables: &str) {
        let already_wrong = self.faults.iter().any(|fault| fault.key == key);
        if !given && !already_wrong {
            self.fault(
                key,
                format!("must be given (in the file or as {variables})"),
            );
        }
    }

    fn text(&self, key: &str) -> Option<String> {
        self.values.get(key).map(|raw| raw.text.clone())
    }

    pub(crate) fn optional<T: FromStr<Err: Display>>(&mut self, key: &str) -> Option<T> {
        let text = self.text(key)?;
        match text.trim().parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fault(key, format!("`{text}` is not understood: {error}"));
                None
            }
        }
    }

    pub(crate) fn value<T: FromStr<Err: Display>>(&mut self, key: &str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    pub(crate) fn at_least<T>(&mut self, key: &str, least: T, default: T) -> T
    where
        T: FromStr<Err: Display> + PartialOrd + Display + Copy,
    {
        let value = self.value(key, default);
        if value < least {
            self.fault(key, format!("must be at least {least}"));
        }
        value
    }

    pub(crate) fn between<T>(&mut self, key: &str, least: T, most: T, default: T) -> T
    where
        T: FromStr<Err: Display> + PartialOrd + Display + Copy,
    {
        let value = self.at_least(key, least, default);
        if value > most {
            self.fault(key, format!("must be at most {most}"));
        }
        value
    }

    /// Never shown, not even when it is wrong.
    pub(crate) fn secret(&mut self, key: &str) -> Option<Secret> {
        let text = self.text(key)?;
        let text = text.trim();
        if text.is_empty() {
            self.fault(key, "is empty");
            return None;
        }
        Some(Secret(text.to_owned()))
    }

    /// A secret that must make sense to the driver.
    pub(crate) fn database_url(&mut self, key: &str) -> Option<Secret> {
        let url = self.secret(key)?;
        if let Err(error) = url.0.parse::<tokio_postgres::Config>() {
            self.fault(key, format!("is not understood: {}", error_chain(&error)));
        }
        Some(url)
    }

    /// As [`Self::duration`], where it is given.
    pub(crate) fn optional_duration(&mut self, key: &str) -> Option<Duration> {
        self.text(key).map(|_| self.duration(key, A_DAY))
    }

    /// `1500ms`, `10s`, `2min`; never zero, never more than a day.
    pub(crate) fn duration(&mut self, key: &str, default: Duration) -> Duration {
        let duration = self.longer_duration(key, default);
        if duration > A_DAY {
            self.fault(key, "must not be more than a day");
            return default;
        }
        duration
    }

    /// The same without an upper bound.
    pub(crate) fn longer_duration(&mut self, key: &str, default: Duration) -> Duration {
        let Some(text) = self.text(key) else {
            return default;
        };
        match humantime::parse_duration(text.trim()) {
            Ok(duration) if duration.is_zero() => self.fault(key, "must be more than nothing"),
            Ok(duration) => return duration,
            Err(error) => self.fault(
                key,
                format!("`{text}` is not a duration such as 200ms or 10s: {error}"),
            ),
        }
        default
    }

    /// Networks (10.0.0.0/8) and single addresses.
    pub(crate) fn networks(&mut self, key: &str) -> Vec<IpNet> {
        let Some(text) = self.text(key) else {
            return Vec::new();
        };
        let mut networks = Vec::new();
        for item in text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            match item
                .parse::<IpNet>()
                .or_else(|_| item.parse::<IpAddr>().map(IpNet::from))
            {
                Ok(network) => networks.push(network),
                Err(_) => self.fault(
                    key,
                    format!("`{item}` is neither a network such as 10.0.0.0/8 nor an address"),
                ),
            }
        }
        networks
    }

    /// A directory that is there.
    pub(crate) fn directory(&mut self, key: &str) -> Option<PathBuf> {
        let path: PathBuf = self.optional(key)?;
        if !path.is_dir() {
            self.fault(key, format!("`{}` is no directory", path.display()));
        }
        Some(path)
    }

    pub(crate) fn target(&mut self, key: &str, url: &str, api_key: Option<&Secret>) -> Target {
        match Target::new(url, api_key.map(|key| key.0.as_str())) {
            Ok(target) => target,
            Err(error) => {
                let key = if error == proxy::TargetError::Key {
                    "upstream.api_key"
                } else {
                    key
                };
                self.fault(key, error.to_string());
                fallback_target()
            }
        }
    }

    /// The table `upstream.keys`: one upstream key for each organization's slug.
    pub(crate) fn targets(&mut self, table: &str, url: &str) -> BTreeMap<String, Target> {
        let prefix = format!("{table}.");
        let keys: Vec<(String, String)> = self
            .values
            .iter()
            .filter_map(|(key, raw)| {
                Some((key.strip_prefix(&prefix)?.to_owned(), raw.text.clone()))
            })
            .collect();
        let mut targets = BTreeMap::new();
        for (slug, api_key) in keys {
            match Target::new(url, Some(api_key.trim())) {
                Ok(target) => drop(targets.insert(slug, target)),
                // A wrong URL has been reported with its own key.
                Err(proxy::TargetError::Key) => {
                    self.fault(&format!("{prefix}{slug}"), "can't stand in a header");
                }
                Err(_) => {}
            }
        }
        targets
    }

    /// A price book's file; without one, the book of this build.
    pub(crate) fn prices(&mut self, key: &str) -> PriceOptions {
        let file: Option<PathBuf> = self.optional(key);
        let embedded = || PriceBook::embedded().map_err(|error| error.to_string());
        let book = file.as_deref().map_or_else(embedded, prices::read);
        let book = book.unwrap_or_else(|problem| {
            let place = file
                .as_ref()
                .map_or_else(String::new, |path| format!("{}: ", path.display()));
            self.fault(key, format!("{place}{problem}"));
            PriceBook::default()
        });
        PriceOptions { file, book }
    }

    /// Certificate and key files: both or none.
    pub(crate) fn server_tls(
        &mut self,
        cert_key: &str,
        key_key: &str,
        protocols: tls::Protocols,
    ) -> Option<Arc<rustls::ServerConfig>> {
        let (cert, key) = match (self.text(cert_key), self.text(key_key)) {
            (None, None) => return None,
            (Some(cert), Some(key)) => (cert, key),
            (Some(_), None) => {
                self.fault(key_key, format!("must be given with {cert_key}"));
                return None;
            }
            (None, Some(_)) => {
                self.fault(cert_key, format!("must be given with {key_key}"));
                return None;
            }
        };
        match tls::server(Path::new(&cert), Path::new(&key), protocols) {
            Ok(config) => Some(config),
            Err(error) => {
                self.fault(cert_key, error_chain(&error));
                None
            }
        }
    }
}

/// Stands in while the other faults are looked for.
#[expect(
    clippy::expect_used,
    reason = "the default is a constant, and a test reads it"
)]
fn fallback_target() -> Target {
    Target::new(DEFAULT_UPSTREAM, None).expect("the default upstream is a URL")
}
