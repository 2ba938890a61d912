use std::sync::Arc;
use std::time::Duration;

use domain::{ApiKeyId, Clock, OrgId, PolicyId, ProjectId, Timestamp};
use http::HeaderMap;
use policy_engine::{
    Caller, Engine, ItemRules, OrgSource, PolicySource, PolicyStatus, ProjectSource,
};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::coding::encode;

#[derive(Debug)]
struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp { unix_micros: 0 }
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// An access policy that denies opus, with this action.
fn rules(action: &str) -> ItemRules {
    let (org_id, project_id) = (OrgId(Uuid::nil()), ProjectId(Uuid::nil()));
    let policy = PolicySource {
        id: PolicyId(Uuid::nil()),
        name: "no opus".to_owned(),
        kind: "access".to_owned(),
        rules: json!({"denied_models": ["opus"], "action": action}),
        applies_to: json!({}),
        priority: 100,
        status: PolicyStatus::Active,
        created_unix_micros: 0,
    };
    let org = OrgSource {
        id: org_id,
        slug: "acme".to_owned(),
        settings: json!({}),
        subscription: None,
        roles: [].into(),
        policies: vec![policy],
    };
    let project = ProjectSource {
        id: project_id,
        slug: "website".to_owned(),
        settings: json!({}),
        quotas: json!({}),
        policies: Vec::new(),
        mcp_servers: Vec::new(),
    };
    let engine = Engine::new(Arc::new(Standing));
    engine.replace(&Arc::new(org), &[Arc::new(project)]);
    let caller = Caller {
        key_id: ApiKeyId(Uuid::nil()),
        user_id: None,
        project_id,
        org_id,
        test: false,
        address: "127.0.0.1".parse().unwrap(),
    };
    engine.item_rules(&caller, Standing.now()).unwrap()
}

fn body(models: &[&str]) -> Vec<u8> {
    let items = models
        .iter()
        .map(|model| json!({"custom_id": model, "params": {"model": model}}));
    json!({"requests": items.collect::<Vec<_>>()})
        .to_string()
        .into_bytes()
}

fn gate(action: &str, encoding: &str) -> Result<BatchGate, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert("content-encoding", encoding.parse().unwrap());
    BatchGate::new(rules(action), &headers, 1 << 20)
}

/// What becomes of a body that comes in pieces of this size: what is noted, or the item that is refused, or the failure.
fn read(mut gate: BatchGate, body: &[u8], size: usize) -> Result<usize, Result<u64, Failure>> {
    let mut run = || {
        for mut piece in body.chunks(size) {
            while !piece.is_empty() {
                let read = gate.read(piece)?;
                piece = piece.get(read..).unwrap_or_default();
            }
        }
        Ok(())
    };
    let read: Result<(), Undecided> = run();
    match read.and_then(|()| gate.end()) {
        Ok(notes) => Ok(notes.warnings.len() + notes.logged.len()),
        Err(Undecided::Denied(denial)) => Err(Ok(denial.item.unwrap().index)),
        Err(Undecided::Failed(failure)) => Err(Err(failure)),
    }
}

#[test]
fn the_first_bad_item_is_refused_wherever_the_body_is_cut() {
    let good = body(&["sonnet-5", "haiku-5"]);
    let bad = body(&["sonnet-5", "opus-5", "sonnet-5", "opus-4"]);
    for size in 1..=bad.len() {
        assert_eq!(read(gate("block", "").unwrap(), &good, size), Ok(0));
        assert_eq!(read(gate("block", "").unwrap(), &bad, size), Err(Ok(1)));
        assert_eq!(read(gate("warn", "").unwrap(), &bad, size), Ok(1));
    }
}

#[test]
fn a_bad_item_is_known_before_the_batch_ends() {
    let bad = body(&["opus-5", "sonnet-5"]);
    let end_of_item = bad.windows(2).position(|part| part == b"},").unwrap();
    let mut gate = gate("block", "").unwrap();
    assert_eq!(gate.read(&bad[..end_of_item]).unwrap(), end_of_item);
    assert!(gate.read(&bad[end_of_item..=end_of_item]).is_err());
}

#[test]
fn what_cannot_be_read_is_refused_unless_nothing_refuses() {
    let whole = body(&["sonnet-5"]);
    let cut = &whole[..whole.len() - 1];
    let large = vec![b' '; (1 << 20) + 1];
    let too_large = Failure::BodyTooLarge { limit: 1 << 20 };
    for (encoding, body, failure) in [
        ("", cut, Failure::BodyNotJson),
        ("", b"[]", Failure::BodyNotJson),
        ("gzip", cut, Failure::BodyEncodingInvalid),
        ("", &large, too_large),
    ] {
        let refused = read(gate("block", encoding).unwrap(), body, 7);
        assert_eq!(refused, Err(Err(failure)), "{encoding}");
        // It is said once, for the log.
        assert_eq!(read(gate("log", encoding).unwrap(), body, 7), Ok(1));
    }
    let unknown = gate("block", "compress").map(drop);
    assert_eq!(unknown, Err(Failure::BodyEncodingUnsupported));
    assert_eq!(read(gate("warn", "compress").unwrap(), cut, 7), Ok(1));
}

#[test]
fn of_a_compressed_body_others_get_a_turn_between_portions() {
    let numbers = (0_u64..20_000).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string());
    let body = json!({"requests": [], "more": numbers.collect::<String>()}).to_string();
    let mut plain = gate("block", "").unwrap();
    assert_eq!(plain.read(body.as_bytes()).unwrap(), body.len());
    let zipped = encode::gzip(body.as_bytes());
    assert!(zipped.len() > PORTION);
    let mut gate = gate("block", "gzip").unwrap();
    assert_eq!(gate.read(&zipped).unwrap(), PORTION);
}
