//! The link to the database is cut in the middle of a transaction.

use std::collections::BTreeSet;
use std::time::Duration;

use testkit::eventually;
use testkit::gateway::Builder;
use uuid::Uuid;

use crate::load::{Load, answered};
use crate::stage::Stage;

/// One writer that stores at once: what is stored next comes after what was cut.
fn prompt(builder: Builder) -> Builder {
    builder
        .env("MINDWEAVE_INGEST_WRITERS", "1")
        .env("MINDWEAVE_INGEST_BATCH_INTERVAL", "2ms")
}

/// What only a connection says that stores events. Others commit, too.
const WRITES: &[u8] = b"PGCOPY";

/// Cuts the link five times when these bytes have gone to the server, behind others.
async fn check(first: &[u8], mark: &[u8]) {
    let stage = Stage::configured(prompt).await;
    let mut requests = BTreeSet::new();
    for _ in 0..5 {
        stage.link.cut_after_both(first, mark);
        requests.insert(answered(&stage.client().ask().await));
        stage.link.is_cut().await;
        requests.insert(answered(&stage.client().ask().await));
        stage.link.restore();
        stage.stored_once(&requests).await;
    }
}

#[tokio::test]
async fn a_cut_before_the_transaction_begins_loses_and_doubles_nothing() {
    check(b"", b"START TRANSACTION\0").await;
}

#[tokio::test]
async fn a_cut_in_the_middle_of_copy_loses_and_doubles_nothing() {
    check(b"", b"PGCOPY\n\xff\r\n\0").await;
}

#[tokio::test]
async fn a_cut_in_the_middle_of_the_word_commit_loses_and_doubles_nothing() {
    check(WRITES, b"COMMIT").await;
}

#[tokio::test]
async fn a_commit_whose_answer_was_cut_off_is_not_done_again() {
    let stage = Stage::configured(prompt).await;
    let mut requests = BTreeSet::<Uuid>::new();
    for round in 1..=5 {
        stage.link.cut_after_both(WRITES, b"COMMIT\0");
        requests.insert(answered(&stage.client().ask().await));
        stage.link.is_cut().await;
        // The row is there, and the gateway can't know.
        stage.scene.events(2 * round - 1).await;
        assert_eq!(stage.books().await[2], 2.0 * (round - 1) as f64);
        requests.insert(answered(&stage.client().ask().await));
        stage.link.restore();
        stage.stored_once(&requests).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_cuts_at_random_moments_lose_and_double_nothing() {
    const CUTS: usize = 20;
    let stage = Stage::configured(|builder| {
        builder
            .env("MINDWEAVE_INGEST_BATCH_INTERVAL", "2ms")
            .env("MINDWEAVE_INGEST_BATCH_ROWS", "7")
    })
    .await;
    let load = Load::start(&stage.client(), 6);
    for _ in 0..CUTS {
        // A moment is what is wanted here, and nothing that it waits for.
        let moment = Duration::from_micros(rand::random_range(20_000..120_000));
        tokio::time::sleep(moment).await;
        stage.link.cut();
        load.answers(load.so_far() + 5).await;
        let before = stored(&stage).await;
        stage.link.restore();
        eventually("events are stored again", || async {
            (stored(&stage).await > before).then_some(())
        })
        .await;
    }
    load.answers(300).await;
    let requests = load.stop().await;
    stage.stored_once(&requests).await;
    let hits = stage
        .gateway
        .log()
        .matches("they wait in the spool")
        .count();
    println!(
        "{CUTS} cuts, {hits} batches hit, {} requests",
        requests.len()
    );
    assert!(hits > 0, "no cut met a writer at work");
}

async fn stored(stage: &Stage) -> i64 {
    let query = "SELECT count(*) FROM usage_events";
    stage.scene.sql.query_one(query, &[]).await.unwrap().get(0)
}
