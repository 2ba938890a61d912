//! `POST /v1/messages` and `count_tokens`: request -> composed answer -> JSON or events.

mod answer;
mod compose;
mod errand;
mod prompt;
mod prose;
mod request;
mod schema;
mod sse;
mod usage;

use http::Response;
use serde::Serialize;

use crate::api_error::ApiError;
use crate::body::Body;
use crate::body::script::Ending;
use crate::draw::Draw;
use crate::models;
use crate::request::version;
use crate::response;
use crate::service::Context;
use crate::steering::{Point, Steering};

pub(crate) use answer::Answer;
use request::{Fields, MessageRequest};
use usage::ServiceTier;

pub(crate) fn create(mut ctx: Context<'_>) -> Result<Response<Body>, ApiError> {
    let fields = Fields::parse(ctx.body)?;
    let name = steer(&fields, ctx.steering)?;
    ctx.fail_if_asked()?;
    let request = MessageRequest::check(&fields, &name, version(&ctx.head.headers)?)?;
    let mut draw = ctx.draw;
    let answer = compose::compose(&request, ctx.steering, &mut draw)?;
    let mut response = if request.stream {
        let events = sse::events(&answer, ctx.steering, &mut draw)?;
        let ending = match (ctx.steering.cut, ctx.steering.silence) {
            (Some(Point::After(_)), _) => Ending::HangUp,
            (_, Some(Point::After(_))) => {
                Ending::Silence(Box::pin(ctx.stop.clone().cancelled_owned()))
            }
            (_, None | Some(Point::Headers)) => Ending::Complete,
        };
        response::event_stream(events, ctx.steering, ending)?
    } else {
        response::json(&answer)?
    };
    let now = (ctx.service.options.clock)();
    response::add_rate_limits(response.headers_mut(), request.prompt.total_tokens(), now);
    Ok(response)
}

pub(crate) fn count_tokens(mut ctx: Context<'_>) -> Result<Response<Body>, ApiError> {
    #[derive(Serialize)]
    struct Count {
        input_tokens: u64,
    }
    let fields = Fields::parse(ctx.body)?;
    let name = steer(&fields, ctx.steering)?;
    ctx.fail_if_asked()?;
    models::resolve(&name)?;
    response::json(&Count {
        input_tokens: fields.prompt()?.total_tokens(),
    })
}

/// The answer to one item of a batch; only its model's name can steer it.
pub(crate) fn answer_batch_item(params: &[u8], mut draw: Draw) -> Result<Answer, ApiError> {
    let mut steering = Steering::default();
    let fields = Fields::parse(params)?;
    let name = steer(&fields, &mut steering)?;
    if let Some(fault) = steering.error {
        return Err(steering.failure(fault));
    }
    let request = MessageRequest::check(&fields, &name, "")?;
    let mut answer = compose::compose(&request, &steering, &mut draw)?;
    answer.usage.service_tier = ServiceTier::Batch;
    Ok(answer)
}

/// The model's name, after its `@` suffix has been taken as steering.
fn steer(fields: &Fields<'_>, steering: &mut Steering) -> Result<String, ApiError> {
    let asked = fields.model()?;
    let Some((name, suffix)) = asked.split_once('@') else {
        return Ok(asked);
    };
    match steering.add_suffix(suffix) {
        Ok(()) => Ok(name.to_owned()),
        Err(_) => Err(models::unknown(&asked)),
    }
}
