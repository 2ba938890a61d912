//! The exit code: success only if the row of every finished request is stored.

use crate::load::{Load, ask_many};
use crate::stage::{Stage, stored_once};

#[tokio::test]
async fn with_the_database_away_at_the_end_the_exit_code_and_a_line_say_what_is_lost() {
    let stage = Stage::new().await;
    stage.link.cut();
    ask_many(&stage.client(), 3, 1).await;
    let mut gateway = stage.gateway;
    gateway.terminate();
    let status = gateway.ended().await;
    assert!(!status.success(), "{status}");
    assert_ne!(status.code(), None, "an end of its own");
    let log = gateway.log();
    let last = log.lines().last().unwrap();
    assert_eq!(last, "mindweave: 3 usage events are not stored");
}

#[tokio::test]
async fn a_database_that_comes_back_during_the_end_gets_every_row() {
    let stage = Stage::new().await;
    stage.link.cut();
    let requests = ask_many(&stage.client(), 3, 1).await;
    let Stage {
        mut gateway,
        link,
        scene,
        ..
    } = stage;
    gateway.terminate();
    testkit::eventually("requests have ended", || async {
        let ended = gateway.log().contains("storing what is left");
        ended.then_some(())
    })
    .await;
    link.restore();
    assert!(gateway.ended().await.success());
    stored_once(&scene.database, &requests).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_was_answered_before_the_end_is_stored() {
    let stage = Stage::new().await;
    let load = Load::to_the_end(&stage.client(), 12);
    load.answers(300).await;
    let mut gateway = stage.gateway;
    gateway.terminate();
    assert!(gateway.ended().await.success());
    let requests = load.ended().await;
    stored_once(&stage.scene.database, &requests).await;
    println!("{} requests", requests.len());
}
