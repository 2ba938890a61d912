//! What of the database is in memory: keys, rules, MCP servers, owners of objects upstream.
//!
//! Guarantees: a key that is replaced is at no moment unknown, unless its text is another one now; counts every change, so that
//! whoever keeps a copy knows that it is old.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use domain::{ApiKeyId, KeyHash, OrgId, ProjectId};
use metrics::gauge;
use policy_engine::Engine;
use proxy::{KeyIndex, KeyRecord, McpRegistry, McpServers, UpstreamObjects};

use super::load::{Fingerprint, Loaded, Scope, Targets};
use super::rules::{OrgRules, Rules, Whose};
use super::saved::{Saved, SavedOrganization};

/// What the data plane reads, and what is known of where it comes from.
pub(crate) struct Memory {
    index: Arc<KeyIndex>,
    mcp_servers: Arc<McpRegistry>,
    objects: Arc<UpstreamObjects>,
    rules: Rules,
    known: HashMap<ApiKeyId, Known>,
    changes: u64,
}

/// Where a loaded key is in the index, and what it hangs on.
struct Known {
    hash: Option<KeyHash>,
    project_id: ProjectId,
    org_id: OrgId,
    org_slug: Arc<str>,
    row_hash: i64,
}

/// Tells two states apart; one that is made again by way of another is a third.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edition {
    changes: u64,
    objects: usize,
}

/// All of it, at one moment. Objects may be added while it is looked at.
pub(super) struct Contents {
    pub(super) keys: Vec<HeldKey>,
    pub(super) organizations: Vec<SavedOrganization>,
    pub(super) mcp_servers: Arc<McpServers>,
    pub(super) objects: Arc<UpstreamObjects>,
}

/// A key as the data plane has it, and what else is needed to make it again.
pub(super) struct HeldKey {
    pub(super) hash: KeyHash,
    pub(super) org_slug: Arc<str>,
    pub(super) record: Arc<KeyRecord>,
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
            known: HashMap::new(),
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
        let hash = self
            .known
            .values()
            .fold(0, |hash, known| hash ^ known.row_hash);
        Fingerprint {
            rows: i64::try_from(self.known.len()).unwrap_or(i64::MAX),
            hash,
        }
    }

    /// Puts in force what was loaded of a scope, and forgets what is gone from it.
    pub(super) fn replace(&mut self, scope: &Scope, loaded: Vec<Loaded>) {
        self.changes += 1;
        let present: HashSet<ApiKeyId> = loaded.iter().map(|key| key.id).collect();
        for key in loaded {
            self.put(key);
        }
        let index = &self.index;
        self.known.retain(|id, known| {
            let gone = !present.contains(id) && scope.covers(*id, known.project_id, known.org_id);
            if let Some(hash) = known.hash.filter(|_| gone) {
                index.remove(&hash, *id);
            }
            !gone
        });
        #[expect(
            clippy::cast_precision_loss,
            reason = "a gauge; there are fewer than 2^52 keys"
        )]
        gauge!("mindweave_keys_loaded").set(self.index.len() as f64);
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
        let held = |(id, known): (&ApiKeyId, &Known)| {
            let hash = known.hash?;
            let record = self.index.get(&hash).filter(|record| record.id == *id)?;
            let org_slug = Arc::clone(&known.org_slug);
            Some(HeldKey {
                hash,
                org_slug,
                record,
            })
        };
        Contents {
            keys: self.known.iter().filter_map(held).collect(),
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
        let keys = saved.keys.into_iter();
        let loaded = keys.map(|key| key.into_loaded(targets)).collect();
        self.replace(&Scope::All, loaded);
    }

    fn put(&mut self, loaded: Loaded) {
        let Loaded {
            id,
            project_id,
            org_id,
            org_slug,
            row_hash,
            key,
        } = loaded;
        let hash = key.as_ref().map(|(hash, _)| *hash);
        let before = self.known.insert(
            id,
            Known {
                hash,
                project_id,
                org_id,
                org_slug,
                row_hash,
            },
        );
        if let Some(outdated) = before
            .and_then(|before| before.hash)
            .filter(|before| Some(*before) != hash)
        {
            self.index.remove(&outdated, id);
        }
        if let Some((hash, record)) = key {
            self.index.insert(hash, record);
        }
    }
}
