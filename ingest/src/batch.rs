//! Rows on their way to one transaction.

use bytes::{BufMut, Bytes, BytesMut};
use domain::UsageEvent;

use crate::{mcp_row, row};

/// Encoded events, ready to be stored.
#[derive(Debug)]
pub struct Batch {
    events: CopyData,
    mcp_calls: CopyData,
    rows: usize,
}

/// What a batch holds, each part whole with its header and trailer.
#[derive(Debug, Clone)]
pub struct BatchData {
    /// The data of [`row::COPY_STATEMENT`].
    pub events: Bytes,
    /// The data of [`mcp_row::MCP_COPY_STATEMENT`], if there is any.
    pub mcp_calls: Option<Bytes>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self {
            events: CopyData::default(),
            mcp_calls: CopyData::default(),
            rows: 0,
        }
    }

    /// Adds an event.
    pub fn push(&mut self, event: &UsageEvent) {
        row::encode(event, self.events.row());
        for call in &event.mcp_calls {
            mcp_row::encode(event, call, self.mcp_calls.row());
        }
        self.rows += 1;
    }

    /// Events in it.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// All of it, trailers included.
    #[must_use]
    pub fn into_data(mut self) -> BatchData {
        // There are batches without calls, but none without events.
        self.events.row();
        BatchData {
            events: self.events.finish().unwrap_or_default(),
            mcp_calls: self.mcp_calls.finish(),
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
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
