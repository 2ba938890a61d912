//! The `OpenAPI` document as a page to read and to try. Everything that it shows comes from here.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::Response;
use http::{HeaderValue, header};
use utoipa_swagger_ui::{Config, SwaggerUi};

const PATH: &str = "/admin/v1/reference";
/// Nothing from elsewhere, whatever a name or a description holds, and in nobody's frame: keys are typed in here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn page() -> Router {
    let config = Config::new(["/admin/v1/openapi.json"])
        // The default one is on the internet.
        .validator_url("none")
        .display_request_duration(true)
        .doc_expansion("none")
        .use_base_layout();
    Router::from(SwaggerUi::new(PATH).config(config)).layer(middleware::from_fn(guard))
}

async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
