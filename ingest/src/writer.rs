//! A writer: one stream, one dedicated connection, one transaction a batch.
//!
//! `ingest_cursor` says up to which event the stream is stored, and moves in the transaction that stores them. The writer
//! reads what is behind it from the spool, so its memory is the same whether it is a second behind or a day. A batch whose fate is
//! unknown is settled by one question; the row lock makes the answer wait for a transaction that is still ending.
//!
//! Guarantees: every event of the stream is stored once, or set aside once as a dead letter with the database's reason. What
//! only fails for now is tried again without end. Where the database went back in time, what is still on disk is stored
//! again, and what isn't is reported with its exact gap.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Clock, Prices, error_chain};
use tokio::sync::mpsc::Sender;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::appending::Feed;
use crate::batch::Batch;
use crate::connection::{Connection, Cursor, DeadLetter, StoreError};
use crate::database::Database;
use crate::decided::{Decided, Telling};
use crate::metrics::{SpoolMetrics, WriterMetrics};
use crate::record;
use crate::spool::{Disk, IoContext as _, Reader, SpoolError};
use crate::streams::Replace;
use crate::unconfirmed;

const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// How often it is tried once it shall stop: a connection that had been lost before is found out by the first.
const LAST_ATTEMPTS: u32 = 5;
/// How often it looks whether a batch is full while it gathers: to be woken for each group would cost more than storing it.
const LOOKS: u32 = 8;
/// More than so many dead letters without a stored event between them are no accident.
const LETTERS_IN_A_ROW: u32 = 10;
const PAUSE_BETWEEN_LETTERS: Duration = Duration::from_secs(1);
/// A batch of so many bytes is large enough.
const BATCH_BYTES: usize = 16 << 20;

/// What all writers share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) prices: Arc<Prices>,
    pub(crate) metrics: WriterMetrics,
    pub(crate) tasks: TaskTracker,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) root: PathBuf,
    pub(crate) batch_rows: usize,
    pub(crate) batch_interval: Duration,
    pub(crate) replacements: crossbeam_channel::Sender<Replace>,
    pub(crate) decided: Option<Sender<Decided>>,
    /// What can't be stored now shall stay in the spool.
    pub(crate) stop: CancellationToken,
}

pub(crate) struct Writer {
    shared: Shared,
    feed: Feed,
    latest: Arc<Mutex<Feed>>,
    session: Option<Session>,
    /// Rows of the next batch at the most: fewer where a row is looked for that the database refuses.
    most_rows: usize,
    /// By which this process has the stream, once it has.
    epoch: Option<i64>,
    /// It is noted that the database has been asked about the stream.
    is_noted: bool,
    /// How far the database said that it had stored the stream, before it was lost sight of.
    confirmed: Option<u64>,
    /// An event that the database has refused once, alone.
    suspect: Option<u64>,
    /// Dead letters since the last event that was stored.
    letters: u32,
    telling: Telling,
}

/// A connection, and where the stream stands by it.
struct Session {
    connection: Connection,
    reader: Reader,
    cursor: Cursor,
}

#[derive(Debug, thiserror::Error)]
enum WriterError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the spool can't be read")]
    Spool(#[from] SpoolError),
    #[error(
        "the database has {found} events of the stream as stored, and of that the spool had only {there}: it is an older copy, or has lost some"
    )]
    Ahead { found: u64, there: u64 },
    #[error("the database refuses an event: {0}")]
    Refused(String),
    #[error("another process has taken the stream over")]
    Fenced,
}

impl Shared {
    fn reader(&self, stream: Uuid, after: u64) -> Result<Reader, SpoolError> {
        Reader::behind(Arc::clone(&self.disk), &self.root, stream, after)
    }

    /// Notes that the database has been asked about a stream.
    fn confirm(&self, stream: Uuid) -> Result<(), SpoolError> {
        let noted = unconfirmed::clear(&self.root, stream);
        noted.context("note that the database has been asked in", &self.root)
    }
}

/// The feed of a writer that begins.
pub(crate) fn feed(latest: &Mutex<Feed>) -> Feed {
    latest
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

impl Writer {
    /// Of the latest feed; where another one takes its place, it is put there.
    pub(crate) fn new(shared: Shared, latest: Arc<Mutex<Feed>>) -> Self {
        let feed = feed(&latest);
        Self {
            latest,
            most_rows: shared.batch_rows,
            telling: Telling::new(shared.decided.clone()),
            shared,
            feed,
            session: None,
            epoch: None,
            is_noted: false,
            confirmed: None,
            suspect: None,
            letters: 0,
        }
    }

    /// Stores whatever becomes durable until the flusher has ended and nothing is left, or until it shall stop and the database is
    /// away.
    pub(crate) async fn run(mut self) {
        let mut backoff = FIRST_BACKOFF;
        let mut failing = false;
        let mut last_attempts = LAST_ATTEMPTS;
        while self.wait().await {
            match self.advance().await {
                Ok(()) => {
                    if failing {
                        tracing::info!(
                            "the database is back; waiting usage events are being stored"
                        );
                    }
                    failing = false;
                    backoff = FIRST_BACKOFF;
                    continue;
                }
                Err(error @ (WriterError::Ahead { .. } | WriterError::Fenced)) => {
                    tracing::error!(stream = %self.feed.stream, error = %error_chain(&error), "a stream of usage events is given up");
                    if !self.replace().await {
                        return;
                    }
                    continue;
                }
                Err(error) => self.report(&error, failing),
            }
            failing = true;
            self.session = None;
            if self.shared.stop.is_cancelled() {
                last_attempts -= 1;
                if last_attempts == 0 {
                    return;
                }
            }
            let pause = backoff.mul_f64(rand::random_range(0.5..1.0));
            if self.shared.stop.is_cancelled() {
                tokio::time::sleep(pause.min(FIRST_BACKOFF * 4)).await;
            } else {
                // At the end of it all there is no time to lose.
                drop(tokio::time::timeout(pause, self.shared.stop.cancelled()).await);
            }
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    /// Waits for something to store, and for more of it to come along. Answers false at the end of the stream.
    async fn wait(&mut self) -> bool {
        // While a row is looked for that the database refuses, a batch is full earlier.
        let (interval, full) = (self.shared.batch_interval, self.most_rows as u64);
        let Some(session) = &self.session else {
            // What the database says of the stream has to be known first; an old one may have to be read again.
            return true;
        };
        let at = session.cursor.seq;
        let durable = &mut self.feed.durable;
        if durable.wait_for(|durable| *durable > at).await.is_err() {
            return *durable.borrow() > at;
        }
        let begun = tokio::time::Instant::now();
        for look in 1..=LOOKS {
            // It is enough, or there will be no more.
            if *durable.borrow() >= at + full || durable.has_changed().is_err() {
                break;
            }
            tokio::time::sleep_until(begun + interval * look / LOOKS).await;
        }
        true
    }

    /// One batch, or one step towards it.
    async fn advance(&mut self) -> Result<(), WriterError> {
        let durable = *self.feed.durable.borrow();
        if self.session.is_none() {
            let session = self.begin().await?;
            // A commit whose answer was lost.
            self.telling.stored(session.cursor.seq).await;
            self.session = Some(session);
        }
        let most_rows = self.most_rows;
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        self.feed.progress.set_stored(session.cursor.seq);
        let durable = self.telling.bound(session.cursor.seq, durable);
        let (batch, unreadable) = session.read(durable, most_rows)?;
        let is_cut_short = unreadable.is_some();
        if batch.is_empty() && unreadable.is_none() {
            self.feed.progress.set_oldest_unstored(0);
            return Ok(());
        }
        let oldest = batch.oldest().map_or(0, |oldest| oldest.unix_micros);
        self.feed.progress.set_oldest_unstored(oldest);
        if batch.is_empty() {
            let reason = unreadable.unwrap_or_default();
            return self.set_aside(&reason).await;
        }
        self.store(batch).await?;
        if is_cut_short {
            // The next one can't be read: it is looked at by itself.
            self.read_again()?;
        }
        Ok(())
    }

    async fn store(&mut self, batch: Batch) -> Result<(), WriterError> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let (rows, started) = (batch.len(), self.shared.clock.monotonic());
        let after = session.cursor.seq + rows as u64;
        self.feed.progress.attempt(after);
        let stored = session
            .connection
            .store(
                &batch.into_data(),
                session.cursor,
                &self.shared.prices,
                self.telling.attempt(self.feed.stream, after),
            )
            .await;
        match stored {
            Ok(unpriced) => {
                session.cursor.seq = after;
                self.feed.progress.set_stored(after);
                self.telling.stored(after).await;
                unpriced.into_iter().for_each(WriterMetrics::unpriced);
                let took = self.shared.clock.monotonic().saturating_sub(started);
                self.shared.metrics.stored(rows, took);
                self.most_rows = (self.most_rows * 2).min(self.shared.batch_rows);
                self.letters = 0;
                if *self.feed.durable.borrow() == after {
                    self.feed.progress.set_oldest_unstored(0);
                }
                Ok(())
            }
            Err(error) if error.is_for_a_row() => self.look_closer(&error, rows).await,
            Err(error) => Err(error.into()),
        }
    }

    /// Half as many at a time, until it is known which row it is; that one is set aside.
    async fn look_closer(&mut self, error: &StoreError, rows: usize) -> Result<(), WriterError> {
        self.most_rows = (rows / 2).max(1);
        self.telling.rolled_back();
        // The transaction is rolled back, and the reader stands behind what wasn't stored.
        self.read_again()?;
        if rows > 1 {
            return Ok(());
        }
        // Once more, after a pause and over a new connection: what passes is no fault of the row.
        let seq = self.session.as_ref().map(|session| session.cursor.seq);
        if self.suspect != seq {
            self.suspect = seq;
            return Err(WriterError::Refused(error_chain(error)));
        }
        self.set_aside(&error_chain(error)).await
    }

    /// From where the database has the cursor.
    fn read_again(&mut self) -> Result<(), WriterError> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        session.reader = self.shared.reader(self.feed.stream, session.cursor.seq)?;
        Ok(())
    }

    /// The next event becomes a dead letter.
    async fn set_aside(&mut self, reason: &str) -> Result<(), WriterError> {
        let stream = self.feed.stream;
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        let mut reader = self.shared.reader(stream, session.cursor.seq)?;
        let after = session.cursor.seq + 1;
        let Some(frame) = reader.next(after)? else {
            return Ok(());
        };
        let record = record::decode(frame.payload);
        let letter = DeadLetter {
            request_id: record::request_id(frame.payload).unwrap_or_default(),
            unix_micros: record.map_or(0, |record| record.time.unix_micros),
            reason,
            payload: frame.payload,
        };
        tracing::error!(
            request_id = %letter.request_id, %stream, seq = after, reason,
            "a usage event can't be stored and is kept in ingest_dead_letters"
        );
        self.feed.progress.attempt(after);
        let letter_stored = session
            .connection
            .set_aside(&letter, stream, session.cursor, after);
        letter_stored.await?;
        session.cursor.seq = after;
        session.reader = reader;
        self.feed.progress.set_stored(after);
        self.shared.metrics.dead_lettered();
        self.letters += 1;
        if self.letters > LETTERS_IN_A_ROW {
            tracing::error!(
                "the database refuses one usage event after the other: its schema may have changed"
            );
            tokio::time::sleep(PAUSE_BETWEEN_LETTERS).await;
        }
        Ok(())
    }

    /// A new connection, and the truth about the stream.
    async fn begin(&mut self) -> Result<Session, WriterError> {
        let (shared, stream) = (&self.shared, self.feed.stream);
        let connection = Connection::open(&shared.database, &shared.tasks).await?;
        let found = match self.epoch {
            None => None,
            Some(_) => connection.cursor(stream).await?,
        };
        let mut cursor = match (self.epoch, found) {
            (Some(ours), Some(found)) if found.epoch > ours => return Err(WriterError::Fenced),
            (Some(ours), Some(found)) if found.epoch == ours => found,
            // For the first time, or the database went back to before this process took the stream over.
            _ => connection.take_over(stream).await?,
        };
        self.epoch = Some(cursor.epoch);
        // What this process has appended and not tried to store can't be there.
        let there = self.feed.progress.attempted();
        if cursor.seq > there {
            return Err(WriterError::Ahead {
                found: cursor.seq,
                there,
            });
        }
        // Whatever is stored from here on, the next process will know that the database was asked before.
        if !self.is_noted {
            shared.confirm(stream)?;
            self.is_noted = true;
        }
        let confirmed = self.confirmed.unwrap_or(cursor.seq);
        // A commit whose answer was lost.
        let found = cursor.seq.saturating_sub(confirmed);
        shared.metrics.found_stored(found);
        if cursor.seq < confirmed {
            tracing::error!(
                %stream, found = cursor.seq, expected = confirmed, again = confirmed - cursor.seq,
                "the database has lost usage events that it had confirmed; they are stored again, as far as they are still on disk"
            );
        }
        let reader = match shared.reader(stream, cursor.seq) {
            Err(SpoolError::Gap { oldest }) => {
                tracing::error!(
                    %stream, first = cursor.seq + 1, last = oldest - 1, missing = oldest - 1 - cursor.seq,
                    "usage events are neither in the database nor on disk any more"
                );
                self.shared.metrics.missing(oldest - 1 - cursor.seq);
                self.feed.progress.attempt(oldest - 1);
                connection.skip_to(stream, cursor, oldest - 1).await?;
                cursor.seq = oldest - 1;
                shared.reader(stream, cursor.seq)?
            }
            reader => reader?,
        };
        self.shared.metrics.database_is_up(true);
        Ok(Session {
            connection,
            reader,
            cursor,
        })
    }

    /// Goes on with another stream in place of this one. Answers false if there is none.
    async fn replace(&mut self) -> bool {
        let (sender, feed) = oneshot::channel();
        let replace = Replace {
            stream: self.feed.stream,
            behind: self.feed.inherited.max(self.feed.progress.stored()),
            feed: sender,
        };
        self.session = None;
        if self.shared.replacements.send(replace).is_err() {
            return false;
        }
        match feed.await {
            Ok(feed) => {
                self.latest
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone_from(&feed);
                self.feed = feed;
                (self.epoch, self.confirmed, self.suspect) = (None, None, None);
                self.is_noted = false;
                self.telling = Telling::new(self.shared.decided.clone());
                true
            }
            Err(_) => false,
        }
    }

    fn report(&mut self, error: &WriterError, failing: bool) {
        if let Some(session) = &self.session {
            self.confirmed = Some(session.cursor.seq);
        }
        match error {
            WriterError::Store(StoreError::Silent) => {
                // Too much for its time, perhaps.
                self.most_rows = (self.most_rows / 2).max(1);
                self.shared.metrics.database_is_up(false);
            }
            WriterError::Store(_) => self.shared.metrics.database_is_up(false),
            WriterError::Spool(error) => SpoolMetrics::failed(error),
            WriterError::Refused(_) | WriterError::Ahead { .. } | WriterError::Fenced => {}
        }
        let (chain, waiting) = (error_chain(error), self.waiting());
        if failing {
            tracing::debug!(error = chain, waiting, "usage events still can't be stored");
        } else {
            tracing::error!(
                error = chain,
                waiting,
                "usage events can't be stored; they wait in the spool"
            );
        }
    }

    fn waiting(&self) -> u64 {
        let durable = *self.feed.durable.borrow();
        durable.saturating_sub(self.feed.progress.stored())
    }
}

impl Session {
    /// What is next, up to a batch; with nothing before it, why the next event can't be read.
    fn read(
        &mut self,
        durable: u64,
        most_rows: usize,
    ) -> Result<(Batch, Option<String>), SpoolError> {
        let mut batch = Batch::new();
        while batch.len() < most_rows && batch.bytes() < BATCH_BYTES {
            let Some(frame) = self.reader.next(durable)? else {
                break;
            };
            match record::decode(frame.payload) {
                Ok(record) => batch.push(record),
                Err(error) => return Ok((batch, Some(error.to_string()))),
            }
        }
        Ok((batch, None))
    }
}
