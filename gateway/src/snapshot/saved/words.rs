//! What a key is and may be, in the words of the file.

use domain::KeyKind;
use proxy::{KeyStatus, OnClientDisconnect, TenantState};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(remote = "KeyKind", rename_all = "snake_case")]
pub(super) enum Kind {
    Live,
    Test,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "KeyStatus", rename_all = "snake_case")]
pub(super) enum Status {
    Active,
    Revoked,
    Expired,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TenantState", rename_all = "snake_case")]
pub(super) enum State {
    Active,
    ProjectInactive,
    OrganizationInactive,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reaction {
    Cancel,
    Drain,
}

impl Reaction {
    pub(super) fn of(meant: OnClientDisconnect) -> Self {
        match meant {
            OnClientDisconnect::Cancel => Self::Cancel,
            OnClientDisconnect::Drain => Self::Drain,
        }
    }

    pub(super) fn meant(self) -> OnClientDisconnect {
        match self {
            Self::Cancel => OnClientDisconnect::Cancel,
            Self::Drain => OnClientDisconnect::Drain,
        }
    }
}
