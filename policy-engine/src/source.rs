//! What the database says, before anybody has looked at whether it makes sense.

use std::collections::BTreeMap;

use domain::{McpServerId, OrgId, PolicyId, ProjectId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One organization, as far as it decides about requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrgSource {
    /// `organizations.id`
    pub id: OrgId,
    /// `organizations.slug`
    pub slug: String,
    /// `organizations.settings`
    pub settings: Value,
    /// Its subscription, if it has one.
    pub subscription: Option<SubscriptionSource>,
    /// `org_members.role` of its active members.
    pub roles: BTreeMap<UserId, String>,
    /// Policies that name it, and no project; deleted ones left out.
    pub policies: Vec<PolicySource>,
}

/// One project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectSource {
    /// `projects.id`
    pub id: ProjectId,
    /// `projects.slug`
    pub slug: String,
    /// `projects.settings`
    pub settings: Value,
    /// `projects.quotas`
    pub quotas: Value,
    /// Its policies; deleted ones left out.
    pub policies: Vec<PolicySource>,
    /// Its MCP servers; deleted ones left out.
    pub mcp_servers: Vec<ServerSource>,
}

/// A row of `policies`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicySource {
    /// `id`
    pub id: PolicyId,
    /// `name`
    pub name: String,
    /// `type`
    #[serde(rename = "type")]
    pub kind: String,
    /// `rules`
    pub rules: Value,
    /// `applies_to`
    pub applies_to: Value,
    /// `priority`
    pub priority: i32,
    /// `status`
    pub status: PolicyStatus,
    /// `created_at`, in microseconds since 1970.
    pub created_unix_micros: i64,
}

/// `policies.status`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyStatus {
    /// In force.
    Active,
    /// Switched off.
    Disabled,
    /// Not yet in force.
    Draft,
}

/// A row of `subscriptions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionSource {
    /// `status`
    pub status: String,
    /// `limits`
    pub limits: Value,
}

/// A row of `mcp_servers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerSource {
    /// `id`
    pub id: McpServerId,
    /// `name`
    pub name: String,
    /// `status`
    pub status: String,
    /// Where it was registered to be: its URL, empty where it has none to connect to. None if that isn't known.
    #[serde(default)]
    pub url: Option<String>,
    /// `policy`
    pub policy: Value,
    /// Its tools.
    pub tools: Vec<ToolSource>,
}

/// A row of `mcp_tools`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolSource {
    /// `name`
    pub name: String,
    /// `enabled`
    pub enabled: bool,
}
