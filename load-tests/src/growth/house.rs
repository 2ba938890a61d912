//! Gateways that differ in one thing, each with a database of its own.

use std::collections::BTreeMap;

use serde_json::json;
use testkit::gateway::Builder;
use testkit::{Database, Gateway, Scene};
use uuid::Uuid;

use crate::descriptors;
use crate::kernel::Processes;
use crate::many_keys;
use crate::offered::Crowd;
use crate::plan::Plan;
use crate::question::Question;
use crate::simulator::Simulator;

/// As many open files as a process needs.
const FILES: u64 = 22_000;
const SIMULATED_TOKENS: u32 = 20;
const POLICIES: usize = 100;

/// Which policies there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policies {
    None,
    /// That concern keys which never ask.
    OfOthers,
    /// That concern every request.
    OfEverybody,
}

/// One of the gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tenant(usize);

pub(super) struct House {
    simulator: Simulator,
    binary: String,
    /// How many may be open in a process.
    pub(super) files: u64,
    there: BTreeMap<Tenant, (Gateway, Scene)>,
    number: usize,
    is_good: bool,
}

impl House {
    pub(super) fn open(plan: &Plan) -> Self {
        // Before anybody starts who shall have it, too.
        let files = descriptors::allow(FILES);
        Self {
            simulator: Simulator::start(plan),
            binary: plan.binary.clone(),
            files,
            there: BTreeMap::new(),
            number: 0,
            is_good: true,
        }
    }

    /// A gateway of one worker, whose tenant has so many keys.
    pub(super) async fn tenant(&mut self, policies: Policies, keys: u32) -> Tenant {
        let scene = Scene::on(Database::migrated().await).await;
        many_keys::insert(&scene, 0..keys).await;
        make(&scene, policies).await;
        let gateway = Builder::serve(&self.binary, &scene.database.url())
            .upstream(&self.simulator.url())
            .env("MINDWEAVE_LOG_LEVEL", "info")
            .env("MINDWEAVE_PROXY_THREADS", "1")
            // How long the disk takes is nobody's growth.
            .env("MINDWEAVE_SPOOL_DURABILITY", "process")
            .start()
            .await;
        self.number += 1;
        let tenant = Tenant(self.number);
        self.there.insert(tenant, (gateway, scene));
        tenant
    }

    fn gateway(&self, tenant: Tenant) -> &Gateway {
        &self.there[&tenant].0
    }

    pub(super) fn processes(&self, tenant: Tenant) -> Processes {
        Processes(vec![self.gateway(tenant).pid()])
    }

    /// Callers who ask for a short answer.
    pub(super) async fn crowd(&self, tenant: Tenant, keys: u32, connections: usize) -> Crowd {
        let body = json!({
            "model": "claude-opus-5",
            "max_tokens": 1_000,
            "messages": [{"role": "user", "content": "Tell me a story about rivers."}],
        });
        let question = Question::of(self.gateway(tenant), keys, body.to_string());
        let question = question.with("x-simulator-output-tokens", &SIMULATED_TOKENS);
        Crowd::connect(question, connections).await
    }

    /// Ends some of them.
    pub(super) async fn leave(&mut self, tenants: impl IntoIterator<Item = Tenant>) {
        for tenant in tenants {
            if let Some((gateway, _scene)) = self.there.remove(&tenant) {
                self.is_good &= gateway.stop().await.success();
            }
        }
    }

    /// Whether every gateway ended in good order.
    pub(super) async fn close(mut self) -> bool {
        let rest: Vec<_> = self.there.keys().copied().collect();
        self.leave(rest).await;
        self.is_good
    }
}

/// Ten kinds by turns, none of which refuses anything.
async fn make(scene: &Scene, policies: Policies) {
    let applies_to = match policies {
        Policies::None => return,
        Policies::OfOthers => json!({"api_keys": [Uuid::now_v7()]}),
        Policies::OfEverybody => json!({}),
    };
    let kinds = [
        ("access", json!({"allowed_models": ["claude-*"]})),
        ("access", json!({"denied_models": ["claude-instant-*"]})),
        ("access", json!({"allowed_ips": ["127.0.0.0/8"]})),
        ("access", json!({"max_tokens": 100_000})),
        ("compliance", json!({"forbidden_fields": ["container"]})),
        (
            "custom",
            json!({"expression": "request.max_tokens > 32000", "message": "too long"}),
        ),
        (
            "usage",
            json!({"max_requests_per_minute": 1_000_000_000, "per": "key"}),
        ),
        (
            "usage",
            json!({"max_requests_per_minute": 1_000_000_000, "per": "project"}),
        ),
        (
            "usage",
            json!({"max_cost_per_day_usd": "1000000.00", "per": "project"}),
        ),
        (
            "usage",
            json!({"max_tokens_per_hour": 1_000_000_000_000_u64, "per": "user"}),
        ),
    ];
    let sql = "INSERT INTO policies (org_id, created_by, name, type, rules, applies_to) VALUES ($1, $2, $3, $4, $5, $6)";
    let statement = scene.sql.prepare(sql).await.unwrap();
    let tenant = &scene.tenant;
    for (number, (kind, rules)) in kinds.iter().cycle().take(POLICIES).enumerate() {
        let name = format!("policy {number}");
        scene
            .sql
            .execute(
                &statement,
                &[
                    &tenant.org_id,
                    &tenant.user_id,
                    &name,
                    kind,
                    rules,
                    &applies_to,
                ],
            )
            .await
            .unwrap();
    }
}
