//! Whose the objects upstream are, where one upstream key serves many tenants.
//!
//! Guarantees: what a project has made through a gateway on this database is out of every other project's reach, by its id as by a
//! list, as soon as its answer has left. What nobody has made through a gateway belongs to nobody and is let through: the API
//! makes objects of its own (files that code writes), and there may be older ones.

use dashmap::DashMap;
use domain::ProjectId;
use http::Method;

use crate::failure::Failure;
use crate::route::ObjectRoute;

/// Owners by object, all in memory.
#[derive(Debug, Default)]
pub struct UpstreamObjects {
    owners: DashMap<String, ProjectId>,
}

impl UpstreamObjects {
    /// Notes who has made an object. The first word counts.
    pub fn insert(&self, id: String, owner: ProjectId) {
        self.owners.entry(id).or_insert(owner);
    }

    /// Whether it is known that somebody else has made it.
    fn is_somebody_elses(&self, id: &str, project_id: ProjectId) -> bool {
        self.owners
            .get(id)
            .is_some_and(|owner| *owner != project_id)
    }

    /// Keeps the objects of others out of a project's reach. Whoever has an upstream key of its own reaches nobody else's by it.
    ///
    /// # Errors
    /// If they are.
    pub(crate) fn reach(
        &self,
        method: &Method,
        object: &ObjectRoute,
        (project_id, own_upstream_key): (ProjectId, bool),
    ) -> Result<(), Failure> {
        if own_upstream_key {
            return Ok(());
        }
        match &object.id {
            Some(id) if self.is_somebody_elses(id, project_id) => Err(Failure::ObjectNotFound),
            // A list shows everybody's.
            None if matches!(*method, Method::GET | Method::HEAD) => {
                Err(Failure::EndpointNotAllowed)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// All of them, in no order. Others may have to wait while one is taken out, so whoever walks through them must not wait
    /// itself.
    pub fn iter(&self) -> impl Iterator<Item = (String, ProjectId)> + '_ {
        let owners = self.owners.iter();
        owners.map(|entry| (entry.key().clone(), *entry.value()))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }
}
