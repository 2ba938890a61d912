//! The database goes away and comes back; callers notice nothing.

use http::StatusCode;
use testkit::{Database, Scene, eventually};

use crate::load::{Load, ask_many};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_goes_unnoticed_and_every_row_is_stored_once() {
    let stage = Stage::new().await;
    let mut requests = ask_many(&stage.client(), 20, 4).await;
    stage.stored_once(&requests).await;

    stage.link.cut();
    requests.append(&mut ask_many(&stage.client(), 300, 10).await);
    eventually("the metric says that the database is away", || async {
        (stage.gateway.metric("mindweave_db_up").await < 1.0).then_some(())
    })
    .await;
    let ready = stage.gateway.operator().get("/readyz").await;
    assert_eq!(ready.status, StatusCode::OK, "requests are still taken");
    let [admitted, closed, stored] = stage.books().await;
    assert_eq!([admitted, closed, stored], [320.0, 320.0, 20.0]);

    stage.link.restore();
    stage.stored_once(&requests).await;
    assert!(stage.gateway.metric("mindweave_db_up").await > 0.0);
    assert!(stage.gateway.stop().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_of_the_server_under_load_loses_and_doubles_nothing() {
    let database = Database::on_its_own_server();
    migrations::up(&mut database.connect().await).await.unwrap();
    let stage = Stage::on(Scene::on(database).await, |builder| {
        builder
            .env("MINDWEAVE_INGEST_BATCH_INTERVAL", "5ms")
            .env("MINDWEAVE_INGEST_BATCH_ROWS", "50")
    })
    .await;
    let load = Load::start(&stage.client(), 8);
    let server = stage.scene.database.server().unwrap();
    for _ in 0..3 {
        load.answers(load.so_far() + 200).await;
        server.crash();
        load.answers(load.so_far() + 200).await;
        server.start_again();
    }
    let requests = load.stop().await;
    stage.stored_once(&requests).await;
    println!("3 crashes, {} requests", requests.len());
}

#[tokio::test]
async fn the_database_is_said_to_be_up_before_there_was_any_event() {
    let stage = Stage::new().await;
    eventually("mindweave_db_up is 1", || async {
        (stage.gateway.metric("mindweave_db_up").await > 0.0).then_some(())
    })
    .await;
}
