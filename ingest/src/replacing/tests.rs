use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::*;
use crate::spool::OsDisk;
use crate::spool::disk::{Access, DiskFile, Entry};
use crate::streams::{SpoolOptions, Streams};

/// The system's disk, on which one change of names fails, or its sync.
#[derive(Debug)]
struct Failing {
    /// After so many that succeed.
    after: AtomicU32,
}

impl Failing {
    fn change(&self) -> io::Result<()> {
        match self.after.fetch_sub(1, Ordering::Relaxed) {
            0 => Err(io::Error::from_raw_os_error(5)),
            _ => Ok(()),
        }
    }
}

impl Disk for Failing {
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        OsDisk.list(folder)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        OsDisk.create_folder(folder)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.change()?;
        OsDisk.sync_folder(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        OsDisk.create(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        OsDisk.open(path, access)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }
}

const EVENTS: u64 = 5;
const BEHIND: u64 = 2;

fn payload(seq: u64) -> Vec<u8> {
    vec![u8::try_from(seq).unwrap(); 100]
}

fn open(root: &Path) -> Streams {
    let options = SpoolOptions {
        dir: root.to_owned(),
        survives_power_loss: true,
        max_bytes: Some(4 << 20),
        keep: Duration::from_secs(60),
    };
    let (_, replacements) = crossbeam_channel::unbounded();
    Streams::open(&options, 1, replacements).unwrap()
}

/// A spool with one stream.
fn fill(root: &Path) -> Uuid {
    let mut streams = open(root);
    for seq in 1..=EVENTS {
        let mut group = Group::new();
        group.push(&payload(seq)).unwrap();
        streams.append(&mut group).unwrap();
    }
    streams.feeds().remove(0).stream
}

/// What the next process finds.
fn found(root: &Path) -> (Uuid, Vec<Vec<u8>>) {
    let streams = open(root);
    let feeds = streams.feeds();
    assert_eq!(feeds.len(), 1, "the old one alone, or the new one alone");
    let mut payloads = Vec::new();
    let mut see = |payload: &[u8]| payloads.push(payload.to_vec());
    streams.each_since(0, &mut see).unwrap();
    (feeds[0].stream, payloads)
}

const ROOT: &str = "REPLACING_ROOT";
const OLD: &str = "REPLACING_OLD";
const AFTER: &str = "REPLACING_AFTER";

/// What a process of its own does, which may end by it.
fn replace(root: OsString) -> Result<Stream, SpoolError> {
    let told = |name| std::env::var_os(name).unwrap().into_string().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Failing {
        after: AtomicU32::new(told(AFTER).parse().unwrap()),
    });
    let replacing = Replacing {
        disk: &disk,
        root: &PathBuf::from(root),
        options: StreamOptions {
            segment_bytes: 256 << 10,
            ..StreamOptions::default()
        },
    };
    replacing.replace(told(OLD).parse().unwrap(), BEHIND..EVENTS)
}

fn replace_elsewhere(root: &Path, old: Uuid, after: u32) -> Output {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process
        .args([
            "--exact",
            "replacing::tests::wherever_it_is_cut_short_nothing_is_lost",
        ])
        .env(ROOT, root)
        .env(OLD, old.to_string())
        .env(AFTER, after.to_string());
    process.output().unwrap()
}

/// Where an error comes behind the old stream's new name, the process ends.
#[test]
fn wherever_it_is_cut_short_nothing_is_lost() {
    if let Some(root) = std::env::var_os(ROOT) {
        drop(replace(root).unwrap());
        return;
    }
    let (mut refused, mut aborted) = (0, 0);
    for after in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("spool");
        let old = fill(&root);
        let output = replace_elsewhere(&root, old, after);
        let has_aborted = output.status.signal() == Some(6);
        let (stream, payloads) = found(&root);
        let is_refused = !output.status.success() && !has_aborted;
        assert_eq!(stream == old, is_refused, "after {after}: {output:?}");
        let first = if is_refused { 1 } else { BEHIND + 1 };
        assert_eq!(payloads, (first..=EVENTS).map(payload).collect::<Vec<_>>());
        let left = std::fs::read_dir(&root).unwrap();
        let is_making = |entry: io::Result<fs::DirEntry>| old_of(&entry.unwrap().path()).is_some();
        assert!(!left.into_iter().any(is_making), "it is finished");
        aborted += u32::from(has_aborted);
        refused += u32::from(is_refused);
        if output.status.success() {
            break;
        }
    }
    // While the copy is made, and up to the old one's new name; and from that one's sync until the new one is open in its place.
    assert!(refused >= 3 && aborted >= 4, "{refused}, {aborted}");
}
