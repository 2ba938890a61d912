//! Proving who one is.
//!
//! The password is compared before any transaction: that takes its time. The transaction that makes something of it then
//! holds the user, and sees to it that the password is still the one that was compared.

use std::net::IpAddr;

use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::passwords::Verdict;
use super::secret::Secret;
use super::throttles::Who;
use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::origin::Origin;
use crate::server::Shared;
use crate::transaction::Transaction;

/// Whatever was wrong.
pub(super) const LOGIN_FAILED: &str = "login_failed";

/// A user, as far as it is about logging in.
#[derive(Debug)]
struct Account {
    id: Uuid,
    email: String,
    password_hash: Option<String>,
    /// Where they have logged in last.
    home: Option<IpAddr>,
}

impl Account {
    const COLUMNS: &str = "id, email, password_hash, last_login_ip";

    async fn find(
        shared: &Shared,
        by: impl AsyncFnOnce(&Client) -> Result<Option<Self>>,
    ) -> Result<Option<Self>> {
        let connection = shared.pool.get().await?;
        by(&connection.client).await
    }

    async fn by_email(client: &Client, email: &str) -> Result<Option<Self>> {
        let columns = Self::COLUMNS;
        let sql = format!("SELECT {columns} FROM users WHERE email = $1 AND deleted_at IS NULL");
        let row = client.query_opt(&sql, &[&email]).await?;
        row.as_ref().map(Self::read).transpose()
    }

    async fn by_id(client: &Client, id: Uuid) -> Result<Option<Self>> {
        let columns = Self::COLUMNS;
        let sql = format!("SELECT {columns} FROM users WHERE id = $1 AND deleted_at IS NULL");
        let row = client.query_opt(&sql, &[&id]).await?;
        row.as_ref().map(Self::read).transpose()
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
        let address = origin.address;
        shared.throttles.at_address(address)?;
        // Longer than any that is stored.
        let email: String = email.to_lowercase().chars().take(256).collect();
        let account = Account::find(shared, async |client| {
            Account::by_email(client, &email).await
        });
        let found = account.await;
        let account = found.inspect_err(|_| shared.throttles.not_at_address(address))?;
        let home = account.as_ref().and_then(|account| account.home);
        let who = Who::stranger(&email, address, home);
        Self::compare(shared, origin, who, account, password).await
    }

    /// Of the user who is invited, without a session. That somebody tries at this address was counted already.
    pub(crate) async fn of_invited(
        shared: &Shared,
        origin: &Origin,
        user_id: Uuid,
        password: &Secret,
    ) -> Result<Self> {
        let account = Account::find(shared, async |client| Account::by_id(client, user_id).await);
        let found = account.await;
        let account = found.inspect_err(|_| shared.throttles.not_at_address(origin.address))?;
        let account = account.ok_or_else(failed)?;
        let email = account.email.clone();
        let who = Who::stranger(&email, origin.address, account.home);
        Self::compare(shared, origin, who, Some(account), password).await
    }

    /// Of the user whose session it is. Only what is tried with sessions of theirs counts.
    pub(super) async fn of_session(
        shared: &Shared,
        caller: &Caller,
        password: &Secret,
    ) -> Result<Self> {
        let (_, user_id) = caller.session()?;
        let account = Account::find(shared, async |client| Account::by_id(client, user_id).await);
        let account = account.await?.ok_or_else(failed)?;
        let who = Who::WithSession(user_id);
        Self::compare(shared, &caller.origin, who, Some(account), password).await
    }

    async fn compare(
        shared: &Shared,
        origin: &Origin,
        who: Who<'_>,
        account: Option<Account>,
        password: &Secret,
    ) -> Result<Self> {
        shared.throttles.as_user(who)?;
        let (user_id, email) = account
            .as_ref()
            .map(|account| (account.id, account.email.clone()))
            .unzip();
        let kept = account.and_then(|account| account.password_hash);
        let compared = shared.passwords.verify(password, kept.clone()).await;
        let verdict = compared.inspect_err(|_| not_tried(shared, origin, who))?;
        match (verdict, user_id, kept) {
            (Verdict::Right { rehashed }, Some(user_id), Some(kept)) => Ok(Self {
                user_id,
                email: email.unwrap_or_default(),
                kept,
                rehashed,
            }),
            (Verdict::Right { .. } | Verdict::Wrong, ..) => {
                // As much is done for nobody, so that it takes as long.
                note_failure(shared, origin, user_id.unwrap_or_default(), None).await?;
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

/// What is kept of the password that a user who is new sets, without a session. It costs as much as a proof, and counts as one.
pub(crate) async fn hash_first(
    shared: &Shared,
    origin: &Origin,
    email: &str,
    password: &Secret,
) -> Result<String> {
    let who = Who::stranger(email, origin.address, None);
    shared.throttles.as_user(who)?;
    let hashed = shared.passwords.hash(password).await;
    hashed.inspect_err(|_| not_tried(shared, origin, who))
}

/// Nothing was found out about a password, so that nothing is counted.
fn not_tried(shared: &Shared, origin: &Origin, who: Who<'_>) {
    shared.throttles.not_as_user(who);
    match who {
        Who::Anybody(_) | Who::AtHome(..) => shared.throttles.not_at_address(origin.address),
        Who::WithSession(_) => {}
    }
}

/// What a transaction came to that a right password went into: a refusal is written down, since the transaction is undone. Whoever
/// gets that far has the password, which its user should know.
pub(crate) async fn noting<T>(
    shared: &Shared,
    origin: &Origin,
    user_id: Uuid,
    ended: Result<T>,
) -> Result<T> {
    if let Err(error) = &ended
        && error.status.is_client_error()
    {
        note_failure(shared, origin, user_id, Some(error.code())).await?;
    }
    ended
}

/// Writes down that somebody wasn't let in as a user, and why, if the password was right. Who it was nobody knows.
async fn note_failure(
    shared: &Shared,
    origin: &Origin,
    user_id: Uuid,
    why: Option<&str>,
) -> Result<()> {
    // Nothing is waited for: how long the disk takes would tell who is a user.
    let sql = "SET LOCAL synchronous_commit = off";
    Transaction::without_key(&shared.pool, async |transaction| {
        transaction.client().batch_execute(sql).await?;
        let sql = "INSERT INTO audit_logs
                (actor_type, actor_ip, actor_user_agent, action, resource_type, resource_id, request_id, changes)
            SELECT 'system', $2::inet, $3::text, 'users.login_failed', 'users', id, $4::uuid,
                CASE WHEN $5::text IS NOT NULL THEN jsonb_build_object('error_code', $5::text) END
            FROM users WHERE id = $1";
        let values: [crate::transaction::Param<'_>; 5] = [
            &user_id,
            &origin.address,
            &origin.user_agent,
            &origin.request_id,
            &why,
        ];
        transaction.all(sql, &values).await.map(drop)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::pin::Pin;
    use std::sync::Arc;

    use super::super::throttles::tests::Still;
    use super::*;
    use crate::{AdminApi, Connect, ConnectError};

    #[derive(Debug)]
    struct Away;

    impl Connect for Away {
        fn connect(
            &self,
        ) -> Pin<Box<dyn Future<Output = std::result::Result<Client, ConnectError>> + Send + '_>>
        {
            Box::pin(async { Err(ConnectError::Refused("away".into())) })
        }
    }

    // Nobody waits for the database's patience.
    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_found_out_is_not_counted() {
        let shared = AdminApi::new(Arc::new(Away), Arc::new(Still)).shared();
        let origin = Origin {
            address: Ipv4Addr::LOCALHOST.into(),
            user_agent: String::new(),
            request_id: Uuid::nil(),
        };
        let (email, password) = ("ann@acme.example", Secret("a good password".to_owned()));
        for _ in 0..100 {
            let away = Proven::by_email(&shared, &origin, email, &password).await;
            assert_eq!(away.err().unwrap().code(), "database_unavailable");
        }
        let all = shared.passwords.fill();
        for _ in 0..100 {
            shared.throttles.at_address(origin.address).unwrap();
            let busy = hash_first(&shared, &origin, email, &password).await;
            assert_eq!(busy.unwrap_err().code(), "login_busy");
            shared.throttles.at_address(origin.address).unwrap();
            let who = Who::stranger(email, origin.address, None);
            let busy = Proven::compare(&shared, &origin, who, None, &password).await;
            assert_eq!(busy.err().unwrap().code(), "login_busy");
        }
        drop(all);
        for attempt in 0..25 {
            let hashed = hash_first(&shared, &origin, email, &password).await;
            assert_eq!(hashed.is_ok(), attempt < 20, "{attempt}");
        }
    }
}
