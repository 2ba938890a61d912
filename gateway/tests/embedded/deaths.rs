//! What survives which death: of the postmaster, of the gateway, of both.

use std::fs;
use std::time::Duration;

use gateway::embedded::{Embedded, EmbeddedError};
use rustix::process::{Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::fixture::{
    DEADLINE, DataDir, connect, gone, port, postmaster, read_the_row, reconnect, write_a_row,
};
use crate::holder::{holder, kill};

#[tokio::test]
async fn a_killed_postmaster_comes_back_on_the_same_port() {
    let data_dir = DataDir::new();
    let embedded = data_dir.start().await;
    let url = embedded.url().to_owned();
    let client = connect(&url).await.expect("a connection");
    write_a_row(&client).await;
    for _ in 0..2 {
        let killed = postmaster(embedded.cluster_dir()).expect("a postmaster");
        kill_process(killed, Signal::KILL).expect("a kill");
        gone(killed).await;
        assert_eq!(read_the_row(&reconnect(&url).await).await, 42);
        assert_ne!(postmaster(embedded.cluster_dir()), Some(killed));
    }
    embedded.stop().await.expect("a stop");
    assert_eq!(postmaster(&data_dir.cluster()), None);
}

#[tokio::test]
async fn a_session_that_outlives_its_postmaster_only_delays_the_restart() {
    let data_dir = DataDir::new();
    let embedded = data_dir.start().await;
    let url = embedded.url().to_owned();
    let client = connect(&url).await.expect("a connection");
    write_a_row(&client).await;
    let killed = postmaster(embedded.cluster_dir()).expect("a postmaster");
    // Computes for two seconds, in which the session doesn't notice that its postmaster is dead.
    let busy = "DO $$ BEGIN
        WHILE clock_timestamp() < statement_timestamp() + interval '2 s' LOOP END LOOP;
    END $$";
    let kill = async {
        let running = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'DO %'";
        let watcher = connect(&url).await.expect("a connection");
        let deadline = Instant::now() + DEADLINE;
        while watcher
            .query_opt(running, &[])
            .await
            .expect("an answer")
            .is_none()
        {
            assert!(Instant::now() < deadline, "the session does not compute");
        }
        kill_process(killed, Signal::KILL).expect("a kill");
    };
    let (outlived, ()) = tokio::join!(client.batch_execute(busy), kill);
    outlived.expect("the session computes to its end");
    assert_eq!(read_the_row(&reconnect(&url).await).await, 42);
    embedded.stop().await.expect("a stop");
}

#[tokio::test]
async fn a_server_that_outlives_its_gateway_is_adopted_supervised_and_stopped() {
    let data_dir = DataDir::new();
    kill(holder(&data_dir));
    let survivor = postmaster(&data_dir.cluster()).expect("a postmaster");

    let (embedded, told) = data_dir.start_told().await;
    assert_eq!(postmaster(embedded.cluster_dir()), Some(survivor));
    assert!(
        told.iter()
            .any(|line| line.contains(&format!("pid {survivor}"))),
        "{told:?}"
    );
    write_a_row(&connect(embedded.url()).await.expect("a connection")).await;

    kill_process(survivor, Signal::KILL).expect("a kill");
    gone(survivor).await;
    assert_eq!(read_the_row(&reconnect(embedded.url()).await).await, 42);
    embedded.stop().await.expect("a stop");

    kill(holder(&data_dir));
    let survivor = postmaster(&data_dir.cluster()).expect("a postmaster");
    data_dir.start().await.stop().await.expect("a stop");
    gone(survivor).await;
}

#[tokio::test]
async fn a_server_whose_gateway_and_postmaster_were_killed_is_started_anew() {
    let data_dir = DataDir::new();
    kill(holder(&data_dir));
    let survivor = postmaster(&data_dir.cluster()).expect("a postmaster");
    kill_process(survivor, Signal::KILL).expect("a kill");
    let embedded = data_dir.start().await;
    assert_ne!(postmaster(embedded.cluster_dir()), Some(survivor));
    embedded.stop().await.expect("a stop");
}

#[tokio::test]
async fn a_dropped_server_stops_and_the_next_start_waits_for_that() {
    let data_dir = DataDir::new();
    let embedded = data_dir.start().await;
    let pid = postmaster(embedded.cluster_dir()).expect("a postmaster");
    drop(embedded);
    gone(pid).await;
    let deadline = Instant::now() + DEADLINE;
    let embedded = loop {
        match Embedded::start(data_dir.options(), &|_| ()).await {
            Ok(embedded) => break embedded,
            Err(EmbeddedError::InUse { .. }) => {
                assert!(Instant::now() < deadline, "the lock is held for ever");
            }
            Err(error) => panic!("{error}"),
        }
        sleep(Duration::from_millis(20)).await;
    };
    embedded.stop().await.expect("a stop");
}

#[test]
fn a_server_stops_with_the_runtime_it_was_started_on() {
    let data_dir = DataDir::new();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let embedded = runtime.block_on(data_dir.start());
    let pid = postmaster(embedded.cluster_dir()).expect("a postmaster");
    drop(runtime);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        gone(pid).await;
        data_dir.start().await.stop().await.expect("a stop");
    });
}

#[tokio::test]
async fn lock_files_that_name_a_stranger_are_no_obstacle() {
    let data_dir = DataDir::new();
    let embedded = data_dir.start().await;
    let url = embedded.url().to_owned();
    embedded.stop().await.expect("a stop");
    let cluster = data_dir.cluster();
    let text = format!(
        "{}\n{}\n1700000000\n5432\n\n127.0.0.1\n",
        std::process::id(),
        cluster.display()
    );
    fs::write(cluster.join("postmaster.pid"), text).expect("a pid file");
    let socket_lock = cluster.join(format!(".s.PGSQL.{}.lock", port(&url)));
    fs::write(socket_lock, format!("{}\n", std::process::id())).expect("a lock file");
    data_dir.start().await.stop().await.expect("a stop");
}

#[tokio::test]
async fn what_an_interrupted_initdb_left_is_removed() {
    let data_dir = DataDir::new();
    let leftover = data_dir.path().join("postgres/cluster.new");
    fs::create_dir_all(leftover.join("base")).expect("a directory");
    fs::write(data_dir.path().join("postgres/cluster.password"), "old").expect("a file");
    data_dir.start().await.stop().await.expect("a stop");
    assert!(!leftover.exists());
    assert!(!data_dir.path().join("postgres/cluster.password").exists());
}
