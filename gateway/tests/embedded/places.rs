//! Where a cluster goes when it can't be, or can't have its socket, in the data directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use gateway::embedded::EmbeddedError;
use rustix::process::{Signal, geteuid, kill_process};

use crate::fixture::{DataDir, connect, postmaster, read_the_row, write_a_row};

#[tokio::test]
async fn a_data_directory_out_of_the_servers_reach_has_its_cluster_elsewhere() {
    if !geteuid().is_root() {
        return; // Only root's server is another user, out of whose reach a directory can be.
    }
    let data_dir = DataDir::new();
    fs::set_permissions(data_dir.parent.path(), Permissions::from_mode(0o700))
        .expect("permissions");
    let (embedded, told) = data_dir.start_told().await;
    let (url, cluster) = (embedded.url().to_owned(), embedded.cluster_dir().to_owned());
    let elsewhere = Elsewhere(cluster.parent().expect("a directory").to_owned());
    assert!(
        cluster.starts_with("/var/lib/mindweave"),
        "{}",
        cluster.display()
    );
    assert!(
        told.iter()
            .any(|line| line.contains(&cluster.display().to_string())),
        "{told:?}"
    );
    write_a_row(&connect(&url).await.expect("a connection")).await;
    embedded.stop().await.expect("a stop");

    let (embedded, told) = data_dir.start_told().await;
    assert_eq!(
        (embedded.url(), embedded.cluster_dir()),
        (url.as_str(), cluster.as_path())
    );
    assert!(
        told.iter()
            .any(|line| line.contains(&cluster.display().to_string())),
        "{told:?}"
    );
    assert_eq!(
        read_the_row(&connect(&url).await.expect("a connection")).await,
        42
    );
    embedded.stop().await.expect("a stop");

    fs::remove_dir_all(data_dir.path()).expect("a removal");
    let embedded = data_dir.start().await;
    assert!(
        elsewhere.0.join("cluster.old-1/PG_VERSION").exists(),
        "a cluster that was left behind is kept"
    );
    embedded.stop().await.expect("a stop");

    fs::rename(&cluster, elsewhere.0.join("lost")).expect("a rename");
    let refusal = data_dir.refusal().await;
    assert!(
        matches!(refusal, EmbeddedError::ClusterMissing { .. }),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_none_for_a_cluster() {
    let data_dir = DataDir::in_directory(&"long".repeat(30));
    let embedded = data_dir.start().await;
    connect(embedded.url()).await.expect("a connection");
    embedded.stop().await.expect("a stop");
}

/// A test's own directory in `/var/lib/mindweave`.
struct Elsewhere(PathBuf);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Some(pid) = postmaster(&self.0.join("cluster")) {
            let _gone = kill_process(pid, Signal::QUIT);
        }
        let _gone = fs::remove_dir_all(&self.0);
        let _kept_if_others_use_it = self.0.parent().map(fs::remove_dir);
    }
}
