//! One request, one answer: the way every request takes through the simulator.

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::api_error::ApiError;
use crate::batches::Batches;
use crate::body::{Body, HangUp};
use crate::draw::Draw;
use crate::encoding;
use crate::files::Files;
use crate::messages;
use crate::models::{self, MODELS, ModelInfo};
use crate::options::{Options, Pacing};
use crate::page::PageQuery;
use crate::request;
use crate::response;
use crate::route::Route;
use crate::steering::countdown::Countdown;
use crate::steering::{Point, Steering};

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) options: Options,
    pub(crate) countdown: Countdown,
    organization_id: Option<HeaderValue>,
    batches: Batches,
    files: Files,
}

/// A request that has been read, and what it asks of its answer.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) service: &'a Service,
    pub(crate) head: &'a Parts,
    pub(crate) body: &'a Bytes,
    pub(crate) steering: &'a mut Steering,
    pub(crate) draw: Draw,
    pub(crate) stop: &'a CancellationToken,
}

impl Service {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            countdown: Countdown::new(),
            organization_id: HeaderValue::try_from(organization_id(options.seed)).ok(),
            batches: Batches::new(),
            files: Files::new(),
            options,
        }
    }

    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        stop: CancellationToken,
    ) -> Result<Response<Body>, HangUp> {
        let (head, body) = request.into_parts();
        let mut steering = Steering::default();
        let read = read(&head, body, self.options.pacing, &mut steering).await;
        let material = read.as_ref().map(Bytes::as_ref).unwrap_or_default();
        let mut draw = Draw::new(
            self.options.seed,
            &[
                head.method.as_str().as_bytes(),
                head.uri.path().as_bytes(),
                material,
            ],
        );
        let request_id = draw.id("req_");
        let answer = match &read {
            Ok(body) => {
                let ctx = Context {
                    service: self,
                    head: &head,
                    body,
                    steering: &mut steering,
                    draw,
                    stop: &stop,
                };
                self.dispatch(ctx).await
            }
            Err(error) => Err(error.clone()),
        };
        hold(&steering, &stop).await?;
        let response = answer.unwrap_or_else(|error| response::error(&error, &request_id));
        Ok(self.dress(response::shape(response, &steering), &request_id))
    }

    async fn dispatch(&self, mut ctx: Context<'_>) -> Result<Response<Body>, ApiError> {
        let route = Route::of(&ctx.head.method, ctx.head.uri.path())?;
        if route == Route::Hello {
            return Ok(response::empty());
        }
        request::authenticate(&ctx.head.headers)?;
        request::version(&ctx.head.headers)?;
        ctx.fail_if_asked()?;
        match route {
            Route::Hello => Ok(response::empty()),
            Route::CreateMessage => messages::create(ctx),
            Route::CountTokens => messages::count_tokens(ctx),
            Route::ListModels => list_models(&ctx),
            Route::GetModel(id) => get_model(id),
            Route::CreateBatch => self.batches.create(ctx).await,
            Route::ListBatches => self.batches.list(&ctx),
            Route::GetBatch(id) => self.batches.get(&ctx, id),
            Route::CancelBatch(id) => self.batches.cancel(&ctx, id),
            Route::DeleteBatch(id) => self.batches.delete(&ctx, id),
            Route::BatchResults(id) => self.batches.results(&ctx, id),
            Route::CreateFile => self.files.create(ctx),
            Route::ListFiles => self.files.list(&ctx),
            Route::GetFile(id) => self.files.get(id),
            Route::FileContent(id) => self.files.content(id),
            Route::DeleteFile(id) => self.files.delete(id),
        }
    }

    /// Adds the headers that every answer has.
    fn dress(&self, mut response: Response<Body>, request_id: &str) -> Response<Body> {
        let headers = response.headers_mut();
        if let Ok(request_id) = HeaderValue::from_str(request_id) {
            headers.insert(HeaderName::from_static("request-id"), request_id);
        }
        if let Some(organization_id) = &self.organization_id {
            headers.insert(
                HeaderName::from_static("anthropic-organization-id"),
                organization_id.clone(),
            );
        }
        response
    }
}

impl Context<'_> {
    /// Fails if steering says so and the countdown of its key hasn't run out. Steering is asked once: a later
    /// call fails only if a model's suffix has asked anew.
    pub(crate) fn fail_if_asked(&mut self) -> Result<(), ApiError> {
        let Some(fault) = self.steering.error.take() else {
            return Ok(());
        };
        let fails = self.steering.error_times.is_none_or(|times| {
            let key = self.steering.error_key.as_deref().unwrap_or("default");
            self.service.countdown.fails(key, times)
        });
        if fails {
            Err(self.steering.failure(fault))
        } else {
            Ok(())
        }
    }

    /// The origin for absolute URLs in answers.
    pub(crate) fn origin(&self) -> String {
        if let Some(origin) = &self.service.options.base_url_override {
            return origin.trim_end_matches('/').to_owned();
        }
        let host = self
            .head
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok());
        let authority = self
            .head
            .uri
            .authority()
            .map(|authority| authority.as_str());
        format!("http://{}", host.or(authority).unwrap_or("localhost"))
    }
}

/// Reads all that a request brings: its steering first, then its body.
async fn read(
    head: &Parts,
    body: Incoming,
    pacing: Pacing,
    steering: &mut Steering,
) -> Result<Bytes, ApiError> {
    *steering = Steering::from_headers(&head.headers, pacing)?;
    let max_bytes = Route::of(&head.method, head.uri.path())
        .map_or(request::MAX_JSON_BYTES, Route::max_body_bytes);
    let body = request::read_body(body, max_bytes).await?;
    encoding::decode(&head.headers, body, max_bytes as u64)
}

/// Keeps the answer back: for the time to the first byte, or for good.
async fn hold(steering: &Steering, stop: &CancellationToken) -> Result<(), HangUp> {
    if steering.silence == Some(Point::Headers) {
        stop.cancelled().await;
        return Err(HangUp);
    }
    if !steering.pacing.first_byte.is_zero() {
        tokio::time::sleep(steering.pacing.first_byte).await;
    }
    if steering.cut == Some(Point::Headers) {
        return Err(HangUp);
    }
    Ok(())
}

fn list_models(ctx: &Context<'_>) -> Result<Response<Body>, ApiError> {
    let query = PageQuery::parse(ctx.head.uri.query())?;
    let models: Vec<_> = MODELS.iter().map(ModelInfo::from).collect();
    response::json(&query.page(&models, |model| model.id))
}

fn get_model(id: &str) -> Result<Response<Body>, ApiError> {
    let model = models::find(id).ok_or_else(|| models::unknown(id))?;
    response::json(&ModelInfo::from(model))
}

/// A UUID that stays the same for a seed.
fn organization_id(seed: u64) -> String {
    let mut draw = Draw::new(seed, &[b"organization"]);
    let (high, low) = (draw.next(), draw.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high & 0xffff,
        (high >> 16) & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}
