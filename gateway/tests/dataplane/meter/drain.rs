//! Answers that are read to their end though their callers have left, for the sake of their figures.

use std::sync::Arc;

use http::Method;
use http_body_util::BodyExt as _;
use testkit::client::question;
use testkit::{Scene, Upstream, eventually};
use tokio::sync::{Notify, mpsc};

use super::{Feed, check_end, check_figures, feeding, message_start, whole_stream};
use crate::MINDWEAVE;
use crate::stage::{Stage, json_answer, message};

const SETTING: &str = "MINDWEAVE_METERING_ON_CLIENT_DISCONNECT";

/// A gateway with the setting, whose project has its own if one is given.
async fn stage(upstream: Upstream, setting: &str, of_project: Option<&str>) -> Stage {
    let scene = Scene::new().await;
    if let Some(word) = of_project {
        let sql = format!(
            "UPDATE projects SET settings = settings || '{{\"on_client_disconnect\": \"{word}\"}}'"
        );
        scene.sql.batch_execute(&sql).await.unwrap();
    }
    let gateway = scene
        .serve(MINDWEAVE, &upstream)
        .env(SETTING, setting)
        .start()
        .await;
    Stage {
        scene,
        upstream,
        gateway,
    }
}

/// A caller that gets the beginning of a stream and leaves; the gateway has noticed.
async fn left(stage: &Stage, http2: bool, feeds: &mut mpsc::Receiver<Feed>) -> Feed {
    let client = stage.client_over(http2);
    let asking = client.begin(Method::POST, "/v1/messages", question(true).to_string());
    let mut body = asking.await.unwrap().into_body();
    let feed = feeds.recv().await.unwrap();
    feed.give(&[message_start()]).await;
    body.frame().await.unwrap().unwrap();
    drop((body, client));
    gone(stage).await;
    feed
}

/// Waits until the gateway knows that nobody is there.
async fn gone(stage: &Stage) {
    eventually("the caller is gone", || async {
        let connections = stage.gateway.metric("mindweave_connections").await;
        (connections == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_is_read_to_its_end() {
    let (upstream, mut feeds) = feeding().await;
    let stage = stage(upstream, "drain", None).await;
    for http2 in [false, true] {
        let feed = left(&stage, http2, &mut feeds).await;
        feed.give(&whole_stream()[1..]).await;
        // Its figures are all that was wanted.
        feed.unwanted().await;
    }
    for event in stage.scene.events(2).await {
        check_figures("drained", &event, [11, 22, 33, 44, 4]);
        check_end("drained", &event, ["error", "client_disconnected", "exact"]);
    }
    let ended = stage.ended("messages", 200, "client_disconnected").await;
    assert_eq!(ended, 2.0);
    assert_eq!(stage.gateway.metric("mindweave_open_streams").await, 0.0);
}

#[tokio::test]
async fn an_answer_that_nobody_waited_for_is_read_too() {
    let (asked, mut requests) = mpsc::channel(4);
    let upstream = Upstream::start(move |_| {
        let asked = asked.clone();
        async move {
            let go_on = Arc::new(Notify::new());
            asked.send(Arc::clone(&go_on)).await.expect("the test runs");
            go_on.notified().await;
            json_answer(200, message().to_string())
        }
    })
    .await;
    let stage = stage(upstream, "drain", None).await;
    for client in [stage.client(), stage.http2_client()] {
        let asking = client.begin(Method::POST, "/v1/messages", question(false).to_string());
        let go_on = tokio::select! {
            _ = asking => panic!("nobody answers yet"),
            request = requests.recv() => request.unwrap(),
        };
        drop(client);
        gone(&stage).await;
        go_on.notify_one();
    }
    for event in stage.scene.events(2).await {
        check_figures("left early", &event, [11, 22, 33, 44, 4]);
        check_end(
            "left early",
            &event,
            ["error", "client_disconnected", "exact"],
        );
    }
}

#[tokio::test]
async fn what_breaks_off_after_the_caller_left_is_estimated() {
    let (upstream, mut feeds) = feeding().await;
    let stage = stage(upstream, "drain", None).await;
    left(&stage, false, &mut feeds).await.break_off().await;
    let event = stage.scene.event().await;
    check_figures("broken", &event, [11, 1, 33, 44, 4]);
    let end = ["error", "client_disconnected", "estimated"];
    check_end("broken", &event, end);
}

#[tokio::test]
async fn the_word_of_a_project_counts_more_than_the_gateways() {
    for (setting, of_project, drains) in [
        ("cancel", "drain", true),
        ("drain", "cancel", false),
        ("drain", "whatever", true),
    ] {
        let (upstream, mut feeds) = feeding().await;
        let stage = stage(upstream, setting, Some(of_project)).await;
        let feed = left(&stage, false, &mut feeds).await;
        if drains {
            feed.give(&whole_stream()[1..]).await;
        } else {
            feed.unwanted().await;
        }
        let quality = if drains { "exact" } else { "estimated" };
        let event = stage.scene.event().await;
        let case = format!("{setting}, and {of_project} for the project");
        check_end(&case, &event, ["error", "client_disconnected", quality]);
    }
}

#[tokio::test]
async fn shutdown_waits_for_what_is_read_on() {
    let (upstream, mut feeds) = feeding().await;
    let mut stage = stage(upstream, "drain", None).await;
    let feed = left(&stage, false, &mut feeds).await;
    stage.gateway.terminate();
    eventually("shutdown has begun", || async {
        stage.gateway.log().contains("shutting down").then_some(())
    })
    .await;
    feed.give(&whole_stream()[1..]).await;
    assert!(stage.gateway.ended().await.success());
    let event = stage.scene.event().await;
    check_end(
        "at shutdown",
        &event,
        ["error", "client_disconnected", "exact"],
    );
}
