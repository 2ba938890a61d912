//! The index of keys: everything needed to know a caller, in memory, by the SHA-256 of the key.
//!
//! All keys are in it, refused ones too, so that an unknown key is known to be unknown without asking anybody.
//! Readers take no lock that a writer holds across anything but one map operation.

mod record;

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use domain::{ApiKeyId, KeyHash};
use rustc_hash::FxBuildHasher;

pub use self::record::{
    AllowedIps, KeyRecord, KeyStatus, OnClientDisconnect, Scopes, Tenant, TenantState,
};

/// All keys by their hash.
#[derive(Debug, Default)]
pub struct KeyIndex {
    keys: DashMap<ByHash, (), FxBuildHasher>,
    complete: AtomicBool,
}

/// A record, found by its hash. Whoever looks for a key wants the record next, so a hash in the map's own table would
/// save nothing and be there twice.
#[derive(Debug)]
struct ByHash(Arc<KeyRecord>);

impl Borrow<KeyHash> for ByHash {
    fn borrow(&self) -> &KeyHash {
        &self.0.hash
    }
}

impl PartialEq for ByHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.hash == other.0.hash
    }
}

impl Eq for ByHash {}

impl Hash for ByHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash.hash(state);
    }
}

impl KeyIndex {
    /// Finds a key.
    #[must_use]
    pub fn get(&self, hash: &KeyHash) -> Option<Arc<KeyRecord>> {
        self.keys.get(hash).map(|entry| Arc::clone(&entry.key().0))
    }

    /// Keys in the index.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Says that every key is in the index: from now on one that isn't does not exist.
    pub fn set_complete(&self) {
        // Release pairs with the Acquire of `is_complete`: who sees it also sees the keys.
        self.complete.store(true, Ordering::Release);
    }

    /// Whether every key is in the index.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Adds a key, or changes what is known of it. Running requests keep the record they have.
    pub fn insert(&self, record: Arc<KeyRecord>) {
        match self.keys.entry(ByHash(record)) {
            Entry::Occupied(there) => {
                there.replace_entry(());
            }
            Entry::Vacant(free) => {
                free.insert(());
            }
        }
    }

    /// Forgets a key, unless its hash is meanwhile another key's.
    pub fn remove(&self, hash: &KeyHash, id: ApiKeyId) {
        self.keys.remove_if(hash, |held, ()| held.0.id == id);
    }
}
