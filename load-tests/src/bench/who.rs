//! The names of those who are measured.

use serde::{Deserialize, Serialize};

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Who {
    /// The upstream itself, without anything between
    Direct,
    Nginx,
    /// A proxy on hyper that checks nothing
    BareHyper,
    /// A proxy on pingora that checks nothing
    Pingora,
    /// The gateway with durability `process`
    GatewayProcess,
    /// The gateway with durability `fsync`
    GatewayFsync,
}

impl Who {
    pub(super) const ALL: [Self; 6] = [
        Self::Direct,
        Self::Nginx,
        Self::BareHyper,
        Self::Pingora,
        Self::GatewayProcess,
        Self::GatewayFsync,
    ];

    /// As it stands in tables.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::BareHyper => "bare hyper",
            Self::Pingora => "pingora",
            Self::GatewayProcess => "gateway, process",
            Self::GatewayFsync => "gateway, fsync",
        }
    }

    pub(super) fn is_gateway(self) -> bool {
        self.durability().is_some()
    }

    /// Of the gateway's spool.
    pub(super) fn durability(self) -> Option<&'static str> {
        match self {
            Self::GatewayProcess => Some("process"),
            Self::GatewayFsync => Some("fsync"),
            Self::Direct | Self::Nginx | Self::BareHyper | Self::Pingora => None,
        }
    }
}
