//! Small files, written whole: a reader sees the old contents or the new ones, also after a power cut.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Who may read a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Readers {
    Owner,
    /// Everyone who can reach it.
    Everyone,
}

/// Makes sure that a file has these contents.
pub(super) fn keep(path: &Path, contents: &str, readers: Readers) -> io::Result<()> {
    if read(path)?.as_deref() == Some(contents.trim()) {
        return Ok(());
    }
    let draft = path.with_extension("new");
    remove(&draft)?;
    create(&draft, contents, readers)?;
    fs::rename(&draft, path)?;
    sync_parent(path)
}

/// Makes a file that must not exist yet.
pub(super) fn create(path: &Path, contents: &str, readers: Readers) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    if let Readers::Everyone = readers {
        file.set_permissions(Permissions::from_mode(0o644))?;
    }
    file.write_all(contents.as_bytes())?;
    file.sync_all()
}

/// Reads a file's text without the white space around it; `None` when there is no such file.
pub(super) fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a directory and all in it, if it is there.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes a directory that other users may pass through but not list.
pub(super) fn create_passage(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o711))
}

/// Makes a rename or a new entry in the parent directory durable.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
