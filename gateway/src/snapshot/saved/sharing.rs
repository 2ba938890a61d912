//! What keys have in common is in the file with each of them, and in memory once.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{KeyKind, ProjectId};
use proxy::Tenant;

use crate::snapshot::load::Targets;

/// Tenants of keys that were read.
pub(in crate::snapshot) struct Sharing<'a> {
    pub(super) targets: &'a Targets,
    seen: HashMap<(ProjectId, KeyKind), Arc<Tenant>>,
}

impl<'a> Sharing<'a> {
    pub(in crate::snapshot) fn new(targets: &'a Targets) -> Self {
        Self {
            targets,
            seen: HashMap::new(),
        }
    }

    /// One that is there already, if it is the same.
    pub(super) fn shared(&mut self, kind: KeyKind, tenant: Tenant) -> Arc<Tenant> {
        let place = (tenant.project_id, kind);
        match self.seen.get(&place) {
            Some(seen) if **seen == tenant => Arc::clone(seen),
            Some(_) | None => {
                let tenant = Arc::new(tenant);
                self.seen.insert(place, Arc::clone(&tenant));
                tenant
            }
        }
    }
}
