//! An upstream as keys name it: where it is, and what it knows us by.

use http::header::InvalidHeaderValue;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

/// An upstream, and the credential it knows us by.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end; usually empty.
    path_prefix: String,
    /// `Host`
    host: HeaderValue,
    credential: Option<(HeaderName, HeaderValue)>,
}

/// An upstream's URL or key can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not an absolute URL.
    #[error("the URL must be absolute, as in https://api.anthropic.com")]
    NotAbsolute,
    /// Not one we speak.
    #[error("the scheme must be http or https")]
    Scheme,
    /// A query has no meaning here.
    #[error("the URL must have no query")]
    Query,
    /// Control characters, mostly a line's end from a file.
    #[error("the API key has characters that no header may have")]
    Key,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Target({}://{}{})",
            self.scheme, self.authority, self.path_prefix
        )
    }
}

impl Target {
    /// An upstream at a base URL. Without a key nothing is sent in the place of the caller's.
    ///
    /// # Errors
    /// If the URL isn't `http(s)://host[:port][/prefix]`, or the key can't stand in a header.
    pub fn new(base_url: &str, api_key: Option<&str>) -> Result<Self, TargetError> {
        let uri: Uri = base_url.parse().map_err(|_| TargetError::NotAbsolute)?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(TargetError::NotAbsolute);
        };
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(TargetError::Scheme);
        }
        let path = parts
            .path_and_query
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        if path.query().is_some() {
            return Err(TargetError::Query);
        }
        let path_prefix = path.path().trim_end_matches('/').to_owned();
        let credential = api_key.map(credential).transpose()?;
        let host = host(&scheme, &authority).map_err(|_| TargetError::NotAbsolute)?;
        Ok(Self {
            scheme,
            authority,
            path_prefix,
            host,
            credential,
        })
    }

    /// Whether a connection to one is a connection to the other.
    pub(super) fn is_same_server(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.authority == other.authority
    }

    /// Where to connect.
    pub(super) fn server(&self) -> Result<Uri, http::Error> {
        self.uri(&PathAndQuery::from_static("/"))
    }

    /// Puts our credential where the caller's was.
    pub(crate) fn authorize(&self, headers: &mut HeaderMap) {
        if let Some((name, value)) = &self.credential {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// What a request here is for, in HTTP/1.1: its path, and the host beside it. Costs a copy of the path only where there is a
    /// prefix.
    pub(crate) fn origin_form(
        &self,
        path: &PathAndQuery,
    ) -> Result<(Uri, HeaderValue), http::Error> {
        let path = if self.path_prefix.is_empty() {
            path.clone()
        } else {
            format!("{}{path}", self.path_prefix).parse()?
        };
        Ok((path.into(), self.host.clone()))
    }

    /// The same in HTTP/2: an absolute URI.
    pub(crate) fn uri(&self, path: &PathAndQuery) -> Result<Uri, http::Error> {
        let builder = Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone());
        if self.path_prefix.is_empty() {
            builder.path_and_query(path.clone()).build()
        } else {
            builder
                .path_and_query(format!("{}{path}", self.path_prefix))
                .build()
        }
    }
}

/// OAuth tokens must go as bearer tokens; API keys may go either way.
fn credential(api_key: &str) -> Result<(HeaderName, HeaderValue), TargetError> {
    let (name, text) = if api_key.starts_with("sk-ant-oat") {
        (http::header::AUTHORIZATION, format!("Bearer {api_key}"))
    } else {
        (HeaderName::from_static("x-api-key"), api_key.to_owned())
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| TargetError::Key)?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// The port only where it isn't the scheme's.
fn host(scheme: &Scheme, authority: &Authority) -> Result<HeaderValue, InvalidHeaderValue> {
    let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    match authority.port_u16().filter(|port| *port != default) {
        Some(port) => HeaderValue::try_from(format!("{}:{port}", authority.host())),
        None => HeaderValue::from_str(authority.host()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(base_url: &str, path: &str, expected: &str, expected_in_http1: &str) {
        let target = Target::new(base_url, None).unwrap();
        let path = path.parse().unwrap();
        assert_eq!(target.uri(&path).unwrap().to_string(), expected);
        let (path, host) = target.origin_form(&path).unwrap();
        let host = host.to_str().unwrap();
        assert_eq!(format!("{host}{path}"), expected_in_http1);
    }

    #[test]
    fn a_path_is_put_behind_the_base_url_as_it_is() {
        check(
            "https://api.anthropic.com",
            "/v1/messages?beta=true",
            "https://api.anthropic.com/v1/messages?beta=true",
            "api.anthropic.com/v1/messages?beta=true",
        );
        check(
            "http://127.0.0.1:80/claude/",
            "/v1/m%2Fx?a=%20",
            "http://127.0.0.1:80/claude/v1/m%2Fx?a=%20",
            "127.0.0.1/claude/v1/m%2Fx?a=%20",
        );
    }

    #[test]
    fn a_host_has_its_port_where_it_is_not_the_schemes() {
        for (base_url, expected) in [
            ("https://host", "host"),
            ("https://host:443", "host"),
            ("https://host:80", "host:80"),
            ("http://host:80", "host"),
            ("http://[::1]:8080", "[::1]:8080"),
        ] {
            let target = Target::new(base_url, None).unwrap();
            let (_, host) = target.origin_form(&PathAndQuery::from_static("/")).unwrap();
            assert_eq!(host, expected);
        }
    }

    #[test]
    fn a_base_url_must_be_absolute_and_plain() {
        assert_eq!(
            Target::new("api.anthropic.com", None),
            Err(TargetError::NotAbsolute)
        );
        assert_eq!(Target::new("ftp://host", None), Err(TargetError::Scheme));
        assert_eq!(
            Target::new("https://host/?a", None),
            Err(TargetError::Query)
        );
        assert_eq!(
            Target::new("https://host", Some("a\nb")),
            Err(TargetError::Key)
        );
    }

    #[test]
    fn oauth_tokens_go_as_bearer_tokens() {
        for (key, name, value) in [
            ("sk-ant-api03-x", "x-api-key", "sk-ant-api03-x"),
            ("sk-ant-oat01-x", "authorization", "Bearer sk-ant-oat01-x"),
        ] {
            let mut headers = HeaderMap::new();
            Target::new("https://host", Some(key))
                .unwrap()
                .authorize(&mut headers);
            assert_eq!(headers.get(name).unwrap(), value);
        }
    }
}
