//! `/admin/v1/invitations/accept`
//!
//! Guarantees: a token is good once, and until it expires, is replaced, or its membership is removed; which of these it was, or
//! that there never was one, can't be told apart.

use axum::extract::State;
use domain::KeyHash;
use serde::Deserialize;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::members::{Member, check_domain};
use crate::body::Body;
use crate::check;
use crate::error::{ApiError, Result};
use crate::etag::Tagged;
use crate::listing::Listed as _;
use crate::origin::Origin;
use crate::server::Shared;
use crate::transaction::Transaction;

/// What every token begins with.
pub(super) const TOKEN_PREFIX: &str = "mw_iv_";
/// What accepts an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acceptance {
    /// The `invitation_token`.
    token: String,
    /// What the user is called, who is new. Of one who isn't, it stays.
    name: Option<String>,
}

/// Accepts an invitation. It takes no key: the token is what says who it is.
#[utoipa::path(post, operation_id = "invitations_accept", path = "/invitations/accept", tag = "members", request_body = Acceptance, security(()), responses((status = 200, body = Member)))]
pub(crate) async fn accept(
    State(shared): State<Shared>,
    origin: Origin,
    Body(acceptance): Body<Acceptance>,
) -> Result<Tagged<Member>> {
    if let Some(name) = &acceptance.name {
        check::text("name", name, 255)?;
    }
    // Anything else can't be one, and costs no look into the database.
    if !is_token(&acceptance.token) {
        return Err(unknown());
    }
    let hash = KeyHash::of(acceptance.token.as_bytes()).to_hex();
    let accepted = Transaction::without_key(&shared.pool, async |transaction| {
        let invitation = Invitation::lock(transaction, &hash).await?;
        check_domain(transaction, invitation.org_id, &invitation.email).await?;
        let actor = ("user", invitation.user_id);
        let org_id = Some(invitation.org_id);
        transaction.say(actor, org_id, &origin).await?;
        invitation.accept(transaction, acceptance.name).await
    });
    accepted.await.map(Tagged::ok)
}

fn is_token(text: &str) -> bool {
    let rest = text.strip_prefix(TOKEN_PREFIX);
    rest.is_some_and(|rest| rest.len() == 43 && rest.bytes().all(|it| it.is_ascii_alphanumeric()))
}

fn unknown() -> ApiError {
    ApiError::unauthenticated(
        "invitation_unknown",
        "there is no such invitation, or it is used, replaced or over: ask for a new one",
    )
}

/// An invitation that waits.
struct Invitation {
    id: Uuid,
    org_id: Uuid,
    user_id: Uuid,
    email: String,
    invited_name: Option<String>,
}

impl Invitation {
    /// Of those who come at once with the same token, the second finds it used.
    async fn lock(transaction: &Transaction, hash: &str) -> Result<Self> {
        // The organization first, like everybody who changes its members.
        let sql = "SELECT o.id FROM organizations o WHERE o.deleted_at IS NULL AND o.status = 'active'
            AND o.id = (SELECT org_id FROM org_members WHERE invitation_hash = $1) FOR NO KEY UPDATE";
        transaction
            .maybe(sql, &[&hash])
            .await?
            .ok_or_else(unknown)?;
        let sql = "SELECT m.id, m.org_id, m.user_id, u.email, m.invited_name
            FROM org_members m JOIN users u ON u.id = m.user_id
            WHERE m.invitation_hash = $1 AND m.status = 'invited' AND m.invitation_expires_at > now()
              AND u.deleted_at IS NULL AND u.status <> 'suspended'
            FOR UPDATE OF m, u";
        let row = transaction
            .maybe(sql, &[&hash])
            .await?
            .ok_or_else(unknown)?;
        Self::read(&row)
    }

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            org_id: row.try_get("org_id")?,
            user_id: row.try_get("user_id")?,
            email: row.try_get("email")?,
            invited_name: row.try_get("invited_name")?,
        })
    }

    async fn accept(self, transaction: &Transaction, name: Option<String>) -> Result<Member> {
        let sql =
            "UPDATE org_members SET status = 'active', accepted_at = now(), invitation_hash = NULL,
            invitation_expires_at = NULL, invited_name = NULL WHERE id = $1 RETURNING id";
        transaction.one(sql, &[&self.id]).await?;
        // A user who was there before is none of the inviter's business. The token has been in the inviter's hands: it proves
        // nothing of the address.
        let sql = "UPDATE users SET status = 'active', name = coalesce($2, name)
            WHERE id = $1 AND status = 'pending_verification'";
        let name = name.or(self.invited_name);
        transaction.all(sql, &[&self.user_id, &name]).await?;
        let sql = format!(
            "SELECT {} FROM {} t WHERE t.id = $1",
            Member::COLUMNS,
            Member::TABLE
        );
        Member::read(&transaction.one(&sql, &[&self.id]).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::new_key::NewKey;

    #[test]
    fn only_what_looks_like_a_token_is_looked_for() {
        let token = NewKey::generate(TOKEN_PREFIX).text;
        assert!(is_token(&token));
        let (begun, _) = token.split_at(47);
        let (accented, longer) = (format!("{begun}é"), format!("{token}0"));
        let headless = token.trim_start_matches("mw_");
        for text in ["", "mw_iv_", begun, headless, &accented, &longer] {
            assert!(!is_token(text), "{text}");
        }
    }
}
