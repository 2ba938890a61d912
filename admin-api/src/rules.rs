//! Settings and policies, compiled as the data plane compiles them: what passes here comes into force there.

use std::sync::Arc;

use domain::{McpServerId, OrgId, PolicyId, ProjectId};
use policy_engine::{
    Engine, Fault, OrgSource, PolicySource, PolicyStatus, ProjectSource, ServerSource,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{ApiError, Result};
use crate::server::Shared;

/// An organization and a project that have nothing.
fn sources() -> (OrgSource, ProjectSource) {
    let org = OrgSource {
        id: OrgId(Uuid::nil()),
        slug: "organization".to_owned(),
        settings: json!({}),
        subscription: None,
        roles: [].into(),
        policies: Vec::new(),
    };
    let project = ProjectSource {
        id: ProjectId(Uuid::nil()),
        slug: "project".to_owned(),
        settings: json!({}),
        quotas: json!({}),
        policies: Vec::new(),
        mcp_servers: Vec::new(),
    };
    (org, project)
}

/// Compiled beside the runtime, one at a time: patterns and expressions may take a while, and others wait for none of it.
async fn faults(shared: &Shared, org: OrgSource, project: ProjectSource) -> Vec<Fault> {
    let _turn = shared.compiling.acquire().await;
    let clock = Arc::clone(&shared.clock);
    let compiling = move || {
        let engine = Engine::new(clock);
        let found = engine.replace(&Arc::new(org), &[Arc::new(project)]);
        found.into_iter().flat_map(|found| found.faults).collect()
    };
    let compiled = tokio::task::spawn_blocking(compiling).await;
    compiled.unwrap_or_else(|_| vec![Fault::new("$", "can't be compiled")])
}

/// Refuses what the data plane wouldn't understand of an organization's settings.
pub(crate) async fn check_organization(shared: &Shared, settings: &Value) -> Result<()> {
    let (mut org, project) = sources();
    org.settings = settings.clone();
    refuse(&faults(shared, org, project).await)
}

/// The same of a project.
pub(crate) async fn check_project(shared: &Shared, settings: &Value, quotas: &Value) -> Result<()> {
    let (org, mut project) = sources();
    project.settings = settings.clone();
    project.quotas = quotas.clone();
    refuse(&faults(shared, org, project).await)
}

/// The same of an MCP server's terms.
pub(crate) async fn check_server(shared: &Shared, policy: &Value) -> Result<()> {
    let (org, mut project) = sources();
    project.mcp_servers.push(ServerSource {
        id: McpServerId(Uuid::nil()),
        name: "server".to_owned(),
        status: "approved".to_owned(),
        url: None,
        policy: policy.clone(),
        tools: Vec::new(),
    });
    refuse(&faults(shared, org, project).await)
}

/// A policy's words.
#[derive(Debug)]
pub(crate) struct PolicyWords {
    pub(crate) kind: String,
    pub(crate) rules: Value,
    pub(crate) applies_to: Value,
    pub(crate) is_projects: bool,
}

/// All that is wrong with a policy, whether it is in force or not.
pub(crate) async fn policy_faults(shared: &Shared, words: PolicyWords) -> Vec<Fault> {
    let (mut org, mut project) = sources();
    let policy = PolicySource {
        id: PolicyId(Uuid::nil()),
        name: "policy".to_owned(),
        kind: words.kind,
        rules: words.rules,
        applies_to: words.applies_to,
        priority: 0,
        status: PolicyStatus::Active,
        created_unix_micros: 0,
    };
    let policies = if words.is_projects {
        &mut project.policies
    } else {
        &mut org.policies
    };
    policies.push(policy);
    faults(shared, org, project).await
}

/// Refuses if there are any.
pub(crate) fn refuse(faults: &[Fault]) -> Result<()> {
    match faults {
        [] => Ok(()),
        faults => Err(ApiError::faults(faults)),
    }
}
