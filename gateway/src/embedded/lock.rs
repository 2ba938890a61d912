//! One gateway per data directory: an advisory lock that the kernel lets go of with the process, however it ends.

use std::fs::{File, OpenOptions};
use std::io::Write;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::EmbeddedError;
use super::files;
use super::paths::Paths;

/// The data directory is ours while this lives.
#[derive(Debug)]
#[must_use]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    pub(super) fn take(paths: &Paths) -> Result<Self, EmbeddedError> {
        let path = paths.lock();
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut file = opened.map_err(EmbeddedError::io("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(in_use(paths)),
            Err(errno) => return Err(EmbeddedError::io("lock", &path)(errno.into())),
        }
        // Emptied only now: until it is locked, the file says who else holds it.
        let written = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(EmbeddedError::io("write", &path))?;
        Ok(Self { file })
    }
}

impl Drop for Lock {
    /// Closing the file would not do: a child that is just being started has a copy of it.
    fn drop(&mut self) {
        if let Err(error) = flock(&self.file, FlockOperation::Unlock) {
            tracing::warn!(%error, "the data directory's lock could not be released");
        }
    }
}

fn in_use(paths: &Paths) -> EmbeddedError {
    let pid = files::read(&paths.lock())
        .ok()
        .flatten()
        .filter(|pid| !pid.is_empty());
    let holder = pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    );
    EmbeddedError::InUse {
        data_dir: paths.data_dir().to_owned(),
        holder,
    }
}
