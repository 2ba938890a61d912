//! Spooled events on their way to one transaction.

use bytes::{BufMut, Bytes, BytesMut};
use domain::{Timestamp, UsageEvent};

use crate::record::Record;
use crate::{mcp_row, row};

/// Encoded events, ready to be stored.
#[derive(Debug, Default)]
pub struct Batch {
    events: CopyData,
    mcp_calls: CopyData,
    once: Vec<UsageEvent>,
    creations: Vec<UsageEvent>,
    count: usize,
    oldest: Option<Timestamp>,
}

/// What a batch holds.
#[derive(Debug, Clone)]
pub struct BatchData {
    /// Of most events: the data of [`row::COPY_STATEMENT`], with header and trailer.
    pub events: Option<Bytes>,
    /// The data of [`mcp_row::MCP_COPY_STATEMENT`].
    pub mcp_calls: Option<Bytes>,
    /// Events that may be stored already, which only the database knows.
    pub once: Vec<UsageEvent>,
    /// Events that made an object upstream, which is to be remembered. They are among the encoded ones.
    pub creations: Vec<UsageEvent>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event that was encoded before.
    pub(crate) fn push(&mut self, record: Record<'_>) {
        self.count += 1;
        self.oldest = Some(
            self.oldest
                .map_or(record.time, |oldest| oldest.min(record.time)),
        );
        if !record.rows.is_empty() {
            self.events.row().put_slice(record.rows);
        }
        if !record.mcp_rows.is_empty() {
            self.mcp_calls.row().put_slice(record.mcp_rows);
        }
        if let Some(event) = record.event {
            if record.is_repeatable {
                self.once.push(event);
            } else {
                self.creations.push(event);
            }
        }
    }

    /// Adds the rows of an event.
    pub fn encode(&mut self, event: &UsageEvent) {
        self.count += 1;
        row::encode(event, self.events.row());
        for call in &event.mcp_calls {
            mcp_row::encode(event, call, self.mcp_calls.row());
        }
    }

    /// Events in it, whether they will be stored or are already.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes to be copied.
    pub(crate) fn bytes(&self) -> usize {
        self.events.0.len() + self.mcp_calls.0.len()
    }

    /// When the first of them was admitted.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.oldest
    }

    /// All of it.
    #[must_use]
    pub fn into_data(self) -> BatchData {
        BatchData {
            events: self.events.finish(),
            mcp_calls: self.mcp_calls.finish(),
            once: self.once,
            creations: self.creations,
        }
    }

    /// The rows of events alone.
    pub(crate) fn rows_of(events: &[UsageEvent]) -> BatchData {
        let mut batch = Self::new();
        for event in events {
            batch.encode(event);
        }
        batch.into_data()
    }
}

/// The data of a binary COPY; nothing is allocated before its first row.
#[derive(Debug, Default)]
struct CopyData(BytesMut);

impl CopyData {
    const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

    /// Where the next row goes.
    fn row(&mut self) -> &mut BytesMut {
        if self.0.is_empty() {
            self.0.reserve(4096);
            self.0.put_slice(Self::SIGNATURE);
            self.0.put_i32(0); // flags
            self.0.put_i32(0); // length of the header extension
        }
        &mut self.0
    }

    /// With its trailer; none if there is no row.
    fn finish(mut self) -> Option<Bytes> {
        if self.0.is_empty() {
            return None;
        }
        self.0.put_i16(-1);
        Some(self.0.freeze())
    }
}
