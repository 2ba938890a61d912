//! Looking through a whole stream without changing anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::SpoolError;
use super::blank::blank_len;
use super::disk::{Access, Disk};
use super::folder::Folder;
use super::recovery::{check_end, check_order};
use super::scan::walk;
use super::segment_file::SegmentFile;
use super::window::Window;

/// What is in a stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) segments: u64,
    pub(crate) frames: u64,
    /// Of the oldest frame; 0 if there is none.
    pub(crate) first_seq: u64,
    /// Of the newest frame; 0 if there is none.
    pub(crate) last_seq: u64,
    /// What the segments take on disk.
    pub(crate) bytes: u64,
    /// Bytes of a write that was cut short; opening the stream cuts them off.
    pub(crate) torn_tail_bytes: u64,
    pub(crate) damage: Vec<Damage>,
}

/// A place that isn't as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) what: &'static str,
}

/// Reads every frame of a stream. Damage is reported and not an error.
pub(crate) fn verify(disk: Arc<dyn Disk>, root: &Path, id: Uuid) -> Result<Report, SpoolError> {
    let folder = Folder::new(disk, root, id);
    let segments = folder.contents()?.segments;
    let mut report = Report::default();
    let ends = segments.iter().skip(1).map(Some).chain([None]);
    let before = [None].into_iter().chain(segments.iter().map(Some));
    for ((first_seq, end), before) in segments.iter().zip(ends).zip(before) {
        report.segments += 1;
        match report.add(&folder, *first_seq, before.copied(), end.copied()) {
            Err(SpoolError::Corrupt { path, offset, what }) => {
                report.damage.push(Damage { path, offset, what });
            }
            done => done?,
        }
    }
    Ok(report)
}

impl Report {
    fn add(
        &mut self,
        folder: &Folder,
        first_seq: u64,
        before: Option<u64>,
        end: Option<u64>,
    ) -> Result<(), SpoolError> {
        if end.is_none()
            && let Some(bytes) = blank_len(folder, first_seq)?
        {
            self.bytes += bytes;
            return Ok(());
        }
        let mut segment = SegmentFile::open(folder, first_seq, Access::Read, Window::default())?;
        self.bytes += segment.len;
        let walk = walk(&mut segment, end.unwrap_or(u64::MAX))?;
        let frames = walk.next_seq - first_seq;
        if frames > 0 {
            self.frames += frames;
            self.last_seq = walk.next_seq - 1;
            if self.first_seq == 0 {
                self.first_seq = first_seq;
            }
        }
        check_order(before, &segment)?;
        match end {
            Some(end) if walk.next_seq < end => {
                let what = "frames before the next segment are missing";
                Err(SpoolError::corrupt(&segment.path, walk.end, what))
            }
            Some(_) => Ok(()),
            None => {
                let behind = check_end(&mut segment, walk)?;
                self.torn_tail_bytes = behind.written - walk.end;
                Ok(())
            }
        }
    }
}
