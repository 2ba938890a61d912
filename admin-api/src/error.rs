//! What goes wrong, in the envelope that the Claude API's errors have.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use http::StatusCode;
use policy_engine::Fault;
use serde_json::{Map, Value, json};
use tokio_postgres::error::SqlState;

use crate::database::ConnectError;

/// An answer that isn't what was asked for.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    /// `error.type`
    kind: &'static str,
    /// `error.details.error_code`
    code: &'static str,
    message: String,
    /// Where in the body or the query the fault is.
    path: Option<String>,
    /// Where there may be several.
    faults: Vec<Fault>,
    /// What else a program may want to know.
    details: Option<Box<Map<String, Value>>>,
    /// Whether a query took too long: one about less may not.
    is_slow: bool,
}

/// Among the details.
const RETRY_AFTER: &str = "retry_after_seconds";

pub(crate) type Result<T, E = ApiError> = std::result::Result<T, E>;

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, code: &'static str, message: String) -> Self {
        Self {
            status,
            kind,
            code,
            message,
            path: None,
            faults: Vec::new(),
            details: None,
            is_slow: false,
        }
    }

    /// Whether the database gave up on a query because of its time.
    pub(crate) fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// Which it is.
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    /// The same with something that a program may want to know.
    pub(crate) fn with_detail(mut self, name: &str, value: Value) -> Self {
        let details = self.details.get_or_insert_default();
        details.insert(name.to_owned(), value);
        self
    }

    /// A fault at a place of the body or the query.
    pub(crate) fn invalid(path: impl Into<String>, message: impl std::fmt::Display) -> Self {
        let path = path.into();
        let message = if path.is_empty() || path == "." {
            message.to_string()
        } else {
            format!("{path}: {message}")
        };
        Self {
            path: Some(path),
            ..Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "invalid",
                message,
            )
        }
    }

    /// Some of what is asked for was dropped already: what is left of it is no answer.
    pub(crate) fn not_kept(path: &str, source: &str, kept_since: DateTime<Utc>) -> Self {
        let kept_since = kept_since.to_rfc3339_opts(SecondsFormat::Secs, true);
        let message =
            format!("this is read from {source}, which has everything since {kept_since} only");
        let details = [("source", json!(source)), ("kept_since", json!(kept_since))];
        let details = details.map(|(name, value)| (name.to_owned(), value));
        Self {
            code: "not_kept",
            details: Some(Box::new(details.into_iter().collect())),
            ..Self::invalid(path, message)
        }
    }

    /// Several faults in rules or settings.
    pub(crate) fn faults(faults: &[Fault]) -> Self {
        let shown: Vec<_> = faults.iter().map(Fault::to_string).collect();
        Self {
            faults: faults.to_vec(),
            ..Self::invalid("", shown.join("; "))
        }
    }

    pub(crate) fn too_large(most: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            "body_too_large",
            format!("the body has more than {most} bytes"),
        )
    }

    pub(crate) fn body_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout_error",
            "request_body_timeout",
            "the body didn't arrive in time".to_owned(),
        )
    }

    pub(crate) fn unauthenticated(code: &'static str, message: &str) -> Self {
        let message = message.to_owned();
        Self::new(
            StatusCode::UNAUTHORIZED,
            "authentication_error",
            code,
            message,
        )
    }

    pub(crate) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(StatusCode::FORBIDDEN, "permission_error", code, message)
    }

    /// The plan has room for no more.
    pub(crate) fn plan_limit(limit: &'static str, value: u64, current: i64) -> Self {
        let message = format!(
            "the organization's plan allows {value} ({limit}), and it has {current} already"
        );
        let details = [
            ("limit", json!(limit)),
            ("value", json!(value)),
            ("current", json!(current)),
        ];
        let details = details.map(|(name, value)| (name.to_owned(), value));
        Self {
            details: Some(Box::new(details.into_iter().collect())),
            ..Self::forbidden("plan_limit_reached", message)
        }
    }

    /// Also for what there is, but belongs to somebody else.
    pub(crate) fn not_found(what: &str) -> Self {
        let message = format!("there is no such {what}");
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found_error",
            "object_not_found",
            message,
        )
    }

    pub(crate) fn path_unknown() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found_error",
            "path_unknown",
            "there is nothing at this path; /admin/v1/openapi.json lists what there is".to_owned(),
        )
    }

    pub(crate) fn method_unknown() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "invalid_request_error",
            "method_not_allowed",
            "this path has no such method".to_owned(),
        )
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(StatusCode::CONFLICT, "conflict_error", code, message)
    }

    pub(crate) fn busy(code: &'static str, message: &str) -> Self {
        let message = message.to_owned();
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_error",
            code,
            message,
        )
    }

    /// Too often, for now.
    pub(crate) fn throttled(code: &'static str, message: &str, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1_000).max(1);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        Self::busy(code, &format!("{message}: try again in {seconds} s"))
            .with_detail(RETRY_AFTER, json!(seconds))
    }

    /// When it is worth trying again, in seconds.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.details.as_ref()?.get(RETRY_AFTER)?.as_u64()
    }

    pub(crate) fn stale() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "conflict_error",
            "etag_stale",
            "it has changed since: read it again, and send the ETag that it has now in If-Match"
                .to_owned(),
        )
    }

    fn unavailable(message: &str) -> Self {
        let message = message.to_owned();
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded_error",
            "database_unavailable",
            message,
        )
    }

    /// What is asked for is in the memory of a data plane that has no rules of it, or none yet.
    pub(crate) fn not_in_force() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded_error",
            "rules_not_in_force",
            "this gateway has not put the rules of the project or organization in force yet; try again".to_owned(),
        )
    }

    fn internal(error: &tokio_postgres::Error) -> Self {
        tracing::error!(
            error = domain::error_chain(error),
            "a query of the admin API failed"
        );
        Self::wrong()
    }

    /// What should never go wrong did.
    pub(crate) fn broken(what: &str) -> Self {
        tracing::error!(what, "the admin API failed");
        Self::wrong()
    }

    fn wrong() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "api_error",
            "internal",
            "something went wrong here; the log has more under this request's id".to_owned(),
        )
    }

    /// The envelope.
    pub(crate) fn body(&self, request_id: &str) -> Value {
        let mut details = self.details.as_deref().cloned().unwrap_or_default();
        details.insert("error_code".to_owned(), json!(self.code));
        if let Some(path) = &self.path {
            details.insert("path".to_owned(), json!(path));
        }
        if !self.faults.is_empty() {
            details.insert("faults".to_owned(), json!(self.faults));
        }
        json!({
            "type": "error",
            "error": {"type": self.kind, "message": self.message, "details": details},
            "request_id": request_id,
        })
    }
}

/// Without a body: that has the request's id in it, which is known further out.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ConnectError> for ApiError {
    fn from(error: ConnectError) -> Self {
        tracing::warn!(
            error = domain::error_chain(&error),
            "the admin API can't reach the database"
        );
        Self::unavailable("the database can't be reached; try again")
    }
}

impl From<tokio_postgres::Error> for ApiError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(refused) = error.as_db_error() else {
            let cause = std::error::Error::source(&error);
            let is_lost =
                error.is_closed() || cause.is_some_and(|cause| cause.is::<std::io::Error>());
            return if is_lost {
                ConnectError::Lost(error).into()
            } else {
                Self::internal(&error)
            };
        };
        let constraint = refused.constraint().unwrap_or_default();
        let column = refused.column().unwrap_or_default();
        match *refused.code() {
            SqlState::UNIQUE_VIOLATION => Self::conflict("taken", taken(constraint)),
            SqlState::FOREIGN_KEY_VIOLATION => {
                Self::invalid("", format!("what it refers to isn't there ({constraint})"))
            }
            SqlState::CHECK_VIOLATION | SqlState::NOT_NULL_VIOLATION => Self::invalid(
                column,
                format!("the value is not allowed ({constraint}{column})"),
            ),
            SqlState::QUERY_CANCELED => Self {
                is_slow: true,
                ..Self::unavailable("the database took too long; try again")
            },
            SqlState::LOCK_NOT_AVAILABLE => {
                Self::unavailable("the database took too long; try again")
            }
            SqlState::READ_ONLY_SQL_TRANSACTION | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => {
                Self::unavailable("the database takes no changes now; try again")
            }
            SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => {
                Self::unavailable("another change came in between; try again")
            }
            ref code if matches!(code.code().get(..2), Some("08" | "53" | "57")) => {
                Self::unavailable("the database is shutting down or full; try again")
            }
            ref code if code.code().starts_with("22") => Self::invalid("", refused.message()),
            _ => Self::internal(&error),
        }
    }
}

fn taken(constraint: &str) -> String {
    match constraint {
        "idx_orgs_slug" => "slug: another organization has it".to_owned(),
        "idx_users_email" => "email: another user has it".to_owned(),
        "idx_projects_org_slug" => "slug: another project of the organization has it".to_owned(),
        "idx_mcp_servers_project_name" => {
            "name: another MCP server of the project has it".to_owned()
        }
        "mcp_tools_server_id_name_key" => "name: another tool of the server has it".to_owned(),
        other => format!("there is one already ({other})"),
    }
}
