//! Names: where a stream's files are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::SpoolError;
use super::disk::Disk;
use super::error::IoContext;

/// The folder of one stream.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) root: PathBuf,
    pub(super) path: PathBuf,
    pub(super) stream: Uuid,
}

/// What lies in it.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// `first_seq` of every segment, ascending.
    pub(super) segments: Vec<u64>,
    /// Files that never came into use.
    pub(super) leftovers: Vec<PathBuf>,
}

impl Folder {
    pub(super) fn new(disk: Arc<dyn Disk>, root: &Path, stream: Uuid) -> Self {
        Self {
            disk,
            root: root.to_owned(),
            path: root.join(stream.to_string()),
            stream,
        }
    }

    pub(super) fn segment_path(&self, first_seq: u64) -> PathBuf {
        self.path.join(format!("{first_seq:020}.seg"))
    }

    pub(super) fn spare_path(&self, segment_id: u64) -> PathBuf {
        self.path.join(format!("{segment_id:016x}.tmp"))
    }

    pub(super) fn contents(&self) -> Result<Contents, SpoolError> {
        let mut contents = Contents::default();
        for entry in self.disk.list(&self.path).context("list", &self.path)? {
            if let Some(first_seq) = first_seq_of(&entry.name) {
                contents.segments.push(first_seq);
            } else if entry.name.ends_with(".tmp") {
                contents.leftovers.push(self.path.join(&entry.name));
            }
        }
        contents.segments.sort_unstable();
        Ok(contents)
    }

    pub(super) fn sync(&self) -> Result<(), SpoolError> {
        self.disk
            .sync_folder(&self.path)
            .context("sync", &self.path)
    }
}

/// The streams that have a folder under `root`, ascending.
pub(super) fn streams(disk: &dyn Disk, root: &Path) -> Result<Vec<Uuid>, SpoolError> {
    let entries = disk.list(root).context("list", root)?;
    let mut streams: Vec<Uuid> = entries
        .into_iter()
        .filter(|entry| entry.is_folder)
        .filter_map(|entry| {
            let stream = Uuid::try_parse(&entry.name).ok()?;
            // A UUID has several spellings, a stream's folder one.
            (stream.to_string() == entry.name).then_some(stream)
        })
        .collect();
    streams.sort_unstable();
    Ok(streams)
}

fn first_seq_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_written_here_are_segments() {
        let check = |name, expected| assert_eq!(first_seq_of(name), expected, "{name}");
        check("00000000000000000041.seg", Some(41));
        check("18446744073709551615.seg", Some(u64::MAX));
        check("99999999999999999999.seg", None);
        check("41.seg", None);
        check("+0000000000000000041.seg", None);
        check("00000000000000000041.seg.bak", None);
    }
}
