//! What a segment holds: its frames in order, and what lies behind the first that isn't whole.

use super::SpoolError;
use super::header::HEADER_BYTES;
use super::segment_file::SegmentFile;

const STEP_BYTES: u64 = 64 << 10;

/// The frames of a segment that follow one another without a gap.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    /// Where the next frame would begin.
    pub(super) end: u64,
    /// The sequence it would have.
    pub(super) next_seq: u64,
    /// The highest offset that a frame says was synced.
    pub(super) synced: u64,
}

/// What lies behind them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    /// The highest offset that a whole frame there says was synced; 0 if there is none.
    pub(super) synced: u64,
    /// Where the last byte ends that isn't zero; where the search began if there is none.
    pub(super) written: u64,
}

/// Follows the frames whose sequence is below `below`.
pub(super) fn walk(segment: &mut SegmentFile, below: u64) -> Result<Walk, SpoolError> {
    let mut walk = Walk {
        end: HEADER_BYTES,
        next_seq: segment.header.first_seq,
        synced: HEADER_BYTES,
    };
    while walk.next_seq < below {
        match segment.frame_at(walk.end)? {
            Some(found) if found.seq == walk.next_seq => {
                walk.end = found.end;
                walk.next_seq += 1;
                walk.synced = walk.synced.max(found.synced);
            }
            Some(_) | None => break,
        }
    }
    Ok(walk)
}

/// Looks through everything from an offset on that a frame can begin at. It ends at the first proof of damage:
/// a frame that says something was synced above that offset.
pub(super) fn look_behind(segment: &mut SegmentFile, from: u64) -> Result<Behind, SpoolError> {
    let mut behind = Behind {
        synced: 0,
        written: from,
    };
    let mut offset = from;
    let mut candidates = Vec::new();
    while offset < segment.len && behind.synced <= from {
        let step = (segment.len - offset).min(STEP_BYTES);
        let segment_id = segment.header.segment_id.to_le_bytes();
        let bytes = segment.read(offset, usize::try_from(step).unwrap_or(0))?;
        let bytes = bytes.unwrap_or_default();
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            behind.written = offset + last as u64 + 1;
            let words = (offset..).step_by(8).zip(bytes.chunks(8));
            candidates.extend(
                words
                    .filter(|(_, word)| *word == segment_id)
                    .map(|(at, _)| at),
            );
        }
        for at in candidates.drain(..) {
            // The segment id is the second word of a frame.
            let begin = at.saturating_sub(8).max(from);
            if let Some(found) = segment.frame_at(begin)? {
                behind.synced = behind.synced.max(found.synced);
            }
        }
        offset += step;
    }
    Ok(behind)
}
