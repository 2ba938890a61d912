//! Where a data directory's cluster is: inside it, unless the user that the server runs as can't work there (a clone
//! below root's own home, a file system without owners); then in `/var/lib/mindweave`, under a name that is stable for
//! the data directory. A pointer file in the data directory records that, so a lost cluster is never taken for a new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::EmbeddedError;
use super::files::{self, Readers};
use super::paths::{Paths, digest_of};
use super::postmaster::Postmaster;
use super::server::Server;

const ELSEWHERE: &str = "/var/lib/mindweave";

#[derive(Debug)]
pub(super) struct Location {
    cluster: PathBuf,
    exists: bool,
}

impl Location {
    pub(super) async fn find(
        paths: &Paths,
        account: &Account,
        progress: &dyn Fn(&str),
    ) -> Result<Self, EmbeddedError> {
        let found = match Self::recorded(paths)? {
            Some(recorded) => recorded,
            None => Self::choose(paths, account, progress).await?,
        };
        if found.cluster != paths.cluster() {
            announce(paths, &found.cluster, progress);
        }
        Ok(found)
    }

    /// What the pointer file says, if there is one.
    fn recorded(paths: &Paths) -> Result<Option<Self>, EmbeddedError> {
        let pointer = paths.pointer();
        let recorded = files::read(&pointer).map_err(EmbeddedError::io("read", &pointer))?;
        match recorded
            .map(|cluster| Self::at(PathBuf::from(cluster)))
            .transpose()?
        {
            Some(Self {
                cluster,
                exists: false,
            }) => Err(EmbeddedError::ClusterMissing { cluster, pointer }),
            found => Ok(found),
        }
    }

    async fn choose(
        paths: &Paths,
        account: &Account,
        progress: &dyn Fn(&str),
    ) -> Result<Self, EmbeddedError> {
        let inside = Self::at(paths.cluster())?;
        if account.can_work_in(paths.home()).await? {
            return Ok(inside);
        }
        if inside.exists {
            return Err(unreachable(inside.cluster, account));
        }
        Self::elsewhere(paths, account, progress).await
    }

    async fn elsewhere(
        paths: &Paths,
        account: &Account,
        progress: &dyn Fn(&str),
    ) -> Result<Self, EmbeddedError> {
        let directory = Path::new(ELSEWHERE).join(name_of(paths.data_dir()));
        for passage in [Path::new(ELSEWHERE), &directory] {
            files::create_passage(passage).map_err(EmbeddedError::io("create", passage))?;
        }
        if !account.can_work_in(&directory).await? {
            return Err(unreachable(directory, account));
        }
        let mut found = Self::at(directory.join("cluster"))?;
        if found.exists && !paths.password().exists() {
            found.set_aside(progress).await?;
        }
        Ok(found)
    }

    fn at(cluster: PathBuf) -> Result<Self, EmbeddedError> {
        let version = cluster.join("PG_VERSION");
        let exists = version
            .try_exists()
            .map_err(EmbeddedError::io("look for", &version))?;
        Ok(Self { cluster, exists })
    }

    /// Makes room where the cluster of an earlier data directory of the same path is. It may be precious: it is kept.
    async fn set_aside(&mut self, progress: &dyn Fn(&str)) -> Result<(), EmbeddedError> {
        if let Some(postmaster) = Postmaster::of(&self.cluster) {
            Server::adopted(&postmaster).stop().await?;
        }
        let mut names =
            (1_u32..).map(|number| self.cluster.with_extension(format!("old-{number}")));
        let kept = names.find(|name| !name.exists()).unwrap_or_default();
        fs::rename(&self.cluster, &kept).map_err(EmbeddedError::io("set aside", &self.cluster))?;
        progress(&format!(
            "the cluster of an earlier data directory of this name is kept in {}",
            kept.display()
        ));
        self.exists = false;
        Ok(())
    }

    pub(super) fn cluster(&self) -> &Path {
        &self.cluster
    }

    pub(super) fn into_cluster(self) -> PathBuf {
        self.cluster
    }

    /// Whether the cluster has been made.
    pub(super) fn exists(&self) -> bool {
        self.exists
    }

    /// The major version of PostgreSQL that made the cluster; `None` before it is made.
    pub(super) fn major_version(&self) -> Result<Option<u32>, EmbeddedError> {
        if !self.exists {
            return Ok(None);
        }
        let path = self.cluster.join("PG_VERSION");
        let version = files::read(&path).and_then(|text| {
            text.unwrap_or_default()
                .parse()
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        });
        version
            .map(Some)
            .map_err(EmbeddedError::io("read the version in", &path))
    }

    /// Remembers the cluster's place where it isn't the usual one.
    pub(super) fn record(&self, paths: &Paths) -> Result<(), EmbeddedError> {
        if self.cluster == paths.cluster() {
            return Ok(());
        }
        let pointer = paths.pointer();
        let line = format!("{}\n", self.cluster.display());
        files::keep(&pointer, &line, Readers::Owner).map_err(EmbeddedError::io("write", &pointer))
    }
}

fn announce(paths: &Paths, cluster: &Path, progress: &dyn Fn(&str)) {
    progress(&format!(
        "the database cluster is in {}, as the user PostgreSQL runs as cannot work below {}",
        cluster.display(),
        paths.data_dir().display()
    ));
}

fn unreachable(directory: PathBuf, account: &Account) -> EmbeddedError {
    EmbeddedError::Unreachable {
        directory,
        user: account.name().to_owned(),
    }
}

/// The data directory's own name, for people, and a digest of its path, for difference.
fn name_of(data_dir: &Path) -> String {
    let name = data_dir.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name
        .chars()
        .filter(|character| character.is_ascii_alphanumeric())
        .take(32)
        .collect();
    format!("{name}-{}", digest_of(data_dir))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::name_of;

    #[test]
    fn names_are_stable_and_differ_by_the_whole_path() {
        assert_eq!(
            name_of(Path::new("/srv/app/.mindweave")),
            name_of(Path::new("/srv/app/.mindweave"))
        );
        assert_ne!(
            name_of(Path::new("/srv/app/.mindweave")),
            name_of(Path::new("/srv/other/.mindweave"))
        );
        assert!(name_of(Path::new("/srv/app/.mindweave")).starts_with("mindweave-"));
        assert!(name_of(Path::new("/srv/Größe 1")).starts_with("Gre1-"));
    }
}
