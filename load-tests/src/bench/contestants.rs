//! Who is measured: the upstream itself, proxies that check nothing, and the gateway with everything on.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use testkit::{Client, Database, Gateway, Scene};

use super::keys::{self, Keys};
use super::peers::{self, Process};
use super::who::Who;
use crate::kernel::Processes;
use crate::plan::Plan;
use crate::simulator::Simulator;

/// How long the gateway may take to store what it has, and how often it is asked: each look costs it some of what is measured.
const STORING: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Contestant {
    pub(super) who: Who,
    pub(super) address: SocketAddr,
    running: Running,
}

#[derive(Debug)]
enum Running {
    /// It is no proxy.
    Upstream,
    Peer(Process),
    Gateway {
        gateway: Box<Gateway>,
        operator: Box<Client>,
    },
}

/// All that can be measured here.
pub(super) struct Contestants {
    pub(super) all: Vec<Contestant>,
    /// Those that can't, and why.
    pub(super) missing: Vec<(Who, String)>,
    /// What the gateways know, if there are any.
    pub(super) scene: Option<Scene>,
    keys: Arc<[HeaderValue]>,
    _upstream: Simulator,
    _folder: tempfile::TempDir,
}

impl Contestants {
    /// Those of `wanted`, who know so many keys.
    pub(super) async fn start(wanted: &[Who], key_count: u32, plan: &Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let simulator = Simulator::start(plan);
        let upstream = simulator.address();
        let keys = Keys::generate(key_count);
        let mut all = Vec::new();
        let mut missing = Vec::new();
        let scene = if wanted.iter().any(|who| who.is_gateway()) {
            Some(scene(&keys).await)
        } else {
            None
        };
        for &who in wanted {
            if who == Who::Direct {
                all.push(Contestant {
                    who,
                    address: upstream,
                    running: Running::Upstream,
                });
            } else if let Some((scene, durability)) = scene.as_ref().zip(who.durability()) {
                let data = folder.path().join(durability);
                all.push(gateway(plan, scene, upstream, (who, durability), &data).await);
            } else {
                match peers::start(who, upstream, folder.path()).await {
                    Ok((process, address)) => all.push(Contestant {
                        who,
                        address,
                        running: Running::Peer(process),
                    }),
                    Err(why) => missing.push((who, why)),
                }
            }
        }
        Self {
            all,
            missing,
            scene,
            keys,
            _upstream: simulator,
            _folder: folder,
        }
    }

    /// So many of those that the gateways know.
    pub(super) fn keys(&self, count: u32) -> Keys {
        let count = self.keys.len().min(usize::try_from(count).unwrap());
        Keys::Known(self.keys[..count].into())
    }

    /// Whether every gateway ends in good order.
    pub(super) async fn stop(self) -> bool {
        let mut is_good = true;
        for contestant in self.all {
            if let Running::Gateway { gateway, .. } = contestant.running {
                is_good &= gateway.stop().await.success();
            }
        }
        is_good
    }
}

impl Contestant {
    /// None of the upstream itself.
    pub(super) fn processes(&self) -> Option<Processes> {
        match &self.running {
            Running::Upstream => None,
            Running::Peer(process) => Some(process.kernel()),
            Running::Gateway { gateway, .. } => Some(Processes(vec![gateway.pid()])),
        }
    }

    /// Waits until nothing is left to do of what it was asked: the gateway has stored all of its events.
    pub(super) async fn settle(&self) -> Result<(), String> {
        let Running::Gateway { operator, .. } = &self.running else {
            return Ok(());
        };
        let stored = async {
            while !has_stored(operator).await {
                tokio::time::sleep(LOOK).await;
            }
        };
        let stored = tokio::time::timeout(STORING, stored).await;
        stored.map_err(|_| format!("it has events that are not stored after {STORING:?}"))
    }
}

/// Whether each admitted request is a row, or set aside.
async fn has_stored(operator: &Client) -> bool {
    let text = operator.get("/metrics").await.body;
    let text = String::from_utf8_lossy(&text);
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse::<u64>().ok())
            .unwrap_or(0)
    };
    let stored =
        value("mindweave_events_stored_total ") + value("mindweave_events_dead_letter_total ");
    value("mindweave_events_admitted_total ") == stored
}

/// A tenant's everyday: models by name, a budget, a rate.
async fn scene(keys: &[HeaderValue]) -> Scene {
    let scene = Scene::on(Database::migrated().await).await;
    let sql = r#"INSERT INTO policies (org_id, created_by, name, type, rules) VALUES
        ($1, $2, 'models', 'access', '{"allowed_models": ["claude-*"]}'),
        ($1, $2, 'budget', 'usage', '{"max_cost_per_day_usd": "1000000.00", "per": "project"}'),
        ($1, $2, 'rate', 'usage', '{"max_requests_per_minute": 1000000000, "per": "key"}')"#;
    let of = &scene.tenant;
    let made = scene.sql.execute(sql, &[&of.org_id, &of.user_id]).await;
    made.unwrap();
    keys::insert(&scene, keys).await;
    scene
}

async fn gateway(
    plan: &Plan,
    scene: &Scene,
    upstream: SocketAddr,
    (who, durability): (Who, &str),
    data: &Path,
) -> Contestant {
    let gateway = testkit::gateway::Builder::serve(&plan.binary, &scene.database.url())
        .upstream(&format!("http://{upstream}"))
        .data_dir(data)
        .env("MINDWEAVE_LOG_LEVEL", "info")
        .env("MINDWEAVE_PROXY_THREADS", "1")
        .env("MINDWEAVE_SPOOL_DURABILITY", durability)
        // A short run doesn't measure: it shall not wait for more to store.
        .env("MINDWEAVE_INGEST_BATCH_INTERVAL", plan.pick("5ms", "200ms"))
        .start()
        .await;
    let url = gateway.ready_text("proxy_url");
    Contestant {
        who,
        address: url.trim_start_matches("http://").parse().unwrap(),
        running: Running::Gateway {
            operator: Box::new(gateway.operator()),
            gateway: Box::new(gateway),
        },
    }
}
