//! The keys that requests come with.

use std::sync::Arc;
use std::time::Duration;

use domain::{KeyHash, KeyKind};
use http::HeaderValue;
use testkit::Scene;
use uuid::Uuid;

/// One or many by turns, or another each time that nobody made.
#[derive(Debug, Clone)]
pub(super) enum Keys {
    Known(Arc<[HeaderValue]>),
    Unknown,
}

impl Keys {
    /// So many new ones; nobody knows them yet.
    pub(super) fn generate(count: u32) -> Arc<[HeaderValue]> {
        (0..count).map(|_| new_key()).collect()
    }

    pub(super) fn pick(&self, number: u64) -> HeaderValue {
        match self {
            Self::Known(keys) => {
                let place = number % keys.len() as u64;
                let place = usize::try_from(place).expect("less than a length");
                keys[place].clone()
            }
            Self::Unknown => new_key(),
        }
    }
}

fn new_key() -> HeaderValue {
    let text = format!("{}{}", KeyKind::Live.prefix(), Uuid::now_v7().simple());
    HeaderValue::try_from(text).expect("letters and digits")
}

/// Makes keys known.
pub(super) async fn insert(scene: &Scene, keys: &[HeaderValue]) {
    let hashes: Vec<String> = keys
        .iter()
        .map(|key| KeyHash::of(key.as_bytes()).to_hex())
        .collect();
    let sql = "INSERT INTO api_keys (project_id, created_by, key_prefix, key_hash, name)
        SELECT $1, $2, $3, hash, 'bench' FROM unnest($4::TEXT[]) hash";
    let of = &scene.tenant;
    let prefix = KeyKind::Live.prefix();
    scene
        .sql
        .execute(sql, &[&of.project_id, &of.user_id, &prefix, &hashes])
        .await
        .unwrap();
}

/// Makes so many keys a second and revokes as many, for good.
pub(super) async fn churn(scene: &Scene, per_second: u32) {
    let revoke = "UPDATE api_keys SET status = 'revoked', revoked_at = now(), revoked_by = $2
        WHERE key_hash = $1";
    let mut beat = tokio::time::interval(Duration::from_secs(1) / (2 * per_second));
    loop {
        beat.tick().await;
        let key = new_key();
        insert(scene, std::slice::from_ref(&key)).await;
        beat.tick().await;
        let hash = KeyHash::of(key.as_bytes()).to_hex();
        scene
            .sql
            .execute(revoke, &[&hash, &scene.tenant.user_id])
            .await
            .unwrap();
    }
}
