//! Turns of those who read much: a few of each organization at a time, so that one doesn't take all connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;

use crate::error::{ApiError, Result};

const MOST_OF_ONE: usize = 3;
/// So long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Somebody's turn, until it is dropped.
pub(crate) type Turn = OwnedSemaphorePermit;

/// By organization; none is the whole installation.
#[derive(Debug, Default, Clone)]
pub(crate) struct Turns(Arc<Mutex<BTreeMap<Option<Uuid>, Weak<Semaphore>>>>);

impl Turns {
    pub(crate) async fn take(&self, org_id: Option<Uuid>) -> Result<Turn> {
        let taken = timeout(PATIENCE, self.of(org_id).acquire_owned()).await;
        let taken = taken.map_err(|_| {
            ApiError::busy("reads_busy", "too many reports are being read; try again")
        })?;
        taken.map_err(|_| ApiError::broken("whose turn it is to read"))
    }

    fn of(&self, org_id: Option<Uuid>) -> Arc<Semaphore> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = all.get(&org_id).and_then(Weak::upgrade) {
            return places;
        }
        all.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(MOST_OF_ONE));
        all.insert(org_id, Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_organization_takes_its_turns_and_no_others() {
        let turns = Turns::default();
        let (one, other) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        let mut taken = Vec::new();
        for _ in 0..MOST_OF_ONE {
            taken.push(turns.take(one).await.unwrap());
        }
        let refused = turns.take(one).await.unwrap_err();
        assert_eq!(refused.status, http::StatusCode::TOO_MANY_REQUESTS);
        drop(turns.take(other).await.unwrap());
        taken.pop();
        taken.push(turns.take(one).await.unwrap());
        drop(taken);
        drop(turns.take(other).await.unwrap());
        assert_eq!(
            turns.0.lock().unwrap().len(),
            1,
            "those without turns are forgotten"
        );
    }
}
