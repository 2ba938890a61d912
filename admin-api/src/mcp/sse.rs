//! Events of a `text/event-stream`, from pieces cut anywhere. What is kept is no more than what was given.

/// An event that has data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// `message` if none is given.
    pub(super) kind: String,
    pub(super) data: Vec<u8>,
}

/// Reads them.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    kind: Vec<u8>,
    data: Vec<u8>,
    /// The line ended with a carriage return: a line feed behind it belongs to that.
    after_return: bool,
}

impl Parser {
    /// The events that end in a piece.
    pub(super) fn read(&mut self, piece: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for byte in piece {
            let after_return = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                byte => self.line.push(*byte),
            }
        }
        events
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return self.end_event();
        }
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let field = halves.next().unwrap_or_default();
        let value = halves.next().unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => self.kind = value.to_vec(),
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            _ => {}
        }
        None
    }

    fn end_event(&mut self) -> Option<Event> {
        let kind = std::mem::take(&mut self.kind);
        let mut data = std::mem::take(&mut self.data);
        data.pop()?;
        let kind = match kind.as_slice() {
            b"" => "message".to_owned(),
            kind => String::from_utf8_lossy(kind).into_owned(),
        };
        Some(Event { kind, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: &str) -> Event {
        Event {
            kind: kind.to_owned(),
            data: data.as_bytes().to_vec(),
        }
    }

    #[test]
    fn events_are_the_same_wherever_the_stream_is_cut() {
        let stream = ": hello\n\nevent: endpoint\r\ndata: /a?b=c\r\n\r\nid: 5\ndata:{\"x\":\ndata:  1}\n\n\
            event: nothing\n\ndata\n\ndata: last\r\rdata: never ends";
        let expected = vec![
            event("endpoint", "/a?b=c"),
            event("message", "{\"x\":\n 1}"),
            event("message", ""),
            event("message", "last"),
        ];
        for size in 1..=stream.len() {
            let mut parser = Parser::default();
            let pieces = stream.as_bytes().chunks(size);
            let events: Vec<_> = pieces.flat_map(|piece| parser.read(piece)).collect();
            assert_eq!(events, expected, "pieces of {size}");
        }
    }
}
