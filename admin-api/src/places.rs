//! How many scans, dry runs or large reads may run: a few, and of one organization fewer, so that those of one hold up nobody else's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

const MOST: usize = 16;
const MOST_OF_ONE: usize = 4;

/// What runs, by organization.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    running: Arc<Mutex<BTreeMap<Uuid, usize>>>,
    /// Told of each that is given back.
    freed: Arc<Notify>,
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

    /// For what is short, and of one organization done one after the other.
    pub(crate) fn one_each() -> Self {
        Self::new(MOST, 1)
    }

    /// For large reads: of one organization it leaves connections for others.
    pub(crate) fn three_each() -> Self {
        Self::new(usize::MAX, 3)
    }

    fn new(most: usize, most_of_one: usize) -> Self {
        Self {
            running: Arc::default(),
            freed: Arc::default(),
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

    /// The same, for who can wait so long.
    pub(crate) async fn take_within(&self, org_id: Uuid, patience: Duration) -> Option<Place> {
        let taking = async {
            loop {
                // Listened for first: what is given back between looking and waiting is not missed.
                let mut freed = std::pin::pin!(self.freed.notified());
                let _first = freed.as_mut().enable();
                if let Some(place) = self.take(org_id) {
                    return place;
                }
                freed.await;
            }
        };
        timeout(patience, taking).await.ok()
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
        drop(running);
        self.places.freed.notify_waiters();
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

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_too_long_goes_and_others_are_not_held_up() {
        let places = Places::three_each();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let patience = Duration::from_secs(5);
        let mut taken: Vec<_> = (0..3).map(|_| places.take(one).unwrap()).collect();
        assert!(places.take_within(one, patience).await.is_none());
        assert!(places.take_within(other, patience).await.is_some());
        taken.pop();
        assert!(places.take_within(one, patience).await.is_some());
        drop(taken);
        assert!(places.running.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_can_wait_gets_the_next_place_that_is_given_back() {
        let places = Places::one_each();
        let one = Uuid::from_u128(1);
        let held = places.take(one).unwrap();
        let short = Duration::from_millis(1);
        assert!(places.take_within(one, short).await.is_none());
        let other = places.take_within(Uuid::from_u128(2), short).await;
        assert!(other.is_some(), "others don't wait for it");
        let long = Duration::from_secs(60);
        let waiting = (0..3).map(|_| async { places.take_within(one, long).await.is_some() });
        let freeing = async { drop(held) };
        let (all, ()) = tokio::join!(futures_util::future::join_all(waiting), freeing);
        assert_eq!(all, [true; 3], "one after the other");
    }
}
