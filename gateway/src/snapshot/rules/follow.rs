//! How the rules are loaded when something has changed, or may have.
//!
//! Guarantees: of several changes that wait each organization is loaded once; a row is taken to be of whoever had it when it was
//! loaded last and of whoever has it now. One that is part of nobody's rules, then or now, changes none.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::OrgId;
use tokio::time::timeout;
use tokio_postgres::Client;

use super::{Whose, load};
use crate::snapshot::change::Change;
use crate::snapshot::{Snapshot, SnapshotError, answered};

/// There may be many organizations, and many members.
const LOAD_TIMEOUT: Duration = Duration::from_secs(120);
/// Comparing a million members takes the database seconds: it does so for a twentieth of the time at most.
const PAUSE_FACTOR: u32 = 20;

impl Snapshot {
    /// Puts in force what the database says.
    pub(in crate::snapshot) async fn load_rules(
        &mut self,
        client: &Client,
        whose: Whose,
    ) -> Result<(), SnapshotError> {
        let loaded = timeout(LOAD_TIMEOUT, load::organizations(client, &whose))
            .await
            .map_err(|_| SnapshotError::Silent(LOAD_TIMEOUT))??;
        self.memory.replace_rules(&whose, loaded);
        self.note_faults();
        Ok(())
    }

    /// Loads those whose rows have changed.
    pub(in crate::snapshot) async fn follow_rules(
        &mut self,
        client: &Client,
        changes: &[Change],
    ) -> Result<(), SnapshotError> {
        let Some(rows) = Change::rows_of_rules(changes) else {
            return self.compare_rules(client).await;
        };
        if rows.is_empty() {
            return Ok(());
        }
        let mut concerned = answered(load::owners(client, &rows)).await?;
        concerned.extend(self.memory.rules().made_of(&rows));
        self.load_rules_of(client, concerned).await
    }

    /// Looks for what no notification told of, unless the last look took so long that it is too early for another.
    pub(in crate::snapshot) async fn poll_rules(
        &mut self,
        client: &Client,
    ) -> Result<(), SnapshotError> {
        let began = self.clock.monotonic();
        if began < self.next_comparison {
            return Ok(());
        }
        self.compare_rules(client).await?;
        let now = self.clock.monotonic();
        self.next_comparison = now + PAUSE_FACTOR * now.saturating_sub(began);
        Ok(())
    }

    /// Loads those that aren't as the database has them.
    pub(in crate::snapshot) async fn compare_rules(
        &mut self,
        client: &Client,
    ) -> Result<(), SnapshotError> {
        let now = answered(load::fingerprint(client)).await?;
        if now == self.memory.rules().fingerprint() {
            return Ok(());
        }
        let each = answered(load::fingerprints(client)).await?;
        let unlike = self.memory.rules().unlike(&each);
        self.load_rules_of(client, unlike).await
    }

    /// Loads those of some organizations.
    pub(in crate::snapshot) async fn load_rules_of(
        &mut self,
        client: &Client,
        organizations: BTreeSet<OrgId>,
    ) -> Result<(), SnapshotError> {
        if organizations.is_empty() {
            return Ok(());
        }
        self.load_rules(client, Whose::These(organizations)).await
    }

    /// Takes out of force what is gone, now that no key needs it.
    pub(in crate::snapshot) fn let_go_of_rules(&mut self) {
        self.memory.let_go_of_rules();
        self.note_faults();
    }

    pub(in crate::snapshot) fn note_faults(&self) {
        self.state.set_policy_faults(self.memory.rules().faults());
    }
}
