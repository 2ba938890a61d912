//! When a server is not started, and that the error says why.

use std::fs;

use gateway::embedded::EmbeddedError;

use crate::fixture::DataDir;
use crate::holder::{holder, kill};

#[tokio::test]
async fn a_second_start_on_a_data_directory_is_refused_with_the_holders_pid() {
    let data_dir = DataDir::new();
    let holder = holder(&data_dir);
    let refusal = data_dir.refusal().await.to_string();
    assert!(
        refusal.contains(&format!("in use by process {}", holder.id())),
        "{refusal}"
    );
    kill(holder);
    data_dir.start().await.stop().await.expect("a stop");
}

#[tokio::test]
async fn a_server_that_cannot_start_is_quoted() {
    let data_dir = DataDir::new();
    data_dir.start().await.stop().await.expect("a stop");
    fs::write(
        data_dir.cluster().join("postgresql.auto.conf"),
        "max_connections = many\n",
    )
    .expect("a setting");
    let refusal = data_dir.refusal().await;
    assert!(
        matches!(refusal, EmbeddedError::Exited { .. }),
        "{refusal:?}"
    );
    assert!(refusal.to_string().contains("max_connections"), "{refusal}");
}

#[tokio::test]
async fn a_cluster_without_its_password_is_not_touched() {
    let data_dir = DataDir::new();
    data_dir.start().await.stop().await.expect("a stop");
    fs::remove_file(data_dir.path().join("postgres/password")).expect("a removal");
    let refusal = data_dir.refusal().await;
    assert!(
        matches!(refusal, EmbeddedError::PasswordMissing { .. }),
        "{refusal:?}"
    );
    assert!(data_dir.cluster().join("PG_VERSION").exists());
}
