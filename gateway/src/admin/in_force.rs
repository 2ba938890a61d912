//! The data plane as the admin API asks it.

use std::sync::Arc;

use admin_api::{Asked, DataPlane, InForce, Refusal, Verdict, With};
use policy_engine::{Engine, Notes, Rehearsal};
use proxy::{KeyIndex, Trials};
use uuid::Uuid;

use crate::settled::SettledState;
use crate::snapshot::tenant;

/// Decides about requests that nobody makes.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) keys: Arc<KeyIndex>,
    pub(crate) trials: Trials,
    pub(crate) settled: Arc<SettledState>,
}

impl Judge {
    /// With the rules and counters of this process, which gets a name here.
    pub(crate) fn in_force(self, engine: Arc<Engine>) -> InForce {
        let instance_id = Uuid::now_v7();
        tracing::info!(%instance_id, "budgets are counted here under this name");
        InForce {
            engine,
            prices: Arc::clone(&self.trials.prices),
            data_plane: Arc::new(self),
            instance_id,
        }
    }
}

impl DataPlane for Judge {
    fn judge(&self, rules: &Rehearsal, asked: &Asked<'_>) -> Verdict {
        let known;
        let key = match asked.key {
            With::Key(hash) => {
                // A key that was made just now isn't known yet.
                let Some(key) = self.keys.get(hash) else {
                    return unknown();
                };
                known = key;
                proxy::With::Key(&known)
            }
            With::Good {
                project,
                organization,
            } => proxy::With::Good(tenant(project, organization)),
        };
        let verdict = self.trials.judge(
            rules,
            &proxy::Asked {
                head: asked.head,
                body: asked.body,
                key,
                caller: asked.caller,
            },
        );
        Verdict {
            refusal: verdict.refusal.map(shown),
            notes: verdict.notes,
            steps: verdict.steps,
        }
    }

    fn is_settled(&self) -> bool {
        self.settled.is_known()
    }
}

fn unknown() -> Verdict {
    Verdict {
        refusal: Some(shown(proxy::Refusal::key_unknown())),
        notes: Notes::default(),
        steps: Vec::new(),
    }
}

fn shown(refusal: proxy::Refusal) -> Refusal {
    Refusal {
        status: refusal.status,
        kind: refusal.kind,
        error_code: refusal.error_code,
        message: refusal.message,
        denial: refusal.denial,
    }
}
