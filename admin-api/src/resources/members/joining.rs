//! How somebody becomes a member: invited, or added.
//!
//! Whoever invites learns and changes nothing of a user who is there already.

use std::time::Duration;

use chrono::Utc;
use uuid::Uuid;

use super::Member;
use super::ranks::{must_reach, standing};
use crate::caller::Caller;
use crate::check;
use crate::error::{ApiError, Result};
use crate::limits::{self, Limit};
use crate::listing::Listed as _;
use crate::new_key::NewKey;
use crate::resources::invitations::TOKEN_PREFIX;
use crate::sql::Columns;
use crate::transaction::Transaction;

const DEFAULT_SECONDS: u32 = 7 * 24 * 3_600;
const MAX_SECONDS: u32 = 30 * 24 * 3_600;

/// Who joins.
#[derive(Debug)]
pub(super) enum Joining {
    /// By invitation.
    Invited {
        email: String,
        name: Option<String>,
        lasting: Duration,
    },
    /// At once.
    User(Uuid),
}

impl Joining {
    pub(super) fn invited(email: &str, name: Option<String>, seconds: Option<u32>) -> Result<Self> {
        check::email("email", email)?;
        if let Some(name) = &name {
            check::text("name", name, 255)?;
        }
        let seconds = seconds.unwrap_or(DEFAULT_SECONDS);
        if !(60..=MAX_SECONDS).contains(&seconds) {
            let message = format!("must be 60 to {MAX_SECONDS}");
            return Err(ApiError::invalid("expires_in_seconds", message));
        }
        Ok(Self::Invited {
            email: email.to_lowercase(),
            name,
            lasting: Duration::from_secs(seconds.into()),
        })
    }
}

/// Makes somebody a member of an organization that the transaction has locked: the member's id, and the token of an invitation.
pub(super) async fn join(
    transaction: &Transaction,
    caller: &Caller,
    org_id: Uuid,
    role: &str,
    joining: Joining,
) -> Result<(Uuid, Option<String>)> {
    match joining {
        Joining::User(user_id) => {
            let id = add(transaction, org_id, role, user_id).await?;
            Ok((id, None))
        }
        Joining::Invited {
            email,
            name,
            lasting,
        } => {
            check_domain(transaction, org_id, &email).await?;
            let token = NewKey::generate(TOKEN_PREFIX);
            let mut columns = Columns::default();
            columns.set("role", role.to_owned());
            columns.set("invited_name", name);
            columns.set("invited_by", caller.user_id);
            columns.set("invitation_hash", token.hash.to_hex());
            columns.set("invited_at", Utc::now());
            columns.set("invitation_expires_at", Utc::now() + lasting);
            let id = invite(transaction, caller, org_id, &email, columns).await?;
            Ok((id, Some(token.text)))
        }
    }
}

/// A membership that waits, or the one that waits already.
async fn invite(
    transaction: &Transaction,
    caller: &Caller,
    org_id: Uuid,
    email: &str,
    mut columns: Columns,
) -> Result<Uuid> {
    let row = transaction
        .one("SELECT invited_user($1)", &[&email])
        .await?;
    let user_id: Uuid = row.try_get(0)?;
    let sql =
        "SELECT id, role, status FROM org_members WHERE org_id = $1 AND user_id = $2 FOR UPDATE";
    let Some(found) = transaction.maybe(sql, &[&org_id, &user_id]).await? else {
        limits::room_for(transaction, org_id, Limit::Users).await?;
        let id = Uuid::now_v7();
        columns.set("id", id);
        columns.set("org_id", org_id);
        columns.set("user_id", user_id);
        columns.set("status", "invited");
        columns.set("invited_email", email.to_owned());
        columns.insert(transaction, Member::TABLE).await?;
        return Ok(id);
    };
    if found.try_get::<_, &str>("status")? != "invited" {
        return Err(is_member());
    }
    must_reach(
        standing(transaction, caller, org_id).await?,
        found.try_get("role")?,
    )?;
    let id = found.try_get("id")?;
    columns.update(transaction, Member::TABLE, id).await?;
    Ok(id)
}

/// A user, who is active at once.
async fn add(transaction: &Transaction, org_id: Uuid, role: &str, user_id: Uuid) -> Result<Uuid> {
    let sql = "SELECT email FROM users WHERE id = $1 AND deleted_at IS NULL AND status = 'active'";
    let user = transaction.maybe(sql, &[&user_id]).await?;
    let user = user.ok_or_else(|| ApiError::invalid("user_id", "there is no such active user"))?;
    check_domain(transaction, org_id, user.try_get("email")?).await?;
    let sql = "SELECT FROM org_members WHERE org_id = $1 AND user_id = $2";
    if transaction
        .maybe(sql, &[&org_id, &user_id])
        .await?
        .is_some()
    {
        return Err(is_member());
    }
    limits::room_for(transaction, org_id, Limit::Users).await?;
    let id = Uuid::now_v7();
    let mut columns = Columns::default();
    columns.set("id", id);
    columns.set("org_id", org_id);
    columns.set("user_id", user_id);
    columns.set("role", role.to_owned());
    columns.insert(transaction, Member::TABLE).await?;
    Ok(id)
}

fn is_member() -> ApiError {
    ApiError::conflict("taken", "there is such a member already")
}

/// Refuses an address that the organization doesn't allow (any more).
pub(in crate::resources) async fn check_domain(
    transaction: &Transaction,
    org_id: Uuid,
    email: &str,
) -> Result<()> {
    let sql = "SELECT allowed_email_domains FROM organizations WHERE id = $1";
    let row = transaction.one(sql, &[&org_id]).await?;
    let allowed: Option<Vec<String>> = row.try_get(0)?;
    if allowed.is_none_or(|allowed| is_of(email, &allowed)) {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "email_domain_not_allowed",
        "the address's domain is not among the organization's `allowed_email_domains`",
    ))
}

/// The whole of what is behind the last `@`, in upper or lower case.
fn is_of(email: &str, domains: &[String]) -> bool {
    let domain = email.rsplit_once('@').map(|(_, domain)| domain);
    domain.is_some_and(|domain| {
        let domain = domain.to_lowercase();
        domains.iter().any(|it| it.to_lowercase() == domain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_the_whole_of_it() {
        let allowed = ["Acme.example".to_owned()];
        for (email, expected) in [
            ("a@acme.example", true),
            ("a@ACME.EXAMPLE", true),
            ("a@mail.acme.example", false),
            ("a@notacme.example", false),
            ("a@acme.example.org", false),
            ("a@acme.example@evil.example", false),
            ("acme.example", false),
        ] {
            assert_eq!(is_of(email, &allowed), expected, "{email}");
        }
    }
}
