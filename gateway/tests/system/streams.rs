//! Many streams at once: none broken, each metered, and what an open one costs in memory.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt as _;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use testkit::client::question;
use testkit::{Client, PATIENCE, Scene, Upstream, eventually};

use crate::MINDWEAVE;

const STREAMS: usize = 1_000;

/// Kilobytes of memory that a process holds.
fn resident_kb(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// This process is both caller and upstream of all of them.
fn raise_limit_of_open_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )
    .unwrap();
}

/// Reads one stream to its end and counts its events.
async fn read_stream(client: Client) -> usize {
    let mut body = client
        .begin(Method::POST, "/v1/messages", question(true).to_string())
        .await
        .unwrap()
        .into_body();
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(
            &frame
                .expect("an unbroken stream")
                .into_data()
                .unwrap_or_default(),
        );
    }
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("event: message_stop"),
        "a stream ended early: {text}"
    );
    text.matches("\nevent: ").count() + 1
}

#[tokio::test]
async fn a_thousand_streams_at_once_all_arrive_whole() {
    raise_limit_of_open_files();
    let scene = Scene::new().await;
    let upstream = Upstream::simulator().await;
    let gateway = scene.serve(MINDWEAVE, &upstream).start().await;
    gateway.client(&scene.key).ask().await;
    let before = resident_kb(gateway.pid());

    // Long enough that all of them are open together, also on a slow machine.
    let client = gateway
        .client(&scene.key)
        .with("x-simulator-ttfb-ms", "2000")
        .with("x-simulator-event-interval-ms", "250");
    let streams: Vec<_> = (0..STREAMS)
        .map(|_| {
            let (done, result) = tokio::sync::oneshot::channel();
            let client = client.clone();
            testkit::spawn(async move {
                done.send(read_stream(client).await)
                    .expect("somebody waits");
            });
            result
        })
        .collect();
    eventually("all streams are open", || async {
        (gateway.metric("mindweave_open_streams").await >= STREAMS as f64).then_some(())
    })
    .await;
    let during = resident_kb(gateway.pid());

    let mut events = 0;
    for stream in streams {
        events += tokio::time::timeout(PATIENCE, stream)
            .await
            .expect("a stream ends")
            .expect("a whole stream");
    }
    let rows = scene.events(STREAMS + 1).await;
    assert!(
        rows.iter()
            .all(|row| row.get::<_, String>("usage_quality") == "exact")
    );
    let per_stream = during.saturating_sub(before) as f64 / STREAMS as f64;
    println!(
        "{STREAMS} streams, {events} events; {before} kB before, {during} kB with all open: {per_stream:.1} kB a stream"
    );
    assert!(per_stream < 200.0, "an open stream takes {per_stream} kB");
    // Nothing is left open behind them.
    eventually("no stream is open", || async {
        (gateway.metric("mindweave_open_streams").await < 1.0).then_some(())
    })
    .await;
    tokio::time::timeout(Duration::from_secs(20), gateway.stop())
        .await
        .expect("a prompt end");
}
