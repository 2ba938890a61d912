//! Usage that counts from the moment on that it is stored, since before only the database knew whether it is new: results of
//! batches, what sessions and dreams used.
//!
//! Guarantee: of what one process stores each is told once, also where the answer to its COMMIT was lost, and where the
//! database lost it and it was stored again.

use bytes::BytesMut;
use domain::UsageEvent;
use tokio::sync::mpsc::Sender;
use uuid::Uuid;

use crate::row::{self, RowUsage};

/// What was new in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// Through which stream it came.
    pub stream: Uuid,
    /// The batch's last event: the stream's position in `ingest_cursor` since then.
    pub seq: u64,
    /// All of it but what was made with test keys.
    pub usage: Vec<RowUsage>,
}

/// Who is told, and what was told.
#[derive(Debug)]
pub(crate) struct Telling {
    to: Option<Sender<Decided>>,
    /// What a transaction stored whose end isn't known.
    unsure: Option<Decided>,
    /// Everything up to here was told, if there was something to tell.
    told: u64,
}

impl Telling {
    pub(crate) fn new(to: Option<Sender<Decided>>) -> Self {
        Self {
            to,
            unsure: None,
            told: 0,
        }
    }

    /// A batch is about to be stored.
    pub(crate) fn attempt(&mut self, stream: Uuid, seq: u64) -> &mut Decided {
        self.unsure.insert(Decided {
            stream,
            seq,
            usage: Vec::new(),
        })
    }

    /// It is known that it wasn't.
    pub(crate) fn rolled_back(&mut self) {
        self.unsure = None;
    }

    /// The database has the stream up to here, which tells how the last transaction ended.
    pub(crate) async fn stored(&mut self, seq: u64) {
        let Some(decided) = self.unsure.take() else {
            return;
        };
        if seq < decided.seq || decided.seq <= self.told || decided.usage.is_empty() {
            return;
        }
        self.told = decided.seq;
        if let Some(to) = &self.to {
            // Nobody listens any more when all of it ends.
            let _ended = to.send(decided).await;
        }
    }

    /// How far the next batch may reach: not from what was told into what wasn't.
    pub(crate) fn bound(&self, after: u64, durable: u64) -> u64 {
        if after < self.told {
            durable.min(self.told)
        } else {
            durable
        }
    }
}

impl Decided {
    /// Adds what an event counts for.
    pub(crate) fn add(&mut self, event: &UsageEvent) {
        let mut encoded = BytesMut::new();
        row::encode(event, &mut encoded);
        // As the database has it: cut and clamped.
        if let Ok(Some(usage)) = row::read_usage(&encoded, event.time) {
            self.usage.push(usage);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::open_slots::tests::interrupted_event;

    const STREAM: Uuid = Uuid::from_u128(1);

    fn attempt(telling: &mut Telling, seq: u64, events: usize) {
        let decided = telling.attempt(STREAM, seq);
        (0..events).for_each(|_| decided.add(&interrupted_event()));
    }

    #[tokio::test]
    async fn each_is_told_once_however_its_transaction_ended() {
        let (to, mut told) = mpsc::channel(1);
        let mut telling = Telling::new(Some(to));
        let mut told = || told.try_recv().ok().map(|it| (it.seq, it.usage.len()));

        attempt(&mut telling, 3, 2);
        telling.stored(3).await;
        assert_eq!(told(), Some((3, 2)));
        telling.stored(3).await;
        assert_eq!(told(), None, "once");

        attempt(&mut telling, 5, 1);
        telling.stored(3).await;
        telling.stored(5).await;
        assert_eq!(told(), None, "it was rolled back; something else got there");
        attempt(&mut telling, 6, 1);
        telling.stored(6).await;
        assert_eq!(told(), Some((6, 1)), "the other attempt");

        attempt(&mut telling, 9, 0);
        telling.stored(9).await;
        assert_eq!(told(), None, "nothing new");
    }

    #[tokio::test]
    async fn what_is_stored_again_is_not_told_again() {
        let (to, mut told) = mpsc::channel(1);
        let mut telling = Telling::new(Some(to));
        attempt(&mut telling, 10, 1);
        telling.stored(10).await;
        assert_eq!(told.try_recv().map(|it| it.seq), Ok(10));

        // The database went back to 4.
        telling.stored(4).await;
        assert_eq!(telling.bound(4, 8), 8);
        attempt(&mut telling, 8, 1);
        telling.stored(8).await;
        assert_eq!(telling.bound(8, 30), 10);
        attempt(&mut telling, 10, 1);
        telling.stored(10).await;
        assert!(told.try_recv().is_err());
        assert_eq!(telling.bound(10, 30), 30);
        attempt(&mut telling, 30, 1);
        telling.stored(30).await;
        assert_eq!(told.try_recv().map(|it| it.seq), Ok(30));
    }

    #[test]
    fn what_was_made_with_test_keys_is_left_out() {
        let mut event = interrupted_event();
        event.test = true;
        let mut telling = Telling::new(None);
        let decided = telling.attempt(STREAM, 1);
        decided.add(&event);
        assert_eq!(decided.usage, []);
    }
}
