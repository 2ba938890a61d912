//! The Model Context Protocol, as far as it takes to be told the tools of a server: over Streamable HTTP, and over the older
//! HTTP with SSE.

use std::collections::VecDeque;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use url::Url;

use super::rpc;
use super::sse::{Event, Parser};
use super::wire::{Trouble, Wire};

const VERSION: &str = "2025-11-25";
/// Their `tools/list` is the same.
const KNOWN_VERSIONS: &[&str] = &[VERSION, "2025-06-18", "2025-03-26", "2024-11-05"];
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL: HeaderName = HeaderName::from_static("mcp-protocol-version");
const MOST_PAGES: usize = 50;
/// A server offers no more, or is not looked at to the end.
pub(super) const MOST_TOOLS: usize = 500;

/// What a server has said of itself.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) protocol_version: String,
    pub(crate) server_info: Value,
    pub(crate) instructions: Option<String>,
    pub(crate) tools: Vec<Value>,
    /// There are more tools than are read.
    pub(crate) is_cut: bool,
}

/// How questions reach a server.
#[derive(Debug)]
enum Channel {
    Streamable,
    Legacy(Box<Stream>),
}

/// A conversation.
#[derive(Debug)]
struct Session<'a> {
    wire: &'a mut Wire,
    /// Where questions go.
    url: Url,
    headers: HeaderMap,
    channel: Channel,
    last_id: u64,
}

/// A stream of events, read as far as it takes.
#[derive(Debug)]
struct Stream {
    response: Response,
    parser: Parser,
    events: VecDeque<Event>,
}

/// Asks a server of Streamable HTTP.
pub(super) async fn ask_http(
    wire: &mut Wire,
    url: &Url,
    headers: HeaderMap,
) -> Result<Said, Trouble> {
    let mut session = Session {
        wire,
        url: url.clone(),
        headers,
        channel: Channel::Streamable,
        last_id: 0,
    };
    let said = session.talk().await;
    session.end().await;
    said
}

/// Asks a server of HTTP with SSE: it names its endpoint in a stream, and answers there.
pub(super) async fn ask_sse(
    wire: &mut Wire,
    url: &Url,
    headers: HeaderMap,
) -> Result<Said, Trouble> {
    let mut asking = headers.clone();
    asking.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
    let response = wire.send(Method::GET, url, asking, String::new()).await?;
    if kind(&response) != "text/event-stream" {
        return Err(Trouble::ContentType(kind(&response)));
    }
    let mut stream = Stream::new(response);
    let endpoint = loop {
        let event = stream.next(wire).await?;
        if event.kind == "endpoint" {
            break endpoint(url, &event.data)?;
        }
    };
    let mut session = Session {
        wire,
        url: endpoint,
        headers,
        channel: Channel::Legacy(Box::new(stream)),
        last_id: 0,
    };
    session.talk().await
}

/// Secrets go there: to nobody but the server.
fn endpoint(url: &Url, said: &[u8]) -> Result<Url, Trouble> {
    let said = std::str::from_utf8(said).map_err(|_| Trouble::Endpoint)?;
    let endpoint = url.join(said.trim()).map_err(|_| Trouble::Endpoint)?;
    if endpoint.origin() == url.origin() {
        Ok(endpoint)
    } else {
        Err(Trouble::Endpoint)
    }
}

/// The content type without its parameters.
fn kind(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE);
    let text = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = text.split(';').next().unwrap_or_default();
    kind.trim()
        .chars()
        .take(100)
        .collect::<String>()
        .to_ascii_lowercase()
}

impl Session<'_> {
    async fn talk(&mut self) -> Result<Said, Trouble> {
        let client = json!({"name": "mindweave-gateway", "version": env!("CARGO_PKG_VERSION")});
        let hello = json!({"protocolVersion": VERSION, "capabilities": {}, "clientInfo": client});
        let mut hello = self.ask("initialize", &hello).await?;
        let version = hello.get("protocolVersion").and_then(Value::as_str);
        let version = version.unwrap_or_default().to_owned();
        if !KNOWN_VERSIONS.contains(&version.as_str()) {
            return Err(Trouble::Version(version.chars().take(20).collect()));
        }
        if let Ok(value) = HeaderValue::from_str(&version) {
            self.headers.insert(PROTOCOL, value);
        }
        self.tell("notifications/initialized").await?;
        let mut said = Said {
            protocol_version: version,
            server_info: hello
                .get_mut("serverInfo")
                .map(Value::take)
                .unwrap_or_default(),
            instructions: hello
                .get("instructions")
                .and_then(Value::as_str)
                .map(str::to_owned),
            ..Said::default()
        };
        // A server without tools needn't understand the question.
        if hello.pointer("/capabilities/tools").is_some() {
            self.list(&mut said).await?;
        }
        Ok(said)
    }

    async fn list(&mut self, said: &mut Said) -> Result<(), Trouble> {
        let mut params = json!({});
        for _ in 0..MOST_PAGES {
            let mut page = self.ask("tools/list", &params).await?;
            let Some(Value::Array(tools)) = page.get_mut("tools").map(Value::take) else {
                return Err(Trouble::NoResult);
            };
            let room = MOST_TOOLS.saturating_sub(said.tools.len());
            said.is_cut = tools.len() > room;
            said.tools.extend(tools.into_iter().take(room));
            match page.get("nextCursor").and_then(Value::as_str) {
                Some(cursor) if !said.is_cut => params = json!({"cursor": cursor}),
                _ => return Ok(()),
            }
        }
        said.is_cut = true;
        Ok(())
    }

    async fn ask(&mut self, method: &str, params: &Value) -> Result<Value, Trouble> {
        self.last_id += 1;
        let id = self.last_id;
        let response = self.post(rpc::question(id, method, params)).await?;
        match &mut self.channel {
            Channel::Legacy(stream) => {
                // What it says here is not the answer.
                drop(response);
                stream.answer(self.wire, id).await
            }
            Channel::Streamable => {
                if let Some(session) = response.headers().get(&SESSION) {
                    self.headers.insert(SESSION, session.clone());
                }
                match kind(&response).as_str() {
                    "text/event-stream" => Stream::new(response).answer(self.wire, id).await,
                    "application/json" => {
                        let body = self.wire.body(response).await?;
                        rpc::answer(&body, id)?.ok_or(Trouble::NoResult)
                    }
                    other => Err(Trouble::ContentType(other.to_owned())),
                }
            }
        }
    }

    async fn tell(&mut self, method: &str) -> Result<(), Trouble> {
        self.post(rpc::notice(method)).await.map(drop)
    }

    async fn post(&mut self, body: String) -> Result<Response, Trouble> {
        let mut headers = self.headers.clone();
        let accepted = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(ACCEPT, accepted);
        self.wire.send(Method::POST, &self.url, headers, body).await
    }

    /// Says that the session is over, to those who have given it a name. Nobody minds if they don't hear it.
    async fn end(&mut self) {
        if self.headers.contains_key(&SESSION) {
            let headers = self.headers.clone();
            let ending = self
                .wire
                .send(Method::DELETE, &self.url, headers, String::new());
            drop(tokio::time::timeout(super::scan::FAREWELL, ending).await);
        }
    }
}

impl Stream {
    fn new(response: Response) -> Self {
        Self {
            response,
            parser: Parser::default(),
            events: VecDeque::new(),
        }
    }

    async fn next(&mut self, wire: &mut Wire) -> Result<Event, Trouble> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let piece = wire.piece(&mut self.response).await?;
            let piece = piece.ok_or(Trouble::Ended)?;
            self.events.extend(self.parser.read(&piece));
        }
    }

    async fn answer(&mut self, wire: &mut Wire, id: u64) -> Result<Value, Trouble> {
        loop {
            let event = self.next(wire).await?;
            // An empty one only says from where to go on.
            if event.kind != "message" || event.data.is_empty() {
                continue;
            }
            if let Some(answer) = rpc::answer(&event.data, id)? {
                return Ok(answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_of_the_servers_own_origin() {
        let url: Url = "https://mcp.example:8443/a/sse".parse().unwrap();
        let check = |said: &str| endpoint(&url, said.as_bytes()).ok().map(String::from);
        for (said, expected) in [
            (
                "/messages?s=1",
                Some("https://mcp.example:8443/messages?s=1"),
            ),
            ("b", Some("https://mcp.example:8443/a/b")),
            (
                "https://mcp.example:8443/c",
                Some("https://mcp.example:8443/c"),
            ),
            ("http://mcp.example:8443/c", None),
            ("https://mcp.example/c", None),
            ("//other.example:8443/c", None),
            ("https://mcp.example.evil:8443/", None),
            ("http://169.254.169.254/", None),
            ("\\\\evil.example/x", None),
            ("file:///etc/passwd", None),
            ("data:x", None),
        ] {
            assert_eq!(check(said).as_deref(), expected, "{said}");
        }
    }
}
