//! `/v1/messages/batches`: every item is answered at once, and the batch pretends to take its time.

mod batch;
mod intake;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::{HeaderValue, Response};
use serde::Serialize;

use crate::api_error::ApiError;
use crate::body::Body;
use crate::page::PageQuery;
use crate::response;
use crate::service::Context;
use crate::shelf::Shelf;
use batch::{Batch, Ends};

const MAX_BATCHES: usize = 1_000;
const MAX_RESULT_BYTES: usize = 128 << 20;

#[derive(Debug)]
pub(crate) struct Batches(Mutex<Shelf<Batch>>);

impl Batches {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Shelf::new(MAX_BATCHES, MAX_RESULT_BYTES)))
    }

    pub(crate) async fn create(&self, ctx: Context<'_>) -> Result<Response<Body>, ApiError> {
        let items = intake::answer_items(ctx.body, ctx.service.options.seed).await?;
        let now = now(&ctx);
        let ends = match ctx.steering.batch_delay {
            Some(delay) => Ends::At(now.checked_add(delay).unwrap_or(now)),
            None => Ends::OnRetrieval {
                first_has_passed: false,
            },
        };
        let mut draw = ctx.draw.clone();
        let mut shelf = self.lock();
        let mut id = draw.id("msgbatch_");
        while shelf.get(&id).is_some() {
            id = draw.id("msgbatch_");
        }
        let batch = Batch::new(id.clone(), now, ends, items);
        let answer = response::json(&batch.info(&ctx.origin()));
        shelf.put(id, batch.result_bytes(), batch);
        answer
    }

    pub(crate) fn list(&self, ctx: &Context<'_>) -> Result<Response<Body>, ApiError> {
        let query = PageQuery::parse(ctx.head.uri.query())?;
        let origin = ctx.origin();
        let infos: Vec<_> = {
            let shelf = self.lock();
            shelf
                .newest_first()
                .map(|batch| batch.info(&origin))
                .collect()
        };
        response::json(&query.page(&infos, |info| &info.id))
    }

    pub(crate) fn get(&self, ctx: &Context<'_>, id: &str) -> Result<Response<Body>, ApiError> {
        self.with(ctx, id, |batch, now| {
            batch.retrieve(now);
            response::json(&batch.info(&ctx.origin()))
        })
    }

    pub(crate) fn cancel(&self, ctx: &Context<'_>, id: &str) -> Result<Response<Body>, ApiError> {
        self.with(ctx, id, |batch, now| {
            batch.cancel(now)?;
            response::json(&batch.info(&ctx.origin()))
        })
    }

    pub(crate) fn delete(&self, ctx: &Context<'_>, id: &str) -> Result<Response<Body>, ApiError> {
        #[derive(Serialize)]
        struct Deleted<'a> {
            id: &'a str,
            #[serde(rename = "type")]
            kind: &'static str,
        }
        self.with(ctx, id, |batch, _| batch.check_deletable())?;
        self.lock().remove(id);
        response::json(&Deleted {
            id,
            kind: "message_batch_deleted",
        })
    }

    pub(crate) fn results(&self, ctx: &Context<'_>, id: &str) -> Result<Response<Body>, ApiError> {
        let jsonl = self.with(ctx, id, |batch, _| batch.results())?;
        Ok(response::whole(
            HeaderValue::from_static("application/x-jsonl"),
            jsonl,
        ))
    }

    /// Works on one batch, brought up to date first.
    fn with<T>(
        &self,
        ctx: &Context<'_>,
        id: &str,
        work: impl FnOnce(&mut Batch, SystemTime) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let now = now(ctx);
        let mut shelf = self.lock();
        let batch = shelf
            .get_mut(id)
            .ok_or_else(|| ApiError::not_found(format!("Message batch {id} not found.")))?;
        batch.catch_up(now);
        work(batch, now)
    }

    fn lock(&self) -> MutexGuard<'_, Shelf<Batch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now(ctx: &Context<'_>) -> SystemTime {
    (ctx.service.options.clock)()
}
