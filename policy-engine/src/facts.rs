//! What is decided about: a request, and who makes it.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::IpAddr;
use std::str::FromStr;

use domain::{ApiKeyId, Endpoint, OrgId, ProjectId, UserId};

/// Who makes a request.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// The key.
    pub key_id: ApiKeyId,
    /// Who made the key.
    pub user_id: Option<UserId>,
    /// The key's project.
    pub project_id: ProjectId,
    /// The project's organization.
    pub org_id: OrgId,
    /// A key for tests: without cost, and without budgets.
    pub test: bool,
    /// Where the request comes from.
    pub address: IpAddr,
}

/// A member's role in its organization, the mightiest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// `owner`
    Owner,
    /// `admin`
    Admin,
    /// `member`
    Member,
    /// `viewer`
    Viewer,
}

impl Role {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }
}

/// None of the four roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be owner, admin, member or viewer")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text {
            "owner" => Ok(Self::Owner),
            "admin" => Ok(Self::Admin),
            "member" => Ok(Self::Member),
            "viewer" => Ok(Self::Viewer),
            _ => Err(UnknownRole),
        }
    }
}

/// What a request asks for. Nothing is copied of it, and what no rule looks at isn't parsed.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Which part of the API.
    pub endpoint: Endpoint,
    /// Whether it only reads: `GET` and `HEAD`.
    pub reads: bool,
    /// The model it names; empty if none.
    pub model: &'a str,
    /// `max_tokens`; 0 if there is none.
    pub max_tokens: u64,
    /// Whether it asks for a stream.
    pub stream: bool,
    /// The size of the body as it is understood, in bytes; 0 if it isn't known.
    pub body_bytes: u64,
    /// The values of `anthropic-beta`.
    pub betas: &'a [&'a str],
    /// The names in `x-mindweave-approve-mcp`.
    pub approved_mcp: &'a [&'a str],
    /// The members of the body's object, in order; none of a body that isn't looked into.
    pub fields: &'a [Field<'a>],
    /// The members that weren't kept; none of a body that is known whole.
    pub unkept: Option<&'a Unkept<'a>>,
}

/// Members of a body that are there, and too long to have been kept. It remembers whether a rule had to look at one: nothing
/// can be said of what that rule makes of the body.
#[derive(Debug)]
pub struct Unkept<'a> {
    names: &'a [String],
    /// Its place among the names.
    asked_for: Cell<Option<usize>>,
}

impl<'a> Unkept<'a> {
    /// Those of these names.
    #[must_use]
    pub fn of(names: &'a [String]) -> Self {
        Self {
            names,
            asked_for: Cell::new(None),
        }
    }

    /// The first of these names that is among them.
    pub(crate) fn any(&self, names: &[&str]) -> Option<&'a str> {
        let is_meant = |name: &&'a String| names.contains(&name.as_str());
        self.names.iter().find(is_meant).map(String::as_str)
    }

    /// The one that was looked at since this was last called.
    pub(crate) fn take_asked_for(&self) -> Option<&'a str> {
        let place = self.asked_for.take()?;
        self.names.get(place).map(String::as_str)
    }

    fn ask_for(&self, name: &str) {
        if let Some(place) = self.names.iter().position(|unkept| unkept == name) {
            self.asked_for.set(Some(place));
        }
    }
}

/// A member of the body's object.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    /// Its name, escapes resolved.
    pub name: Cow<'a, str>,
    /// Its value, as JSON.
    pub json: &'a str,
}

impl<'a> Request<'a> {
    /// A request without a body.
    #[must_use]
    pub fn of(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            reads: false,
            model: "",
            max_tokens: 0,
            stream: false,
            body_bytes: 0,
            betas: &[],
            approved_mcp: &[],
            fields: &[],
            unkept: None,
        }
    }

    /// A field of the body. Of a repeated one the last counts, as it does for the API; `null` is as good as none.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a str> {
        if let Some(unkept) = self.unkept {
            unkept.ask_for(name);
        }
        let field = self.fields.iter().rev().find(|field| field.name == name)?;
        (field.json != "null").then_some(field.json)
    }
}
