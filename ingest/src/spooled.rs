//! Usage that waited in the spool when this process began, beside what the database has of it.
//!
//! Guarantees: with the positions of `ingest_cursor`, and the rows that were there at the same moment, every event counts once, whatever
//! has been stored since. Left out is what is no row yet, since only the database knows whether it counts (results of batches,
//! running totals), and what will be none (records that can't be read become dead letters).

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use domain::Timestamp;
use uuid::Uuid;

use crate::record;
use crate::row::{self, RowUsage};
use crate::spool::{Disk, Reader, SpoolError};
use crate::streams::SpoolFault;

/// A look at the streams as they were at the start. What is appended later is out of its sight.
#[derive(Debug, Clone)]
pub struct Spooled {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) root: PathBuf,
    /// The streams, each with its last event.
    pub(crate) ends: Vec<(Uuid, u64)>,
}

impl Spooled {
    /// Shows the usage of events behind what is stored of each stream that were admitted before a moment; test keys' and
    /// refusals left out. Reads from disk.
    ///
    /// # Errors
    /// If a stream can't be read, or has no longer all that is behind its position; the others are shown all the same.
    pub fn each_unstored(
        &self,
        stored: &HashMap<Uuid, u64>,
        before: Timestamp,
        mut see: impl FnMut(RowUsage),
    ) -> Result<(), SpoolFault> {
        let mut done = Ok(());
        for (stream, last) in &self.ends {
            let after = stored.get(stream).copied().unwrap_or(0);
            let read = self.each_of(*stream, after, *last, before, &mut see);
            // A stream that was set aside is another process' to store, or stored.
            let is_there = || self.root.join(stream.to_string()).exists();
            done = done.and(read.or_else(|error| if is_there() { Err(error) } else { Ok(()) }));
        }
        Ok(done?)
    }

    fn each_of(
        &self,
        stream: Uuid,
        after: u64,
        last: u64,
        before: Timestamp,
        see: &mut impl FnMut(RowUsage),
    ) -> Result<(), SpoolError> {
        if after >= last {
            return Ok(());
        }
        let mut reader = Reader::behind(Arc::clone(&self.disk), &self.root, stream, after)?;
        while let Some(frame) = reader.next(last)? {
            let Some(usage) = usage(frame.payload) else {
                continue;
            };
            if usage.time < before {
                see(usage);
            }
        }
        Ok(())
    }
}

/// What counts of a record.
fn usage(payload: &[u8]) -> Option<RowUsage> {
    let record = record::decode(payload).ok()?;
    if record.is_repeatable {
        return None;
    }
    row::read_usage(record.rows, record.time).ok()?
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::BytesMut;
    use domain::{BatchItem, Repeatable, UsageEvent};

    use super::*;
    use crate::open_slots::tests::interrupted_event;
    use crate::spool::Group;
    use crate::streams::{SpoolOptions, Streams};

    const NOW: i64 = 1_795_000_000_000_000;

    /// An event that can be told by its output.
    fn event(output: u64) -> UsageEvent {
        let mut event = interrupted_event();
        event.time.unix_micros = NOW - 1;
        event.usage.tokens.output = output;
        event
    }

    fn open(folder: &tempfile::TempDir, streams: usize) -> Streams {
        let options = SpoolOptions {
            dir: folder.path().join("spool"),
            survives_power_loss: false,
            max_bytes: Some(64 << 20),
            keep: Duration::from_secs(60),
        };
        let (_, replacements) = crossbeam_channel::unbounded();
        Streams::open(&options, streams, replacements).unwrap()
    }

    /// Appends a group to the next stream.
    fn append(streams: &mut Streams, payloads: &[BytesMut]) {
        let mut group = Group::new();
        for payload in payloads {
            group.push(payload).unwrap();
        }
        streams.append(&mut group).unwrap();
    }

    fn payload(event: &UsageEvent) -> BytesMut {
        let mut payload = BytesMut::new();
        record::encode(event, &mut payload);
        payload
    }

    fn outputs(spooled: &Spooled, stored: &[(Uuid, u64)]) -> Vec<u64> {
        let stored = stored.iter().copied().collect();
        let before = Timestamp { unix_micros: NOW };
        let mut found = Vec::new();
        let see = |usage: RowUsage| found.push(usage.output_tokens);
        spooled.each_unstored(&stored, before, see).unwrap();
        found
    }

    #[test]
    fn what_is_behind_each_position_is_shown_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut streams = open(&folder, 2);
        let events = |outputs: [u64; 3]| outputs.map(|output| payload(&event(output)));
        append(&mut streams, &events([1, 2, 3]));
        append(&mut streams, &events([4, 5, 6]));
        drop(streams);
        // With fewer streams, one is an orphan.
        let mut streams = open(&folder, 1);
        let spooled = streams.spooled();
        append(&mut streams, &events([7, 8, 9]));
        let [(one, 3), (other, 3)] = spooled.ends[..] else {
            panic!("{:?}", spooled.ends)
        };
        let strange = (Uuid::now_v7(), 2);
        for (stored, expected) in [
            (&[][..], &[1, 2, 3, 4, 5, 6][..]),
            (&[(one, 2), strange], &[3, 4, 5, 6]),
            (&[(one, 3), (other, 1)], &[5, 6]),
            (&[(one, 3), (other, 99)], &[]),
        ] {
            assert_eq!(outputs(&spooled, stored), expected);
        }
    }

    #[test]
    fn what_does_not_count_or_not_yet_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut streams = open(&folder, 1);
        let changed = |output: u64, change: fn(&mut UsageEvent)| {
            let mut event = event(output);
            change(&mut event);
            payload(&event)
        };
        let payloads = [
            changed(1, |_| {}),
            changed(2, |event| event.test = true),
            changed(3, |event| event.time.unix_micros = NOW),
            changed(4, |event| {
                event.repeatable = Some(Repeatable::BatchItem(BatchItem {
                    batch_id: "msgbatch_1".to_owned(),
                    custom_id: String::new(),
                }));
            }),
            BytesMut::from(&b"no record"[..]),
            changed(5, |_| {}),
        ];
        append(&mut streams, &payloads);
        assert_eq!(outputs(&streams.spooled(), &[]), [1, 5]);
    }

    #[test]
    fn a_stream_that_was_set_aside_is_no_fault_and_one_that_is_damaged_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut streams = open(&folder, 2);
        append(&mut streams, &[payload(&event(1))]);
        append(&mut streams, &[payload(&event(2))]);
        let spooled = streams.spooled();
        let (first, _) = spooled.ends[0];
        let place = spooled.root.join(first.to_string());
        std::fs::rename(&place, folder.path().join("aside")).unwrap();
        assert_eq!(outputs(&spooled, &[]), [2]);

        std::fs::create_dir(&place).unwrap();
        let mut found = Vec::new();
        let before = Timestamp { unix_micros: NOW };
        let see = |usage: RowUsage| found.push(usage.output_tokens);
        let read = spooled.each_unstored(&HashMap::new(), before, see);
        assert!(read.is_err());
        assert_eq!(found, [2], "the others are shown all the same");
    }
}
