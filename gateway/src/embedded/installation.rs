//! Finds the installed server binaries: where `pg_config` says, then the newest in `/usr/lib/postgresql`, then on PATH.
//! A cluster that exists needs binaries of its own major version; a new one takes the first that are found.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::error::EmbeddedError;
use super::location::Location;

const VERSIONS: &str = "/usr/lib/postgresql";

/// Server binaries of one major version.
#[derive(Debug)]
pub(super) struct Installation {
    bin: PathBuf,
    major: u32,
}

impl Installation {
    /// Finds binaries that can run the cluster, or make it.
    pub(super) async fn find(location: &Location) -> Result<Self, EmbeddedError> {
        let wanted = location.major_version()?;
        choose(
            installed(candidates().await).await,
            wanted,
            location.cluster(),
        )
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.bin.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.bin.join("postgres")
    }
}

/// Directories that may hold the binaries, best first.
async fn candidates() -> Vec<PathBuf> {
    let mut candidates = Vec::new();
    candidates.extend(answer("pg_config", &["--bindir"]).await.map(PathBuf::from));
    candidates.extend(versions_in(Path::new(VERSIONS)));
    // The shell looks PATH through, so that only the gateway's configuration reads the environment.
    let on_path = answer("sh", &["-c", "command -v postgres"]).await;
    let on_path = on_path.and_then(|program| fs::canonicalize(program).ok());
    candidates.extend(on_path.and_then(|program| program.parent().map(Path::to_owned)));
    candidates
}

/// The `bin` directories of a tree with one directory per major version, newest first.
fn versions_in(tree: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(tree).into_iter().flatten().flatten();
    let mut majors: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable_by(|left, right| right.cmp(left));
    majors
        .iter()
        .map(|major| tree.join(major.to_string()).join("bin"))
        .collect()
}

/// Those candidates that hold a server: `pg_config` also comes with the client libraries alone.
async fn installed(candidates: Vec<PathBuf>) -> Vec<Installation> {
    let mut installed = Vec::new();
    for bin in candidates {
        let version = if bin.join("initdb").is_file() {
            answer(bin.join("postgres"), &["--version"]).await
        } else {
            None
        };
        if let Some(major) = version.as_deref().and_then(major_version) {
            installed.push(Installation { bin, major });
        }
    }
    installed
}

fn choose(
    mut installed: Vec<Installation>,
    wanted: Option<u32>,
    cluster: &Path,
) -> Result<Installation, EmbeddedError> {
    if installed.is_empty() {
        return Err(EmbeddedError::NotInstalled);
    }
    match installed
        .iter()
        .position(|found| wanted.is_none_or(|wanted| found.major == wanted))
    {
        Some(position) => Ok(installed.swap_remove(position)),
        None => Err(wrong_version(
            &installed,
            wanted.unwrap_or_default(),
            cluster,
        )),
    }
}

fn wrong_version(installed: &[Installation], wanted: u32, cluster: &Path) -> EmbeddedError {
    let mut majors: Vec<u32> = installed.iter().map(|found| found.major).collect();
    majors.sort_unstable();
    majors.dedup();
    let found = majors
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    EmbeddedError::WrongVersion {
        cluster: cluster.to_owned(),
        wanted,
        found,
    }
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn major_version(answer: &str) -> Option<u32> {
    let version = answer.strip_prefix("postgres (PostgreSQL) ")?;
    version
        .split(|character: char| !character.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// What a program prints; `None` when it is missing, fails or prints nothing.
async fn answer(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{EmbeddedError, Installation, choose, installed, major_version, versions_in};

    fn check(majors: &[u32], wanted: Option<u32>, expected: Result<u32, &str>) {
        let found = majors
            .iter()
            .map(|major| Installation {
                bin: PathBuf::new(),
                major: *major,
            })
            .collect();
        let chosen = choose(found, wanted, Path::new("/cluster")).map(|chosen| chosen.major);
        assert_eq!(
            chosen.map_err(|error| error.to_string()),
            expected.map_err(str::to_owned)
        );
    }

    #[test]
    fn a_cluster_gets_binaries_of_its_own_version() {
        check(&[15, 17], None, Ok(15));
        check(&[15, 17], Some(17), Ok(17));
        let error = "the cluster in /cluster was made by PostgreSQL 16, but only 15, 17 is installed: \
                     run `apt-get install postgresql-16`, or move the data over with pg_upgrade";
        check(&[17, 15, 15], Some(16), Err(error));
    }

    #[tokio::test]
    async fn missing_binaries_are_an_error_that_says_what_to_install() {
        let client_only = tempfile::tempdir().expect("a temporary directory");
        let found = installed(vec![
            client_only.path().to_owned(),
            PathBuf::from("/nonexistent/bin"),
        ])
        .await;
        let error = choose(found, None, Path::new("/cluster")).expect_err("nothing is installed");
        assert!(matches!(error, EmbeddedError::NotInstalled), "{error:?}");
        assert!(
            error.to_string().contains("apt-get install postgresql"),
            "{error}"
        );
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        for name in ["9", "17", "lib", "16"] {
            std::fs::create_dir(tree.path().join(name)).expect("a directory");
        }
        let expected: Vec<PathBuf> = ["17", "16", "9"]
            .iter()
            .map(|major| tree.path().join(major).join("bin"))
            .collect();
        assert_eq!(versions_in(tree.path()), expected);
    }

    #[test]
    fn the_major_version_is_read_from_every_kind_of_release() {
        assert_eq!(
            major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major_version("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_version("pg_ctl (PostgreSQL) 15.18"), None);
    }
}
