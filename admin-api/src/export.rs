//! `/admin/v1/usage/export`: every usage event, a row each, the oldest first.
//!
//! Guarantees: memory for a page of rows, however many there are, and no transaction longer than a page; before each page the caller's
//! rights are looked at again; no row comes twice, and what is stored meanwhile comes in its place or not at all; a body that ended
//! well is whole, any other is cut off.

mod columns;
mod reading;

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use futures_util::stream;
use http::{HeaderValue, Version, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::caller::Caller;
use crate::check;
use crate::error::{ApiError, Result};
use crate::params::Queried;
use crate::role::Act;
use crate::server::Shared;
use columns::Writer;
use reading::Reading;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// With names in the first line. A text that a spreadsheet would take for a formula has a `'` before it.
    Csv,
    /// An object a line.
    Jsonl,
}

/// Which events.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    /// `csv`, if not given.
    #[param(inline)]
    format: Option<Format>,
    since: DateTime<Utc>,
    /// Exclusive; now, if not given, and no later than that.
    until: Option<DateTime<Utc>>,
    org_id: Option<Uuid>,
    project_id: Option<Uuid>,
    user_id: Option<Uuid>,
    api_key_id: Option<Uuid>,
    model: Option<String>,
}

impl Query {
    /// From when until when.
    fn span(&self) -> Result<(DateTime<Utc>, DateTime<Utc>)> {
        check::moment("since", Some(self.since))?;
        check::moment("until", self.until)?;
        if self.until.is_some_and(|until| self.since >= until) {
            return Err(ApiError::invalid("until", "must be after since"));
        }
        // Of what is to come nothing can be read.
        let now = Utc::now();
        Ok((self.since, self.until.unwrap_or(now).min(now)))
    }
}

/// Every usage event, the oldest first.
#[utoipa::path(get, operation_id = "usage_export", path = "/usage/export", tag = "usage", params(Query),
    responses((status = 200, description = "Rows; cut off, if something goes wrong on the way", content((String = "text/csv"), (String = "application/jsonl")))))]
pub(crate) async fn export(
    State(shared): State<Shared>,
    caller: Caller,
    version: Version,
    Queried(query): Queried<Query>,
) -> Result<Response> {
    caller.may(Act::ExportUsage)?;
    if version < Version::HTTP_11 {
        let message = "takes HTTP/1.1: before that, a body that was cut off looks like a whole one";
        return Err(ApiError::invalid("", message));
    }
    let format = query.format.unwrap_or(Format::Csv);
    let (since, until) = query.span()?;
    let mut reading = Reading::begin(&shared, caller, query, (since, until)).await?;
    // What goes wrong by now still has an answer of its own.
    let first = reading.page().await?;
    let writer = Writer::new(format);
    let first = writer.first(&first)?;
    Ok(answer(format, (since, until), body(first, reading, writer)))
}

/// Pages are read as fast as the caller takes them, and no faster.
fn body(first: Bytes, reading: Reading, writer: Writer) -> Body {
    let state = (Some(first), reading, writer);
    let pages = stream::try_unfold(state, async |(first, mut reading, writer)| {
        if let Some(first) = first {
            return Ok(Some((first, (None, reading, writer))));
        }
        let page = reading.page().await.and_then(|rows| writer.page(&rows));
        match page {
            Ok(page) if page.is_empty() => Ok(None),
            Ok(page) => Ok(Some((page, (None, reading, writer)))),
            Err(error) => {
                tracing::warn!(?error, "an export of usage broke off");
                // It cuts the connection: the end of the body is never written.
                Err(io::Error::other("the export broke off"))
            }
        }
    });
    Body::from_stream(pages)
}

fn answer(format: Format, (since, until): (DateTime<Utc>, DateTime<Utc>), body: Body) -> Response {
    let (kind, ending) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "csv"),
        Format::Jsonl => ("application/jsonl", "jsonl"),
    };
    let name = |moment: DateTime<Utc>| moment.format("%Y%m%dT%H%M%SZ").to_string();
    let file = format!(
        "attachment; filename=\"usage-{}-{}.{ending}\"",
        name(since),
        name(until)
    );
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Ok(file) = HeaderValue::try_from(file) {
        headers.insert(header::CONTENT_DISPOSITION, file);
    }
    response
}
