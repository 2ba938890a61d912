//! Who calls, and may they? One hash, one read of the index, no I/O.

use std::net::IpAddr;
use std::sync::Arc;

use domain::{KeyHash, Timestamp};
use http::{HeaderMap, Method};

use crate::credentials;
use crate::failure::Failure;
use crate::keys::{AllowedIps, KeyIndex, KeyRecord, KeyStatus, TenantState};

/// Finds the caller of a request.
///
/// # Errors
/// Says why there is none, or why it may not.
pub(crate) fn authenticate(
    keys: &KeyIndex,
    headers: &HeaderMap,
    method: &Method,
    address: IpAddr,
    now: Timestamp,
) -> Result<Arc<KeyRecord>, Failure> {
    let key = credentials::find(headers)?;
    // Before all keys are loaded nobody can say that one doesn't exist; asked first, since they may come any time.
    let complete = keys.is_complete();
    let Some(record) = keys.get(&KeyHash::of(key)) else {
        return Err(if complete {
            Failure::KeyUnknown
        } else {
            Failure::Overloaded
        });
    };
    check(&record, method, address, now)?;
    Ok(record)
}

/// Whether a key may be used for this, from there, now.
pub(crate) fn check(
    key: &KeyRecord,
    method: &Method,
    address: IpAddr,
    now: Timestamp,
) -> Result<(), Failure> {
    match key.status {
        KeyStatus::Active => {}
        KeyStatus::Revoked => return Err(Failure::KeyRevoked),
        KeyStatus::Expired => return Err(Failure::KeyExpired),
    }
    if key.expires_at.is_some_and(|end| end <= now) {
        return Err(Failure::KeyExpired);
    }
    if !allows_address(&key.allowed_ips, address) {
        return Err(Failure::IpNotAllowed);
    }
    let reads = method == Method::GET || method == Method::HEAD;
    if !(if reads {
        key.scopes.read
    } else {
        key.scopes.write
    }) {
        return Err(Failure::ScopeMissing {
            needed: if reads { "read" } else { "write" },
        });
    }
    check_tenant(key.tenant.state)
}

/// Whether keys may be used at all.
pub(crate) fn check_tenant(tenant: TenantState) -> Result<(), Failure> {
    match tenant {
        TenantState::Active => Ok(()),
        TenantState::ProjectInactive => Err(Failure::ProjectInactive),
        TenantState::OrganizationInactive => Err(Failure::OrganizationInactive),
    }
}

fn allows_address(allowed: &AllowedIps, address: IpAddr) -> bool {
    match allowed {
        AllowedIps::Any => true,
        AllowedIps::Only(networks) => networks.iter().any(|network| network.contains(&address)),
    }
}
