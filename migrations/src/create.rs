//! A new pair of files for the developer to fill.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::file_name;

/// Makes an empty up and down file in `dir` and answers their paths. `now_version` is the present as YYYYMMDDHHMMSS.
///
/// # Errors
///
/// Name or version that can't be one, a version that isn't newer than all in the folder, or a folder that can't be
/// written.
pub fn create(dir: &Path, name: &str, now_version: i64) -> Result<[PathBuf; 2], Error> {
    validate(dir, name, now_version)?;
    let up_file = file_name::up_file(now_version, name);
    let up = dir.join(&up_file);
    let down = dir.join(file_name::down_file(now_version, name));
    write_new(&up, "-- Why this change is made.\n")?;
    write_new(&down, &format!("-- Undoes {up_file}, last things first.\n"))?;
    Ok([up, down])
}

fn validate(dir: &Path, name: &str, version: i64) -> Result<(), Error> {
    if !file_name::is_name(name) {
        return Err(Error::NameInvalid {
            name: name.to_owned(),
        });
    }
    if !file_name::is_version(version) {
        return Err(Error::VersionInvalid { version });
    }
    match newest(dir).map_err(|source| io_error(dir, source))? {
        Some(newest) if newest >= version => Err(Error::VersionNotNewer { version, newest }),
        _ => Ok(()),
    }
}

/// The newest version in the folder.
fn newest(dir: &Path) -> io::Result<Option<i64>> {
    let mut newest = None;
    for entry in fs::read_dir(dir)? {
        let file = entry?.file_name();
        let version = file
            .to_str()
            .and_then(file_name::parse)
            .map(|(version, _)| version);
        newest = newest.max(version);
    }
    Ok(newest)
}

fn write_new(path: &Path, text: &str) -> Result<(), Error> {
    File::create_new(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| io_error(path, source))
}

fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 20_261_123_200_100;

    #[track_caller]
    fn check(name: &str, version: i64, expected_kind: &str) {
        let dir = tempfile::tempdir().unwrap();
        create(dir.path(), "first", NOW).unwrap();
        let error = create(dir.path(), name, version).unwrap_err();
        assert_eq!(error.kind(), expected_kind, "{error}");
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            2,
            "nothing was made"
        );
    }

    #[test]
    fn makes_a_pair_that_can_be_embedded() {
        let dir = tempfile::tempdir().unwrap();
        let paths = create(dir.path(), "add_risk_level", NOW).unwrap();
        let names = paths.map(|path| {
            assert!(path.is_file());
            path.file_name().unwrap().to_str().unwrap().to_owned()
        });
        assert_eq!(
            names,
            [
                "20261123200100_add_risk_level.up.sql",
                "20261123200100_add_risk_level.down.sql"
            ]
        );
    }

    #[test]
    fn refuses_what_could_not_be_embedded() {
        check("", NOW + 1, "name_invalid");
        check("Add", NOW + 1, "name_invalid");
        check("../escape", NOW + 1, "name_invalid");
        check("second", 20_261_399_000_000, "version_invalid");
        check("second", -1, "version_invalid");
        check("second", NOW, "version_not_newer");
        check("second", NOW - 100, "version_not_newer");
    }

    #[test]
    fn names_the_folder_it_cannot_use() {
        let error = create(Path::new("no/such/folder"), "a", NOW).unwrap_err();
        assert_eq!(error.to_string(), "cannot use no/such/folder");
    }
}
