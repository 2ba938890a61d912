//! Proving who one is.
//!
//! The password is compared before any transaction: that takes its time. The transaction that makes something of it then
//! holds the user, and sees to it that the password is still the one that was compared.

use std::net::IpAddr;

use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::passwords::Verdict;
use super::secret::Secret;
use crate::error::{ApiError, Result};
use crate::origin::Origin;
use crate::server::Shared;
use crate::transaction::Transaction;

/// Whatever was wrong.
const LOGIN_FAILED: &str = "login_failed";

/// A user, as far as it is about logging in.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    password_hash: Option<String>,
    /// Where they have logged in last.
    home: Option<IpAddr>,
}

impl Account {
    const COLUMNS: &str = "id, email, password_hash, last_login_ip";

    async fn by_email(client: &Client, email: &str) -> Result<Option<Self>> {
        let columns = Self::COLUMNS;
        let sql = format!("SELECT {columns} FROM users WHERE email = $1 AND deleted_at IS NULL");
        let row = client.query_opt(&sql, &[&email]).await?;
        row.as_ref().map(Self::read).transpose()
    }

    pub(crate) async fn by_id(client: &Client, id: Uuid) -> Result<Self> {
        let columns = Self::COLUMNS;
        let sql = format!("SELECT {columns} FROM users WHERE id = $1 AND deleted_at IS NULL");
        let row = client.query_opt(&sql, &[&id]).await?;
        Self::read(&row.ok_or_else(failed)?)
    }

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            email: row.try_get("email")?,
            password_hash: row.try_get("password_hash")?,
            home: row.try_get("last_login_ip")?,
        })
    }
}

/// Whose password was right.
pub(crate) struct Proven {
    pub(crate) user_id: Uuid,
    pub(crate) email: String,
    /// What it was compared with.
    kept: String,
    rehashed: Option<String>,
}

/// A user that a transaction holds: until it ends nobody else changes how they log in.
pub(crate) struct Held {
    pub(super) user_id: Uuid,
    pub(super) status: String,
    pub(super) mfa_enabled: bool,
    pub(super) mfa_secret: Option<String>,
    pub(super) mfa_last_step: Option<i64>,
}

impl Proven {
    /// By an e-mail address, which may be nobody's.
    pub(super) async fn by_email(
        shared: &Shared,
        origin: &Origin,
        email: &str,
        password: &Secret,
    ) -> Result<Self> {
        shared.throttles.at_address(origin.address)?;
        // Longer than any that is stored.
        let email: String = email.to_lowercase().chars().take(256).collect();
        let connection = shared.pool.get().await?;
        let account = Account::by_email(&connection.client, &email).await?;
        drop(connection);
        Self::compare(shared, origin, &email, account, password).await
    }

    /// Of a user who is known.
    pub(crate) async fn of(
        shared: &Shared,
        origin: &Origin,
        user_id: Uuid,
        password: &Secret,
    ) -> Result<Self> {
        shared.throttles.at_address(origin.address)?;
        let connection = shared.pool.get().await?;
        let account = Account::by_id(&connection.client, user_id).await?;
        drop(connection);
        let email = account.email.clone();
        Self::compare(shared, origin, &email, Some(account), password).await
    }

    async fn compare(
        shared: &Shared,
        origin: &Origin,
        email: &str,
        account: Option<Account>,
        password: &Secret,
    ) -> Result<Self> {
        let home = account.as_ref().and_then(|account| account.home);
        shared.throttles.of_user(email, origin.address, home)?;
        let user_id = account.as_ref().map(|account| account.id);
        let kept = account.and_then(|account| account.password_hash);
        let verdict = shared.passwords.verify(password, kept.clone()).await?;
        match (verdict, user_id, kept) {
            (Verdict::Right { rehashed }, Some(user_id), Some(kept)) => Ok(Self {
                user_id,
                email: email.to_owned(),
                kept,
                rehashed,
            }),
            (Verdict::Right { .. } | Verdict::Wrong, ..) => {
                // As much is done for nobody, so that it takes as long.
                note_failure(shared, origin, user_id.unwrap_or_default()).await?;
                Err(failed())
            }
        }
    }

    /// Holds the user, whose password must not have changed meanwhile.
    pub(crate) async fn hold(&self, transaction: &Transaction) -> Result<Held> {
        let held = Held::of(transaction, self.user_id, Some(&self.kept)).await?;
        held.ok_or_else(failed)
    }

    /// Keeps the password as it would be kept now. To be done by a transaction that holds the user and has said who it is.
    pub(super) async fn keep_up(&self, transaction: &Transaction) -> Result<()> {
        if let Some(rehashed) = &self.rehashed {
            let sql = "UPDATE users SET password_hash = $2 WHERE id = $1 RETURNING id";
            transaction.one(sql, &[&self.user_id, rehashed]).await?;
        }
        Ok(())
    }
}

impl Held {
    /// A user, if there is one with this password, where that matters.
    pub(super) async fn of(
        transaction: &Transaction,
        user_id: Uuid,
        kept: Option<&str>,
    ) -> Result<Option<Self>> {
        let sql = "SELECT status, mfa_enabled, mfa_secret, mfa_last_step FROM users
            WHERE id = $1 AND deleted_at IS NULL AND password_hash IS NOT DISTINCT FROM coalesce($2, password_hash)
            FOR NO KEY UPDATE";
        let Some(row) = transaction.maybe(sql, &[&user_id, &kept]).await? else {
            return Ok(None);
        };
        Ok(Some(Self {
            user_id,
            status: row.try_get("status")?,
            mfa_enabled: row.try_get("mfa_enabled")?,
            mfa_secret: row.try_get("mfa_secret")?,
            mfa_last_step: row.try_get("mfa_last_step")?,
        }))
    }
}

/// The same, whatever was wrong.
pub(super) fn failed() -> ApiError {
    let message = "the e-mail address, the password or the code is wrong";
    ApiError::unauthenticated(LOGIN_FAILED, message)
}

/// What a transaction came to that a proof went into: a failure is written down, since the transaction is undone.
pub(crate) async fn noting<T>(
    shared: &Shared,
    origin: &Origin,
    user_id: Uuid,
    ended: Result<T>,
) -> Result<T> {
    if let Err(error) = &ended
        && error.code() == LOGIN_FAILED
    {
        note_failure(shared, origin, user_id).await?;
    }
    ended
}

/// Writes down that somebody wasn't let in as a user. Who it was nobody knows.
async fn note_failure(shared: &Shared, origin: &Origin, user_id: Uuid) -> Result<()> {
    // Nothing is waited for: how long the disk takes would tell who is a user.
    let sql = "SET LOCAL synchronous_commit = off";
    Transaction::without_key(&shared.pool, async |transaction| {
        transaction.client().batch_execute(sql).await?;
        let sql = "INSERT INTO audit_logs
                (actor_type, actor_ip, actor_user_agent, action, resource_type, resource_id, request_id)
            SELECT 'system', $2::inet, $3::text, 'users.login_failed', 'users', id, $4::uuid FROM users WHERE id = $1";
        let values: [crate::transaction::Param<'_>; 4] = [
            &user_id,
            &origin.address,
            &origin.user_agent,
            &origin.request_id,
        ];
        transaction.all(sql, &values).await.map(drop)
    })
    .await
}
