//! Memory for events is bounded: who would have no place is refused before any money is spent.

use http::StatusCode;
use testkit::client::Answer;
use testkit::eventually;
use tokio::task::JoinSet;

use crate::load::answered;
use crate::stage::Stage;

const PLACES: usize = 20;

fn check_refusal(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["error"]["type"], "overloaded_error");
    assert_eq!(answer.error_code(), "overloaded");
    let seconds: u32 = answer.header("retry-after").parse().unwrap();
    assert!(seconds > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_memory_refuses_before_the_upstream_is_called() {
    let places = PLACES.to_string();
    let stage =
        Stage::configured(|builder| builder.env("MINDWEAVE_INGEST_MAX_PENDING_EVENTS", &places))
            .await;
    let client = stage.client();
    let mut requests = [answered(&client.ask().await)].into();
    stage.stored_once(&requests).await;

    stage.link.cut();
    let crowd: JoinSet<Answer> = (0..5 * PLACES)
        .map(|_| {
            let client = client.clone();
            async move { client.ask().await }
        })
        .collect();
    let (good, refused): (Vec<_>, Vec<_>) = crowd
        .join_all()
        .await
        .into_iter()
        .partition(|answer| answer.status == StatusCode::OK);
    assert_eq!(good.len(), PLACES, "as many as there are places");
    assert_eq!(stage.upstream_requests(), 1 + PLACES);
    refused.iter().for_each(check_refusal);
    requests.extend(good.iter().map(answered));
    let ready = stage.gateway.operator().get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let reasons = ready.json()["reasons"].to_string();
    assert!(reasons.contains("memory"), "{reasons}");

    stage.link.restore();
    let admitted = eventually("requests are admitted again", || async {
        let answer = client.ask().await;
        (answer.status == StatusCode::OK).then_some(answer)
    })
    .await;
    requests.insert(answered(&admitted));
    stage.stored_once(&requests).await;
    stage.gateway.wait_until_ready().await;
    assert_eq!(stage.upstream_requests(), 1 + PLACES + 1);
    assert!(stage.gateway.stop().await.success());
}
