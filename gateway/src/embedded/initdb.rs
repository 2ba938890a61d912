//! Makes a cluster, or nothing: it grows under a temporary name and gets its own when it is whole and on disk.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::account::Account;
use super::error::EmbeddedError;
use super::files::{self, Readers};
use super::installation::Installation;
use super::log;
use super::password::Password;
use super::settings;

/// The superuser, and the owner of the database.
pub(super) const USER: &str = "mindweave";

/// How much of what `initdb` says goes into an error.
const OUTPUT_LINES: usize = 12;

pub(super) async fn create(
    cluster: &Path,
    installation: &Installation,
    account: &Account,
    password: &Password,
    progress: &dyn Fn(&str),
) -> Result<(), EmbeddedError> {
    progress(&format!(
        "initialising the database cluster in {}",
        cluster.display()
    ));
    let draft = Draft::prepare(cluster, account, password)?;
    draft.initdb(installation, account).await?;
    draft
        .include_settings()
        .map_err(EmbeddedError::io("extend the settings in", &draft.cluster))?;
    fs::rename(&draft.cluster, cluster).map_err(EmbeddedError::io("rename", &draft.cluster))?;
    files::sync_parent(cluster).map_err(EmbeddedError::io("sync the parent of", cluster))
}

/// A cluster in the making, with the password file that `initdb` needs; what is left of it goes with it.
#[derive(Debug)]
struct Draft {
    cluster: PathBuf,
    password: PathBuf,
}

impl Draft {
    fn prepare(
        cluster: &Path,
        account: &Account,
        password: &Password,
    ) -> Result<Self, EmbeddedError> {
        let draft = Self {
            cluster: cluster.with_extension("new"),
            password: cluster.with_extension("password"),
        };
        draft
            .remove()
            .map_err(EmbeddedError::io("remove", &draft.cluster))?;
        let made = DirBuilder::new()
            .mode(0o700)
            .create(&draft.cluster)
            .and_then(|()| account.give(&draft.cluster));
        made.map_err(EmbeddedError::io("create", &draft.cluster))?;
        let made = files::create(&draft.password, password.as_str(), Readers::Owner)
            .and_then(|()| account.give(&draft.password));
        made.map_err(EmbeddedError::io("create", &draft.password))?;
        Ok(draft)
    }

    async fn initdb(
        &self,
        installation: &Installation,
        account: &Account,
    ) -> Result<(), EmbeddedError> {
        let program = installation.initdb();
        let mut initdb = account.command(&program);
        initdb
            .arg("--pgdata")
            .arg(&self.cluster)
            .arg("--pwfile")
            .arg(&self.password)
            .arg("--username")
            .arg(USER);
        initdb.args([
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        ]);
        let output = initdb
            .kill_on_drop(true)
            .output()
            .await
            .map_err(EmbeddedError::io("run", &program))?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let output_end = log::last_lines(&String::from_utf8_lossy(&said), OUTPUT_LINES);
        Err(EmbeddedError::Initdb {
            status: output.status,
            output: output_end,
        })
    }

    fn include_settings(&self) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .append(true)
            .open(self.cluster.join("postgresql.conf"))?;
        file.write_all(settings::INCLUDE.as_bytes())?;
        file.sync_all()
    }

    fn remove(&self) -> io::Result<()> {
        files::remove(&self.password)?;
        files::remove_tree(&self.cluster)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(cluster = %self.cluster.display(), %error, "what initdb left behind could not be removed");
        }
    }
}
