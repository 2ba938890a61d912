//! `POST /admin/v1/password`, and what a password has to be.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::passwords::{self, MOST_CHARACTERS};
use super::proof::{Proven, noting};
use super::secret::Secret;
use crate::body::Body;
use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::server::Shared;
use crate::transaction::Transaction;

const LEAST_CHARACTERS: usize = 12;
/// What is tried first of what is long enough. Throttling takes care of the rest.
const WORST: &[&str] = &[
    "000000000000",
    "111111111111",
    "123123123123",
    "1234567890123",
    "123456789012",
    "1q2w3e4r5t6y",
    "abcdefghijkl",
    "adminadminadmin",
    "administrator",
    "changemechangeme",
    "correcthorsebatterystaple",
    "iloveyouiloveyou",
    "letmeinletmein",
    "passwordpassword",
    "password1234",
    "password12345",
    "password123456",
    "qwertyqwerty",
    "qwertyuiop12",
    "qwertyuiop123",
    "qwertyuiopasdf",
];

/// A user's new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPassword {
    current_password: Secret,
    /// 12 to 128 characters.
    new_password: Secret,
}

/// That it was changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PasswordChanged {
    /// The user's.
    id: Uuid,
    /// `password_changed`
    r#type: &'static str,
}

/// Refuses what is no password for the user with this e-mail address.
pub(crate) fn check(path: &str, password: &Secret, email: &str) -> Result<()> {
    let length = passwords::length(password);
    if !(LEAST_CHARACTERS..=MOST_CHARACTERS).contains(&length) {
        let message = format!("must have {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters");
        return Err(ApiError::invalid(path, message));
    }
    // As it is hashed: typed on another keyboard it is no better.
    let lower = passwords::normalized(&password.0).to_lowercase();
    let email = passwords::normalized(email).to_lowercase();
    if lower == email || WORST.contains(&lower.as_str()) {
        let message = "is the first that anybody would try";
        return Err(ApiError::invalid(path, message));
    }
    Ok(())
}

/// Changes the password of the session's user. Their other sessions end.
#[utoipa::path(post, operation_id = "password_change", path = "/password", tag = "sessions", request_body = NewPassword, responses((status = 200, body = PasswordChanged)))]
pub(crate) async fn change(
    State(shared): State<Shared>,
    caller: Caller,
    Body(new): Body<NewPassword>,
) -> Result<Json<PasswordChanged>> {
    let (session, user_id) = caller.session()?;
    let proven = Proven::of_session(&shared, &caller, &new.current_password).await?;
    check("new_password", &new.new_password, &proven.email)?;
    let hash = shared.passwords.hash(&new.new_password).await?;
    let changed = Transaction::within_unguarded(&shared.pool, &caller, async |transaction| {
        proven.hold(transaction).await?;
        let sql = "UPDATE users SET password_hash = $2 WHERE id = $1 RETURNING id";
        transaction.one(sql, &[&user_id, &hash]).await?;
        end_sessions(transaction, user_id, Some(session)).await
    });
    noting(&shared, &caller.origin, user_id, changed.await).await?;
    Ok(Json(PasswordChanged {
        id: user_id,
        r#type: "password_changed",
    }))
}

/// Ends a user's sessions, all or all but one. To be done by a transaction that holds the user: who logs in meanwhile waits, and
/// then finds what has changed.
pub(crate) async fn end_sessions(
    transaction: &Transaction,
    user_id: Uuid,
    but: Option<Uuid>,
) -> Result<()> {
    let sql = "DELETE FROM sessions WHERE user_id = $1 AND id IS DISTINCT FROM $2";
    transaction.all(sql, &[&user_id, &but]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_would_try_is_no_password() {
        let email = "Ann.Example@acme.example";
        for (password, is_good) in [
            ("a good password", true),
            (&"ж".repeat(12), true),
            (&"x".repeat(128), true),
            (&"x".repeat(129), false),
            (&"ж".repeat(11), false),
            ("", false),
            ("ann.example@ACME.example", false),
            ("Password1234", false),
            ("\u{ff30}assword\u{ff11}234", false),
            ("ann.example\u{ff20}acme.example", false),
        ] {
            let checked = check("password", &Secret(password.to_owned()), email);
            assert_eq!(checked.is_ok(), is_good, "{password}");
        }
    }
}
