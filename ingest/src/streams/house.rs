//! Keeping house: what is stored goes, room is made before it is needed, and streams that the database doesn't agree with are replaced.

use std::time::Duration;

use super::{ROOM_AHEAD, Replace, Streams};
use crate::appending::Appending;
use crate::capacity::EVENT_BYTES;
use crate::recovery;
use crate::replacing::Replacing;
use crate::spool::SpoolError;

impl Streams {
    /// Replaces what the database doesn't agree with, removes what has been kept for long enough, and makes room for
    /// `under_way` bytes. The first thing that fails is the error; the rest is done all the same.
    pub(crate) fn keep_house(&mut self, now: Duration, under_way: u64) -> Result<(), SpoolError> {
        let mut done = Ok(());
        let again = std::mem::take(&mut self.unreplaced);
        let asked: Vec<_> = again
            .into_iter()
            .chain(self.replacements.try_iter())
            .collect();
        for replace in asked {
            done = done.and(self.replace(replace));
        }
        done = done.and(self.retire(now));
        while let Some((id, made)) = self.allocating.next() {
            let stream = self.current.iter_mut().find(|stream| stream.id() == id);
            match (stream, made) {
                (Some(stream), Ok(spare)) => stream.add_spare(spare),
                // What was made for a stream that is no more is swept up at the next start.
                (None, Ok(_)) => {}
                (_, Err(error)) => {
                    // The disk has less than the spool's bound: others have filled it.
                    if matches!(error, SpoolError::NoSpace { .. }) {
                        done = done.and(self.remove_drained(now).map(drop));
                    }
                    done = done.and(Err(error));
                }
            }
        }
        for index in 0..self.current.len() {
            done = done.and(self.make_room(now, index, self.of_each(under_way)));
        }
        done
    }

    /// The room that a stream shall have.
    fn of_each(&self, under_way: u64) -> u64 {
        under_way / self.current.len().max(1) as u64 + ROOM_AHEAD * EVENT_BYTES
    }

    /// Has the next segment made, if it is wanted and fits.
    fn make_room(&mut self, now: Duration, index: usize, bytes: u64) -> Result<(), SpoolError> {
        let wanted = |streams: &Self| {
            let stream = streams.current.get(index)?;
            Some((stream.id(), stream.wanted(bytes)?))
        };
        let Some((stream, allocator)) = wanted(self) else {
            return Ok(());
        };
        let under_way = self.allocating.under_way() as u64 + 1;
        let more = self.options.segment_bytes * under_way;
        self.make_way_for(now, more)?;
        // Without it, what is allocated already is all there is.
        if self.bytes_on_disk() + more <= self.max_bytes {
            self.allocating.order(stream, allocator);
        }
        Ok(())
    }

    /// Makes the first room at once.
    pub(crate) fn make_first_room(&mut self) -> Result<(), SpoolError> {
        let bytes = self.of_each(0);
        for index in 0..self.current.len() {
            let more = self.options.segment_bytes + bytes;
            self.make_way_for(Duration::ZERO, more)?;
            let fits = self.bytes_on_disk() + more <= self.max_bytes;
            if let Some(stream) = self.current.get_mut(index).filter(|_| fits) {
                stream.ensure_room(bytes)?;
            }
        }
        Ok(())
    }

    /// Removes stored segments as long as the bound leaves no room for so much.
    fn make_way_for(&mut self, now: Duration, bytes: u64) -> Result<(), SpoolError> {
        while self.bytes_on_disk() + bytes > self.max_bytes {
            if !self.remove_drained(now)? {
                break;
            }
        }
        Ok(())
    }

    /// Removes the oldest stored segment of each stream. Answers whether there was one.
    fn remove_drained(&mut self, now: Duration) -> Result<bool, SpoolError> {
        let mut all = self.current.iter().chain(&self.orphans);
        if !all.any(|stream| stream.has_drained(now)) {
            return Ok(false);
        }
        recovery::sync_files(&self.root)?;
        let mut removed = false;
        for stream in self.current.iter_mut().chain(&mut self.orphans) {
            removed |= stream.remove_oldest_drained(now)?;
        }
        Ok(removed)
    }

    /// Removes what has been stored for long enough.
    fn retire(&mut self, now: Duration) -> Result<(), SpoolError> {
        let keep = self.keep;
        let all = self.current.iter_mut().chain(&mut self.orphans);
        let due = all.map(|stream| stream.note_drained(now, keep));
        if !due.fold(false, |due, is_due| due | is_due) {
            return Ok(());
        }
        recovery::sync_files(&self.root)?;
        let all = self.current.iter_mut().chain(&mut self.orphans);
        let retired = all.map(|stream| stream.retire(now, keep));
        retired.fold(Ok(()), Result::and)
    }

    /// Goes on in a new stream. What was appended to the old one since the database could last be asked goes with it; what was there
    /// before stays, for whoever wrote it.
    fn replace(&mut self, replace: Replace) -> Result<(), SpoolError> {
        let mut all = self.current.iter().chain(&self.orphans);
        let old = all.find(|old| old.id() == replace.stream);
        let Some(last) = old.map(Appending::last_seq) else {
            return Ok(());
        };
        // What its places said is looked for in it no longer.
        if let Err(error) = recovery::sync_files(&self.root) {
            self.unreplaced.push(replace);
            return Err(error);
        }
        let is_orphan = |orphan: &Appending| orphan.id() == replace.stream;
        if replace.behind >= last && self.orphans.iter().any(is_orphan) {
            self.replacing().set_aside(replace.stream)?;
            // Its writer ends with it.
            self.orphans.retain(|orphan| !is_orphan(orphan));
            return Ok(());
        }
        match self
            .replacing()
            .replace(replace.stream, replace.behind..last)
        {
            Ok(stream) => {
                let fresh = Appending::new(stream, 0);
                let feed = fresh.feed();
                let mut all = self.current.iter_mut().chain(&mut self.orphans);
                if let Some(old) = all.find(|old| old.id() == replace.stream) {
                    *old = fresh;
                }
                // The writer may have been stopped.
                drop(replace.feed.send(feed));
                Ok(())
            }
            Err(error) => {
                self.unreplaced.push(replace);
                Err(error)
            }
        }
    }

    fn replacing(&self) -> Replacing<'_> {
        Replacing {
            disk: &self.disk,
            root: &self.root,
            options: self.options,
        }
    }
}
