//! Many events go in few transactions, none of them too large.

use std::time::Duration;

use tokio::time::Instant;

use crate::load::ask_many;
use crate::stage::Stage;

const EVENTS: usize = 12_000;
const BATCH_ROWS: f64 = 5_000.0;

#[tokio::test(flavor = "multi_thread")]
async fn twelve_thousand_events_arrive_through_several_copies() {
    let stage = Stage::configured(|builder| builder.env("MINDWEAVE_LOG_LEVEL", "info")).await;
    stage.link.cut();
    let began = Instant::now();
    let requests = ask_many(&stage.client(), EVENTS, 16).await;
    let asking = began.elapsed();

    stage.link.restore();
    let began = Instant::now();
    stage.stored_once(&requests).await;
    print_times(asking, began.elapsed());
    let metric = async |name: &str| {
        let name = format!("mindweave_copy_batch_rows{name}");
        stage.gateway.metric(&name).await
    };
    let copies = metric("_count").await;
    assert_eq!(metric("_sum").await, EVENTS as f64);
    assert!(copies >= (EVENTS as f64 / BATCH_ROWS).ceil(), "{copies}");
    let in_bounds = metric(r#"_bucket{le="5000"}"#).await;
    assert_eq!(in_bounds, copies, "a batch is too large");
    println!("{copies} copies");
    // Callers came and went by few connections.
    assert!(stage.upstream_connections() < 200);
}

fn print_times(asking: Duration, storing: Duration) {
    println!("{EVENTS} requests in {asking:?}, stored {storing:?} after the link was back");
}
