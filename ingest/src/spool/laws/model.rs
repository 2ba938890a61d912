//! What was acknowledged, and what may be on disk besides.

use std::collections::HashSet;

use super::super::simulated_disk::Operation;
use super::super::tests::{Place, group, read_on};
use super::super::{Durability, SpoolError, Stream};

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// The lengths of its payloads.
    Append(Vec<usize>),
    /// Kind, and how many of them succeed before.
    Fail(Operation, u32),
    EnsureRoom(u64),
    OrderSync(Carrier),
    TakeOutcome,
    /// Which share of the frames is drained, in percent.
    Remove(u64),
    Read,
    Kill,
    LosePower,
}

/// What becomes of the order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Carrier {
    CarriesOut,
    Dies,
}

pub(super) struct Model {
    pub(super) place: Place,
    pub(super) stream: Option<Stream>,
    /// The payloads of sequence 1 and on.
    pub(super) acknowledged: Vec<Vec<u8>>,
    /// Groups tried at the next sequence that may be on disk.
    tried: Vec<Vec<Vec<u8>>>,
    made: u64,
}

impl Model {
    pub(super) fn new(durability: Durability, segment_frames: u64) -> Self {
        let place = Place::new(segment_frames, durability);
        Self {
            stream: Some(place.create()),
            place,
            acknowledged: Vec::new(),
            tried: Vec::new(),
            made: 0,
        }
    }

    pub(super) fn run(&mut self, step: &Step) {
        match step {
            Step::Append(lengths) => self.append(lengths),
            Step::Fail(operation, skip) => self.place.disk.fail(*operation, *skip),
            Step::EnsureRoom(bytes) => drop(self.stream().ensure_room(*bytes)),
            Step::OrderSync(carrier) => self.order_sync(*carrier),
            Step::TakeOutcome => drop(self.stream().take_outcome()),
            Step::Remove(percent) => {
                let through = self.acknowledged.len() as u64 * percent / 100;
                drop(self.stream().remove_through(through));
            }
            Step::Read => self.check(),
            Step::Kill => self.restart(),
            Step::LosePower => {
                self.stream = None;
                self.place.disk.lose_power();
                self.restart();
            }
        }
    }

    fn append(&mut self, lengths: &[usize]) {
        let payloads: Vec<_> = lengths.iter().map(|length| self.payload(*length)).collect();
        match self.stream().append(&mut group(payloads.clone())) {
            Ok(appended) => {
                self.acknowledged.extend(payloads);
                self.tried.clear();
                assert_eq!(appended.last_seq, self.last_seq());
            }
            Err(_) => self.tried.push(payloads),
        }
        let next_seq = self.last_seq() + 1;
        assert_eq!(self.stream().next_seq(), next_seq);
    }

    /// The outcome is there when the stream next needs it.
    fn order_sync(&mut self, carrier: Carrier) {
        match (self.stream().order_sync(), carrier) {
            (Some(order), Carrier::CarriesOut) => order.carry_out(),
            (Some(order), Carrier::Dies) => drop(order),
            (None, Carrier::CarriesOut | Carrier::Dies) => {}
        }
    }

    /// No two are the same.
    fn payload(&mut self, length: usize) -> Vec<u8> {
        self.made += 1;
        let mut payload = self.made.to_le_bytes().to_vec();
        payload.resize(8 + length, self.made.to_le_bytes()[0]);
        payload
    }

    /// Ends the process and opens the stream in the next one.
    fn restart(&mut self) {
        self.stream = None;
        if self.place.open().is_err_and(|error| error.kind() != "io") {
            panic!("the stream is refused: {:?}", self.place.open());
        }
        self.place.disk.clear_faults();
        self.stream = Some(self.place.open().unwrap());
        let found = self.stream().next_seq() - 1;
        let acknowledged = self.last_seq();
        assert!(found >= acknowledged, "{found} of {acknowledged} are left");
        if found > acknowledged {
            let extra = self.place.read(acknowledged + 1, found);
            let known = self.tried.iter().any(|tried| tried.starts_with(&extra));
            assert!(known, "{} frames that nobody tried to append", extra.len());
            self.acknowledged.extend(extra);
        }
        self.tried.clear();
        self.check();
    }

    /// Everything that is still on disk is what was acknowledged.
    fn check(&mut self) {
        let oldest = self.stream().oldest_seq();
        let mut reader = self.place.reader(oldest - 1).unwrap();
        let read = read_on(&mut reader, self.last_seq()).unwrap();
        let from = usize::try_from(oldest - 1).unwrap();
        assert!(read == self.acknowledged[from..], "frames differ");
        let unique: HashSet<_> = self.acknowledged.iter().collect();
        assert_eq!(
            unique.len(),
            self.acknowledged.len(),
            "a frame appears twice"
        );
        let report = self.place.verify();
        assert_eq!(report.damage, []);
        if oldest > 1 {
            let gap = self.place.reader(oldest - 2);
            assert!(matches!(gap, Err(SpoolError::Gap { .. })));
        }
    }

    pub(super) fn stream(&mut self) -> &mut Stream {
        self.stream.as_mut().unwrap()
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.acknowledged.len() as u64
    }
}
