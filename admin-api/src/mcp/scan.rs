//! A scan: what is registered is looked at, its tools are judged, and what was found is stored, unless it is something else by then.
//!
//! No transaction is open while the network is talked to. A command is never started: its manifest is looked at.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use super::client::{Said, ask_http, ask_sse};
use super::guard::Guard;
use super::offer::{Offer, Tool, of_manifest};
use super::risk::{Code, Finding, Neighbour, declared, rate, rate_instructions};
use super::secrets::{Revealed, SecretError};
use super::transport::{Command, Remote};
use super::wire::{Trouble, Wire};
use super::{McpOptions, SecretStore};

/// All of the network's part.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
pub(super) const FAREWELL: Duration = Duration::from_secs(1);
const LONGEST_INFO: usize = 200;

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) org_slug: String,
    pub(crate) way: Way,
    pub(crate) manifest: Option<Value>,
    pub(crate) manifest_url: Option<Url>,
    /// As they are stored.
    pub(crate) tools: Vec<Tool>,
    pub(crate) neighbours: Vec<Neighbour>,
}

/// How it is reached.
#[derive(Debug)]
pub(crate) enum Way {
    Command(Command),
    Http(Remote),
    Sse(Remote),
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) protocol_version: Option<String>,
    pub(crate) server_info: Value,
    /// The tools, with what is thought of each.
    pub(crate) tools: Vec<(Tool, Vec<Finding>)>,
    /// What isn't about one of the tools.
    pub(crate) findings: Vec<Finding>,
    /// The tools are those that were stored before, since nobody has said others.
    pub(crate) is_stored: bool,
}

/// Looks, for so long at the most.
///
/// # Errors
/// Why it couldn't be looked at, in words that may be shown.
pub(crate) async fn look(subject: Subject, options: &McpOptions) -> Result<Seen, String> {
    let mut revealed = Revealed::default();
    let looking = Looking {
        revealed: &mut revealed,
        options,
    };
    let found = tokio::time::timeout(PATIENCE, looking.ask(&subject)).await;
    let raw = found.unwrap_or(Err(Trouble::Timeout));
    let raw = raw.map_err(|trouble| readable(&revealed.redact(&trouble.to_string())))?;
    let raw = raw.without(&revealed);
    let judging = tokio::task::spawn_blocking(move || judge(&subject, raw));
    judging
        .await
        .map_err(|_| "the tools couldn't be judged".to_owned())
}

/// Without what can't be stored or seen: parts of it are the server's.
fn readable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// What was said, before anybody has thought about it.
#[derive(Debug, Default)]
struct Raw {
    said: Option<Said>,
    /// From `manifest_url`.
    fetched: Option<Value>,
}

impl Raw {
    /// Without secrets, should they have come back.
    fn without(self, revealed: &Revealed) -> Self {
        let said = self.said.map(|said| Said {
            server_info: revealed.redact_json(said.server_info),
            instructions: said.instructions.map(|text| revealed.redact(&text)),
            tools: said
                .tools
                .into_iter()
                .map(|tool| revealed.redact_json(tool))
                .collect(),
            ..said
        });
        Self {
            said,
            fetched: self.fetched.map(|manifest| revealed.redact_json(manifest)),
        }
    }
}

struct Looking<'a> {
    revealed: &'a mut Revealed,
    options: &'a McpOptions,
}

impl Looking<'_> {
    async fn ask(mut self, subject: &Subject) -> Result<Raw, Trouble> {
        let guard = Guard::new(&self.options.allowed_networks);
        let mut wire = Wire::new(guard.clone())?;
        let mut raw = Raw::default();
        if let Some(url) = &subject.manifest_url {
            // Without the server's headers: it may be another's.
            let response = wire
                .send(Method::GET, url, HeaderMap::new(), String::new())
                .await?;
            let body = wire.body(response).await?;
            raw.fetched = Some(serde_json::from_slice(&body).map_err(|_| Trouble::NotJson)?);
        }
        let (remote, is_sse) = match &subject.way {
            Way::Command(_) => return Ok(raw),
            Way::Http(remote) => (remote, false),
            Way::Sse(remote) => (remote, true),
        };
        let url: Url = remote.url.parse().map_err(|_| Trouble::Endpoint)?;
        if url.scheme() == "http" && !remote.headers.is_empty() {
            wire = wire.under(guard.for_plain_text())?;
        }
        let headers = self.headers(remote, &subject.org_slug).await?;
        let said = if is_sse {
            ask_sse(&mut wire, &url, headers).await?
        } else {
            ask_http(&mut wire, &url, headers).await?
        };
        raw.said = Some(said);
        Ok(raw)
    }

    /// The server's headers with their secrets in place.
    async fn headers(&mut self, remote: &Remote, org_slug: &str) -> Result<HeaderMap, Trouble> {
        let store = Arc::clone(&self.options.secrets);
        let (wanted, slug) = (remote.headers.clone(), org_slug.to_owned());
        // Secrets may be files.
        let resolving = tokio::task::spawn_blocking(move || resolve(&wanted, &slug, &*store));
        let resolved = resolving
            .await
            .map_err(|_| Trouble::Unreachable("no secrets"))?;
        let (revealed, resolved) = resolved?;
        *self.revealed = revealed;
        let mut headers = HeaderMap::new();
        for (name, text) in resolved {
            let header = HeaderName::try_from(name.as_str()).ok();
            let value = HeaderValue::try_from(text).ok();
            let (Some(header), Some(mut value)) = (header, value) else {
                return Err(Trouble::Header(name));
            };
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        Ok(headers)
    }
}

type Resolved = (Revealed, Vec<(String, String)>);

fn resolve(
    headers: &std::collections::BTreeMap<String, String>,
    org_slug: &str,
    store: &dyn SecretStore,
) -> Result<Resolved, SecretError> {
    let mut revealed = Revealed::default();
    let mut resolved = Vec::new();
    for (name, value) in headers {
        let text = revealed.resolve(value, org_slug, store)?;
        // What somebody has pasted isn't shown either.
        if !super::secrets::is_reference(value) {
            revealed.hide(text.clone());
        }
        resolved.push((name.clone(), text));
    }
    Ok((revealed, resolved))
}

/// What is to be thought of it.
fn judge(subject: &Subject, raw: Raw) -> Seen {
    let manifest = raw.fetched.or_else(|| subject.manifest.clone());
    let manifest = manifest.map(|manifest| Offer::read(of_manifest(&manifest), false));
    let mut seen = Seen {
        findings: of_way(&subject.way),
        ..Seen::default()
    };
    let offer = match (raw.said, manifest) {
        (Some(said), manifest) => {
            seen.protocol_version = Some(said.protocol_version);
            seen.server_info = info(&said.server_info);
            seen.findings.extend(rate_instructions(
                said.instructions.as_deref().unwrap_or_default(),
            ));
            let offer = Offer::read(said.tools, said.is_cut);
            let declares = manifest.filter(|manifest| !manifest.tools.is_empty());
            if let Some(manifest) = declares {
                seen.findings
                    .extend(declared(&manifest.tools, &offer.tools));
            }
            offer
        }
        (None, Some(manifest)) => manifest,
        (None, None) => {
            seen.is_stored = true;
            Offer {
                tools: subject.tools.clone(),
                findings: Vec::new(),
            }
        }
    };
    seen.findings.extend(offer.findings);
    if offer.tools.is_empty() {
        seen.findings.push(Finding::of(Code::NothingOffered, ""));
    }
    let rated = offer.tools.into_iter().map(|tool| {
        let findings = rate(&tool, &subject.neighbours);
        (tool, findings)
    });
    seen.tools = rated.collect();
    seen
}

/// What is kept of a server's own words about itself.
fn info(said: &Value) -> Value {
    let text = |name: &str| {
        let text = said.get(name).and_then(Value::as_str);
        text.map(|text| {
            text.chars()
                .filter(|letter| *letter != '\0')
                .take(LONGEST_INFO)
                .collect::<String>()
        })
    };
    json!({"name": text("name"), "title": text("title"), "version": text("version")})
}

const SHELLS: &[&str] = &[
    "sh",
    "bash",
    "zsh",
    "dash",
    "fish",
    "cmd",
    "cmd.exe",
    "powershell",
    "pwsh",
];
/// They fetch what they run.
const FETCHERS: &[&str] = &["npx", "bunx", "uvx", "pipx"];

fn of_way(way: &Way) -> Vec<Finding> {
    let command = match way {
        Way::Http(remote) | Way::Sse(remote) => {
            let is_plain = remote.url.to_ascii_lowercase().starts_with("http:");
            return is_plain
                .then(|| Finding::of(Code::ServerUnencrypted, ""))
                .into_iter()
                .collect();
        }
        Way::Command(command) => command,
    };
    let name = command
        .command
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default();
    let mut findings = Vec::new();
    if SHELLS.contains(&name) {
        findings.push(Finding::because(Code::CommandShell, "", name));
    }
    let mut args = command
        .args
        .iter()
        .filter(|arg| !arg.starts_with('-') && *arg != "run");
    if let (true, Some(package)) = (FETCHERS.contains(&name), args.next()) {
        let version = package.get(1..).and_then(|rest| rest.rsplit_once('@'));
        let is_pinned =
            version.is_some_and(|(_, version)| version != "latest") || package.contains("==");
        if !is_pinned {
            findings.push(Finding::because(Code::CommandUnpinned, "", package));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_judged() {
        let command = |command: &str, args: &[&str]| {
            Way::Command(Command {
                command: command.to_owned(),
                args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            })
        };
        let remote = |url: &str| {
            Way::Http(Remote {
                url: url.to_owned(),
                headers: [].into(),
            })
        };
        for (way, expected) in [
            (
                command("npx", &["-y", "@scope/server"]),
                vec![Code::CommandUnpinned],
            ),
            (
                command("npx", &["-y", "@scope/server@latest"]),
                vec![Code::CommandUnpinned],
            ),
            (command("npx", &["-y", "@scope/server@1.2.3"]), vec![]),
            (command("uvx", &["server==1.0"]), vec![]),
            (
                command("/usr/bin/uvx", &["server"]),
                vec![Code::CommandUnpinned],
            ),
            (command("/bin/bash", &["-c", "x"]), vec![Code::CommandShell]),
            (command("/opt/server", &[]), vec![]),
            (remote("HTTP://a.example"), vec![Code::ServerUnencrypted]),
            (remote("https://a.example"), vec![]),
        ] {
            let codes: Vec<_> = of_way(&way)
                .into_iter()
                .map(|finding| finding.code)
                .collect();
            assert_eq!(codes, expected, "{way:?}");
        }
    }
}
