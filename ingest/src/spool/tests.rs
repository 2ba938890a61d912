//! What a stream does, over the simulated disk; `laws` has the promises under chance.

mod appending;
mod damage;
mod faults;
mod reading;
mod removing;
mod unfinished;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::disk::Disk;
use super::header::HEADER_BYTES;
use super::simulated_disk::SimulatedDisk;
use super::{
    Appended, Durability, Group, Reader, Report, SpoolError, Stream, StreamOptions, verify,
};

/// What every payload has here, unless a test is about sizes.
pub(super) const PAYLOAD_BYTES: usize = 100;

/// A disk with one stream's folder.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) disk: SimulatedDisk,
    pub(super) id: Uuid,
    pub(super) options: StreamOptions,
}

impl Place {
    /// Segments have room for `frames` of [`payload`].
    pub(super) fn new(frames: u64, durability: Durability) -> Self {
        let place = Self {
            disk: SimulatedDisk::new(frames),
            id: Uuid::from_u128(0x1234),
            options: StreamOptions {
                segment_bytes: HEADER_BYTES + frames * Stream::frame_bytes(PAYLOAD_BYTES),
                group_bytes: 4 * Stream::frame_bytes(PAYLOAD_BYTES),
                durability,
            },
        };
        place.disk.create_folder(Path::new("/spool")).unwrap();
        place
    }

    pub(super) fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.disk.clone())
    }

    pub(super) fn root(&self) -> &Path {
        Path::new("/spool")
    }

    pub(super) fn create(&self) -> Stream {
        Stream::create(self.shared(), self.root(), self.id, self.options).unwrap()
    }

    pub(super) fn open(&self) -> Result<Stream, SpoolError> {
        Stream::open(self.shared(), self.root(), self.id, self.options)
    }

    pub(super) fn reader(&self, after_seq: u64) -> Result<Reader, SpoolError> {
        Reader::behind(self.shared(), self.root(), self.id, after_seq)
    }

    pub(super) fn verify(&self) -> Report {
        self.try_verify().unwrap()
    }

    pub(super) fn try_verify(&self) -> Result<Report, SpoolError> {
        verify(self.shared(), self.root(), self.id)
    }

    pub(super) fn segment(&self, first_seq: u64) -> PathBuf {
        let name = format!("{first_seq:020}.seg");
        self.root().join(self.id.to_string()).join(name)
    }

    /// Every frame from `first` to `last`.
    pub(super) fn read(&self, first: u64, last: u64) -> Vec<Vec<u8>> {
        read_on(&mut self.reader(first - 1).unwrap(), last).unwrap()
    }

    /// Asserts that the stream holds [`payload`] under every sequence from `first` to `last`.
    pub(super) fn assert_holds(&self, first: u64, last: u64) {
        assert_eq!(
            self.read(first, last),
            (first..=last).map(payload).collect::<Vec<_>>()
        );
    }

    /// Changes a file behind the spool's back.
    pub(super) fn spoil(&self, first_seq: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.segment(first_seq);
        let mut bytes = self.disk.read(&path);
        change(&mut bytes);
        self.disk.overwrite(&path, bytes);
    }
}

/// What a reader gives from where it stands.
pub(super) fn read_on(reader: &mut Reader, up_to: u64) -> Result<Vec<Vec<u8>>, SpoolError> {
    let mut payloads = Vec::new();
    while let Some(frame) = reader.next(up_to)? {
        payloads.push(frame.payload.to_vec());
    }
    Ok(payloads)
}

/// The payload that belongs to a sequence.
pub(super) fn payload(seq: u64) -> Vec<u8> {
    format!("{seq:0>PAYLOAD_BYTES$}").into_bytes()
}

/// Appends the payloads of the next sequences.
pub(super) fn append(stream: &mut Stream, frames: u64) -> Result<Appended, SpoolError> {
    let next = stream.next_seq();
    stream.append(&mut group((next..next + frames).map(payload)))
}

pub(super) fn group(payloads: impl IntoIterator<Item = Vec<u8>>) -> Group {
    let mut group = Group::new();
    for payload in payloads {
        group.push(&payload).unwrap();
    }
    group
}

/// Where a frame of [`payload`] begins in a segment, counted from 0.
pub(super) fn frame_offset(frame: u64) -> usize {
    usize::try_from(HEADER_BYTES + frame * Stream::frame_bytes(PAYLOAD_BYTES)).unwrap()
}
