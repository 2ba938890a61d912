//! What of a stream was there when the database was last asked about it: `unconfirmed-<stream>` has the number of its last event.
//!
//! A database that knows more of a stream than the disk had then knows somebody else's events by those numbers. Without the file,
//! events that came before anybody could ask would be taken for what it knows after the next start. The file is there from
//! the start of a process until its writer has seen the cursor, and goes before anything is stored behind that.
//!
//! It also has its own inode: in a copy of the folder it says nothing, since what was appended before the copy was made may
//! have been stored from where it was copied. And nothing where the last process was one that doesn't know such files (`Lock`).

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::replacing::sync;

const BEGIN: &str = "unconfirmed-";

fn path(root: &Path, stream: Uuid) -> PathBuf {
    root.join(format!("{BEGIN}{stream}"))
}

/// Notes that nobody has asked since a stream had so many events, unless that is noted already. Answers what was.
///
/// # Errors
/// If the file can't be read, or written durably.
pub(crate) fn note(root: &Path, stream: Uuid, last_seq: u64) -> io::Result<u64> {
    let path = path(root, stream);
    // Of fewer events that are there the number holds: those behind it were lost.
    if let Some(noted) = read(&path)?.filter(|noted| *noted <= last_seq) {
        return Ok(noted);
    }
    // Under another name first: it is there with its number or not at all.
    let making = path.with_extension("making");
    let mut file = File::create(&making)?;
    writeln!(file, "{last_seq} {}", file.metadata()?.ino())?;
    file.sync_all()?;
    fs::rename(&making, &path)?;
    sync(root)?;
    Ok(last_seq)
}

/// What a file says; nothing if there is none, or it is a copy.
fn read(path: &Path) -> io::Result<Option<u64>> {
    let (text, file) =
        match fs::read_to_string(path).and_then(|text| Ok((text, fs::metadata(path)?))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
    let invalid = || {
        let message = format!("{} has no number and inode", path.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(noted)), Some(Ok(inode))) => Ok((inode == file.ino()).then_some(noted)),
        _ => Err(invalid()),
    }
}

/// Notes that the database has been asked.
///
/// # Errors
/// If the file can't be removed durably.
pub(crate) fn clear(root: &Path, stream: Uuid) -> io::Result<()> {
    match fs::remove_file(path(root, stream)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        // One that isn't there may have been removed in vain before.
        _ => sync(root),
    }
}

/// Forgets what was noted of any stream.
///
/// # Errors
/// If a file can't be removed durably.
pub(crate) fn clear_all(root: &Path) -> io::Result<()> {
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with(BEGIN)) {
            fs::remove_file(&path)?;
        }
    }
    sync(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_first_holds_until_it_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let (root, stream) = (folder.path(), Uuid::now_v7());
        assert_eq!(note(root, stream, 900).unwrap(), 900);
        assert_eq!(note(root, stream, 1_500).unwrap(), 900);
        assert_eq!(note(root, Uuid::now_v7(), 7).unwrap(), 7, "another one's");
        clear(root, stream).unwrap();
        clear(root, stream).unwrap();
        assert_eq!(note(root, stream, 1_500).unwrap(), 1_500);
        // A disk that has lost some.
        assert_eq!(note(root, stream, 3).unwrap(), 3);
        assert_eq!(note(root, stream, 10).unwrap(), 3);
        clear_all(root).unwrap();
        assert_eq!(note(root, stream, 10).unwrap(), 10);
    }

    #[test]
    fn a_copy_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (root, stream) = (folder.path(), Uuid::now_v7());
        assert_eq!(note(root, stream, 900).unwrap(), 900);
        let copy = tempfile::tempdir().unwrap();
        fs::copy(path(root, stream), path(copy.path(), stream)).unwrap();
        // The file systems may number their files alike.
        let inode = |root| fs::metadata(path(root, stream)).unwrap().ino();
        if inode(root) != inode(copy.path()) {
            assert_eq!(note(copy.path(), stream, 1_500).unwrap(), 1_500);
        }
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let stream = Uuid::now_v7();
        for text in ["many", "5", "", "5 x"] {
            fs::write(path(folder.path(), stream), text).unwrap();
            let error = note(folder.path(), stream, 5).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{text}");
        }
    }
}
