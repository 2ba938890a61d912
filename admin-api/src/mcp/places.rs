//! How many scans, or dry runs, may run: a few, and of one organization fewer, so that those of one hold up nobody else's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

const MOST: usize = 16;
const MOST_OF_ONE: usize = 4;

/// What runs, by organization.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    running: Arc<Mutex<BTreeMap<Uuid, usize>>>,
    most: usize,
    most_of_one: usize,
}

/// For what is short, or waits for others most of the time.
impl Default for Places {
    fn default() -> Self {
        Self::new(MOST, MOST_OF_ONE)
    }
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    org_id: Uuid,
}

impl Places {
    /// For what takes a processor as long as it runs.
    pub(crate) fn few() -> Self {
        Self::new(2, 1)
    }

    fn new(most: usize, most_of_one: usize) -> Self {
        Self {
            running: Arc::default(),
            most,
            most_of_one,
        }
    }

    /// None: there are as many as may be.
    pub(crate) fn take(&self, org_id: Uuid) -> Option<Place> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = running.values().sum();
        let own = running.get(&org_id).copied().unwrap_or(0);
        if all >= self.most || own >= self.most_of_one {
            return None;
        }
        running.insert(org_id, own + 1);
        Some(Place {
            places: self.clone(),
            org_id,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let running = &self.places.running;
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        match running.get_mut(&self.org_id) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(running.remove(&self.org_id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_organization_takes_not_all_places_and_gives_them_back() {
        let places = Places::default();
        let of = |number: u128| places.take(Uuid::from_u128(number));
        let mut taken: Vec<_> = (0..MOST_OF_ONE).map(|_| of(1).unwrap()).collect();
        assert!(of(1).is_none());
        let others = (2..5).flat_map(|org| (0..MOST_OF_ONE).map(move |_| org));
        let others: Vec<_> = others.map(|org| of(org).unwrap()).collect();
        assert!(of(9).is_none(), "all are taken");
        taken.pop();
        assert!(of(1).is_some());
        drop((taken, others));
        assert!(places.running.lock().unwrap().is_empty());
    }
}
