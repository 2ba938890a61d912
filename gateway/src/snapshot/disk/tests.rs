use std::sync::Arc;

use domain::Timestamp;

use super::*;
use crate::snapshot::memory::Memory;

const OURS: &str = "db:5432/main";

fn saved(database: &str) -> Saved<HeldKeys> {
    let memory = Memory::new(
        Arc::default(),
        Arc::default(),
        Arc::default(),
        Arc::new(policy_engine::Engine::new(crate::clock::system())),
    );
    let at = Timestamp { unix_micros: 7 };
    Saved::new(database.to_owned(), at, memory.contents())
}

#[test]
fn what_was_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    // As deep as need be.
    let disk = Disk::new(&folder.path().join("not/there/yet"));
    assert!(disk.read(OURS).unwrap().is_none());
    disk.write(&saved(OURS)).unwrap();
    let read = disk.read(OURS).unwrap().unwrap();
    assert_eq!(read.verified_at().unix_micros, 7);
}

#[test]
fn the_state_of_another_database_is_said_to_be_that() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path());
    disk.write(&saved("db:5432/other")).unwrap();
    let error = disk.read(OURS).unwrap_err().to_string();
    assert!(error.contains("db:5432/other"), "{error}");
    assert!(error.contains(OURS), "{error}");
}

#[test]
fn a_file_of_another_user_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path());
    disk.write(&saved(OURS)).unwrap();
    if std::os::unix::fs::chown(disk.path(), Some(12_345), None).is_err() {
        println!("only root can give files away");
        return;
    }
    let error = disk.read(OURS).unwrap_err();
    assert!(
        matches!(error, DiskError::Owner { owner: 12_345, .. }),
        "{error}"
    );
    // The next state takes its place.
    disk.write(&saved(OURS)).unwrap();
    disk.read(OURS).unwrap().unwrap();
}

#[test]
fn writers_at_once_leave_one_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    disk.write(&saved(OURS)).unwrap();
                    disk.read(OURS).unwrap().unwrap();
                }
            });
        }
    });
    assert_eq!(fs::read_dir(&disk.folder).unwrap().count(), 1);
}
