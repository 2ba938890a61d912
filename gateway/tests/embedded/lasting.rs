//! What a data directory keeps from one start to the next, and how its server is set up.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;

use tokio::time::Instant;
use tokio_postgres::Client;

use crate::fixture::{DataDir, connect, port, read_the_row, write_a_row};

#[tokio::test]
async fn data_port_and_password_outlive_a_restart() {
    let data_dir = DataDir::new();
    let began = Instant::now();
    let first = data_dir.start().await;
    let cold = began.elapsed();
    let url = first.url().to_owned();
    write_a_row(&connect(&url).await.expect("a connection")).await;
    first.stop().await.expect("a stop");
    connect(&url)
        .await
        .expect_err("nobody listens after the stop");

    let began = Instant::now();
    let second = data_dir.start().await;
    println!("first start {cold:?}, second start {:?}", began.elapsed());
    assert_eq!(second.url(), url);
    assert_eq!(
        read_the_row(&connect(&url).await.expect("a connection")).await,
        42
    );
    second.stop().await.expect("a stop");
}

#[tokio::test]
async fn the_server_is_durable_private_and_speaks_utf8() {
    let data_dir = DataDir::new();
    let embedded = data_dir.start().await;
    let client = connect(embedded.url()).await.expect("a connection");
    for (name, expected) in [
        ("listen_addresses", "127.0.0.1"),
        ("password_encryption", "scram-sha-256"),
        ("server_encoding", "UTF8"),
        ("max_connections", "50"),
        ("shared_buffers", "128MB"),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("logging_collector", "off"),
    ] {
        assert_eq!(setting(&client, name).await, expected, "{name}");
    }
    let count = "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'";
    let open_doors: i64 = client.query_one(count, &[]).await.expect("a count").get(0);
    assert_eq!(open_doors, 0);
    let mode = fs::metadata(data_dir.path().join("postgres/password"))
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!format!("{embedded:?}").contains(embedded.url()));
    embedded.stop().await.expect("a stop");
}

async fn setting(client: &Client, name: &str) -> String {
    client
        .query_one("SELECT current_setting($1)", &[&name])
        .await
        .expect("a setting")
        .get(0)
}

#[tokio::test]
async fn a_kept_port_that_is_taken_is_given_up_for_good() {
    let data_dir = DataDir::new();
    let embedded = data_dir.start().await;
    let taken = port(embedded.url());
    embedded.stop().await.expect("a stop");

    let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, taken)).expect("the port");
    let (embedded, told) = data_dir.start_told().await;
    let moved = port(embedded.url());
    assert_ne!(moved, taken);
    assert!(
        told.iter()
            .any(|line| line.contains(&format!("moves to port {moved}"))),
        "{told:?}"
    );
    embedded.stop().await.expect("a stop");
    drop(stranger);

    let embedded = data_dir.start().await;
    assert_eq!(port(embedded.url()), moved);
    embedded.stop().await.expect("a stop");
}
