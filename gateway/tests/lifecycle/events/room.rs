//! The spool is bounded: when it is full, callers are refused before any money is spent.

use http::StatusCode;
use testkit::client::Answer;
use testkit::eventually;
use tokio::task::JoinSet;

use crate::load::answered;
use crate::stage::Stage;

const CALLERS: usize = 20;

fn check_refusal(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["error"]["type"], "overloaded_error");
    assert_eq!(answer.error_code(), "overloaded");
    let seconds: u32 = answer.header("retry-after").parse().unwrap();
    assert!(seconds > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_refuses_before_the_upstream_is_called() {
    let small = (4 << 20).to_string();
    let stage = Stage::configured(|builder| {
        builder
            .env("MINDWEAVE_SPOOL_MAX_BYTES", &small)
            .env("MINDWEAVE_SPOOL_DURABILITY", "process")
            .env("MINDWEAVE_SPOOL_KEEP", "1ms")
    })
    .await;
    let client = stage.client();
    stage.link.cut();
    let crowd: JoinSet<(Vec<_>, Answer)> = (0..CALLERS)
        .map(|_| {
            let client = client.clone();
            async move {
                let mut good = Vec::new();
                loop {
                    let answer = client.ask().await;
                    if answer.status != StatusCode::OK {
                        return (good, answer);
                    }
                    good.push(answered(&answer));
                }
            }
        })
        .collect();
    let crowd = crowd.join_all().await;
    let mut requests: std::collections::BTreeSet<_> = Default::default();
    for (good, refused) in crowd {
        requests.extend(good);
        check_refusal(&refused);
    }
    // Together they were too many; one by one there may be room for some more.
    loop {
        let answer = client.ask().await;
        if answer.status != StatusCode::OK {
            check_refusal(&answer);
            break;
        }
        requests.insert(answered(&answer));
    }
    assert_eq!(stage.upstream_requests(), requests.len());
    assert!(requests.len() > 500, "{} fit into 4 MiB", requests.len());
    let ready = stage.gateway.operator().get("/readyz").await;
    assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
    let reasons = ready.json()["reasons"].to_string();
    assert!(reasons.contains("spool"), "{reasons}");

    stage.link.restore();
    let admitted = eventually("requests are admitted again", || async {
        let answer = client.ask().await;
        (answer.status == StatusCode::OK).then_some(answer)
    })
    .await;
    requests.insert(answered(&admitted));
    stage.stored_once(&requests).await;
    stage.gateway.wait_until_ready().await;
    assert!(stage.gateway.stop().await.success());
}
