//! What of the database is in memory: keys, rules, MCP servers, owners of objects upstream.
//!
//! Guarantees: a key that is replaced is at no moment unknown, unless its text is another one now; counts every change, so that
//! whoever keeps a copy knows that it is old.

mod arriving;
mod rows;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use domain::{ApiKeyId, OrgId};
use metrics::gauge;
use policy_engine::Engine;
use proxy::{KeyIndex, KeyRecord, McpRegistry, McpServers, UpstreamObjects};

pub(super) use self::arriving::Arriving;
use self::rows::Rows;
use super::load::{Fingerprint, Loaded, Scope, Targets};
use super::rules::{OrgRules, Rules, Whose};
use super::saved::{Saved, SavedOrganization, Sharing};

/// What the data plane reads, and what is known of where it comes from.
pub(crate) struct Memory {
    index: Arc<KeyIndex>,
    mcp_servers: Arc<McpRegistry>,
    objects: Arc<UpstreamObjects>,
    rules: Rules,
    rows: Rows,
    changes: u64,
}

/// Tells two states apart; one that is made again by way of another is a third.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edition {
    changes: u64,
    objects: usize,
}

/// All of it, at one moment. Objects may be added while it is looked at.
pub(super) struct Contents {
    pub(super) keys: Vec<Arc<KeyRecord>>,
    pub(super) organizations: Vec<SavedOrganization>,
    pub(super) mcp_servers: Arc<McpServers>,
    pub(super) objects: Arc<UpstreamObjects>,
}

impl Memory {
    /// Fills these.
    pub(crate) fn new(
        index: Arc<KeyIndex>,
        mcp_servers: Arc<McpRegistry>,
        objects: Arc<UpstreamObjects>,
        engine: Arc<Engine>,
    ) -> Self {
        Self {
            index,
            mcp_servers,
            objects,
            rules: Rules::new(engine),
            rows: Rows::default(),
            changes: 0,
        }
    }

    pub(super) fn engine(&self) -> &Engine {
        self.rules.engine()
    }

    /// How many keys can be told.
    pub(super) fn keys(&self) -> usize {
        self.index.len()
    }

    pub(super) fn objects(&self) -> &UpstreamObjects {
        &self.objects
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Puts an organization's rules in force. What is gone stays until [`Self::let_go_of_rules`].
    pub(super) fn replace_rules(&mut self, whose: &Whose, loaded: BTreeMap<OrgId, OrgRules>) {
        if self.rules.replace(whose, loaded) {
            self.changes += 1;
        }
    }

    pub(super) fn let_go_of_rules(&mut self) {
        self.rules.let_go();
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.rows.fingerprint()
    }

    /// Says that a key which isn't here doesn't exist.
    pub(super) fn set_complete(&self) {
        self.index.set_complete();
    }

    pub(super) fn replace_mcp_servers(&mut self, servers: McpServers) {
        self.changes += 1;
        self.mcp_servers.store(Arc::new(servers));
    }

    pub(super) fn edition(&self) -> Edition {
        Edition {
            changes: self.changes,
            objects: self.objects.len(),
        }
    }

    pub(super) fn contents(&self) -> Contents {
        Contents {
            keys: self.rows.records().cloned().collect(),
            organizations: self.rules.contents(),
            mcp_servers: self.mcp_servers.load_full(),
            objects: Arc::clone(&self.objects),
        }
    }

    /// Puts in force what was kept on disk. Keys may have been made since, so one that isn't here may exist.
    pub(super) fn restore(&mut self, saved: Saved, targets: &Targets) {
        // Whose objects are whose, before anybody may ask for one.
        for (id, owner) in saved.objects.iter() {
            self.objects.insert(id, owner);
        }
        self.replace_mcp_servers(saved.mcp_servers());
        // And under which rules keys are.
        self.rules.restore(saved.organizations);
        let mut sharing = Sharing::new(targets);
        let mut arriving = Arriving::new(&Scope::All, self);
        for key in saved.keys {
            arriving.take(key.into_loaded(&mut sharing), self);
        }
        arriving.finish(self);
    }

    fn put(&mut self, loaded: Loaded) {
        let id = loaded.row.id();
        let put = self.rows.put(loaded);
        if let Some(outdated) = put.outdated {
            self.index.remove(&outdated, id);
        }
        if let Some(record) = put.record {
            self.index.insert(record);
        }
    }

    fn keep(&mut self, scope: &Scope, present: &HashSet<ApiKeyId>) {
        let index = &self.index;
        let forget = |record: &KeyRecord| index.remove(&record.hash, record.id);
        self.rows.keep(scope, present, forget);
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge; there are fewer than 2^52 keys"
    )]
    fn show_count(&self) {
        gauge!("mindweave_keys_loaded").set(self.index.len() as f64);
    }
}
