//! The promises of a stream, under chance: appends of all sizes, failures of every kind, kills, power losses.
//!
//! A model remembers what was acknowledged, and which groups were tried in vain since. After every restart the
//! stream must hold the first exactly, and behind it at most the beginning of one of the others.

use std::collections::HashSet;

use proptest::prelude::*;

use super::simulated_disk::Operation;
use super::tests::{Place, group, read_on};
use super::{Durability, SpoolError, Stream};

#[derive(Debug, Clone)]
enum Step {
    /// The lengths of its payloads.
    Append(Vec<usize>),
    /// Kind, and how many of them succeed before.
    Fail(Operation, u32),
    EnsureRoom(u64),
    /// Which share of the frames is drained, in percent.
    Remove(u64),
    Read,
    Kill,
    LosePower,
}

struct Model {
    place: Place,
    stream: Option<Stream>,
    /// The payloads of sequence 1 and on.
    acknowledged: Vec<Vec<u8>>,
    /// Groups tried at the next sequence that may be on disk.
    tried: Vec<Vec<Vec<u8>>>,
    made: u64,
}

impl Model {
    fn new(durability: Durability, segment_frames: u64) -> Self {
        let place = Place::new(segment_frames, durability);
        Self {
            stream: Some(place.create()),
            place,
            acknowledged: Vec::new(),
            tried: Vec::new(),
            made: 0,
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Append(lengths) => self.append(lengths),
            Step::Fail(operation, skip) => self.place.disk.fail(*operation, *skip),
            Step::EnsureRoom(bytes) => drop(self.stream().ensure_room(*bytes)),
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

    fn stream(&mut self) -> &mut Stream {
        self.stream.as_mut().unwrap()
    }

    fn last_seq(&self) -> u64 {
        self.acknowledged.len() as u64
    }
}

fn append() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(0_usize..300, 1..12),
        1 => prop::collection::vec(0_usize..3_000, 1..4),
    ]
    .prop_map(Step::Append)
}

fn fail() -> impl Strategy<Value = Step> {
    let operation = prop::sample::select(vec![
        Operation::Allocate,
        Operation::Write,
        Operation::Sync,
        Operation::SyncFolder,
        Operation::Rename,
        Operation::Remove,
    ]);
    (operation, 0_u32..4).prop_map(|(operation, skip)| Step::Fail(operation, skip))
}

fn steps(restart: Step) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => append(),
        3 => fail(),
        2 => (0_u64..20_000).prop_map(Step::EnsureRoom),
        1 => (0_u64..=100).prop_map(Step::Remove),
        1 => Just(Step::Read),
        1 => Just(Step::Kill),
        2 => Just(restart),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn with_fsync_nothing_acknowledged_is_lost_to_failures_kills_and_power_losses(
        steps in steps(Step::LosePower),
        segment_frames in 4_u64..40,
    ) {
        let mut model = Model::new(Durability::Fsync, segment_frames);
        for step in &steps {
            model.run(step);
        }
        model.run(&Step::LosePower);
    }

    #[test]
    fn with_process_nothing_acknowledged_is_lost_to_failures_and_kills(
        steps in steps(Step::Kill),
        segment_frames in 4_u64..40,
    ) {
        let mut model = Model::new(Durability::Process, segment_frames);
        for step in &steps {
            model.run(step);
        }
        model.run(&Step::Kill);
    }

    #[test]
    fn with_process_a_power_loss_leaves_a_beginning(
        groups in prop::collection::vec(1_usize..20, 1..40),
        segment_frames in 4_u64..40,
    ) {
        let mut model = Model::new(Durability::Process, segment_frames);
        for frames in groups {
            model.run(&Step::Append(vec![50; frames]));
        }
        model.stream = None;
        model.place.disk.lose_power();
        let stream = model.place.open().unwrap();
        let left = usize::try_from(stream.next_seq() - 1).unwrap();
        prop_assert!(model.place.read(1, left as u64) == model.acknowledged[..left]);
    }
}
