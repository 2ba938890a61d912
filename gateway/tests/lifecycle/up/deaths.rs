//! Deaths of the gateway and of its database.

use rustix::process::{Signal, kill_process};
use testkit::{PATIENCE, eventually};
use tokio::process::Command;

use super::{events, tester};
use crate::MINDWEAVE;
use crate::data_dir::{DataDir, gone};
use crate::load::{Load, answered};

#[tokio::test]
async fn an_up_after_a_kill_adopts_the_database_that_was_left() {
    let data_dir = DataDir::new();
    let first = data_dir.up().start().await;
    answered(&tester(&first).ask().await);
    events(&first, 1).await;
    let left = data_dir.postmaster().unwrap();
    first.kill().await;

    let second = data_dir.up().start().await;
    assert_eq!(data_dir.postmaster(), Some(left));
    assert!(second.said().contains("taking over"), "{}", second.said());
    answered(&tester(&second).ask().await);
    events(&second, 2).await;
    assert!(second.stop().await.success());
    gone(left).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_database_comes_back_under_a_running_gateway() {
    let data_dir = DataDir::new();
    let gateway = data_dir.up().start().await;
    let load = Load::start(&tester(&gateway), 4);
    load.answers(20).await;
    let killed = data_dir.postmaster().unwrap();
    kill_process(killed, Signal::KILL).unwrap();
    gone(killed).await;
    load.answers(load.so_far() + 50).await;
    eventually("another postmaster runs", || async {
        data_dir.postmaster().filter(|pid| *pid != killed)
    })
    .await;
    load.answers(load.so_far() + 20).await;
    let requests = load.stop().await;
    eventually("the database answers again", || async {
        let up = gateway.metric("mindweave_events_stored_total").await;
        (up >= requests.len() as f64).then_some(())
    })
    .await;
    events(&gateway, i64::try_from(requests.len()).unwrap()).await;
    assert!(gateway.stop().await.success());
}

#[tokio::test]
async fn an_up_that_is_ended_while_it_starts_leaves_no_database_running() {
    let data_dir = DataDir::new();
    // The first start takes longest: initdb, then the server.
    let mut up = Command::new(MINDWEAVE)
        .args([
            "up",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--metrics-listen",
            "127.0.0.1:0",
        ])
        .arg("--data-dir")
        .arg(data_dir.path())
        .env_remove("DATABASE_URL")
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let postmaster = eventually("the database starts", || async { data_dir.postmaster() }).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(up.id().unwrap()).unwrap());
    kill_process(pid.unwrap(), Signal::TERM).unwrap();
    let status = tokio::time::timeout(PATIENCE, up.wait()).await;
    let status = status.expect("it ends").unwrap();
    assert!(status.success(), "{status}");
    gone(postmaster).await;
}

#[tokio::test]
async fn an_up_that_can_not_listen_stops_its_database() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data_dir = DataDir::new();
    let path = data_dir.path().to_str().unwrap().to_owned();
    let words = [
        "up",
        "--data-dir",
        &path,
        "--admin-listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "127.0.0.1:0",
        "--listen",
        &address,
    ];
    let ended = testkit::command::run(MINDWEAVE, &words, &[]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("proxy.listen"), "{}", ended.err);
    assert_eq!(data_dir.postmaster(), None, "the database is stopped");
}
