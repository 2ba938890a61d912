//! A new batch's body: checked, and every item answered.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::batch::{Item, Outcome};
use crate::api_error::{ApiError, Envelope, Fault};
use crate::draw::Draw;
use crate::messages::{Answer, answer_batch_item};

const MAX_ITEMS: usize = 100_000;
/// Between two chances for other tasks.
const ITEMS_PER_TURN: usize = 256;

#[derive(Deserialize)]
struct Create<'a> {
    #[serde(borrow)]
    requests: Option<Vec<Request<'a>>>,
}

#[derive(Deserialize)]
struct Request<'a> {
    custom_id: Option<String>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Line<'a> {
    custom_id: &'a str,
    result: ItemResult<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ItemResult<'a> {
    Succeeded { message: &'a Answer },
    Errored { error: Envelope<'a> },
}

/// Answers every item of a batch. Items that are wrong in themselves become errored results; a batch that is
/// wrong as a whole is refused.
pub(super) async fn answer_items(body: &[u8], seed: u64) -> Result<Vec<Item>, ApiError> {
    let create: Create<'_> = serde_json::from_slice(body).map_err(|error| {
        ApiError::invalid(format!("The request body is not valid JSON: {error}"))
    })?;
    let requests = check(create.requests)?;
    let mut items = Vec::with_capacity(requests.len());
    for (index, (custom_id, params)) in requests.into_iter().enumerate() {
        if index % ITEMS_PER_TURN == ITEMS_PER_TURN - 1 {
            tokio::task::yield_now().await;
        }
        let draw = Draw::new(seed, &[custom_id.as_bytes(), params.as_bytes()]);
        items.push(answer(custom_id, params, draw)?);
    }
    Ok(items)
}

fn check(requests: Option<Vec<Request<'_>>>) -> Result<Vec<(String, &str)>, ApiError> {
    let requests = requests.ok_or_else(|| ApiError::invalid("requests: Field required"))?;
    if requests.is_empty() {
        return Err(ApiError::invalid(
            "requests: List should have at least 1 item after validation, not 0",
        ));
    }
    if requests.len() > MAX_ITEMS {
        return Err(Fault::TooLarge.into());
    }
    let mut seen = HashSet::with_capacity(requests.len());
    let mut checked = Vec::with_capacity(requests.len());
    for (index, request) in requests.into_iter().enumerate() {
        let missing =
            |field| ApiError::invalid(format!("requests.{index}.{field}: Field required"));
        let custom_id = request.custom_id.ok_or_else(|| missing("custom_id"))?;
        let params = request.params.ok_or_else(|| missing("params"))?.get();
        if !is_custom_id(&custom_id) {
            return Err(ApiError::invalid(format!(
                "requests.{index}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'"
            )));
        }
        if !seen.insert(custom_id.clone()) {
            return Err(ApiError::invalid(format!(
                "requests.{index}.custom_id: '{custom_id}' is not unique within the batch"
            )));
        }
        checked.push((custom_id, params));
    }
    Ok(checked)
}

fn is_custom_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

fn answer(custom_id: String, params: &str, draw: Draw) -> Result<Item, ApiError> {
    let answer = answer_batch_item(params.as_bytes(), draw);
    let (outcome, result) = match &answer {
        Ok(message) => (Outcome::Succeeded, ItemResult::Succeeded { message }),
        Err(error) => (
            Outcome::Errored,
            ItemResult::Errored {
                error: error.envelope(None),
            },
        ),
    };
    let mut line = serde_json::to_string(&Line {
        custom_id: &custom_id,
        result,
    })?;
    line.push('\n');
    Ok(Item {
        custom_id,
        outcome,
        line,
    })
}

#[cfg(test)]
mod tests {
    use super::{Outcome, answer_items};

    async fn check(body: &str, expected: Result<&[Outcome], &str>) {
        let answered = answer_items(body.as_bytes(), 0).await;
        let outcomes: Result<Vec<_>, _> = answered
            .map(|items| items.iter().map(|item| item.outcome).collect())
            .map_err(|error| serde_json::to_string(&error.envelope(None)).unwrap());
        match (outcomes, expected) {
            (Ok(outcomes), Ok(expected)) => assert_eq!(outcomes, expected),
            (Err(message), Err(expected)) => assert!(message.contains(expected), "{message}"),
            (found, _) => panic!("{body}: {found:?}"),
        }
    }

    #[tokio::test]
    async fn items_fail_alone() {
        let params = |model: &str| {
            format!(
                r#"{{"model":"{model}","max_tokens":9,"messages":[{{"role":"user","content":"hi"}}]}}"#
            )
        };
        let body = format!(
            r#"{{"requests":[{{"custom_id":"a","params":{}}},{{"custom_id":"b","params":{}}},{{"custom_id":"c","params":{{}}}}]}}"#,
            params("claude-opus-5"),
            params("claude-opus-5@invalid"),
        );
        check(
            &body,
            Ok(&[Outcome::Succeeded, Outcome::Errored, Outcome::Errored]),
        )
        .await;
    }

    #[tokio::test]
    async fn batches_fail_whole() {
        check("{}", Err("requests: Field required")).await;
        check(r#"{"requests":[]}"#, Err("at least 1 item")).await;
        check(
            r#"{"requests":[{"params":{}}]}"#,
            Err("requests.0.custom_id: Field required"),
        )
        .await;
        check(
            r#"{"requests":[{"custom_id":"a"}]}"#,
            Err("requests.0.params: Field required"),
        )
        .await;
        check(
            r#"{"requests":[{"custom_id":"a b","params":{}}]}"#,
            Err("match pattern"),
        )
        .await;
        let twice = r#"{"requests":[{"custom_id":"a","params":{}},{"custom_id":"a","params":{}}]}"#;
        check(twice, Err("not unique")).await;
    }
}
