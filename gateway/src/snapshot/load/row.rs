//! A row of `api_keys`, field by field. Fields are told by their places: looked up by name, those of a million rows take a second.

use std::error::Error as StdError;
use std::net::IpAddr;
use std::sync::Arc;

use domain::{ApiKeyId, KeyHash, KeyKind, ProjectId, Timestamp, UserId};
use ipnet::IpNet;
use proxy::{AllowedIps, KeyRecord, KeyStatus, Scopes};
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Error, Row};

use super::tenants::Tenants;
use super::{KeyRow, Loaded};

/// What is selected of a key `k`. Behind it comes the hash of the row.
pub(super) const COLUMNS: &str = "k.id, k.project_id, k.created_by, k.key_prefix, k.key_hash, \
    k.status, k.expires_at, k.allowed_ips::text[], k.scopes";
const ROW_HASH: usize = 9;

/// What a row says; `None` if its project wasn't read.
pub(super) fn loaded(row: &Row, tenants: &Tenants) -> Result<Option<Loaded>, Error> {
    let (id, project_id) = (ApiKeyId(row.try_get(0)?), ProjectId(row.try_get(1)?));
    let Some(tenant) = tenants.of(project_id, KeyKind::Live) else {
        return Ok(None);
    };
    let key = key(row, id, project_id, tenants).unwrap_or_else(|error| {
        tracing::warn!(key_id = %id, %error, "a key that can't be understood is refused");
        None
    });
    let senseless = || KeyRow::Senseless {
        id,
        project_id,
        org_id: tenant.org_id,
    };
    Ok(Some(Loaded {
        row_hash: row.try_get(ROW_HASH)?,
        row: key.map_or_else(senseless, |record| KeyRow::Key(Arc::new(record))),
    }))
}

fn key(
    row: &Row,
    id: ApiKeyId,
    project_id: ProjectId,
    tenants: &Tenants,
) -> Result<Option<KeyRecord>, Error> {
    let (prefix, hash): (&str, &str) = (row.try_get(3)?, row.try_get(4)?);
    let (Some(kind), Some(hash)) = (KeyKind::from_prefix(prefix), KeyHash::from_hex(hash)) else {
        tracing::warn!(key_id = %id, "a key with an unknown prefix or a malformed hash is refused");
        return Ok(None);
    };
    let Some(tenant) = tenants.of(project_id, kind) else {
        return Ok(None);
    };
    let scopes: Vec<Option<&str>> = row.try_get(8)?;
    let has_scope = |name: &str| scopes.iter().flatten().any(|scope| *scope == name);
    Ok(Some(KeyRecord {
        hash,
        id,
        user_id: Some(UserId(row.try_get(2)?)),
        kind,
        status: status(row.try_get(5)?),
        expires_at: row.try_get::<_, Option<End>>(6)?.and_then(End::meant),
        allowed_ips: allowed_ips(row.try_get(7)?),
        scopes: Scopes {
            read: has_scope("read"),
            write: has_scope("write"),
        },
        tenant: Arc::clone(tenant),
    }))
}

/// `api_keys.expires_at`, as PostgreSQL sends it: microseconds since 2000, and the greatest and the least number for infinity.
#[derive(Debug, Clone, Copy)]
struct End(i64);

impl End {
    /// Of 2000.
    const UNIX_MICROS: i64 = 946_684_800_000_000;
    /// The year 9999.
    const NEVER_UNIX_MICROS: i64 = 253_370_764_800_000_000;

    /// Nobody sees the difference between any two ends before 1970, nor between any two after 9999.
    fn meant(self) -> Option<Timestamp> {
        let unix_micros = self.0.saturating_add(Self::UNIX_MICROS).max(0);
        (unix_micros <= Self::NEVER_UNIX_MICROS).then_some(Timestamp { unix_micros })
    }
}

impl<'a> FromSql<'a> for End {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(i64::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TIMESTAMPTZ
    }
}

/// An unknown status refuses.
fn status(text: &str) -> KeyStatus {
    match text {
        "active" => KeyStatus::Active,
        "expired" => KeyStatus::Expired,
        _ => KeyStatus::Revoked,
    }
}

/// PostgreSQL writes a single address without a mask. An element that is none allows nobody.
fn allowed_ips(texts: Option<Vec<Option<&str>>>) -> AllowedIps {
    let network = |text: Option<&str>| {
        let text = text?;
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .ok()
    };
    match texts {
        None => AllowedIps::Any,
        Some(texts) if texts.is_empty() => AllowedIps::Any,
        Some(texts) => AllowedIps::Only(texts.into_iter().filter_map(network).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_within_the_years_that_anybody_will_see() {
        const YEAR: i64 = 31_556_952_000_000;
        for (sent, expected) in [
            (0, Some(End::UNIX_MICROS)),
            (-1, Some(End::UNIX_MICROS - 1)),
            (-100 * YEAR, Some(0)),
            (i64::MIN, Some(0)),
            (9_000 * YEAR, None),
            (i64::MAX, None),
        ] {
            let end = End(sent).meant().map(|end| end.unix_micros);
            assert_eq!(end, expected, "{sent}");
        }
    }
}
