//! An index of keys, and the keys that callers send.

#![allow(clippy::unwrap_used, reason = "a benchmark that can't run says so")]

use std::sync::Arc;

use domain::{ApiKeyId, KeyHash, KeyKind, OrgId, ProjectId, UserId};
use proxy::{AllowedIps, KeyIndex, KeyRecord, KeyStatus, Scopes, Target, Tenant, TenantState};
use uuid::Uuid;

/// The text of a key, as long as one that was really made.
#[must_use]
pub fn key(number: usize) -> String {
    format!("{}{number:043}", KeyKind::Live.prefix())
}

/// What is known of it.
#[must_use]
pub fn record(number: usize, tenant: &Arc<Tenant>) -> KeyRecord {
    KeyRecord {
        hash: KeyHash::of(key(number).as_bytes()),
        id: ApiKeyId(Uuid::from_u128(number as u128)),
        user_id: Some(UserId(Uuid::nil())),
        kind: KeyKind::Live,
        status: KeyStatus::Active,
        expires_at: None,
        allowed_ips: AllowedIps::Any,
        scopes: Scopes {
            read: true,
            write: true,
        },
        tenant: Arc::clone(tenant),
    }
}

/// Whose they all are.
#[must_use]
pub fn tenant() -> Arc<Tenant> {
    tenant_of("https://api.anthropic.com")
}

/// The same with another upstream.
///
/// # Panics
/// If that is no URL.
#[must_use]
pub fn tenant_of(upstream: &str) -> Arc<Tenant> {
    let target = Target::new(upstream, Some("sk-ant-none")).unwrap();
    Arc::new(Tenant {
        project_id: ProjectId(Uuid::nil()),
        org_id: OrgId(Uuid::nil()),
        org_slug: "acme".into(),
        state: TenantState::Active,
        target: Arc::new(target),
        own_upstream_key: false,
        on_client_disconnect: None,
    })
}

/// The keys from 0 up to `count`.
#[must_use]
pub fn index(count: usize) -> KeyIndex {
    index_of(count, &tenant())
}

/// The same of another tenant.
#[must_use]
pub fn index_of(count: usize, tenant: &Arc<Tenant>) -> KeyIndex {
    let index = KeyIndex::default();
    for number in 0..count {
        index.insert(Arc::new(record(number, tenant)));
    }
    index.set_complete();
    index
}
