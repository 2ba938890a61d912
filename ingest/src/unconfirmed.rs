//! What of a stream was there when the database was last asked about it: `unconfirmed-<stream>` has the number of its last event.
//!
//! A database that knows more of a stream than the disk had then knows somebody else's events by those numbers. Without the file,
//! events that came before anybody could ask would be taken for what it knows after the next start. The file is there from
//! the start of a process until its writer has seen the cursor, and goes before anything is stored behind that.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

fn path(root: &Path, stream: Uuid) -> PathBuf {
    root.join(format!("unconfirmed-{stream}"))
}

/// Notes that nobody has asked since a stream had so many events, unless that is noted already. Answers what was.
///
/// # Errors
/// If the file can't be read, or written durably.
pub(crate) fn note(root: &Path, stream: Uuid, last_seq: u64) -> io::Result<u64> {
    let path = path(root, stream);
    match fs::read_to_string(&path) {
        Ok(noted) => {
            let noted: u64 = noted
                .trim()
                .parse()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            return Ok(noted.min(last_seq));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Under another name first: it is there with its number or not at all.
    let making = path.with_extension("making");
    let mut file = File::create(&making)?;
    writeln!(file, "{last_seq}")?;
    file.sync_all()?;
    fs::rename(&making, &path)?;
    sync(root)?;
    Ok(last_seq)
}

/// Notes that the database has been asked.
///
/// # Errors
/// If the file can't be removed durably.
pub(crate) fn clear(root: &Path, stream: Uuid) -> io::Result<()> {
    match fs::remove_file(path(root, stream)) {
        Ok(()) => sync(root),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync(root: &Path) -> io::Result<()> {
    File::open(root)?.sync_all()
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
        // An even older copy of the disk's.
        assert_eq!(note(root, stream, 3).unwrap(), 3);
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let stream = Uuid::now_v7();
        fs::write(path(folder.path(), stream), "many").unwrap();
        let error = note(folder.path(), stream, 5).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
