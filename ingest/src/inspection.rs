//! What is in a spool, seen from outside: nothing is locked and nothing is changed, so a gateway may be at work in it.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use crate::spool::{Disk, OsDisk, Stream, verify};
use crate::streams::SpoolFault;

/// A stream as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamOnDisk {
    /// Its name, and its folder's.
    pub stream: Uuid,
    /// Its files.
    pub segments: u64,
    /// What they take.
    pub bytes: u64,
    /// Events in them.
    pub events: u64,
    /// The first of those; 0 if there is none.
    pub first_seq: u64,
    /// The last of them; 0 if there is none.
    pub last_seq: u64,
    /// Bytes of a write that was cut short, or is under way. The next start cuts them off.
    pub torn_bytes: u64,
    /// What isn't as it was written, and where.
    pub damage: Vec<String>,
}

/// Reads every event of every stream.
///
/// # Errors
/// If the folder or a file can't be read. Damage is no error.
pub fn inspect_spool(dir: &Path) -> Result<Vec<StreamOnDisk>, SpoolFault> {
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let mut ids = Stream::list(&*disk, dir)?;
    ids.sort_unstable();
    let mut streams = Vec::with_capacity(ids.len());
    for stream in ids {
        let report = verify(Arc::clone(&disk), dir, stream)?;
        let damage = report.damage.iter();
        streams.push(StreamOnDisk {
            stream,
            segments: report.segments,
            bytes: report.bytes,
            events: report.frames,
            first_seq: report.first_seq,
            last_seq: report.last_seq,
            torn_bytes: report.torn_tail_bytes,
            damage: damage
                .map(|place| {
                    format!(
                        "{} at byte {}: {}",
                        place.path.display(),
                        place.offset,
                        place.what
                    )
                })
                .collect(),
        });
    }
    Ok(streams)
}
