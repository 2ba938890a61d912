//! An organization's rules while its rows come in, in whatever order.
//!
//! Guarantees: JSON that PostgreSQL holds and this program can't, for its depth or its numbers, is replaced by a text that says so: no
//! rule is made of a text, so it is a fault of that rule and harms no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{McpServerId, OrgId, PolicyId, ProjectId, UserId};
use policy_engine::{
    OrgSource, PolicySource, PolicyStatus, ProjectSource, ServerSource, SubscriptionSource,
    ToolSource,
};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_postgres::types::Json;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use super::OrgRules;
use crate::snapshot::load::Fingerprint;

/// Objects and lists in one another: far more than any rule has, and few enough for every reader of what is made of it.
const MOST_DEPTH: usize = 64;

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    org: Option<OrgBody>,
    subscription: Option<SubscriptionSource>,
    roles: BTreeMap<UserId, String>,
    projects: BTreeMap<ProjectId, ProjectBody>,
    /// Those of the organization itself hang on no project.
    policies: BTreeMap<Option<ProjectId>, BTreeMap<PolicyId, PolicyBody>>,
    servers: BTreeMap<ProjectId, BTreeMap<McpServerId, ServerBody>>,
    tools: BTreeMap<McpServerId, Vec<ToolSource>>,
    rows: Vec<Uuid>,
    fingerprint: Fingerprint,
}

#[derive(Debug, Deserialize)]
struct OrgBody {
    slug: String,
    #[serde(deserialize_with = "any")]
    settings: Value,
}

#[derive(Debug, Deserialize)]
struct SubscriptionBody {
    status: String,
    #[serde(deserialize_with = "any")]
    limits: Value,
}

#[derive(Debug, Deserialize)]
struct ProjectBody {
    slug: String,
    #[serde(deserialize_with = "any")]
    settings: Value,
    #[serde(deserialize_with = "any")]
    quotas: Value,
}

#[derive(Debug, Deserialize)]
struct PolicyBody {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(deserialize_with = "any")]
    rules: Value,
    #[serde(deserialize_with = "any")]
    applies_to: Value,
    priority: i32,
    status: String,
    created_unix_micros: i64,
}

#[derive(Debug, Deserialize)]
struct ServerBody {
    name: String,
    status: String,
    url: Option<String>,
    #[serde(deserialize_with = "any")]
    policy: Value,
}

impl Draft {
    /// Adds a row of it.
    pub(super) fn add(&mut self, row: &Row) -> Result<(), Error> {
        let id: Uuid = row.try_get("id")?;
        let parent: Option<Uuid> = row.try_get("parent_id")?;
        self.rows.push(id);
        self.fingerprint = self.fingerprint.with(Fingerprint {
            rows: 1,
            hash: row.try_get("row_hash")?,
        });
        match (row.try_get("kind")?, parent) {
            ("organization", _) => self.org = Some(body(row)?),
            ("subscription", _) => {
                let SubscriptionBody { status, limits } = body(row)?;
                self.subscription = Some(SubscriptionSource { status, limits });
            }
            ("member", Some(user)) => drop(self.roles.insert(UserId(user), body(row)?)),
            ("project", _) => drop(self.projects.insert(ProjectId(id), body(row)?)),
            ("policy", project) => {
                let policies = self.policies.entry(project.map(ProjectId)).or_default();
                policies.insert(PolicyId(id), body(row)?);
            }
            ("server", Some(project)) => {
                let servers = self.servers.entry(ProjectId(project)).or_default();
                servers.insert(McpServerId(id), body(row)?);
            }
            ("tool", Some(server)) => {
                let tools = self.tools.entry(McpServerId(server)).or_default();
                tools.push(body(row)?);
            }
            // There are no others.
            (_, _) => {}
        }
        Ok(())
    }

    /// All of it; none if the organization itself isn't there.
    pub(super) fn finish(mut self, id: OrgId) -> Option<OrgRules> {
        let OrgBody { slug, settings } = self.org.take()?;
        let policies = self.policies_of(None);
        let projects = std::mem::take(&mut self.projects);
        let projects = projects
            .into_iter()
            .map(|(id, body)| Arc::new(self.project(id, body)))
            .collect();
        let org = OrgSource {
            id,
            slug,
            settings,
            subscription: self.subscription,
            roles: self.roles,
            policies,
        };
        Some(OrgRules {
            org: Arc::new(org),
            projects,
            rows: self.rows,
            fingerprint: self.fingerprint,
        })
    }

    fn project(&mut self, id: ProjectId, body: ProjectBody) -> ProjectSource {
        let servers = self.servers.remove(&id).unwrap_or_default();
        let servers = servers.into_iter();
        ProjectSource {
            id,
            slug: body.slug,
            settings: body.settings,
            quotas: body.quotas,
            policies: self.policies_of(Some(id)),
            mcp_servers: servers.map(|(id, body)| self.server(id, body)).collect(),
        }
    }

    fn policies_of(&mut self, project: Option<ProjectId>) -> Vec<PolicySource> {
        let policies = self.policies.remove(&project).unwrap_or_default();
        let policies = policies.into_iter();
        policies.map(|(id, body)| body.into_source(id)).collect()
    }

    fn server(&mut self, id: McpServerId, body: ServerBody) -> ServerSource {
        let mut tools = self.tools.remove(&id).unwrap_or_default();
        tools.sort_by(|one, other| one.name.cmp(&other.name));
        ServerSource {
            id,
            name: body.name,
            status: body.status,
            url: body.url,
            policy: body.policy,
            tools,
        }
    }
}

impl PolicyBody {
    fn into_source(self, id: PolicyId) -> PolicySource {
        PolicySource {
            id,
            name: self.name,
            kind: self.kind,
            rules: self.rules,
            applies_to: self.applies_to,
            priority: self.priority,
            status: match self.status.as_str() {
                "disabled" => PolicyStatus::Disabled,
                "draft" => PolicyStatus::Draft,
                // An unknown status takes nothing out of force.
                _ => PolicyStatus::Active,
            },
            created_unix_micros: self.created_unix_micros,
        }
    }
}

fn body<T: for<'de> Deserialize<'de>>(row: &Row) -> Result<T, Error> {
    let Json(body) = row.try_get("body")?;
    Ok(body)
}

/// Any JSON, or a text where it is beyond what this program reads.
fn any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    let unread = |reason: String| Value::String(format!("it can't be read: {reason}"));
    Ok(match serde_json::from_str::<Value>(raw.get()) {
        Ok(value) if is_within(&value, MOST_DEPTH) => value,
        Ok(_) => unread(format!("more than {MOST_DEPTH} levels deep")),
        Err(error) => unread(error.to_string()),
    })
}

fn is_within(value: &Value, depth: usize) -> bool {
    let inner = |value| depth > 0 && is_within(value, depth - 1);
    match value {
        Value::Array(items) => items.iter().all(inner),
        Value::Object(fields) => fields.values().all(inner),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_that_can_not_be_read_is_a_text_that_says_so() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let number = format!("1{}", "0".repeat(400));
        for (limits, unread) in [
            (r#"{"max_tokens_per_month": 5}"#.to_owned(), None),
            ("null".to_owned(), None),
            (nested(60), None),
            (nested(100), Some("64 levels")),
            (nested(1_000), Some("recursion limit")),
            (format!(r#"{{"a": {number}}}"#), Some("out of range")),
        ] {
            let body = format!(r#"{{"status": "active", "limits": {limits}}}"#);
            let read: SubscriptionBody = serde_json::from_str(&body).unwrap();
            match unread {
                None => assert_eq!(read.limits, serde_json::from_str::<Value>(&limits).unwrap()),
                Some(reason) => {
                    let text = read.limits.as_str().unwrap();
                    assert!(text.contains(reason), "{text}");
                }
            }
        }
    }
}
