//! An index of keys, and the keys that callers send.

#![allow(clippy::unwrap_used, reason = "a benchmark that can't run says so")]

use std::sync::Arc;

use domain::{ApiKeyId, KeyHash, KeyKind, OrgId, ProjectId, UserId};
use proxy::{AllowedIps, KeyIndex, KeyRecord, KeyStatus, Scopes, Target, TenantState};
use uuid::Uuid;

/// The text of a key, as long as one that was really made.
#[must_use]
pub fn key(number: usize) -> String {
    format!("{}{number:043}", KeyKind::Live.prefix())
}

/// What is known of it.
#[must_use]
pub fn record(number: usize, target: &Arc<Target>) -> KeyRecord {
    KeyRecord {
        id: ApiKeyId(Uuid::from_u128(number as u128)),
        project_id: ProjectId(Uuid::nil()),
        org_id: OrgId(Uuid::nil()),
        user_id: Some(UserId(Uuid::nil())),
        kind: KeyKind::Live,
        status: KeyStatus::Active,
        expires_at: None,
        allowed_ips: AllowedIps::Any,
        scopes: Scopes {
            read: true,
            write: true,
        },
        tenant: TenantState::Active,
        target: Arc::clone(target),
        own_upstream_key: false,
        on_client_disconnect: None,
    }
}

/// Who answers them all.
///
/// # Panics
/// Never: the URL is a good one.
#[must_use]
pub fn target() -> Arc<Target> {
    Arc::new(Target::new("https://api.anthropic.com", Some("sk-ant-none")).unwrap())
}

/// The keys from 0 up to `count`.
#[must_use]
pub fn index(count: usize) -> KeyIndex {
    let index = KeyIndex::default();
    let target = target();
    for number in 0..count {
        let hash = KeyHash::of(key(number).as_bytes());
        index.insert(hash, record(number, &target));
    }
    index.set_complete();
    index
}
