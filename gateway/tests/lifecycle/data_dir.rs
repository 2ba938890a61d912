//! A data directory with an embedded database, and the processes that serve it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use testkit::eventually;
use testkit::gateway::Builder;

use crate::MINDWEAVE;

/// A data directory that PostgreSQL's user can reach; a server that a failed test leaves in it is stopped.
pub(crate) struct DataDir {
    parent: TempDir,
}

impl DataDir {
    pub(crate) fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        fs::set_permissions(parent.path(), Permissions::from_mode(0o755)).unwrap();
        Self { parent }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.parent.path().join("data")
    }

    /// `up` on it.
    pub(crate) fn up(&self) -> Builder {
        Builder::up(MINDWEAVE).data_dir(&self.path())
    }

    /// The content of its `keys.json`.
    pub(crate) fn keys(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path().join("keys.json")).unwrap()).unwrap()
    }

    /// The process of its database.
    pub(crate) fn postmaster(&self) -> Option<Pid> {
        let file = self.path().join("postgres/cluster/postmaster.pid");
        let text = fs::read_to_string(file).ok()?;
        Pid::from_raw(text.lines().next()?.parse().ok()?)
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if let Some(pid) = self.postmaster() {
            let _gone = kill_process(pid, Signal::QUIT);
        }
    }
}

/// Waits until a process has ended.
pub(crate) async fn gone(pid: Pid) {
    eventually(&format!("process {pid} ends"), || async {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        let alive = stat.is_ok_and(|stat| !stat.contains(") Z "));
        (!alive).then_some(())
    })
    .await;
}

/// The permissions of a file.
pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
