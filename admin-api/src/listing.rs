//! Lists: the newest first, page by page, from wherever the caller is.
//!
//! A page begins behind an object, not behind a number of them: what is made or archived meanwhile neither hides nor repeats anything.

use axum::Json;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::etag::Tagged;
use crate::server::Shared;
use crate::transaction::{Param, Transaction};

const DEFAULT_LIMIT: u16 = 20;
const MAX_LIMIT: u16 = 1_000;

/// What a list is of.
pub(crate) trait Listed: Sized {
    /// The table, with an `id`; `t` in what follows.
    const TABLE: &'static str;
    /// What one of it is called.
    const NAME: &'static str;
    /// The column that says since when it is there.
    const SINCE: &'static str = "created_at";
    /// What makes it an organization's; `?` stands for that.
    const OF_ORG: &'static str;
    /// What else makes it to be seen.
    const THERE: &'static [&'static str] = &[];
    /// What is selected.
    const COLUMNS: &'static str;

    fn read(row: &Row) -> Result<Self>;
    fn id(&self) -> Uuid;
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The newest first.
    pub(crate) data: Vec<T>,
    /// Whether there are more in the direction that was asked for.
    pub(crate) has_more: bool,
    /// For `before_id`.
    pub(crate) first_id: Option<Uuid>,
    /// For `after_id`.
    pub(crate) last_id: Option<Uuid>,
}

/// Which part of a list.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// 1 to 1,000; 20 if not given.
    pub(crate) limit: Option<u16>,
    pub(crate) after_id: Option<Uuid>,
    pub(crate) before_id: Option<Uuid>,
}

/// Conditions, and what stands in them.
#[derive(Default)]
pub(crate) struct Filter {
    conditions: Vec<String>,
    values: Vec<Box<dyn ToSql + Send + Sync>>,
}

impl Filter {
    /// What belongs to a caller's organization; all, for callers of the whole installation.
    pub(crate) fn of<T: Listed>(caller: &Caller) -> Self {
        let mut filter = Self::default();
        filter.and_if(T::OF_ORG, caller.org_id);
        filter
    }

    /// What a caller may see.
    pub(crate) fn visible<T: Listed>(caller: &Caller) -> Self {
        let mut filter = Self::of::<T>(caller);
        T::THERE.iter().for_each(|there| filter.and_is(there));
        filter
    }

    /// Adds a condition; `?` stands for the value.
    pub(crate) fn and(&mut self, condition: &str, value: impl ToSql + Send + Sync + 'static) {
        self.values.push(Box::new(value));
        let place = format!("${}", self.values.len());
        self.conditions.push(condition.replace('?', &place));
    }

    /// The same, if there is a value.
    pub(crate) fn and_if(
        &mut self,
        condition: &str,
        value: Option<impl ToSql + Send + Sync + 'static>,
    ) {
        if let Some(value) = value {
            self.and(condition, value);
        }
    }

    /// Adds a condition without a value.
    pub(crate) fn and_is(&mut self, condition: &str) {
        self.conditions.push(condition.to_owned());
    }

    pub(crate) fn sql(&self) -> String {
        if self.conditions.is_empty() {
            return "TRUE".to_owned();
        }
        self.conditions.join(" AND ")
    }

    pub(crate) fn values(&self) -> Vec<Param<'_>> {
        self.values
            .iter()
            .map(|value| &**value as Param<'_>)
            .collect()
    }
}

/// Reads a page.
pub(crate) async fn page<T: Listed>(
    transaction: &Transaction,
    caller: &Caller,
    mut filter: Filter,
    part: Part,
) -> Result<Page<T>> {
    let limit = part.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::invalid(
            "limit",
            format!("must be 1 to {MAX_LIMIT}"),
        ));
    }
    let (name, cursor, beyond, order) = match (part.after_id, part.before_id) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "before_id",
                "can't be given together with after_id",
            ));
        }
        (_, Some(id)) => ("before_id", Some(id), ">", "ASC"),
        (id, None) => ("after_id", id, "<", "DESC"),
    };
    let since = T::SINCE;
    if let Some(id) = cursor {
        // It may have left the list since, by whatever filter. Of others' objects it is not told that there are any.
        let mut cursor = Filter::of::<T>(caller);
        cursor.and("t.id = ?", id);
        let sql = format!(
            "SELECT t.{since} FROM {} t WHERE {}",
            T::TABLE,
            cursor.sql()
        );
        let row = transaction.maybe(&sql, &cursor.values()).await?;
        let row = row.ok_or_else(|| ApiError::invalid(name, "there is no such object"))?;
        let moment: DateTime<Utc> = row.try_get(0)?;
        filter.and(&format!("t.{since} {beyond}= ?"), moment);
        // The database keeps moments as finely as they are read here.
        let place = filter.values.len();
        filter.and(&format!("(t.{since}, t.id) {beyond} (${place}, ?)"), id);
    }
    let sql = format!(
        "SELECT {} FROM {} t WHERE {} ORDER BY t.{since} {order}, t.id {order} LIMIT {}",
        T::COLUMNS,
        T::TABLE,
        filter.sql(),
        u32::from(limit) + 1
    );
    let rows = transaction.all(&sql, &filter.values()).await?;
    let has_more = rows.len() > usize::from(limit);
    let taken = rows.iter().take(usize::from(limit)).map(T::read);
    let mut data = taken.collect::<Result<Vec<_>>>()?;
    if order == "ASC" {
        data.reverse();
    }
    Ok(Page {
        has_more,
        first_id: data.first().map(T::id),
        last_id: data.last().map(T::id),
        data,
    })
}

/// One that the caller may see.
pub(crate) async fn find<T: Listed>(
    transaction: &Transaction,
    caller: &Caller,
    id: Uuid,
) -> Result<T> {
    one(transaction, caller, id, "").await
}

/// The same, kept as it is until the transaction ends.
pub(crate) async fn lock<T: Listed>(
    transaction: &Transaction,
    caller: &Caller,
    id: Uuid,
) -> Result<T> {
    one(transaction, caller, id, "FOR UPDATE OF t").await
}

async fn one<T: Listed>(
    transaction: &Transaction,
    caller: &Caller,
    id: Uuid,
    lock: &str,
) -> Result<T> {
    let mut filter = Filter::visible::<T>(caller);
    filter.and("t.id = ?", id);
    let sql = format!(
        "SELECT {} FROM {} t WHERE {} {lock}",
        T::COLUMNS,
        T::TABLE,
        filter.sql()
    );
    let row = transaction.maybe(&sql, &filter.values()).await?;
    let row = row.ok_or_else(|| ApiError::not_found(T::NAME))?;
    T::read(&row)
}

/// Answers with a page.
pub(crate) async fn list<T: Listed>(
    shared: &Shared,
    caller: &Caller,
    filter: Filter,
    part: Part,
) -> Result<Json<Page<T>>> {
    let page = Transaction::read(&shared.pool, caller, async |transaction| {
        page(transaction, caller, filter, part).await
    });
    page.await.map(Json)
}

/// Answers with one.
pub(crate) async fn show<T: Listed>(
    shared: &Shared,
    caller: &Caller,
    id: Uuid,
) -> Result<Tagged<T>> {
    let found = Transaction::read(&shared.pool, caller, async |transaction| {
        find(transaction, caller, id).await
    });
    found.await.map(Tagged::ok)
}
