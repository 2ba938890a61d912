//! Which rules can be told from what is kept of a request: when it was made, by whom, to which part of the API, for which model,
//! and what it used. Its body, its headers and where it came from aren't kept.

use std::sync::Arc;

use domain::PolicyId;
use serde_json::Value;

use crate::rules::untold_by_expression;
use crate::source::{OrgSource, PolicySource, PolicyStatus, ProjectSource};

/// A rule that nothing can be said about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// The policy, if it is one's.
    pub policy: Option<(PolicyId, Arc<str>)>,
    /// Which of its rules: `$.rules.allowed_tools`.
    pub path: String,
}

/// Fields of an access policy that are about what isn't kept.
const UNTOLD_OF_ACCESS: &[&str] = &[
    "max_tokens",
    "allowed_betas",
    "denied_betas",
    "allowed_mcp_servers",
    "blocked_mcp_servers",
    "allowed_mcp_tools",
    "blocked_mcp_tools",
    "allowed_ips",
    "denied_ips",
];

/// Leaves what can be told, and answers what was taken out.
pub(super) fn leave(policies: &mut Vec<PolicySource>) -> Vec<Untold> {
    let mut untold = Vec::new();
    policies.retain_mut(|policy| {
        if policy.status != PolicyStatus::Active {
            return true;
        }
        let taken = take(policy);
        let is_left = taken.is_empty() || policy.kind == "access";
        untold.extend(taken.into_iter().map(|path| Untold {
            policy: Some((policy.id, policy.name.as_str().into())),
            path,
        }));
        is_left
    });
    untold
}

/// Takes out of a policy's rules what can't be told; of any but an access policy that is all of it. What isn't understood stays,
/// and refuses as it does.
fn take(policy: &mut PolicySource) -> Vec<String> {
    match policy.kind.as_str() {
        "access" => {
            let Value::Object(rules) = &mut policy.rules else {
                return Vec::new();
            };
            let is_taken = |(name, rule): (&String, &Value)| {
                (UNTOLD_OF_ACCESS.contains(&name.as_str()) && !rule.is_null()).then(|| name.clone())
            };
            let taken: Vec<_> = rules.iter().filter_map(is_taken).collect();
            for name in &taken {
                rules.remove(name);
            }
            taken.iter().map(|name| format!("$.rules.{name}")).collect()
        }
        "compliance" => vec!["$.rules".to_owned()],
        "custom" => untold_by_expression(&policy.rules)
            .into_iter()
            .map(|variable| format!("$.rules.expression: {variable}"))
            .collect(),
        _ => Vec::new(),
    }
}

/// What requests use of MCP isn't kept.
pub(super) fn of_registry(org: &OrgSource, projects: &[ProjectSource]) -> Option<Untold> {
    let required = org.settings.get("require_mcp_approval");
    let is_required = required.is_some_and(|it| *it != Value::Bool(false));
    let has_servers = projects
        .iter()
        .any(|project| !project.mcp_servers.is_empty());
    (is_required || has_servers).then(|| Untold {
        policy: None,
        path: "mcp_servers".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{AccessRule, Faults};

    /// A field that comes to be has to be put in one of the two lists.
    #[test]
    fn of_every_field_it_is_known_whether_it_can_be_told() {
        const TOLD: [&str; 6] = [
            "action",
            "allowed_models",
            "denied_models",
            "allowed_endpoints",
            "denied_endpoints",
            "allowed_hours",
        ];
        let mut faults = Faults::new();
        AccessRule::parse(&serde_json::json!({"nothing": 1}), &mut faults);
        let fault = faults.first().unwrap().to_string();
        let (_, named) = fault.split_once("there are ").unwrap();
        for name in named.split(", ") {
            let lists = [TOLD.contains(&name), UNTOLD_OF_ACCESS.contains(&name)];
            assert_eq!(lists.iter().filter(|is_in| **is_in).count(), 1, "{name}");
        }
    }
}
