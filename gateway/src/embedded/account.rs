//! The user that PostgreSQL's programs run as. PostgreSQL refuses root, so a gateway that is root gives them to
//! `postgres`, or to `nobody` where that is missing; any other gateway runs them as itself.
//! None of them inherits the gateway's environment, which may carry secrets.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::error::EmbeddedError;
use super::files;

const PASSWD: &str = "/etc/passwd";
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Account {
    /// The gateway's own user.
    Own,
    /// Another, less privileged one.
    Other { name: String, uid: u32, gid: u32 },
}

impl Account {
    pub(super) fn of_the_server() -> Result<Self, EmbeddedError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let passwd = fs::read_to_string(PASSWD).map_err(EmbeddedError::io("read", PASSWD))?;
        let found = CANDIDATES.iter().find_map(|name| lookup(&passwd, name));
        found.ok_or(EmbeddedError::NoAccount)
    }

    /// A command that runs as this user, without supplementary groups, environment, input or a working directory of ours.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LC_ALL", "C");
        command.current_dir("/").stdin(Stdio::null());
        if let Self::Other { uid, gid, .. } = self {
            // The standard library clears the supplementary groups when root takes on another uid.
            command.gid(*gid).uid(*uid);
        }
        command
    }

    /// Makes the user the owner of a file or directory.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, .. } => chown(path, Some(*uid), Some(*gid)),
        }
    }

    /// For messages.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Own => "the gateway's own",
            Self::Other { name, .. } => name,
        }
    }

    /// Whether the user can work in what it is given in a directory of ours. It is tried: permissions
    /// of every ancestor, access lists and the file system have their say.
    pub(super) async fn can_work_in(&self, directory: &Path) -> Result<bool, EmbeddedError> {
        if *self == Self::Own {
            return Ok(true);
        }
        let probe = directory.join("probe");
        files::remove_tree(&probe).map_err(EmbeddedError::io("remove", &probe))?;
        fs::create_dir(&probe).map_err(EmbeddedError::io("create", &probe))?;
        let can = match self.give(&probe) {
            Ok(()) => self.can_use(&probe).await,
            Err(_) => Ok(false),
        };
        files::remove_tree(&probe).map_err(EmbeddedError::io("remove", &probe))?;
        can.map_err(EmbeddedError::io("run `test` on", &probe))
    }

    async fn can_use(&self, directory: &Path) -> io::Result<bool> {
        let mut test = self.command("test");
        test.arg("-w")
            .arg(directory)
            .arg("-a")
            .arg("-x")
            .arg(directory);
        Ok(test.status().await?.success())
    }
}

/// Finds `name:password:uid:gid:...` in the text of a passwd file.
fn lookup(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account::Other {
            name: name.to_owned(),
            uid,
            gid,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Account, lookup};

    fn check(passwd: &str, expected: Option<(u32, u32)>) {
        let expected = expected.map(|(uid, gid)| Account::Other {
            name: "postgres".to_owned(),
            uid,
            gid,
        });
        assert_eq!(lookup(passwd, "postgres"), expected, "{passwd:?}");
    }

    #[test]
    fn a_user_is_looked_up_by_its_whole_name() {
        check(
            "root:x:0:0:root:/root:/bin/sh\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n",
            Some((101, 104)),
        );
        check("postgres2:x:7:8::/:/bin/sh\n", None);
        check("postgres:x:many:104::/:/bin/sh\n", None);
        check("postgres:x\n", None);
        check("", None);
    }
}
