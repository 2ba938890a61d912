//! How a server is reached: checked when it is registered, shown without anything secret in it.
//!
//! A header or a variable whose name says that it is a secret must hold `${secrets.NAME}`; any other plain value is stored, and never
//! shown again.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use url::Url;

use super::secrets;
use crate::check;
use crate::error::{ApiError, Result};

pub(crate) const KINDS: &[&str] = &["stdio", "sse", "http"];
/// Stands for what isn't shown.
const HIDDEN: &str = "***";
const LONGEST_URL: usize = 2_000;
const LONGEST_VALUE: usize = 8_000;
/// Parts of names of what is secret, without their hyphens and underscores.
const SECRETIVE: &[&str] = &[
    "auth",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "credential",
    "cookie",
    "privatekey",
    "accesskey",
];
/// What the protocol or the connection says itself.
const OWN_HEADERS: &[&str] = &[
    "accept",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A server that is started as a command, elsewhere.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Command {
    pub(crate) command: String,
    #[serde(default)]
    pub(crate) args: Vec<String>,
}

/// A server on the network.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remote {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
}

/// Refuses what is no way to a server.
pub(crate) fn check(kind: &str, config: &Value) -> Result<()> {
    check::one_of("transport_type", kind, KINDS)?;
    check::object("transport_config", config)?;
    if kind == "stdio" {
        check_command(&read("transport_config", config)?)
    } else {
        check_remote(&read("transport_config", config)?)
    }
}

/// Reads one that was checked, or tells the place where it is wrong.
pub(crate) fn read<T: DeserializeOwned>(path: &str, config: &Value) -> Result<T> {
    serde_path_to_error::deserialize(config.clone()).map_err(|error| {
        let place = error.path().to_string();
        let path = if place == "." {
            path.to_owned()
        } else {
            format!("{path}.{place}")
        };
        ApiError::invalid(path, error.into_inner())
    })
}

fn check_command(command: &Command) -> Result<()> {
    check::text("transport_config.command", &command.command, 1_000)?;
    if !command.args.is_empty() {
        check::list("transport_config.args", &command.args)?;
    }
    for (index, arg) in command.args.iter().enumerate() {
        let path = format!("transport_config.args[{index}]");
        check_value(&path, arg)?;
        if gives_away(&command.args, index) {
            return Err(must_refer(&path));
        }
    }
    Ok(())
}

fn check_remote(remote: &Remote) -> Result<()> {
    check_url("transport_config.url", &remote.url, LONGEST_URL)?;
    for (name, value) in &remote.headers {
        let path = format!("transport_config.headers.{name}");
        let parsed = HeaderName::try_from(name.as_str());
        let parsed = parsed.map_err(|_| ApiError::invalid(&path, "is no name of a header"))?;
        if OWN_HEADERS.contains(&parsed.as_str()) || parsed.as_str().starts_with("proxy-") {
            return Err(ApiError::invalid(path, "can't be set"));
        }
        if HeaderValue::from_str(value).is_err() {
            return Err(ApiError::invalid(path, "can't stand in a header"));
        }
        check_named(&path, name, value)?;
    }
    let names: std::collections::BTreeSet<_> = remote
        .headers
        .keys()
        .map(|name| name.to_ascii_lowercase())
        .collect();
    if names.len() < remote.headers.len() {
        return Err(ApiError::invalid(
            "transport_config.headers",
            "name the same header twice",
        ));
    }
    Ok(())
}

/// An address of the web, without anything secret in it: it is shown, and in the audit log.
pub(crate) fn check_url(path: &str, text: &str, longest: usize) -> Result<Url> {
    check::text(path, text, longest)?;
    let url =
        Url::parse(text).map_err(|error| ApiError::invalid(path, format!("is no URL: {error}")))?;
    let problem = if !matches!(url.scheme(), "http" | "https") {
        "must begin with https:// or http://"
    } else if !url.username().is_empty() || url.password().is_some() {
        "must not have a user or password in it: use headers, with ${secrets.NAME}"
    } else if url.fragment().is_some() {
        "must not have a fragment"
    } else if url.query_pairs().any(|(name, _)| is_secretive(&name)) || text.contains("${secrets.")
    {
        "must not have a secret in it: use headers, with ${secrets.NAME}"
    } else {
        return Ok(url);
    };
    Err(ApiError::invalid(path, problem))
}

/// Variables for a command.
pub(crate) fn check_environment(environment: &Value) -> Result<()> {
    check::object("environment", environment)?;
    let variables: BTreeMap<String, String> = read("environment", environment)?;
    for (name, value) in &variables {
        let path = format!("environment.{name}");
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let starts_well = name
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit());
        if !starts_well || !name.bytes().all(is_plain) {
            return Err(ApiError::invalid(path, "is no name of a variable"));
        }
        check_named(&path, name, value)?;
    }
    Ok(())
}

fn check_named(path: &str, name: &str, value: &str) -> Result<()> {
    check_value(path, value)?;
    if is_secretive(name) && !secrets::is_reference(value) {
        return Err(must_refer(path));
    }
    Ok(())
}

fn check_value(path: &str, value: &str) -> Result<()> {
    if value.len() > LONGEST_VALUE {
        return Err(ApiError::invalid(
            path,
            format!("has more than {LONGEST_VALUE} bytes"),
        ));
    }
    if value == HIDDEN {
        return Err(ApiError::invalid(
            path,
            "stands for a value that isn't shown: give the value",
        ));
    }
    secrets::check(value).map_err(|error| ApiError::invalid(path, error))
}

fn must_refer(path: &str) -> ApiError {
    ApiError::invalid(
        path,
        "is a secret: it must be ${secrets.NAME}, perhaps behind Bearer",
    )
}

/// Whether a name says that what it names is secret.
fn is_secretive(name: &str) -> bool {
    let is_letter = |letter: &char| !matches!(letter, '-' | '_' | '.');
    let name: String = name.to_lowercase().chars().filter(is_letter).collect();
    name.ends_with("key") || SECRETIVE.iter().any(|part| name.contains(part))
}

/// Whether an argument is a secret: `--token=x`, `TOKEN=x`, `Authorization: x`, or `x` behind `--token`.
fn gives_away(args: &[String], index: usize) -> bool {
    let Some(arg) = args.get(index) else {
        return false;
    };
    if let Some((name, value)) = arg.split_once(['=', ':']) {
        return is_secretive(name) && !secrets::is_reference(value.trim_start());
    }
    let before = index.checked_sub(1).and_then(|before| args.get(before));
    let is_named = before
        .is_some_and(|name| name.starts_with("--") && !name.contains('=') && is_secretive(name));
    is_named && !arg.starts_with('-') && !secrets::is_reference(arg)
}

/// A configuration as it may be shown.
pub(crate) fn shown(config: Value) -> Value {
    let Value::Object(members) = config else {
        return json!({});
    };
    let members = members.into_iter().map(|(name, value)| {
        let shown = match (name.as_str(), value) {
            ("command", value) => value,
            ("url", Value::String(url)) => shown_url(url),
            ("args", Value::Array(args)) => shown_args(args),
            (_, value) => hidden(value),
        };
        (name, shown)
    });
    Value::Object(members.collect())
}

fn shown_url(url: String) -> Value {
    let is_plain = check_url("", &url, LONGEST_URL).is_ok();
    Value::String(if is_plain { url } else { HIDDEN.to_owned() })
}

fn shown_args(args: Vec<Value>) -> Value {
    let texts: Vec<String> = args
        .iter()
        .map(|arg| arg.as_str().unwrap_or_default().to_owned())
        .collect();
    let shown = args.into_iter().enumerate();
    let shown = shown.map(|(index, arg)| {
        if gives_away(&texts, index) {
            json!(HIDDEN)
        } else {
            arg
        }
    });
    Value::Array(shown.collect())
}

/// Variables as they may be shown: references alone.
pub(crate) fn hidden(value: Value) -> Value {
    match value {
        Value::String(text) if !secrets::is_reference(&text) => json!(HIDDEN),
        Value::Array(items) => Value::Array(items.into_iter().map(hidden).collect()),
        Value::Object(members) => {
            let members = members
                .into_iter()
                .map(|(name, value)| (name, hidden(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(found: Result<()>) -> String {
        found.map_or_else(
            |error| {
                let path = &error.body("")["error"]["details"]["path"];
                path.as_str().unwrap_or_default().to_owned()
            },
            |()| "fine".to_owned(),
        )
    }

    #[test]
    fn a_way_to_a_server_is_checked() {
        for (kind, config, expected) in [
            (
                "stdio",
                json!({"command": "npx", "args": ["-y", "@github/mcp"]}),
                "fine",
            ),
            (
                "stdio",
                json!({"command": "x", "args": ["--api-key", "${secrets.KEY}", "--token=${secrets.T}"]}),
                "fine",
            ),
            (
                "stdio",
                json!({"command": "x", "args": ["https://a.example", "key.pem"]}),
                "fine",
            ),
            ("stdio", json!({"command": ""}), "transport_config.command"),
            (
                "stdio",
                json!({"command": "x", "args": "y"}),
                "transport_config.args",
            ),
            (
                "stdio",
                json!({"command": "x", "args": [5]}),
                "transport_config.args[0]",
            ),
            (
                "stdio",
                json!({"command": "x", "args": ["--api-key", "abc"]}),
                "transport_config.args[1]",
            ),
            (
                "stdio",
                json!({"command": "x", "args": ["--token=abc"]}),
                "transport_config.args[0]",
            ),
            (
                "stdio",
                json!({"command": "x", "args": ["-e", "GITHUB_TOKEN=abc"]}),
                "transport_config.args[1]",
            ),
            (
                "stdio",
                json!({"command": "x", "args": ["Authorization: Bearer abc"]}),
                "transport_config.args[0]",
            ),
            (
                "stdio",
                json!({"command": "x", "args": ["${secrets.../x}"]}),
                "transport_config.args[0]",
            ),
            (
                "stdio",
                json!({"command": "x", "url": "http://a"}),
                "transport_config.url",
            ),
            (
                "stdio",
                json!({"command": "x", "args": (0..101).map(|_| "a").collect::<Vec<_>>()}),
                "transport_config.args",
            ),
            (
                "http",
                json!({"url": "https://mcp.example/mcp", "headers": {"X-Tenant": "acme"}}),
                "fine",
            ),
            (
                "sse",
                json!({"url": "http://10.0.0.1:8000/sse?v=1"}),
                "fine",
            ),
            ("http", json!({"command": "x"}), "transport_config.command"),
            ("http", json!({}), "transport_config"),
            ("http", json!([]), "transport_config"),
            ("http", json!({"url": "ftp://a"}), "transport_config.url"),
            ("http", json!({"url": "/mcp"}), "transport_config.url"),
            (
                "http",
                json!({"url": "https://me:pw@a.example/"}),
                "transport_config.url",
            ),
            (
                "http",
                json!({"url": "https://a.example/?api_key=abc"}),
                "transport_config.url",
            ),
            (
                "http",
                json!({"url": "https://a.example/${secrets.KEY}"}),
                "transport_config.url",
            ),
            (
                "http",
                json!({"url": "https://a.example/#x"}),
                "transport_config.url",
            ),
            (
                "http",
                json!({"url": "https://a", "headers": {"Authorization": "Bearer ${secrets.T}"}}),
                "fine",
            ),
            (
                "http",
                json!({"url": "https://a", "headers": {"Authorization": "Bearer abc"}}),
                "transport_config.headers.Authorization",
            ),
            (
                "http",
                json!({"url": "https://a", "headers": {"x-api-key": "abc"}}),
                "transport_config.headers.x-api-key",
            ),
            (
                "http",
                json!({"url": "https://a", "headers": {"Cookie": "a=b"}}),
                "transport_config.headers.Cookie",
            ),
            (
                "http",
                json!({"url": "https://a", "headers": {"a b": "c"}}),
                "transport_config.headers.a b",
            ),
            (
                "http",
                json!({"url": "https://a", "headers": {"a": "c\r\nx: y"}}),
                "transport_config.headers.a",
            ),
            (
                "http",
                json!({"url": "https://a", "headers": {"Host": "c"}}),
                "transport_config.headers.Host",
            ),
            (
                "http",
                json!({"url": "https://a", "headers": {"a": "***"}}),
                "transport_config.headers.a",
            ),
            (
                "http",
                json!({"url": "https://a", "headers": {"a": "b", "A": "c"}}),
                "transport_config.headers",
            ),
            ("grpc", json!({}), "transport_type"),
        ] {
            assert_eq!(fault(check(kind, &config)), expected, "{kind} {config}");
        }
    }

    #[test]
    fn variables_are_checked() {
        for (environment, expected) in [
            (json!({}), "fine"),
            (
                json!({"HOME": "/x", "GITHUB_TOKEN": "${secrets.GITHUB}"}),
                "fine",
            ),
            (json!({"GITHUB_TOKEN": "ghp_x"}), "environment.GITHUB_TOKEN"),
            (json!({"A=B": "x"}), "environment.A=B"),
            (json!({"1A": "x"}), "environment.1A"),
            (json!({"A": 5}), "environment.A"),
            (json!("A"), "environment"),
        ] {
            assert_eq!(
                fault(check_environment(&environment)),
                expected,
                "{environment}"
            );
        }
    }

    #[test]
    fn what_is_shown_has_no_plain_value() {
        for (config, expected) in [
            (
                json!({"url": "https://a.example/", "headers": {"A": "plain", "B": "Bearer ${secrets.B}"}}),
                json!({"url": "https://a.example/", "headers": {"A": "***", "B": "Bearer ${secrets.B}"}}),
            ),
            (
                json!({"command": "x", "args": ["-v", "--token=abc", "--password", "p"], "env": {"A": "plain"}}),
                json!({"command": "x", "args": ["-v", "***", "--password", "***"], "env": {"A": "***"}}),
            ),
            (
                json!({"url": "https://me:pw@a.example/"}),
                json!({"url": "***"}),
            ),
            (json!("secret"), json!({})),
        ] {
            assert_eq!(shown(config.clone()), expected, "{config}");
        }
    }
}
