//! Which endpoint a method and path mean.

use http::Method;

use crate::api_error::{ApiError, Fault};
use crate::request::{MAX_BATCH_BYTES, MAX_FILE_BYTES, MAX_JSON_BYTES};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// Probes that clients send to see whether anyone is there; no credential.
    Hello,
    CreateMessage,
    CountTokens,
    ListModels,
    GetModel(&'a str),
    CreateBatch,
    ListBatches,
    GetBatch(&'a str),
    CancelBatch(&'a str),
    DeleteBatch(&'a str),
    BatchResults(&'a str),
    CreateFile,
    ListFiles,
    GetFile(&'a str),
    FileContent(&'a str),
    DeleteFile(&'a str),
}

impl<'a> Route<'a> {
    pub(crate) fn of(method: &Method, path: &'a str) -> Result<Self, ApiError> {
        let mut segments = [""; 6];
        let mut parts = path.trim_start_matches('/').split('/');
        for (segment, part) in segments.iter_mut().zip(&mut parts) {
            *segment = part;
        }
        if parts.next().is_some() {
            return Err(Fault::NotFound.into());
        }
        Self::of_segments(method.as_str(), segments)
    }

    fn of_segments(method: &str, segments: [&'a str; 6]) -> Result<Self, ApiError> {
        let route = match (method, segments) {
            ("HEAD", ["", ..]) | ("GET" | "HEAD", ["api", "hello", "", ..]) => Self::Hello,
            ("POST", ["v1", "messages", "", ..]) => Self::CreateMessage,
            ("POST", ["v1", "messages", "count_tokens", "", ..]) => Self::CountTokens,
            ("GET", ["v1", "models", "", ..]) => Self::ListModels,
            ("GET", ["v1", "models", id, "", ..]) => Self::GetModel(id),
            ("POST", ["v1", "messages", "batches", "", ..]) => Self::CreateBatch,
            ("GET", ["v1", "messages", "batches", "", ..]) => Self::ListBatches,
            ("GET", ["v1", "messages", "batches", id, "", _]) => Self::GetBatch(id),
            ("DELETE", ["v1", "messages", "batches", id, "", _]) => Self::DeleteBatch(id),
            ("POST", ["v1", "messages", "batches", id, "cancel", ""]) => Self::CancelBatch(id),
            ("GET", ["v1", "messages", "batches", id, "results", ""]) => Self::BatchResults(id),
            ("POST", ["v1", "files", "", ..]) => Self::CreateFile,
            ("GET", ["v1", "files", "", ..]) => Self::ListFiles,
            ("GET", ["v1", "files", id, "", ..]) => Self::GetFile(id),
            ("DELETE", ["v1", "files", id, "", ..]) => Self::DeleteFile(id),
            ("GET", ["v1", "files", id, "content", "", _]) => Self::FileContent(id),
            (_, ["v1", "messages", "" | "count_tokens" | "batches", ..])
            | (_, ["v1", "models" | "files", ..]) => return Err(Fault::MethodNotAllowed.into()),
            _ => return Err(Fault::NotFound.into()),
        };
        Ok(route)
    }

    /// How much body this endpoint takes.
    pub(crate) fn max_body_bytes(self) -> usize {
        match self {
            Self::CreateBatch => MAX_BATCH_BYTES,
            Self::CreateFile => MAX_FILE_BYTES,
            Self::Hello
            | Self::CreateMessage
            | Self::CountTokens
            | Self::ListModels
            | Self::GetModel(_)
            | Self::ListBatches
            | Self::GetBatch(_)
            | Self::CancelBatch(_)
            | Self::DeleteBatch(_)
            | Self::BatchResults(_)
            | Self::ListFiles
            | Self::GetFile(_)
            | Self::FileContent(_)
            | Self::DeleteFile(_) => MAX_JSON_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Method, Route};

    fn check(method: &str, path: &str, expected: Result<Route<'_>, Fault>) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let route = Route::of(&method, path).map_err(|error| error.fault);
        assert_eq!(route, expected, "{method} {path}");
    }

    #[test]
    fn endpoints() {
        check("HEAD", "/", Ok(Route::Hello));
        check("GET", "/api/hello", Ok(Route::Hello));
        check("POST", "/v1/messages", Ok(Route::CreateMessage));
        check("POST", "/v1/messages/count_tokens", Ok(Route::CountTokens));
        check(
            "GET",
            "/v1/models/claude-opus-5",
            Ok(Route::GetModel("claude-opus-5")),
        );
        check("GET", "/v1/messages/batches", Ok(Route::ListBatches));
        check(
            "GET",
            "/v1/messages/batches/b/results",
            Ok(Route::BatchResults("b")),
        );
        check(
            "POST",
            "/v1/messages/batches/b/cancel",
            Ok(Route::CancelBatch("b")),
        );
        check("GET", "/v1/files/f/content", Ok(Route::FileContent("f")));
        check("DELETE", "/v1/files/f", Ok(Route::DeleteFile("f")));
    }

    #[test]
    fn strangers() {
        check("GET", "/v1/messages", Err(Fault::MethodNotAllowed));
        check("PUT", "/v1/files/f", Err(Fault::MethodNotAllowed));
        check("GET", "/v1/organizations/me", Err(Fault::NotFound));
        check("GET", "/", Err(Fault::NotFound));
        check(
            "GET",
            "/v1/messages/batches/b/results/more/still",
            Err(Fault::NotFound),
        );
    }
}
