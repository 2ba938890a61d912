//! What a server that was killed leaves in its cluster: sessions that haven't noticed yet, and lock
//! files. PostgreSQL sees through a lock file whose process is gone, but not through one whose
//! process id has passed on to another process of the same user, as it often has after a container's
//! restart, nor where nobody has waited for the dead process yet.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use super::files;
use super::postmaster::{self, PID_FILE};
use super::procfs::{self, Process};

/// The ids of all processes of the cluster's servers, also of those whose postmaster is dead.
pub(super) fn processes(cluster: &Path) -> Vec<Pid> {
    let ours = |process: &Process| postmaster::belongs_to(cluster, *process);
    procfs::processes().filter(ours).map(Process::pid).collect()
}

/// Removes the lock files that would wrongly keep a server from starting. Even then PostgreSQL finds
/// out by the cluster's shared memory whether a server still lives.
pub(super) fn clear_lock_files(cluster: &Path) -> io::Result<()> {
    for lock_file in lock_files(cluster)? {
        let Some(text) = files::read(&lock_file)? else {
            continue;
        };
        if holder(&text).is_some_and(|pid| procfs::is_zombie(pid) || is_stranger(cluster, pid)) {
            files::remove(&lock_file)?;
        }
    }
    Ok(())
}

/// The cluster's own lock file and those of its sockets, which are kept in the cluster, too.
fn lock_files(cluster: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(cluster)? {
        let name = entry?.file_name();
        if is_lock_file(&name.to_string_lossy()) {
            found.push(cluster.join(name));
        }
    }
    Ok(found)
}

fn is_lock_file(name: &str) -> bool {
    name == PID_FILE || (name.starts_with(".s.PGSQL.") && name.ends_with(".lock"))
}

/// The process id in a lock file's first line; a stand-alone backend writes its own negative.
fn holder(lock_file: &str) -> Option<Pid> {
    let pid: i32 = lock_file.lines().next()?.trim().parse().ok()?;
    Pid::from_raw(pid.checked_abs()?)
}

fn is_stranger(cluster: &Path, pid: Pid) -> bool {
    let visible = Process::find(pid).filter(|process| !process.arguments().is_empty());
    visible.is_some_and(|process| !postmaster::belongs_to(cluster, process))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{clear_lock_files, is_lock_file};

    #[test]
    fn lock_files_are_known_by_their_names() {
        assert!(is_lock_file("postmaster.pid"));
        assert!(is_lock_file(".s.PGSQL.5432.lock"));
        assert!(!is_lock_file(".s.PGSQL.5432"));
        assert!(!is_lock_file("postmaster.opts"));
    }

    #[test]
    fn only_a_strangers_lock_files_are_removed() {
        let cluster = tempfile::tempdir().expect("a temporary directory");
        let stranger = format!("{}\n", std::process::id());
        let kept = [("PG_VERSION", "15\n"), ("postmaster.pid", "not a pid\n")];
        for (name, text) in kept
            .into_iter()
            .chain([(".s.PGSQL.5432.lock", stranger.as_str())])
        {
            fs::write(cluster.path().join(name), text).expect("a file");
        }
        clear_lock_files(cluster.path()).expect("a clearing");
        assert!(!cluster.path().join(".s.PGSQL.5432.lock").exists());
        assert!(
            kept.iter()
                .all(|(name, _)| cluster.path().join(name).exists())
        );
    }
}
