//! Policies that can't be understood: each is said once, and counted as long as it is there.

use std::collections::BTreeMap;

use domain::OrgId;
use metrics::gauge;
use policy_engine::PolicyFaults;

/// By organization; only those that have some.
#[derive(Debug, Default)]
pub(super) struct Faults(BTreeMap<OrgId, Vec<PolicyFaults>>);

impl Faults {
    pub(super) fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Takes down what an organization has now, and logs what it didn't have before.
    pub(super) fn note(&mut self, org_id: OrgId, now: Vec<PolicyFaults>) {
        let before = self.0.remove(&org_id).unwrap_or_default();
        for faulty in now.iter().filter(|faulty| !before.contains(faulty)) {
            log(faulty);
        }
        if !now.is_empty() {
            self.0.insert(org_id, now);
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a gauge; there are fewer than 2^52 policies"
        )]
        gauge!("mindweave_policy_faults").set(self.count() as f64);
    }
}

fn log(faulty: &PolicyFaults) {
    let faults: Vec<_> = faulty.faults.iter().map(ToString::to_string).collect();
    let (org_id, faults) = (faulty.org_id, faults.join("; "));
    match faulty.policy_id {
        Some(policy_id) => {
            tracing::warn!(%policy_id, %org_id, faults, "a policy can't be understood");
        }
        None => tracing::warn!(%org_id, faults, "settings can't be understood"),
    }
}
