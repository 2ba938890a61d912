//! One newtype per kind of id, so that an organization can't be passed where a project is meant.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// `organizations.id`.
    OrgId
);
id!(
    /// `projects.id`.
    ProjectId
);
id!(
    /// `users.id`.
    UserId
);
id!(
    /// `api_keys.id`.
    ApiKeyId
);
id!(
    /// `mcp_servers.id`.
    McpServerId
);
id!(
    /// `policies.id`.
    PolicyId
);
id!(
    /// The gateway's own id of one request: a UUIDv7, `usage_events.request_id`, and the value of the
    /// header `x-mindweave-request-id`.
    RequestId
);

impl RequestId {
    /// A fresh id, ordered by time.
    #[must_use]
    pub fn next() -> Self {
        Self(Uuid::now_v7())
    }
}
