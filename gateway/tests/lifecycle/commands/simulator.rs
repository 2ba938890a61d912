//! `mindweave simulator`

use std::process::Stdio;

use http::StatusCode;
use rustix::process::{Pid, Signal, kill_process};
use testkit::client::question;
use testkit::{Client, PATIENCE};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::MINDWEAVE;

#[tokio::test]
async fn the_simulator_says_where_it_listens_answers_and_ends_on_sigterm() {
    let mut simulator = Command::new(MINDWEAVE)
        .args(["simulator", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(simulator.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
    let line = line.expect("it says something").unwrap().unwrap();
    let (_, address) = line.split_once("http://").expect("where it listens");

    let client = Client::new(&format!("http://{address}"), "any");
    let answer = client.ask().await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json()["type"], "message");
    let streamed = client.post("/v1/messages", &question(true)).await;
    assert!(
        streamed
            .header("content-type")
            .starts_with("text/event-stream")
    );
    drop(client);

    let pid = Pid::from_raw(i32::try_from(simulator.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let status = tokio::time::timeout(PATIENCE, simulator.wait()).await;
    assert!(status.expect("it ends").unwrap().success());
}
