//! One file: what a program reads from it now, and what a power loss leaves of it.

use rand::Rng;
use rand::rngs::StdRng;

const SECTOR_BYTES: usize = 512;

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// What is read: the kernel's cache.
    pub(super) now: Vec<u8>,
    durable: Vec<u8>,
    /// Parts of sectors that were written since the last sync.
    unsynced: Vec<(usize, Vec<u8>)>,
}

impl Content {
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self {
            now: bytes.clone(),
            durable: bytes,
            ..Self::default()
        }
    }

    pub(super) fn write(&mut self, mut bytes: &[u8], mut offset: usize) {
        let end = offset + bytes.len();
        self.now.resize(self.now.len().max(end), 0);
        self.now[offset..end].copy_from_slice(bytes);
        while !bytes.is_empty() {
            let in_sector = SECTOR_BYTES - offset % SECTOR_BYTES;
            let (part, rest) = bytes.split_at(in_sector.min(bytes.len()));
            self.unsynced.push((offset, part.to_vec()));
            offset += part.len();
            bytes = rest;
        }
    }

    /// How many writes, of parts of sectors, wait for a sync.
    pub(super) fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Makes the first of them durable.
    pub(super) fn sync(&mut self, writes: usize) {
        self.durable.resize(self.now.len(), 0);
        for (offset, part) in self.unsynced.drain(..writes) {
            self.durable[offset..offset + part.len()].copy_from_slice(&part);
        }
    }

    pub(super) fn lose_power(&mut self, random: &mut StdRng) {
        self.keep_some(self.unsynced(), random);
        self.now = self.durable.clone();
    }

    /// Makes durable what chance says of the first of them, and forgets that the rest was never synced.
    pub(super) fn keep_some(&mut self, writes: usize, random: &mut StdRng) {
        if random.random() {
            self.durable.resize(self.now.len(), 0);
        }
        // Now and then everything or nothing, which chance alone would hardly ever give for many sectors.
        let share = [0.0, 0.2, 0.5, 0.8, 1.0][random.random_range(0..5)];
        for (offset, part) in self.unsynced.drain(..writes) {
            if random.random_bool(share)
                && let Some(place) = self.durable.get_mut(offset..offset + part.len())
            {
                place.copy_from_slice(&part);
            }
        }
    }
}
