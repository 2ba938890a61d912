//! Usage events, as a hundred tenants' streams leave them behind.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark that can't run says so"
)]

use domain::{
    ApiKeyId, Cost, Endpoint, EventType, OrgId, Outcome, ProjectId, RequestId, Timestamp,
    TokenCounts, Usage, UsageEvent, UsageQuality, UserId,
};
use serde_json::json;
use uuid::Uuid;

const MODELS: [&str; 3] = ["claude-haiku-4-5", "claude-opus-5", "claude-sonnet-5-5"];

/// One of them.
#[must_use]
pub fn event(number: usize, time: Timestamp) -> UsageEvent {
    let id = |kind: u128, number: usize| Uuid::from_u128(kind << 64 | number as u128);
    let usage = json!({
        "cache_creation": { "ephemeral_5m_input_tokens": number % 50, "ephemeral_1h_input_tokens": 0 },
    });
    UsageEvent {
        time,
        org_id: OrgId(id(1, number % 100)),
        project_id: ProjectId(id(2, number % 400)),
        user_id: Some(UserId(id(3, number * 7 % 2_000))),
        api_key_id: ApiKeyId(id(4, number % 800)),
        request_id: RequestId::next(),
        event_type: EventType::Streaming,
        model: MODELS[number % 3].to_owned(),
        usage: Usage {
            tokens: TokenCounts {
                input: 1_200 + number as u64 % 900,
                output: number as u64 % 4_000,
                cache_read: 9_000,
                cache_write: number as u64 % 50,
                cache_write_1h: 0,
            },
            web_search_requests: 0,
            service_tier: Some("standard".to_owned()),
            raw: usage.as_object().unwrap().clone().into(),
        },
        cost: Cost::default(),
        mcp_calls: Vec::new(),
        more_mcp_calls: 0,
        created: None,
        repeatable: None,
        refused: None,
        quality: UsageQuality::Exact,
        latency_ms: 2_000,
        time_to_first_token_ms: Some(300),
        outcome: Outcome::success(),
        endpoint: Endpoint::Messages,
        upstream_request_id: Some("req_011CSHoEeqs5C35K2UUqR7Fy".to_owned()),
        test: false,
    }
}

/// So many of them from a moment on, one each millisecond.
#[must_use]
pub fn events(count: usize, since: Timestamp) -> Vec<UsageEvent> {
    let at = |number: usize| Timestamp {
        unix_micros: since.unix_micros + i64::try_from(number).unwrap() * 1_000,
    };
    (0..count).map(|number| event(number, at(number))).collect()
}
