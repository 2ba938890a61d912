//! What stands in paths and queries.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::{ApiError, Result};
use crate::listing::Part;

/// The query of a list: which part of it, and what else is asked for.
#[derive(Debug)]
pub(crate) struct Paged<T>(pub(crate) Part, pub(crate) T);

/// Which of a list's parameters are about the part.
const OF_PART: &[&str] = &["limit", "after_id", "before_id"];

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Paged<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let query = parts.uri.query().unwrap_or_default();
        let is_of_part = |pair: &&str| {
            let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
            OF_PART.contains(&name)
        };
        let (part, rest): (Vec<_>, Vec<_>) = query.split('&').partition(is_of_part);
        Ok(Self(parse(&part.join("&"))?, parse(&rest.join("&"))?))
    }
}

/// The query of what is no such list.
#[derive(Debug)]
pub(crate) struct Queried<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Queried<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T> {
    if query.contains("%00") {
        return Err(ApiError::invalid(
            "",
            "the query has a character that no value has: %00",
        ));
    }
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let path = error.path().to_string();
        ApiError::invalid(path, error.into_inner())
    })
}

/// The ids in a path: of an organization, and of one of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ids(pub(crate) Uuid, pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Ids {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let path = Path::<(Uuid, Uuid)>::from_request_parts(parts, state).await;
        path.map(|Path((of, id))| Self(of, id)).map_err(|_| no_id())
    }
}

fn no_id() -> ApiError {
    ApiError::not_found("object: what stands in the path is no id")
}

/// The id in a path. What is no id is the id of nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Id(pub(crate) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let path = Path::<Uuid>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id)).map_err(|_| no_id())
    }
}
