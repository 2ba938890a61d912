//! A stream that the database doesn't agree with makes way for a new one.
//!
//! Guarantees: at whatever moment this is cut short, the next start finds either the old stream alone, or the new one alone. The copy is
//! made in a folder that is no stream's (`making-<old>/`); then the old stream gets another name (`refused-<old>`), and
//! then the new one its place.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::spool::{Disk, Group, IoContext as _, Reader, SpoolError, Stream, StreamOptions};
use crate::streams::SpoolStartError;
use crate::unconfirmed;

/// A group of the copy has about so many bytes.
const GROUP_BYTES: u64 = 1 << 20;

pub(crate) struct Replacing<'a> {
    pub(crate) disk: &'a Arc<dyn Disk>,
    pub(crate) root: &'a Path,
    pub(crate) options: StreamOptions,
}

impl Replacing<'_> {
    /// Copies the events behind the range's start up to its end into a new stream, which takes the place of the old one.
    pub(crate) fn replace(&self, old: Uuid, events: Range<u64>) -> Result<Stream, SpoolError> {
        let making = making(self.root, old);
        remove(&making).context("remove", &making)?;
        self.disk
            .create_folder(&making)
            .context("create", &making)?;
        let new = Uuid::now_v7();
        self.copy(old, events, &making, new)?;
        match self.set_aside(old) {
            Err(error) if self.root.join(old.to_string()).exists() => return Err(error),
            done => or_end(done),
        }
        let place = self.root.join(new.to_string());
        or_end(self.rename(&making.join(new.to_string()), &place));
        // Empty, and swept up by the next start if it stays.
        let _removed = fs::remove_dir(&making);
        let stream = Stream::open(Arc::clone(self.disk), self.root, new, self.options);
        Ok(or_end(stream))
    }

    fn copy(
        &self,
        old: Uuid,
        events: Range<u64>,
        making: &Path,
        new: Uuid,
    ) -> Result<(), SpoolError> {
        let mut stream = Stream::create(Arc::clone(self.disk), making, new, self.options)?;
        let mut reader = match Reader::behind(Arc::clone(self.disk), self.root, old, events.start) {
            // Removed: stored long ago.
            Err(SpoolError::Gap { oldest }) => Reader::behind(
                Arc::clone(self.disk),
                self.root,
                old,
                oldest.saturating_sub(1),
            )?,
            reader => reader?,
        };
        let mut group = Group::new();
        while let Some(frame) = reader.next(events.end)? {
            group.push(frame.payload)?;
            if group.frame_bytes() > GROUP_BYTES {
                stream.append(&mut group)?;
                group.clear();
            }
        }
        stream.append(&mut group)?;
        // It is stored as soon as it is in its place.
        stream.sync()
    }

    /// Gives a stream's folder a name under which nobody looks for streams.
    pub(crate) fn set_aside(&self, stream: Uuid) -> Result<(), SpoolError> {
        let to = self.root.join(format!("refused-{stream}"));
        tracing::error!(folder = %to.display(), "a stream of usage events is set aside");
        self.rename(&self.root.join(stream.to_string()), &to)?;
        if let Err(error) = unconfirmed::clear(self.root, stream) {
            tracing::debug!(%error, %stream, "a note of a stream that is none any more stays behind");
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), SpoolError> {
        self.disk
            .rename(from, to)
            .and_then(|()| self.disk.sync_folder(self.root))
            .context("rename", from)
    }
}

/// Behind the old stream's new name there is no way back, and what is appended to it now would be found by nobody: the process ends,
/// and the next one finishes it.
fn or_end<T>(done: Result<T, SpoolError>) -> T {
    done.unwrap_or_else(|error| {
        tracing::error!(
            error = %domain::error_chain(&error),
            "a stream can't be replaced; the gateway ends, and the next start goes on with it"
        );
        std::process::abort()
    })
}

/// Finishes what was cut short: the copy counts if the old stream has made way for it.
pub(crate) fn finish(root: &Path) -> Result<(), SpoolStartError> {
    let io = SpoolStartError::io;
    for entry in fs::read_dir(root).map_err(io("list", root))? {
        let making = entry.map_err(io("list", root))?.path();
        let Some(old) = old_of(&making) else { continue };
        if !root.join(old.to_string()).exists() {
            for entry in fs::read_dir(&making).map_err(io("list", &making))? {
                let copy = entry.map_err(io("list", &making))?;
                let place = root.join(copy.file_name());
                fs::rename(copy.path(), place).map_err(io("rename", &copy.path()))?;
            }
            sync(root).map_err(io("sync", root))?;
        }
        remove(&making).map_err(io("remove", &making))?;
    }
    Ok(())
}

fn making(root: &Path, old: Uuid) -> PathBuf {
    root.join(format!("making-{old}"))
}

fn old_of(making: &Path) -> Option<Uuid> {
    let name = making.file_name()?.to_str()?;
    name.strip_prefix("making-")?.parse().ok()
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
