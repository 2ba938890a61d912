//! Opening a stream: what is there, whether it is whole, and where it goes on.
//!
//! First everything is looked at, then the little that must change is changed: an error of the first half
//! leaves the disk as it was.

use super::SpoolError;
use super::blank::blank_len;
use super::disk::Access;
use super::error::IoContext;
use super::folder::{Contents, Folder};
use super::scan::{Behind, Walk, look_behind, walk};
use super::segment_file::SegmentFile;
use super::stream::Segment;
use super::tail::Tail;
use super::window::Window;

static ZEROS: [u8; 256 << 10] = [0; 256 << 10];
const STEP_BYTES: u64 = ZEROS.len() as u64;

/// A stream as it was found.
#[derive(Debug)]
pub(super) struct Recovered {
    /// Oldest first.
    pub(super) segments: Vec<Segment>,
    /// The last segment, if it can be appended to.
    pub(super) tail: Option<Tail>,
    pub(super) next_seq: u64,
}

/// The last segment, looked through.
enum Last {
    /// There is none, or one without a header: nothing was ever written to it.
    Blank,
    Whole(SegmentFile, Walk, Behind),
}

/// Finds a stream and makes what it finds durable.
pub(super) fn recover(folder: &Folder) -> Result<Recovered, SpoolError> {
    let contents = folder.contents()?;
    let (segments, last) = look(folder, &contents)?;
    let mut next_seq = segments.last().map_or(1, |last| last.first_seq);

    remove_leftovers(folder, &contents)?;
    let mut tail = None;
    if let Last::Whole(segment, walk, behind) = last {
        next_seq = walk.next_seq;
        tail = Some(settle(segment, walk, behind)?);
    }
    // The last process may have been killed between a change of names and its sync.
    folder.sync()?;
    folder
        .disk
        .sync_folder(&folder.root)
        .context("sync", &folder.root)?;
    Ok(Recovered {
        segments,
        tail,
        next_seq,
    })
}

fn look(folder: &Folder, contents: &Contents) -> Result<(Vec<Segment>, Last), SpoolError> {
    let mut segments = Vec::with_capacity(contents.segments.len());
    let Some((last_seq, sealed)) = contents.segments.split_last() else {
        return Ok((segments, Last::Blank));
    };
    let mut window = Window::default();
    for first_seq in sealed {
        let segment = SegmentFile::open(folder, *first_seq, Access::Read, window)?;
        note(&mut segments, &segment)?;
        window = segment.into_window();
    }
    if let Some(bytes) = blank_len(folder, *last_seq)? {
        let first_seq = *last_seq;
        segments.push(Segment { first_seq, bytes });
        return Ok((segments, Last::Blank));
    }
    let mut segment = SegmentFile::open(folder, *last_seq, Access::Write, window)?;
    note(&mut segments, &segment)?;
    let walk = walk(&mut segment, u64::MAX)?;
    let behind = check_end(&mut segment, walk)?;
    Ok((segments, Last::Whole(segment, walk, behind)))
}

/// Adds a segment, unless one is missing before it.
fn note(segments: &mut Vec<Segment>, segment: &SegmentFile) -> Result<(), SpoolError> {
    check_order(segments.last().map(|before| before.first_seq), segment)?;
    segments.push(Segment {
        first_seq: segment.header.first_seq,
        bytes: segment.len,
    });
    Ok(())
}

/// Refuses a segment that doesn't follow the one that lies before it.
pub(super) fn check_order(before: Option<u64>, segment: &SegmentFile) -> Result<(), SpoolError> {
    match before {
        Some(first_seq) if first_seq != segment.header.previous_seq => {
            let what = "the segment that it says comes before it is missing";
            Err(SpoolError::corrupt(&segment.path, 0, what))
        }
        // What came before the oldest was removed.
        Some(_) | None => Ok(()),
    }
}

/// Tells a torn end from damage.
pub(super) fn check_end(segment: &mut SegmentFile, walk: Walk) -> Result<Behind, SpoolError> {
    let behind = look_behind(segment, walk.end)?;
    if walk.synced.max(behind.synced) > walk.end {
        let what = "a frame that had been synced isn't whole";
        return Err(SpoolError::corrupt(&segment.path, walk.end, what));
    }
    Ok(behind)
}

fn remove_leftovers(folder: &Folder, contents: &Contents) -> Result<(), SpoolError> {
    for path in &contents.leftovers {
        folder.disk.remove(path).context("remove", path)?;
    }
    Ok(())
}

/// Cuts a torn end, and syncs what only the kernel may hold. Frames not known to be synced are written again
/// first: after a sync that failed the kernel takes them for synced, and a second sync would skip them.
fn settle(mut segment: SegmentFile, walk: Walk, behind: Behind) -> Result<Tail, SpoolError> {
    let mut offset = walk.synced;
    while offset < walk.end {
        let step = (walk.end - offset).min(STEP_BYTES);
        let bytes = segment.read(offset, usize::try_from(step).unwrap_or(0))?;
        let bytes = bytes.unwrap_or_default().to_vec();
        segment
            .file
            .write_at(&bytes, offset)
            .context("write", &segment.path)?;
        offset += step;
    }
    while offset < behind.written {
        let step = (behind.written - offset).min(STEP_BYTES);
        let zeros = ZEROS.get(..usize::try_from(step).unwrap_or(0));
        let written = segment.file.write_at(zeros.unwrap_or_default(), offset);
        written.context("write", &segment.path)?;
        offset += step;
    }
    segment.file.sync().context("sync", &segment.path)?;
    if behind.written > walk.end {
        tracing::warn!(
            path = %segment.path.display(), offset = walk.end, bytes = behind.written - walk.end,
            "a write that was cut short was cut off"
        );
    }
    let segment_id = segment.header.segment_id;
    Ok(Tail::new(
        segment.path,
        segment.file,
        segment_id,
        walk.end,
        segment.len,
    ))
}
