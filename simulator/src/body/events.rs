//! Events of a stream, laid out in one buffer.

#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) buffer: Vec<u8>,
    /// Length of each event, in order; together they cover the buffer.
    pub(super) lengths: Vec<usize>,
    closed_bytes: usize,
}

impl Events {
    /// Ends the event whose bytes were appended to the buffer since the last call.
    pub(crate) fn close(&mut self) {
        let length = self.buffer.len().saturating_sub(self.closed_bytes);
        self.lengths.push(length);
        self.closed_bytes = self.buffer.len();
    }

    pub(crate) fn truncate(&mut self, count: usize) {
        self.lengths.truncate(count);
    }

    pub(crate) fn len(&self) -> usize {
        self.lengths.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.buffer.as_slice();
        self.lengths.iter().map_while(move |&length| {
            let (event, after) = rest.split_at_checked(length)?;
            rest = after;
            Some(event)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Events;

    #[test]
    fn events_come_back_as_they_were_put_in() {
        let mut events = Events::default();
        for text in [b"one".as_slice(), b"", b"three"] {
            events.buffer.extend_from_slice(text);
            events.close();
        }
        assert_eq!(
            events.iter().collect::<Vec<_>>(),
            [b"one".as_slice(), b"", b"three"]
        );
        events.truncate(1);
        assert_eq!(events.iter().collect::<Vec<_>>(), [b"one"]);
    }
}
