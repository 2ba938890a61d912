//! The exit code: success only if the event of every finished request is stored, or safe on disk.

use testkit::Scene;

use crate::load::{Load, answered, ask_many};
use crate::stage::{Stage, stored_once};

#[tokio::test]
async fn with_the_database_away_at_the_end_events_wait_for_the_next_start() {
    let set = Stage::set(Scene::new().await).await;
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = set.builder().data_dir(folder.path()).start().await;
    set.link.cut();
    let mut requests = ask_many(&gateway.client(&set.scene.key), 3, 1).await;
    gateway.terminate();
    assert!(gateway.ended().await.success());
    let log = gateway.log();
    assert!(log.contains("usage events wait in the spool"), "{log}");

    set.link.restore();
    let again = set.builder().data_dir(folder.path()).start().await;
    requests.insert(answered(&again.client(&set.scene.key).ask().await));
    assert!(again.stop().await.success());
    stored_once(&set.scene.database, &requests).await;
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
