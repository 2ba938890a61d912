//! What the embedded server keeps in the gateway's data directory, and under which names.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::EmbeddedError;
use super::files;

/// Tells paths apart in few characters: 12 hex digits.
pub(super) fn digest_of(path: &Path) -> String {
    let digest = format!("{:x}", Sha256::digest(path.as_os_str().as_encoded_bytes()));
    digest.chars().take(12).collect()
}

/// The data directory, which exists and whose path has no symbolic links left.
#[derive(Debug)]
pub(super) struct Paths {
    data_dir: PathBuf,
    home: PathBuf,
}

impl Paths {
    pub(super) fn prepare(data_dir: &Path) -> Result<Self, EmbeddedError> {
        fs::create_dir_all(data_dir).map_err(EmbeddedError::io("create", data_dir))?;
        let data_dir = data_dir
            .canonicalize()
            .map_err(EmbeddedError::io("resolve", data_dir))?;
        let home = data_dir.join("postgres");
        files::create_passage(&home).map_err(EmbeddedError::io("create", &home))?;
        Ok(Self { data_dir, home })
    }

    pub(super) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Held by the process that uses the data directory; names its pid.
    pub(super) fn lock(&self) -> PathBuf {
        self.data_dir.join("lock")
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Where the cluster is, unless the pointer says otherwise.
    pub(super) fn cluster(&self) -> PathBuf {
        self.home.join("cluster")
    }

    /// Names the cluster's directory where it could not be in the data directory.
    pub(super) fn pointer(&self) -> PathBuf {
        self.home.join("cluster-is-in")
    }

    pub(super) fn password(&self) -> PathBuf {
        self.home.join("password")
    }

    pub(super) fn port(&self) -> PathBuf {
        self.home.join("port")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.home.join("postgres.log")
    }
}
