//! The server's settings. What the supervisor relies on goes on the command line, which nothing overrides; the
//! rest goes into a file of ours inside the cluster, which later lines of `postgresql.conf` and `ALTER SYSTEM` override.
//! Durability is PostgreSQL's own default, fully on: what is stored here is billed.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::files::{self, Readers};
use super::paths::digest_of;

const FILE: &str = "mindweave.conf";

/// Goes to the end of a new cluster's `postgresql.conf`.
pub(super) const INCLUDE: &str = "\n# The gateway's own defaults, written anew at each start; lines below win.\n\
                                  include_if_exists = 'mindweave.conf'\n";

const DEFAULTS: &str = "\
# Written by the gateway at each start. Change settings with ALTER SYSTEM, or below the include in postgresql.conf.
max_connections = 50
shared_buffers = 128MB
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
";

/// What the server adds to its socket's directory, at its longest.
const SOCKET: &str = "/.s.PGSQL.65535";
/// A socket's whole path must be shorter: its address holds little more.
const SOCKET_PATH_BYTES: usize = 100;

/// Writes the file of defaults. The server's user must be able to read it; the cluster's directory
/// keeps others out.
pub(super) fn write_defaults(cluster: &Path) -> io::Result<()> {
    files::keep(&cluster.join(FILE), DEFAULTS, Readers::Everyone)
}

/// Begins the title of every process of the cluster's server, after `postgres: `, by which they
/// are found.
pub(super) fn cluster_name(cluster: &Path) -> String {
    format!("mindweave-{}", digest_of(cluster))
}

/// The arguments of `postgres`.
pub(super) fn arguments(cluster: &Path, port: u16) -> Vec<OsString> {
    let fixed = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories={}", socket_directory(cluster)),
        format!("cluster_name={}", cluster_name(cluster)),
        "update_process_title=on".to_owned(),
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
    ];
    let mut arguments = vec![OsString::from("-D"), cluster.as_os_str().to_owned()];
    arguments.extend(
        fixed
            .into_iter()
            .flat_map(|setting| [OsString::from("-c"), OsString::from(setting)]),
    );
    arguments
}

/// The cluster itself, where only the server's user gets in; none when its path doesn't fit a socket's address or the
/// list syntax of the setting.
fn socket_directory(cluster: &Path) -> String {
    let usable = |path: &&str| {
        path.len() + SOCKET.len() < SOCKET_PATH_BYTES && !path.contains(['"', '\'', '\\', '\n'])
    };
    cluster
        .to_str()
        .filter(usable)
        .map(|path| format!("\"{path}\""))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::socket_directory;

    fn check(cluster: &str, expected: &str) {
        assert_eq!(socket_directory(Path::new(cluster)), expected);
    }

    #[test]
    fn sockets_are_kept_in_the_cluster_where_their_path_fits() {
        check(
            "/srv/data, more/postgres/cluster",
            "\"/srv/data, more/postgres/cluster\"",
        );
        check(
            &format!("/{}", "d".repeat(83)),
            &format!("\"/{}\"", "d".repeat(83)),
        );
        check(&format!("/{}", "d".repeat(84)), "");
        check("/srv/the \"data\"/cluster", "");
    }
}
