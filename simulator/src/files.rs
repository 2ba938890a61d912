//! `/v1/files`: uploads are kept in memory and can be downloaded again.

mod multipart;

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde::Serialize;

use crate::api_error::ApiError;
use crate::body::Body;
use crate::page::PageQuery;
use crate::response::{self, timestamp};
use crate::service::Context;
use crate::shelf::Shelf;

const MAX_FILES: usize = 1_000;
const MAX_TOTAL_BYTES: usize = 128 << 20;

#[derive(Debug)]
pub(crate) struct Files(Mutex<Shelf<File>>);

#[derive(Debug)]
struct File {
    info: FileInfo,
    content: Bytes,
}

#[derive(Clone, Debug, Serialize)]
struct FileInfo {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    filename: String,
    mime_type: String,
    size_bytes: usize,
    created_at: String,
    downloadable: bool,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Shelf::new(MAX_FILES, MAX_TOTAL_BYTES)))
    }

    /// Keeps the upload's `file` part; a body that isn't multipart is a file itself.
    pub(crate) fn create(&self, ctx: Context<'_>) -> Result<Response<Body>, ApiError> {
        let content_type = ctx
            .head
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let upload = multipart::file(content_type.unwrap_or_default(), ctx.body)?;
        let mut draw = ctx.draw;
        let mut shelf = self.lock();
        let mut id = draw.id("file_");
        while shelf.get(&id).is_some() {
            id = draw.id("file_");
        }
        let info = FileInfo {
            kind: "file",
            id: id.clone(),
            filename: upload.filename,
            mime_type: upload.mime_type,
            size_bytes: upload.content.len(),
            created_at: timestamp((ctx.service.options.clock)()),
            downloadable: true,
        };
        let answer = response::json(&info);
        // The slice keeps the whole body alive, so that is what it weighs.
        shelf.put(
            id,
            ctx.body.len(),
            File {
                info,
                content: upload.content,
            },
        );
        answer
    }

    pub(crate) fn list(&self, ctx: &Context<'_>) -> Result<Response<Body>, ApiError> {
        let query = PageQuery::parse(ctx.head.uri.query())?;
        let infos: Vec<_> = {
            let shelf = self.lock();
            shelf.newest_first().map(|file| file.info.clone()).collect()
        };
        response::json(&query.page(&infos, |info| &info.id))
    }

    pub(crate) fn get(&self, id: &str) -> Result<Response<Body>, ApiError> {
        let shelf = self.lock();
        let file = shelf.get(id).ok_or_else(|| missing(id))?;
        response::json(&file.info)
    }

    pub(crate) fn content(&self, id: &str) -> Result<Response<Body>, ApiError> {
        let shelf = self.lock();
        let file = shelf.get(id).ok_or_else(|| missing(id))?;
        let content_type = HeaderValue::from_str(&file.info.mime_type)
            .unwrap_or(HeaderValue::from_static("application/octet-stream"));
        Ok(response::whole(content_type, file.content.clone()))
    }

    pub(crate) fn delete(&self, id: &str) -> Result<Response<Body>, ApiError> {
        #[derive(Serialize)]
        struct Deleted<'a> {
            id: &'a str,
            #[serde(rename = "type")]
            kind: &'static str,
        }
        self.lock().remove(id).ok_or_else(|| missing(id))?;
        response::json(&Deleted {
            id,
            kind: "file_deleted",
        })
    }

    fn lock(&self) -> MutexGuard<'_, Shelf<File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found(format!("File not found: {id}"))
}
