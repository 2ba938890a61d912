//! Usage as it stands in answers that are whole.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use testkit::client::question;
use testkit::scene::text;
use testkit::upstream::{pieces, whole};

use super::{
    check_end, check_figures, message_delta, message_start, sse, text_delta, whole_stream,
};
use crate::stage::{Stage, brotli, event_stream, gzip, json_answer, message, noting, typed};

const EXACT: [&str; 3] = ["success", "", "exact"];
const FIGURES: [i32; 5] = [11, 22, 33, 44, 4];

/// Bytes in frames of a few bytes each.
fn cut(data: Vec<u8>) -> testkit::upstream::Body {
    let data = Bytes::from(data);
    let starts = (0..data.len()).step_by(7);
    pieces(
        starts
            .map(|at| data.slice(at..data.len().min(at + 7)))
            .collect(),
    )
}

/// A stage whose upstream answers every question so.
async fn answering(content_type: &'static str, encoding: &'static str, body: Vec<u8>) -> Stage {
    let (upstream, _) = noting(move || {
        let mut answer = typed(200, content_type, cut(body.clone()));
        if !encoding.is_empty() {
            answer
                .headers_mut()
                .insert("content-encoding", encoding.parse().unwrap());
        }
        answer
    })
    .await;
    Stage::before(upstream).await
}

#[tokio::test]
async fn figures_are_read_in_every_form_an_answer_may_have() {
    let (json, stream) = (message().to_string(), sse(&whole_stream()));
    let crlf = stream.replace('\n', "\r\n");
    let (json, stream, crlf) = (json.into_bytes(), stream.into_bytes(), crlf.into_bytes());
    const JSON: &str = "application/json";
    const STREAM: &str = "text/event-stream; charset=utf-8";
    for (case, content_type, encoding, body) in [
        ("JSON", JSON, "", json.clone()),
        ("JSON, gzip", JSON, "gzip", gzip(&json)),
        ("JSON, br", JSON, "br", brotli(&json)),
        ("JSON, gzip untold", JSON, "", gzip(&json)),
        ("SSE", STREAM, "", stream.clone()),
        ("SSE, CR LF", STREAM, "", crlf),
        ("SSE, gzip", STREAM, "gzip", gzip(&stream)),
        ("SSE, br", STREAM, "br", brotli(&stream)),
    ] {
        let stage = answering(content_type, encoding, body.clone()).await;
        let answer = stage
            .client()
            .with("accept-encoding", "gzip, br")
            .ask()
            .await;
        assert!(answer.body == body, "{case}: the bytes are the upstream's");
        assert_eq!(answer.header("content-encoding"), encoding, "{case}");
        let event = stage.scene.event().await;
        check_figures(case, &event, FIGURES);
        check_end(case, &event, EXACT);
        assert_eq!(text(&event, "model"), "claude-sonnet-5", "{case}");
        let streamed = content_type == STREAM;
        let kind = if streamed { "streaming" } else { "api_call" };
        assert_eq!(text(&event, "event_type"), kind, "{case}");
        let first: Option<i32> = event.get("time_to_first_token_ms");
        assert_eq!(
            first.is_some(),
            streamed,
            "{case}: a stream has a first token: {first:?}"
        );
        let latency: Option<i32> = event.get("latency_ms");
        assert!(
            latency >= first.or(Some(0)),
            "{case}: {first:?} is within {latency:?}"
        );
        for (kind, count) in [
            ("input", 11.0),
            ("output", 22.0),
            ("cache_read", 33.0),
            ("cache_write", 44.0),
        ] {
            let series =
                format!(r#"mindweave_tokens_total{{model="claude-sonnet-5",kind="{kind}"}}"#);
            assert_eq!(
                stage.gateway.metric(&series).await,
                count,
                "{case}: {series}"
            );
        }
        let streams = stage
            .gateway
            .metric("mindweave_time_to_first_token_seconds_count")
            .await;
        assert_eq!(
            streams,
            f64::from(u8::from(streamed)),
            "{case}: streams counted"
        );
    }
}

/// Asks the stage's upstream once, and gives the event.
async fn event_of(body: Vec<u8>, content_type: &'static str) -> tokio_postgres::Row {
    let stage = answering(content_type, "", body).await;
    assert_eq!(stage.client().ask().await.status, 200);
    stage.scene.event().await
}

#[tokio::test]
async fn usage_in_a_tools_input_is_not_the_messages() {
    let fake = json!({ "usage": { "input_tokens": 9999, "output_tokens": 9999 } });
    let mut answer = message();
    answer["content"] = json!([{ "type": "tool_use", "id": "t", "name": "n", "input": fake }]);
    let event = event_of(answer.to_string().into_bytes(), "application/json").await;
    check_figures("JSON", &event, FIGURES);

    let mut events = whole_stream();
    let start = json!({ "type": "content_block_start", "index": 1,
        "content_block": { "type": "tool_use", "id": "t", "name": "n", "input": fake } });
    let delta = json!({ "type": "content_block_delta", "index": 1,
        "delta": { "type": "input_json_delta", "partial_json": fake.to_string() } });
    events.splice(4..4, [start, delta]);
    let event = event_of(sse(&events).into_bytes(), "text/event-stream").await;
    check_figures("SSE", &event, FIGURES);
    check_end("SSE", &event, EXACT);
}

#[tokio::test]
async fn each_message_delta_overwrites_what_it_names() {
    let mut events = vec![message_start(), text_delta("x")];
    for usage in [
        json!({ "output_tokens": 5, "input_tokens": 2000, "cache_read_input_tokens": 70 }),
        json!({ "output_tokens": 4, "input_tokens": null, "cache_creation_input_tokens": 50 }),
        json!({ "output_tokens": 90, "cache_read_input_tokens": 0,
            "server_tool_use": { "web_search_requests": 3 } }),
    ] {
        events.push(message_delta(&usage));
    }
    events.push(json!({ "type": "message_stop" }));
    let event = event_of(sse(&events).into_bytes(), "text/event-stream").await;
    check_figures("several deltas", &event, [2000, 90, 0, 50, 4]);
    check_end("several deltas", &event, EXACT);
    assert_eq!(event.get::<_, i32>("web_search_requests"), 3);
    assert_eq!(text(&event, "service_tier"), "standard");
}

#[tokio::test]
async fn an_error_in_place_of_an_answer_consumed_nothing() {
    let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
    let (upstream, _) = noting(move || json_answer(529, error.to_string())).await;
    let stage = Stage::before(upstream).await;
    assert_eq!(stage.client().ask().await.status, 529);
    let event = stage.scene.event().await;
    check_figures("529", &event, [0; 5]);
    check_end("529", &event, ["error", "overloaded_error", "exact"]);
    assert_eq!(text(&event, "error_message"), "Overloaded");
}

#[tokio::test]
async fn what_is_not_a_message_costs_nothing() {
    let (upstream, _) = noting(|| json_answer(200, r#"{"input_tokens":4711}"#)).await;
    let stage = Stage::before(upstream).await;
    let body = question(false).to_string();
    let client = stage.client();
    client
        .send(Method::POST, "/v1/messages/count_tokens", body)
        .await;
    client.send(Method::POST, "/v1/files", "binary").await;
    client.send(Method::POST, "/v1/unheard/of", "").await;
    let events = stage.scene.events(3).await;
    for (event, (endpoint, model)) in events.iter().zip([
        ("count_tokens", "claude-sonnet-5"),
        ("files", ""),
        ("other", ""),
    ]) {
        check_figures(endpoint, event, [0; 5]);
        check_end(endpoint, event, EXACT);
        let metadata: Value = event.get("metadata");
        assert_eq!(metadata["endpoint"], endpoint);
        assert_eq!(
            text(event, "model"),
            model,
            "{endpoint}: the model asked for"
        );
    }
}

/// A body that says it is a stream and is a page of HTML: passed on, metered as what is known.
#[tokio::test]
async fn what_cannot_be_understood_passes_all_the_same() {
    let page = "<html>\n\n<body>maintenance</body></html>";
    for answer in [
        || {
            typed(
                200,
                "text/html",
                whole("<html>\n\n<body>maintenance</body></html>"),
            )
        },
        || event_stream(whole("<html>\n\n<body>maintenance</body></html>")),
    ] {
        let (upstream, _) = noting(answer).await;
        let stage = Stage::before(upstream).await;
        let answer = stage.client().ask().await;
        assert_eq!(answer.body, page);
        check_figures("HTML", &stage.scene.event().await, [0; 5]);
    }
}
