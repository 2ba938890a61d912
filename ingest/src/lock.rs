//! Whose a spool is: `lock` in its folder.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::streams::SpoolStartError;
use crate::unconfirmed;

/// One process per spool; the kernel lets go of it with the process, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    /// The process that had it last kept notes of what is unconfirmed.
    keeps_notes: bool,
}

/// What the file says behind the process of one that does.
const KEEPS_NOTES: &str = "notes";

impl Lock {
    pub(crate) fn take(root: &Path) -> Result<Self, SpoolStartError> {
        let io = SpoolStartError::io;
        let mut folder = std::fs::DirBuilder::new();
        let created = folder.recursive(true).mode(0o700).create(root);
        created.map_err(io("create", root))?;
        let path = root.join("lock");
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = opened.map_err(io("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let holder = std::fs::read_to_string(&path).unwrap_or_default();
                return Err(SpoolStartError::InUse {
                    path: root.to_owned(),
                    holder: match holder.split_whitespace().next() {
                        None => "another process".to_owned(),
                        Some(pid) => format!("process {pid}"),
                    },
                });
            }
            Err(errno) => return Err(io("lock", &path)(errno.into())),
        }
        // Written only now: until it is locked, the file says who else holds it.
        let before = std::fs::read_to_string(&path).map_err(io("read", &path))?;
        let lock = Self {
            file,
            keeps_notes: before.split_whitespace().nth(1) == Some(KEEPS_NOTES),
        };
        lock.write().map_err(io("write", &path))?;
        Ok(lock)
    }

    /// Forgets notes that an older gateway found here and left as they were: they are out of date.
    pub(crate) fn trust_notes(&mut self, root: &Path) -> Result<(), SpoolStartError> {
        if self.keeps_notes {
            return Ok(());
        }
        let mut forget = || {
            unconfirmed::clear_all(root)?;
            self.keeps_notes = true;
            self.write()
        };
        forget().map_err(SpoolStartError::io("write the lock of", root))
    }

    /// Over what was there: a full disk has no other block. And durably, or a power loss would have notes forgotten.
    fn write(&self) -> io::Result<()> {
        let notes = if self.keeps_notes { KEEPS_NOTES } else { "" };
        let text = format!("{} {notes}\n", std::process::id());
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.set_len(text.len() as u64)?;
        self.file.sync_all()
    }
}

impl Drop for Lock {
    /// Closing the file would not do: a child that is just being started has a copy of it.
    fn drop(&mut self) {
        let _unlocked = flock(&self.file, FlockOperation::Unlock);
    }
}
