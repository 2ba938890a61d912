//! Requests to a server that may be hostile: to addresses that pass, without redirects and proxies, and with a bound on all that is read.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Client, Method, Response};
use rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::guard::{Guard, Refused};

/// Of all answers of a scan together.
const MOST_BYTES: usize = 1 << 20;
const CONNECTING: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("mindweave-gateway/", env!("CARGO_PKG_VERSION"));

/// Why a server couldn't be looked at. Its text is stored and shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("not asked: {0}")]
    Guard(#[from] Refused),
    #[error("the server can't be reached: {0}")]
    Unreachable(&'static str),
    #[error("the server answered {0}{hint}", hint = hint(*.0))]
    Status(u16),
    #[error("the answer has the content type {0}, not JSON or an event stream")]
    ContentType(String),
    #[error("the answers have more than {MOST_BYTES} bytes")]
    TooLarge,
    #[error("an answer is not JSON, or too deep")]
    NotJson,
    #[error("an answer has no result")]
    NoResult,
    #[error("the server refused: {0}")]
    Refused(String),
    #[error("the stream ended without the answer")]
    Ended,
    #[error("the endpoint that the server names is not of its own origin")]
    Endpoint,
    #[error("the server speaks the protocol version {0}, which is not known here")]
    Version(String),
    #[error("{0}")]
    Secret(#[from] super::secrets::SecretError),
    #[error("the header {0} can't be sent as it is")]
    Header(String),
    #[error("not done within {} s", super::scan::PATIENCE.as_secs())]
    Timeout,
}

fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => " (redirects are not followed)",
        401 | 403 => " (headers of transport_config may hold ${secrets.NAME})",
        404 | 405 => " (is it this transport?)",
        _ => "",
    }
}

/// A client for one scan.
#[derive(Debug)]
pub(super) struct Wire {
    client: Client,
    guard: Guard,
    left: usize,
}

impl Wire {
    pub(super) fn new(guard: Guard) -> Result<Self, Trouble> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls()?)
            .dns_resolver(Arc::new(guard.clone()))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .http1_only()
            .connect_timeout(CONNECTING)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|_| Trouble::Unreachable("no client"))?;
        Ok(Self {
            client,
            guard,
            left: MOST_BYTES,
        })
    }

    /// From here on under another guard.
    pub(super) fn under(self, guard: Guard) -> Result<Self, Trouble> {
        let left = self.left;
        Ok(Self {
            left,
            ..Self::new(guard)?
        })
    }

    /// The answer's head, which is a success.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: String,
    ) -> Result<Response, Trouble> {
        self.guard.check(url)?;
        let mut request = self
            .client
            .request(method.clone(), url.clone())
            .headers(headers);
        if method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| why(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(Trouble::Status(response.status().as_u16()))
    }

    /// A piece of a body; none at its end.
    pub(super) async fn piece(
        &mut self,
        response: &mut Response,
    ) -> Result<Option<bytes::Bytes>, Trouble> {
        let piece = response.chunk().await.map_err(|error| why(&error))?;
        let length = piece.as_ref().map_or(0, bytes::Bytes::len);
        self.left = self.left.checked_sub(length).ok_or(Trouble::TooLarge)?;
        Ok(piece)
    }

    /// All of a body.
    pub(super) async fn body(&mut self, mut response: Response) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut response).await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }
}

/// Certificates that anybody trusts.
fn tls() -> Result<ClientConfig, Trouble> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| Trouble::Unreachable("no TLS"))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// In words of our own: an error's may tell more of the network than a tenant should know.
fn why(error: &reqwest::Error) -> Trouble {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<Refused>() {
            return Trouble::Guard(*refused);
        }
        cause = inner.source();
    }
    if error.is_connect() {
        Trouble::Unreachable("no connection")
    } else if error.is_body() || error.is_decode() {
        Trouble::Unreachable("the answer broke off")
    } else {
        Trouble::Unreachable("no answer")
    }
}
