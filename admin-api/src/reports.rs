//! Usage and cost in the shapes of the Claude Admin API's own reports, from our ledger, so that what reads those reads these.
//!
//! A workspace is a project, an account a user; ids are ours. What our ledger has no notion of is null. Buckets without usage
//! are there, the oldest bucket comes first, and a page is so many buckets.

mod amount;
mod ask;
mod cost;
mod messages;
mod split;
mod words;

use axum::extract::FromRequestParts;
use chrono::{DateTime, Utc};
use http::request::Parts;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{ApiError, Result};
use crate::server::Shared;
use words::Words;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(messages::report))
        .routes(routes!(cost::report))
}

/// What is read from a query, and says in whose place a fault is.
trait Asked: Sized {
    fn read(words: &mut Words) -> Result<Self>;
}

/// A query with brackets.
struct Bracketed<T>(T);

impl<T: Asked, S: Send + Sync> FromRequestParts<S> for Bracketed<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let mut words = Words::read(parts.uri.query().unwrap_or_default())?;
        // The SDKs say it of whatever is in their beta namespace.
        words.one("beta")?;
        let asked = T::read(&mut words)?;
        words.end()?;
        Ok(Self(asked))
    }
}

/// A bucket of time, and what fell into it.
#[derive(Debug, Serialize, ToSchema)]
struct Bucket<T> {
    starting_at: DateTime<Utc>,
    /// Exclusive.
    ending_at: DateTime<Utc>,
    /// None, if there was nothing.
    results: Vec<T>,
}

/// Some of the buckets, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
struct Report<T> {
    data: Vec<Bucket<T>>,
    has_more: bool,
    /// For `page`.
    next_page: Option<String>,
}
