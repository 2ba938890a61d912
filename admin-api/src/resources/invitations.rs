//! `/admin/v1/invitations/accept`
//!
//! Guarantees: a token is good once, and until it expires, is replaced, or its membership is removed; which of these it was, or
//! that there never was one, can't be told apart. Whoever invites has the token too: a user who is there already accepts by
//! what else shows that it is them.

use axum::extract::State;
use domain::KeyHash;
use serde::Deserialize;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::members::{Member, check_domain};
use crate::body::Body;
use crate::caller::Caller;
use crate::check;
use crate::error::{ApiError, Result};
use crate::etag::Tagged;
use crate::listing::Listed as _;
use crate::login::{self, Proven, Secret, check_password};
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
    /// What a user who is new will log in with, 12 to 128 characters; of one who isn't, what they log in with.
    password: Option<Secret>,
    /// Of a user who isn't new and has a second factor.
    code: Option<Secret>,
}

/// Accepts an invitation. Of a user who is new it takes no key: the token is what says who it is. One who isn't sends a session's
/// token of theirs, or their password.
#[utoipa::path(post, operation_id = "invitations_accept", path = "/invitations/accept", tag = "members", request_body = Acceptance, security((), ("x-api-key" = []), ("bearer" = [])), responses((status = 200, body = Member)))]
pub(crate) async fn accept(
    State(shared): State<Shared>,
    origin: Origin,
    caller: Option<Caller>,
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
    shared.throttles.at_address(origin.address)?;
    let invited = Transaction::without_key(&shared.pool, async |transaction| {
        let invited = Invitation::find(transaction, &hash).await?;
        // Whatever refuses does so before a password takes its time.
        check_domain(transaction, invited.org_id, &invited.email).await?;
        Ok(invited)
    });
    let invited = invited.await.inspect_err(|error| {
        if error.status.is_server_error() {
            shared.throttles.not_at_address(origin.address);
        }
    })?;
    let proof = Proof::find(&shared, &origin, caller, &invited, &acceptance).await?;
    let accepted = Transaction::without_key(&shared.pool, async |transaction| {
        let invitation = Invitation::lock(transaction, &hash).await?;
        check_domain(transaction, invitation.org_id, &invitation.email).await?;
        // Before anything is written: a backup code that is used up is on record as the user's doing.
        let actor = ("user", invitation.user_id);
        let org_id = Some(invitation.org_id);
        transaction
            .say(actor, proof.with(), org_id, &origin)
            .await?;
        proof
            .hold(&shared, transaction, &invitation, acceptance.code.as_ref())
            .await?;
        invitation
            .accept(transaction, acceptance.name, proof.new_password())
            .await
    });
    let accepted = match &proof {
        Proof::Password(proven) => {
            login::noting(&shared, &origin, proven.user_id, accepted.await).await
        }
        Proof::IsNew(_) | Proof::Session(_) => accepted.await,
    };
    accepted.map(Tagged::ok)
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
    /// Nobody has ever accepted one as this user, nor logged in.
    is_new: bool,
    email: String,
    invited_name: Option<String>,
}

/// Of users `u`: nobody has ever been them, whatever their status is. Whom the status alone made new, the next inviter could be.
pub(super) const UNTOUCHED: &str = "u.password_hash IS NULL AND u.last_login_at IS NULL
    AND NOT u.mfa_enabled AND u.mfa_secret IS NULL
    AND NOT EXISTS (SELECT FROM org_members other WHERE other.user_id = u.id AND other.status <> 'invited')
    AND NOT EXISTS (SELECT FROM sessions s WHERE s.user_id = u.id)
    AND NOT EXISTS (SELECT FROM admin_keys k WHERE k.user_id = u.id)";

const WAITING: &str = "FROM org_members m JOIN users u ON u.id = m.user_id JOIN organizations o ON o.id = m.org_id
    WHERE m.invitation_hash = $1 AND m.status = 'invited' AND m.invitation_expires_at > now()
      AND u.deleted_at IS NULL AND u.status <> 'suspended' AND o.deleted_at IS NULL AND o.status = 'active'";

impl Invitation {
    /// To be looked at again when it is locked.
    async fn find(transaction: &Transaction, hash: &str) -> Result<Self> {
        let sql = format!(
            "SELECT m.id, m.org_id, m.user_id, u.email, m.invited_name,
                u.status = 'pending_verification' AND {UNTOUCHED} AS is_new {WAITING}"
        );
        let row = transaction.maybe(&sql, &[&hash]).await?;
        Self::read(&row.ok_or_else(unknown)?)
    }

    /// Of those who come at once with the same token, the second finds it used.
    async fn lock(transaction: &Transaction, hash: &str) -> Result<Self> {
        // The organization first, like everybody who changes its members.
        let sql = "SELECT o.id FROM organizations o WHERE o.deleted_at IS NULL AND o.status = 'active'
            AND o.id = (SELECT org_id FROM org_members WHERE invitation_hash = $1) FOR NO KEY UPDATE";
        transaction
            .maybe(sql, &[&hash])
            .await?
            .ok_or_else(unknown)?;
        let sql = format!("SELECT m.id {WAITING} FOR UPDATE OF m, u");
        let locked = transaction.maybe(&sql, &[&hash]).await?;
        locked.ok_or_else(unknown)?;
        // Read when nothing about the user changes any more.
        Self::find(transaction, hash).await
    }

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            org_id: row.try_get("org_id")?,
            user_id: row.try_get("user_id")?,
            is_new: row.try_get("is_new")?,
            email: row.try_get("email")?,
            invited_name: row.try_get("invited_name")?,
        })
    }

    async fn accept(
        self,
        transaction: &Transaction,
        name: Option<String>,
        password_hash: Option<&str>,
    ) -> Result<Member> {
        let sql =
            "UPDATE org_members SET status = 'active', accepted_at = now(), invitation_hash = NULL,
            invitation_expires_at = NULL, invited_name = NULL WHERE id = $1 RETURNING id";
        transaction.one(sql, &[&self.id]).await?;
        // A user who was there before is none of the inviter's business. The token has been in the inviter's hands: it proves
        // nothing of the address.
        let sql = "UPDATE users SET status = 'active', name = coalesce($2, name),
                password_hash = coalesce($3, password_hash)
            WHERE id = $1 AND status = 'pending_verification'";
        let name = name.or(self.invited_name);
        transaction
            .all(sql, &[&self.user_id, &name, &password_hash])
            .await?;
        let sql = format!(
            "SELECT {} FROM {} t WHERE t.id = $1",
            Member::COLUMNS,
            Member::TABLE
        );
        Member::read(&transaction.one(&sql, &[&self.id]).await?)
    }
}

/// What shows that it is the invited who accepts.
enum Proof {
    /// The token alone: the user is made by accepting. What is kept of the password, if there is one.
    IsNew(Option<String>),
    /// A session of the user's. Of an admin key nobody knows who has it: others may have made it in the user's name.
    Session(Caller),
    Password(Proven),
}

impl Proof {
    async fn find(
        shared: &Shared,
        origin: &Origin,
        caller: Option<Caller>,
        invited: &Invitation,
        given: &Acceptance,
    ) -> Result<Self> {
        let session = caller.filter(|caller| {
            caller
                .session()
                .is_ok_and(|(_, user_id)| user_id == invited.user_id)
        });
        match (session, &given.password) {
            (_, None) if invited.is_new => Ok(Self::IsNew(None)),
            (_, Some(password)) if invited.is_new => {
                check_password("password", password, &invited.email)?;
                let hash = login::hash_first(shared, origin, &invited.email, password);
                Ok(Self::IsNew(Some(hash.await?)))
            }
            (Some(session), _) => Ok(Self::Session(session)),
            (None, Some(password)) => {
                let proven = Proven::of_invited(shared, origin, invited.user_id, password);
                proven.await.map(Self::Password)
            }
            (None, None) => Err(login_required()),
        }
    }

    /// Sees to it that it is good still, in the transaction that has locked the invitation and its user.
    async fn hold(
        &self,
        shared: &Shared,
        transaction: &Transaction,
        invitation: &Invitation,
        code: Option<&Secret>,
    ) -> Result<()> {
        match self {
            // Somebody else has accepted another invitation meanwhile.
            Self::IsNew(_) if !invitation.is_new => Err(login_required()),
            Self::IsNew(_) => Ok(()),
            Self::Session(caller) => caller.check_again(transaction).await,
            Self::Password(proven) => {
                let held = proven.hold(transaction).await?;
                login::take_code(shared, transaction, &held, code).await
            }
        }
    }

    /// The session.
    fn with(&self) -> Option<(&'static str, Uuid)> {
        match self {
            Self::Session(caller) => Some((caller.kind.name(), caller.key_id)),
            Self::IsNew(_) | Self::Password(_) => None,
        }
    }

    fn new_password(&self) -> Option<&str> {
        match self {
            Self::IsNew(hash) => hash.as_deref(),
            Self::Session(_) | Self::Password(_) => None,
        }
    }
}

fn login_required() -> ApiError {
    ApiError::unauthenticated(
        "login_required",
        "the invited is a user already: accept with a session of theirs, or with their `password`",
    )
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
