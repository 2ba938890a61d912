//! A small disk that is only there for one run.
//!
//! It is mounted in a mount namespace of the run's own: nobody else sees it, and the kernel unmounts it when the last process
//! of the run has ended, however that comes.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

use crate::report::print;

/// In the environment of a run that has its namespace.
const INSIDE: &str = "LOAD_TESTS_NAMESPACE";

/// Runs this program once more in a namespace of its own, unless it has one; what came of it.
pub(crate) fn in_a_namespace_of_its_own() -> Option<ExitCode> {
    if std::env::var_os(INSIDE).is_some() {
        return None;
    }
    if !can_mount() {
        print("SKIPPED: a small disk can't be mounted here (that takes root and `unshare`)");
        return Some(ExitCode::SUCCESS);
    }
    let again = Command::new("unshare")
        .arg("--mount")
        .arg(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .status();
    let passed = again.is_ok_and(|status| status.success());
    Some(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn can_mount() -> bool {
    let Ok(folder) = tempfile::tempdir() else {
        return false;
    };
    let tried = Command::new("unshare")
        .args(["--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(folder.path())
        .output();
    tried.is_ok_and(|output| output.status.success())
}

/// A mounted disk.
#[derive(Debug)]
pub(crate) struct Tmpfs(TempDir);

impl Tmpfs {
    pub(crate) fn mount(mebibytes: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = CString::new(format!("size={mebibytes}m,mode=700")).unwrap();
        mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), &*data).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file until nothing more fits.
    pub(crate) fn fill(&self) -> PathBuf {
        let path = self.0.path().join("something-else");
        let mut file = std::fs::File::create(&path).unwrap();
        let block = [1; 4096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Whoever still uses it keeps it; nobody else sees it.
        let _unmounted = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}
