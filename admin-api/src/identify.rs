//! Every request gets an id: it is in the answer's `request-id`, in the error's body, in the audit log and in ours.

use axum::Json;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::error::ApiError;

/// A request's id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId(pub(crate) Uuid);

/// Gives the id, and errors their body.
pub(crate) async fn identify(mut request: Request, next: Next) -> Response {
    let id = Uuid::now_v7();
    request.extensions_mut().insert(RequestId(id));
    let span = tracing::info_span!(
        "admin request", request_id = %id, method = %request.method(), path = request.uri().path()
    );
    let mut response = next.run(request).instrument(span).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let body = Json(error.body(&id.to_string()));
        let allow = response.headers_mut().remove(header::ALLOW);
        response = (error.status, body).into_response();
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if let Some(seconds) = error.retry_after() {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert("request-id", id);
    }
    // What is shown may be secret, and is of this moment.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
