//! The snapshot file in the data directory.
//!
//! Guarantees: the file is there whole or not at all, also after a power cut, whoever else writes it; nobody but its owner can
//! read it; one that somebody else has put there is not read.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::format::{self, FormatError};
use super::saved::{HeldKeys, Saved};

const FOLDER: &str = "snapshot";
const FILE: &str = "state";
/// Names of files that are not finished begin so.
const DRAFT: &str = "draft-";

/// Where it is.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    folder: PathBuf,
}

/// Why it can't be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiskError {
    #[error("it can't be read")]
    Read(#[source] io::Error),
    #[error("it can't be written")]
    Write(#[from] io::Error),
    #[error("it belongs to user {owner}, and this process is user {user}")]
    Owner { owner: u32, user: u32 },
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("it is of the database {theirs}, and this gateway's is {ours}")]
    OtherDatabase { theirs: String, ours: String },
    #[error("the task that was to do it failed")]
    Task(#[from] tokio::task::JoinError),
}

impl Disk {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self {
            folder: data_dir.join(FOLDER),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// What was kept of a database; `None` if nothing was.
    ///
    /// # Errors
    /// If there is a file that can't be used.
    pub(super) fn read(&self, database: &str) -> Result<Option<Saved>, DiskError> {
        let mut file = match File::open(self.path()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DiskError::Read(error)),
        };
        let owner = file.metadata().map_err(DiskError::Read)?.uid();
        let user = rustix::process::geteuid().as_raw();
        if owner != user {
            return Err(DiskError::Owner { owner, user });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(DiskError::Read)?;
        let saved = format::decode(&bytes)?;
        if saved.database != database {
            return Err(DiskError::OtherDatabase {
                theirs: saved.database,
                ours: database.to_owned(),
            });
        }
        Ok(Some(saved))
    }

    /// Puts this in the place of what was there.
    pub(super) fn write(&self, saved: &Saved<HeldKeys>) -> Result<(), DiskError> {
        fs::create_dir_all(&self.folder)?;
        fs::set_permissions(&self.folder, Permissions::from_mode(0o700))?;
        // Made with mode 0600, removed if anything fails.
        let draft = tempfile::Builder::new()
            .prefix(DRAFT)
            .tempfile_in(&self.folder)?;
        format::write(saved, &draft)?;
        draft.as_file().sync_all()?;
        draft.persist(self.path()).map_err(|error| error.error)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    /// Removes what processes that were killed have left. Should another gateway write here at this moment, it fails
    /// and tries again.
    pub(super) fn remove_drafts(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(DRAFT.as_bytes())
            {
                // One that stays takes room, and does nothing else.
                let _removed = fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests;
