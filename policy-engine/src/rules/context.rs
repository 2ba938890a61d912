//! What a rule is asked about, and what it answers.

use domain::{Endpoint, Timestamp};

use super::custom::Scope;
use super::named::LazyNamed;
use super::tools::LazyTools;
use crate::budget::{Holder, People};
use crate::denial::Reason;
use crate::facts::{Caller, Request, Role};

/// A request, its caller, and the moment.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) request: &'a Request<'a>,
    pub(crate) caller: &'a Caller,
    pub(crate) holder: Holder,
    pub(crate) org_slug: &'a str,
    pub(crate) people: &'a People,
    pub(crate) now: Timestamp,
    /// The request's tools, parsed once for all that ask for them.
    pub(super) tools: LazyTools<'a>,
    /// The models it names beside its own, found once as well.
    pub(super) named: LazyNamed<'a>,
    /// What its expressions see.
    pub(super) expressions: Scope,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        request: &'a Request<'a>,
        caller: &'a Caller,
        org_slug: &'a str,
        people: &'a People,
        now: Timestamp,
    ) -> Self {
        Self {
            request,
            caller,
            holder: Holder {
                org_id: caller.org_id,
                project_id: caller.project_id,
                user_id: caller.user_id,
                key_id: caller.key_id,
            },
            org_slug,
            people,
            now,
            tools: LazyTools::default(),
            named: LazyNamed::default(),
            expressions: Scope::default(),
        }
    }

    /// The role of who made the key; none of somebody who is no member.
    pub(crate) fn role(&self) -> Option<Role> {
        self.people.role(self.holder.user_id)
    }

    pub(crate) fn project_slug(&self) -> &'a str {
        self.people.slug(self.holder.project_id)
    }

    /// Whether the request has a body that is looked into.
    pub(crate) fn has_body(&self) -> bool {
        !self.request.fields.is_empty() || self.request.unkept.is_some()
    }

    /// Whether the body may have the fields that only requests for an answer have, as `metadata` and `inference_geo`.
    pub(crate) fn asks_for_an_answer(&self) -> bool {
        let answers = matches!(
            self.request.endpoint,
            Endpoint::Messages | Endpoint::Complete
        );
        answers && self.has_body()
    }
}

/// What a rule has against a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Objection {
    pub(crate) reason: Reason,
    /// Names what isn't allowed, and nothing of what the request says.
    pub(crate) message: String,
}

impl Objection {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// Without a code of its own.
    pub(crate) fn denied(message: impl Into<String>) -> Self {
        Self::new(Reason::PolicyDenied, message)
    }
}
