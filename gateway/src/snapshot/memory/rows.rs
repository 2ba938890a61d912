//! The rows that keys in memory come from, by their ids.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use domain::{ApiKeyId, KeyHash, OrgId, ProjectId};
use proxy::KeyRecord;

use crate::snapshot::load::{Fingerprint, KeyRow, Loaded, Scope};

/// All of them. There may be a million, so what the index has as well is not here a second time.
#[derive(Default)]
pub(super) struct Rows {
    keys: HashSet<Key>,
    senseless: HashMap<ApiKeyId, Senseless>,
}

/// A key that the index has, found by its id.
struct Key {
    record: Arc<KeyRecord>,
    row_hash: i64,
}

/// A row that makes no sense.
struct Senseless {
    project_id: ProjectId,
    org_id: OrgId,
    row_hash: i64,
}

/// What a new row means for the index.
pub(super) struct Put {
    /// The row's key, unless it makes no sense.
    pub(super) record: Option<Arc<KeyRecord>>,
    /// Its hash before, if it is another one now, or none.
    pub(super) outdated: Option<KeyHash>,
}

impl Rows {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.senseless.is_empty()
    }

    /// That of all rows.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let keys = self.keys.iter().map(|key| key.row_hash);
        let senseless = self.senseless.values().map(|row| row.row_hash);
        let of = |row_hash| Fingerprint {
            rows: 1,
            hash: row_hash,
        };
        let each = keys.chain(senseless).map(of);
        each.fold(Fingerprint::default(), Fingerprint::with)
    }

    /// All keys.
    pub(super) fn records(&self) -> impl Iterator<Item = &Arc<KeyRecord>> {
        self.keys.iter().map(|key| &key.record)
    }

    /// Notes a row in the place of what was there by its id.
    pub(super) fn put(&mut self, Loaded { row_hash, row }: Loaded) -> Put {
        match row {
            KeyRow::Key(record) => {
                self.senseless.remove(&record.id);
                self.put_key(record, row_hash)
            }
            KeyRow::Senseless {
                id,
                project_id,
                org_id,
            } => {
                let row = Senseless {
                    project_id,
                    org_id,
                    row_hash,
                };
                self.senseless.insert(id, row);
                let before = self.keys.take(&id);
                Put {
                    record: None,
                    outdated: before.map(|before| before.record.hash),
                }
            }
        }
    }

    fn put_key(&mut self, loaded: Arc<KeyRecord>, row_hash: i64) -> Put {
        let before = self.keys.get(&loaded.id);
        let hash_before = before.map(|before| before.record.hash);
        // Everything is loaded again now and then. What is as it was stays where it is, and memory doesn't get holes.
        let same = before.filter(|before| before.record == loaded);
        let record = same.map_or(loaded, |same| Arc::clone(&same.record));
        self.keys.replace(Key {
            record: Arc::clone(&record),
            row_hash,
        });
        Put {
            outdated: hash_before.filter(|before| *before != record.hash),
            record: Some(record),
        }
    }

    /// Forgets rows of a scope, except some. Calls back with each key among them.
    pub(super) fn keep(
        &mut self,
        scope: &Scope,
        present: &HashSet<ApiKeyId>,
        mut gone: impl FnMut(&KeyRecord),
    ) {
        self.keys.retain(|Key { record, .. }| {
            let covered = scope.covers(record.id, record.project_id, record.org_id);
            let is_gone = covered && !present.contains(&record.id);
            if is_gone {
                gone(record);
            }
            !is_gone
        });
        self.senseless.retain(|id, row| {
            present.contains(id) || !scope.covers(*id, row.project_id, row.org_id)
        });
    }
}

impl Borrow<ApiKeyId> for Key {
    fn borrow(&self) -> &ApiKeyId {
        &self.record.id
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.record.id == other.record.id
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.record.id.hash(state);
    }
}
