//! Keys, one after the other, as the database sends them.
//!
//! Guarantees: keys and what they hang on are of one moment. Costs of a million: what is the same for all keys of a project is
//! computed, sent and kept once.

use std::sync::Arc;

use domain::ApiKeyId;
use futures_util::TryStreamExt as _;
use proxy::KeyRecord;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::row;
use super::tenants::{self, Tenants};
use super::{Fingerprint, KeyRow, Loaded, ROW_HASH, Scope, Targets};

/// Tells two states of a key apart, those of its project and organization included. The text of a row would do as well, and takes
/// the database four times as long.
const KEY_HASH: &str = "hashtextextended(k.key_hash, hash_record_extended(ROW(k.id, k.created_by, k.key_prefix, \
    k.status, k.expires_at, k.allowed_ips, k.scopes), tenants.hash))";

/// Which rows a scope has, as conditions on tenants and on keys.
struct Conditions {
    tenants: &'static str,
    keys: &'static str,
}

impl Conditions {
    const ALL: Self = Self {
        tenants: "true",
        keys: "true",
    };

    fn of(scope: &Scope) -> Self {
        match scope {
            Scope::All => Self::ALL,
            Scope::Keys(_) => Self {
                tenants: "p.id IN (SELECT project_id FROM api_keys WHERE id = ANY($1))",
                keys: "k.id = ANY($1)",
            },
            Scope::Project(_) => Self {
                tenants: "p.id = $1",
                keys: "k.project_id = $1",
            },
            Scope::Organization(_) => Self {
                tenants: "o.id = $1",
                keys: "true",
            },
        }
    }

    fn tenants(&self) -> String {
        format!("{} WHERE {}", tenants::TENANTS, self.tenants)
    }

    /// Selects something of keys `k` and the hashes of their `tenants`.
    fn select(&self, what: &str) -> String {
        let (tenants, keys) = (self.tenants(), self.keys);
        format!(
            "WITH tenants AS MATERIALIZED (SELECT found.project_id, {ROW_HASH} AS hash FROM ({tenants}) AS found) \
             SELECT {what} FROM api_keys k JOIN tenants ON tenants.project_id = k.project_id WHERE {keys}"
        )
    }
}

/// Loads keys, and shows each as it comes. After an error the connection is of no use any more.
pub(in crate::snapshot) async fn keys(
    client: &Client,
    scope: &Scope,
    targets: &Targets,
    show: impl FnMut(Loaded),
) -> Result<(), Error> {
    // Two statements, and nothing may change between them.
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    client.batch_execute(begin).await?;
    let conditions = Conditions::of(scope);
    match scope {
        Scope::All => load(client, &conditions, &[], targets, show).await?,
        Scope::Keys(ids) => {
            let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
            load(client, &conditions, &[&ids], targets, show).await?;
        }
        Scope::Project(id) => load(client, &conditions, &[&id.0], targets, show).await?,
        Scope::Organization(id) => load(client, &conditions, &[&id.0], targets, show).await?,
    }
    client.batch_execute("COMMIT").await
}

async fn load(
    client: &Client,
    conditions: &Conditions,
    parameters: &[&(dyn ToSql + Sync)],
    targets: &Targets,
    mut show: impl FnMut(Loaded),
) -> Result<(), Error> {
    let found = client.query(&conditions.tenants(), parameters).await?;
    let tenants = Tenants::read(&found, targets)?;
    let select = conditions.select(&format!("{}, {KEY_HASH}", row::COLUMNS));
    let rows = client
        .query_raw(&select, parameters.iter().copied())
        .await?;
    let mut rows = std::pin::pin!(rows);
    while let Some(row) = rows.try_next().await? {
        if let Some(loaded) = row::loaded(&row, &tenants)? {
            show(loaded);
        }
    }
    Ok(())
}

/// Loads one key, whatever its state; none if there is no such row, or it makes no sense.
pub(crate) async fn load_key(
    client: &Client,
    id: ApiKeyId,
    targets: &Targets,
) -> Result<Option<Arc<KeyRecord>>, Error> {
    let mut found = None;
    let show = |loaded: Loaded| match loaded.row {
        KeyRow::Key(record) => found = Some(record),
        KeyRow::Senseless { .. } => {}
    };
    keys(client, &Scope::Keys(vec![id]), targets, show).await?;
    Ok(found)
}

/// The fingerprint of all keys, computed where they are.
pub(in crate::snapshot) async fn fingerprint(client: &Client) -> Result<Fingerprint, Error> {
    let what = format!("count(*), coalesce(bit_xor({KEY_HASH}), 0)");
    let row = client
        .query_one(&Conditions::ALL.select(&what), &[])
        .await?;
    Fingerprint::read(&row)
}
