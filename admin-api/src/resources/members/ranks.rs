//! Who may change whom: nobody gives, changes or takes a role above their own, and an organization keeps an owner.

use uuid::Uuid;

use super::Member;
use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::etag::IfMatch;
use crate::listing;
use crate::resources::organizations;
use crate::role::{self, Role};
use crate::transaction::Transaction;

/// Refuses to give or touch a role above the caller's own.
pub(in crate::resources) fn must_reach(own: Role, role: &str) -> Result<()> {
    if Role::parse(role).is_some_and(|role| role <= own) {
        return Ok(());
    }
    let message = format!(
        "the caller's role is `{}`: it neither gives nor changes the role `{role}`",
        role::name(own)
    );
    Err(ApiError::forbidden("role_missing", message))
}

/// The caller's role in an organization that the transaction has locked: others may have changed it before.
pub(in crate::resources) async fn standing(
    transaction: &Transaction,
    caller: &Caller,
    org_id: Uuid,
) -> Result<Role> {
    let (Some(_), Some(user_id)) = (caller.org_id, caller.user_id) else {
        return Ok(caller.role);
    };
    let sql =
        "SELECT role FROM org_members WHERE org_id = $1 AND user_id = $2 AND status = 'active'";
    let row = transaction.maybe(sql, &[&org_id, &user_id]).await?;
    let role: Option<&str> = row.as_ref().map(|row| row.try_get(0)).transpose()?;
    let role = role.and_then(Role::parse);
    role.map(|role| role.min(caller.role))
        .ok_or_else(|| ApiError::forbidden("user_inactive", "the key's user is not active"))
}

/// A member that is about to change, and the caller's role. The organization is locked first, always: whoever changes its
/// members waits for those who do.
pub(super) async fn lock(
    transaction: &Transaction,
    caller: &Caller,
    (org_id, id): (Uuid, Uuid),
    if_match: &IfMatch,
) -> Result<(Role, Member)> {
    organizations::lock(transaction, caller, org_id).await?;
    let own = standing(transaction, caller, org_id).await?;
    let member: Member = listing::lock(transaction, caller, id).await?;
    let member = member.must_be_of(org_id)?;
    if_match.check(&member)?;
    Ok((own, member))
}

/// Refuses to take the role, or the membership, of the only owner who may act.
pub(super) async fn must_not_be_last_owner(
    transaction: &Transaction,
    member: &Member,
) -> Result<()> {
    if !member.is_active_owner() {
        return Ok(());
    }
    let sql = "SELECT FROM org_members m JOIN users u ON u.id = m.user_id
        WHERE m.org_id = $1 AND m.id <> $2 AND m.role = 'owner' AND m.status = 'active'
          AND u.status = 'active' AND u.deleted_at IS NULL LIMIT 1";
    let other = transaction
        .maybe(sql, &[&member.org_id, &member.id])
        .await?;
    other.map(drop).ok_or_else(|| {
        ApiError::conflict(
            "last_owner",
            "it is the organization's last active owner: make another one first",
        )
    })
}
