//! 503: more connections than there are places.

use testkit::eventually;

use super::{check, expected};
use crate::stage::{Stage, json_answer, message, noting};

#[tokio::test]
async fn a_connection_too_many_is_told_so_and_closed() {
    let (upstream, seen) = noting(|| json_answer(200, message().to_string())).await;
    let stage = Stage::configured(upstream, |builder| {
        builder.env("MINDWEAVE_PROXY_MAX_CONNECTIONS", "2")
    })
    .await;
    let get = stage.head("GET", "/v1/models", "");
    let (mut first, mut second) = (stage.wire().await, stage.wire().await);
    for wire in [&mut first, &mut second] {
        wire.send(&get).await;
        assert_eq!(wire.answer().await.status, 200, "there is a place");
    }

    let mut third = stage.wire().await;
    third.send(&get).await;
    let answer = third.answer().await;
    check(
        "the third",
        &answer,
        expected(503, "overloaded_error", "overloaded"),
    );
    assert_eq!(answer.header("retry-after"), "1", "it may try again");
    assert_eq!(third.rest().await, "", "the connection is closed");

    first.send(&get).await;
    assert_eq!(first.answer().await.status, 200, "the others are served on");
    drop(second);
    eventually("the place of a caller that left is free", || async {
        let mut wire = stage.wire().await;
        wire.send(&get).await;
        (wire.answer().await.status == 200).then_some(())
    })
    .await;
    assert_eq!(
        seen.take().len(),
        4,
        "what was refused never reached the upstream"
    );
}
