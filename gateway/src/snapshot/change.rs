//! Notifications of the database: which row of which table has changed.

use std::collections::HashSet;

use domain::{ApiKeyId, OrgId, ProjectId};
use policy_engine::Correction;
use serde::Deserialize;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::load::Scope;

/// The tables that rules are made of.
const RULES: [&str; 7] = [
    "organizations",
    "subscriptions",
    "org_members",
    "projects",
    "policies",
    "mcp_servers",
    "mcp_tools",
];

/// The payload of a notification.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    table: String,
    id: Option<Uuid>,
    /// Of `usage_events`: the transaction that says so, and what costs something else since.
    #[serde(default)]
    xid: String,
    #[serde(default)]
    corrections: Vec<Correction>,
}

impl Change {
    /// Reads a payload; `None` if it isn't ours.
    pub(super) fn parse(payload: &str) -> Option<Self> {
        serde_json::from_str(payload).ok()
    }

    /// Whether a table is among those that have changed.
    pub(super) fn concern(changes: &[Self], table: &str) -> bool {
        changes.iter().any(|change| change.table == table)
    }

    /// What turned out to have cost something else, each with its transaction.
    pub(super) fn corrections(changes: &[Self]) -> impl Iterator<Item = (u64, &[Correction])> {
        let some = changes
            .iter()
            .filter(|change| !change.corrections.is_empty());
        // One that can't be told apart counts as the newest.
        some.map(|change| (change.xid.parse().unwrap_or(u64::MAX), &*change.corrections))
    }

    /// The rows that have changed of what rules are made of; `None` if a table has as a whole.
    pub(super) fn rows_of_rules(changes: &[Self]) -> Option<HashSet<Uuid>> {
        let of_rules = |change: &&Self| RULES.contains(&change.table.as_str());
        let rows = changes.iter().filter(of_rules);
        rows.map(|change| change.id).collect()
    }

    /// A change with all others that already wait.
    pub(super) fn gather(first: Self, waiting: &mut mpsc::Receiver<Self>) -> Vec<Self> {
        std::iter::once(first)
            .chain(std::iter::from_fn(|| waiting.try_recv().ok()))
            .collect()
    }

    /// What to load again: each row once, or everything.
    pub(super) fn scopes(changes: &[Self]) -> Vec<Scope> {
        /// Beyond this, one large query beats many small ones.
        const MANY: usize = 64;
        let (mut keys, mut rest) = (Vec::new(), Vec::new());
        for change in changes {
            match (change.table.as_str(), change.id) {
                ("api_keys", Some(id)) => keys.push(ApiKeyId(id)),
                ("projects", Some(id)) => rest.push(Scope::Project(ProjectId(id))),
                ("organizations", Some(id)) => rest.push(Scope::Organization(OrgId(id))),
                ("api_keys" | "projects" | "organizations", None) => return vec![Scope::All],
                _ => {}
            }
        }
        if rest.len() > MANY {
            return vec![Scope::All];
        }
        if !keys.is_empty() {
            rest.push(Scope::Keys(keys));
        }
        rest.dedup();
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(payloads: &[&str]) -> Vec<Scope> {
        let changes: Vec<Change> = payloads
            .iter()
            .filter_map(|payload| Change::parse(payload))
            .collect();
        Change::scopes(&changes)
    }

    #[test]
    fn changes_name_what_to_load_again() {
        let id = "0198f0a0-0000-7000-8000-000000000001";
        let uuid: Uuid = id.parse().unwrap();
        let key = format!(r#"{{"table":"api_keys","operation":"INSERT","id":"{id}"}}"#);
        let project = format!(r#"{{"table":"projects","operation":"UPDATE","id":"{id}"}}"#);
        let other = format!(r#"{{"table":"admin_keys","operation":"UPDATE","id":"{id}"}}"#);
        let all = r#"{"table":"api_keys","operation":"TRUNCATE","id":null}"#;
        assert_eq!(scopes(&[&key, &other]), [Scope::Keys(vec![ApiKeyId(uuid)])]);
        assert_eq!(
            scopes(&[&project, &project]),
            [Scope::Project(ProjectId(uuid))]
        );
        assert_eq!(scopes(&[&key, all]), [Scope::All]);
        assert_eq!(scopes(&[&other, "not ours"]), []);
    }

    #[test]
    fn changes_name_the_rows_that_rules_are_made_of() {
        let [one, two] = [1, 2].map(Uuid::from_u128);
        let change = |table: &str, id: Option<Uuid>| Change {
            table: table.to_owned(),
            id,
            xid: String::new(),
            corrections: Vec::new(),
        };
        for (changes, expected) in [
            (vec![], Some(vec![])),
            (vec![change("api_keys", Some(one))], Some(vec![])),
            (vec![change("users", None)], Some(vec![])),
            (
                vec![
                    change("policies", Some(one)),
                    change("mcp_tools", Some(two)),
                    change("policies", Some(one)),
                ],
                Some(vec![one, two]),
            ),
            (
                vec![change("policies", Some(one)), change("org_members", None)],
                None,
            ),
        ] {
            let expected = expected.map(HashSet::from_iter);
            assert_eq!(Change::rows_of_rules(&changes), expected, "{changes:?}");
        }
    }
}
