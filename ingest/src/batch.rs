//! Rows on their way to one COPY.

use bytes::{BufMut, Bytes, BytesMut};
use domain::UsageEvent;

use crate::row;

/// Encoded rows, ready to be sent as the data of [`row::COPY_STATEMENT`].
#[derive(Debug)]
pub struct Batch {
    data: BytesMut,
    rows: usize,
}

impl Batch {
    const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        let mut data = BytesMut::with_capacity(4096);
        data.put_slice(Self::SIGNATURE);
        data.put_i32(0); // flags
        data.put_i32(0); // length of the header extension
        Self { data, rows: 0 }
    }

    /// Adds an event.
    pub fn push(&mut self, event: &UsageEvent) {
        row::encode(event, &mut self.data);
        self.rows += 1;
    }

    /// Events in it.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The whole data of the COPY, trailer included.
    #[must_use]
    pub fn into_data(mut self) -> Bytes {
        self.data.put_i16(-1);
        self.data.freeze()
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}
