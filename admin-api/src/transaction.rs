//! One transaction of one caller.
//!
//! It says who it is for the audit log, and, for a caller bound to an organization, gives up all rights beyond that organization.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::runtime::Handle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::caller::Caller;
use crate::database::{Pool, Pooled};
use crate::error::{ApiError, Result};
use crate::origin::Origin;
use crate::places::Place;

/// An open transaction. Dropped without an end it is rolled back once the statement that runs has ended. Until then it keeps its
/// connection and its place: of those who hang up no more statements run than of those who wait.
pub(crate) struct Transaction {
    held: Arc<Held>,
    /// Whoever reads after its end has to see what it changed; none if it only reads.
    changes: Option<Pool>,
}

struct Held {
    connection: Pooled,
    _place: Option<Place>,
}

/// What stands between a caller and the rows of others, beside the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// The rights of a tenant, if the caller is one.
    Tenant,
    /// Nothing: of what is read, tenants have no right to anything.
    None,
}

pub(crate) type Param<'a> = &'a (dyn ToSql + Sync);

const READ: &str = "BEGIN READ ONLY";

impl Transaction {
    /// Does it all in one transaction for a caller.
    pub(crate) async fn within<T>(
        pool: &Pool,
        caller: &Caller,
        work: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        Self::within_as(pool, caller, Guard::Tenant, work).await
    }

    /// The same for what tenants have no right to: only what the statements say keeps them apart.
    pub(crate) async fn within_unguarded<T>(
        pool: &Pool,
        caller: &Caller,
        work: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        Self::within_as(pool, caller, Guard::None, work).await
    }

    async fn within_as<T>(
        pool: &Pool,
        caller: &Caller,
        guard: Guard,
        work: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        let transaction = Self::open(pool).await?;
        let begun = async {
            caller.check_again(&transaction).await?;
            transaction.guard(caller, guard).await
        };
        let done = match begun.await {
            Ok(()) => work(&transaction).await,
            Err(error) => Err(error),
        };
        transaction.end(done).await
    }

    /// Reads in one transaction for a caller, perhaps from a replica. Who that is was found out a moment ago, and isn't again.
    pub(crate) async fn read<T>(
        pool: &Pool,
        caller: &Caller,
        work: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        Self::read_as(pool, caller, Guard::Tenant, work).await
    }

    /// The same for what tenants have no right to: only what the query says keeps them apart.
    pub(crate) async fn read_unguarded<T>(
        pool: &Pool,
        caller: &Caller,
        work: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        Self::read_as(pool, caller, Guard::None, work).await
    }

    async fn read_as<T>(
        pool: &Pool,
        caller: &Caller,
        guard: Guard,
        work: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        let place = match guard {
            Guard::Tenant => None,
            // What is read so is large.
            Guard::None => Some(pool.place_to_read(caller.org_id).await.ok_or_else(busy)?),
        };
        let connection = pool.get_to_read().await?;
        let transaction = Self::begin(connection, place, READ, None).await?;
        let done = match transaction.guard(caller, guard).await {
            Ok(()) => work(&transaction).await,
            Err(error) => Err(error),
        };
        transaction.end(done).await
    }

    /// Refuses a caller whose key isn't good any more. Asks the primary, and changes nothing.
    pub(crate) async fn check(pool: &Pool, caller: &Caller) -> Result<()> {
        let transaction = Self::begin(pool.get().await?, None, READ, None).await?;
        let checked = caller.check_again(&transaction).await;
        transaction.end(checked).await
    }

    /// Does it all in one transaction for somebody without a key: the work finds out who it is, and says it with `say`.
    pub(crate) async fn without_key<T>(
        pool: &Pool,
        work: impl AsyncFnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        let transaction = Self::open(pool).await?;
        let done = work(&transaction).await;
        transaction.end(done).await
    }

    /// Begins one that is nobody's yet.
    async fn open(pool: &Pool) -> Result<Self> {
        Self::begin(pool.get().await?, None, "BEGIN", Some(pool.clone())).await
    }

    async fn begin(
        connection: Pooled,
        place: Option<Place>,
        begin: &str,
        changes: Option<Pool>,
    ) -> Result<Self> {
        connection.open.store(true, Ordering::Relaxed);
        let held = Held {
            connection,
            _place: place,
        };
        let transaction = Self {
            held: Arc::new(held),
            changes,
        };
        transaction.client().batch_execute(begin).await?;
        Ok(transaction)
    }

    /// Says who it is, and gives up the rights that a tenant hasn't.
    async fn guard(&self, caller: &Caller, guard: Guard) -> Result<()> {
        if guard == Guard::Tenant && caller.org_id.is_some() {
            // Where the role couldn't be made, tenants are kept apart by the queries alone.
            let become_tenant = "DO $$ BEGIN
                IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'mindweave_tenant' AND pg_has_role(oid, 'MEMBER')) THEN
                    SET LOCAL ROLE mindweave_tenant;
                END IF;
            END $$";
            self.client().batch_execute(become_tenant).await?;
        }
        self.say_who(caller).await
    }

    async fn say_who(&self, caller: &Caller) -> Result<()> {
        let actor = match caller.user_id {
            Some(user_id) => ("user", user_id),
            None => ("api_key", caller.key_id),
        };
        let with = (caller.kind.name(), caller.key_id);
        self.say(actor, Some(with), caller.org_id, &caller.origin)
            .await
    }

    /// Whose doing it is, in the audit log's words, with which of their keys or sessions, and at which organization's.
    pub(crate) async fn say(
        &self,
        (kind, actor): (&str, Uuid),
        with: Option<(&str, Uuid)>,
        org_id: Option<Uuid>,
        origin: &Origin,
    ) -> Result<()> {
        let org_id = org_id.map(|id| id.to_string()).unwrap_or_default();
        let settings = "SELECT set_config('app.actor_type', $1, true), set_config('app.current_user_id', $2, true),
            set_config('app.actor_ip', $3, true), set_config('app.actor_user_agent', $4, true),
            set_config('app.request_id', $5, true), set_config('app.current_org_id', $6, true),
            set_config('app.current_key_type', $7, true), set_config('app.current_key_id', $8, true)";
        let (key_type, key_id) =
            with.map_or(("", String::new()), |(kind, id)| (kind, id.to_string()));
        let (actor, address) = (actor.to_string(), origin.address.to_string());
        let request_id = origin.request_id.to_string();
        let values: [Param<'_>; 8] = [
            &kind,
            &actor,
            &address,
            &origin.user_agent,
            &request_id,
            &org_id,
            &key_type,
            &key_id,
        ];
        self.one(settings, &values).await?;
        Ok(())
    }

    pub(crate) fn client(&self) -> &Client {
        &self.held.connection.client
    }

    pub(crate) async fn all(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        Ok(self.client().query(sql, params).await?)
    }

    pub(crate) async fn one(&self, sql: &str, params: &[Param<'_>]) -> Result<Row> {
        Ok(self.client().query_one(sql, params).await?)
    }

    pub(crate) async fn maybe(&self, sql: &str, params: &[Param<'_>]) -> Result<Option<Row>> {
        Ok(self.client().query_opt(sql, params).await?)
    }

    /// Commits what went well, and undoes what didn't.
    pub(crate) async fn end<T>(self, result: Result<T>) -> Result<T> {
        let word = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = self.client().batch_execute(word).await;
        if ended.is_ok() {
            self.held.connection.open.store(false, Ordering::Relaxed);
        }
        // Of two errors the first is the cause.
        let value = result?;
        ended?;
        if let Some(pool) = &self.changes {
            pool.changed(&self.held.connection).await;
        }
        Ok(value)
    }
}

fn busy() -> ApiError {
    ApiError::busy("reads_busy", "too many reports are being read; try again")
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let is_open = self.held.connection.open.load(Ordering::Relaxed);
        if is_open && let Ok(runtime) = Handle::try_current() {
            let held = Arc::clone(&self.held);
            runtime.spawn(async move {
                // It waits for what was asked before. If it can't be done, the connection isn't used again.
                if held
                    .connection
                    .client
                    .batch_execute("ROLLBACK")
                    .await
                    .is_ok()
                {
                    held.connection.open.store(false, Ordering::Relaxed);
                }
            });
        }
    }
}
