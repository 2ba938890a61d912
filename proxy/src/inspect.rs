//! What the gateway needs to know of a request's body, found at its top level.
//!
//! The body is read once and no tree is built of it: `messages` may hold megabytes. Its members are kept as places in
//! it, for rules to look at; of a repeated one the last counts, as it does for the API.

mod asked;
mod compact;
#[cfg(any(test, fuzzing))]
pub(crate) mod laws;
mod members;

use std::fmt;

use policy_engine::Field;

pub(crate) use self::asked::Asked;
pub(crate) use self::members::{MOST_MEMBERS, Members, unquoted};
use crate::text::Text;

/// The top level of a body.
#[derive(Default, PartialEq, Eq)]
pub struct Inspected {
    /// `model`, as the caller wrote it; of agents and dreams it may be an object, with the model as its `id`.
    pub model: String,
    /// `max_tokens`; 0 if there is none, or one that is no whole number.
    pub max_tokens: u64,
    /// Whether `stream` is true.
    pub stream: bool,
    /// Whether `billing_policy` has somebody else billed than the owner of the upstream key.
    pub bills_user_profile: bool,
    /// Whether `model` is a string.
    names_a_model: bool,
    body: Text,
    members: Members,
}

/// Why a body can't be what the endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// Not JSON, or not an object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// More members than any object of the API has.
    #[error("the body has more than {MOST_MEMBERS} members")]
    TooManyMembers,
    /// No `model`, or one that is no string.
    #[error("the body has no model")]
    ModelMissing,
}

/// Reads a JSON body, already decoded, and keeps a reference to it.
///
/// # Errors
/// If it isn't a JSON object, has too many members, or no `model`.
pub fn inspect(body: impl Into<Text>) -> Result<Inspected, InspectError> {
    let found = inspect_any(body.into())?;
    if found.names_a_model {
        Ok(found)
    } else {
        Err(InspectError::ModelMissing)
    }
}

/// The same of a body that needn't name a model.
///
/// # Errors
/// If it isn't a JSON object, or has too many members.
pub(crate) fn inspect_any(body: Text) -> Result<Inspected, InspectError> {
    let text = body.checked().ok_or(InspectError::NotAnObject)?;
    let members = Members::of(text)?;
    let asked = Asked::of(members.fields(text.text));
    Ok(Inspected {
        names_a_model: asked.model.is_some(),
        model: asked.model.unwrap_or(asked.model_id).into_owned(),
        max_tokens: asked.max_tokens,
        stream: asked.stream,
        bills_user_profile: asked.bills_user_profile,
        body,
        members,
    })
}

impl Inspected {
    /// The members of the body's object, in order, repeated ones too.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        self.members.fields(self.body.as_str().unwrap_or_default())
    }

    /// The size of the body as it was read, in bytes.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.body.bytes().len()
    }

    /// The same without the body and its members. The bound on bodies in memory doesn't count this reference, which may
    /// be the only one to a decoded copy: it must not be held while anything is waited for.
    #[must_use]
    pub fn without_body(self) -> Self {
        Self {
            body: Text::default(),
            members: Members::default(),
            ..self
        }
    }
}

/// Nothing of what the caller wrote is for a log, but the model.
impl fmt::Debug for Inspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspected")
            .field("model", &self.model)
            .field("max_tokens", &self.max_tokens)
            .field("stream", &self.stream)
            .field("bills_user_profile", &self.bills_user_profile)
            .field("body_bytes", &self.body.bytes().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
