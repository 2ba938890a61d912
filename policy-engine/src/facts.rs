//! What is decided about: a request, and who makes it.

use std::borrow::Cow;
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
        }
    }

    /// A field of the body. Of a repeated one the last counts, as it does for the API; `null` is as good as none.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a str> {
        let field = self.fields.iter().rev().find(|field| field.name == name)?;
        (field.json != "null").then_some(field.json)
    }
}
