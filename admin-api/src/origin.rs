//! Where a request comes from, as the audit log keeps it.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{ConnectInfo, FromRequestParts};
use domain::client_address::{X_FORWARDED_FOR, client_address};
use http::HeaderValue;
use http::header::USER_AGENT;
use http::request::Parts;
use ipnet::IpNet;
use uuid::Uuid;

use crate::identify::RequestId;
use crate::listener::Peer;
use crate::server::Shared;

const MAX_USER_AGENT: usize = 500;

/// Where from, with what, and which request it is.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) address: IpAddr,
    pub(crate) user_agent: String,
    pub(crate) request_id: Uuid,
}

impl Origin {
    pub(crate) fn of(parts: &Parts, trusted_proxies: &[IpNet]) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<Peer>>();
        let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |it| it.0.0.ip());
        let forwarded = parts.headers.get_all(X_FORWARDED_FOR).iter();
        let forwarded = forwarded.map(HeaderValue::as_bytes);
        let request_id = parts.extensions.get::<RequestId>();
        let user_agent = parts.headers.get(USER_AGENT);
        let user_agent = user_agent.map_or("".into(), |it| String::from_utf8_lossy(it.as_bytes()));
        Self {
            address: client_address(peer, forwarded, trusted_proxies),
            user_agent: user_agent.chars().take(MAX_USER_AGENT).collect(),
            request_id: request_id.map_or_else(Uuid::now_v7, |id| id.0),
        }
    }
}

impl FromRequestParts<Shared> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Infallible> {
        Ok(Self::of(parts, &shared.trusted_proxies))
    }
}
