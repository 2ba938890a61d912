//! `/admin/v1/organizations/{id}/members`

mod joining;
mod ranks;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use self::joining::Joining;
pub(super) use self::joining::check_domain;
use self::ranks::{lock, must_not_be_last_owner, must_reach, standing};
use super::Deleted;
use super::organizations::{self, Organization};
use crate::body::{Body, some};
use crate::caller::Caller;
use crate::error::{ApiError, Result};
use crate::etag::{IfMatch, Tagged, Versioned};
use crate::limits::{self, Limit};
use crate::listing::{self, Filter, Listed, Page, Part};
use crate::params::{Id, Ids, Paged};
use crate::role::{Act, ROLES, Role};
use crate::server::Shared;
use crate::sql::Columns;
use crate::transaction::Transaction;
use crate::{changes, check};

const STATUSES: &[&str] = &["active", "invited", "suspended"];

/// Somebody's place in an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Member {
    pub(super) id: Uuid,
    /// `member`
    r#type: &'static str,
    pub(super) org_id: Uuid,
    /// null until the invitation is accepted.
    user_id: Option<Uuid>,
    /// The user's; until the invitation is accepted, the one that was invited.
    email: Option<String>,
    /// The user's; until the invitation is accepted, the one that the inviter gave.
    name: Option<String>,
    /// `owner`, `admin`, `member` or `viewer`
    pub(super) role: String,
    /// `active`, `invited` or `suspended`
    pub(super) status: String,
    invited_by: Option<Uuid>,
    invited_at: Option<DateTime<Utc>>,
    /// When the invitation ends, while it waits.
    invitation_expires_at: Option<DateTime<Utc>>,
    accepted_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// What the invited accepts with: in the answer that invites and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) invitation_token: Option<String>,
}

impl Listed for Member {
    const TABLE: &'static str = "org_members";
    const NAME: &'static str = "member";
    const OF_ORG: &'static str = "t.org_id = ?";
    // Of the user behind an invitation nothing is shown: it may be a stranger, or nobody yet.
    const COLUMNS: &'static str = "t.id, t.org_id, CASE WHEN t.status <> 'invited' THEN t.user_id END AS user_id, \
        CASE WHEN t.status = 'invited' THEN t.invited_email ELSE (SELECT u.email FROM users u WHERE u.id = t.user_id) END AS email, \
        CASE WHEN t.status = 'invited' THEN t.invited_name ELSE (SELECT u.name FROM users u WHERE u.id = t.user_id) END AS name, \
        t.role, t.status, t.invited_by, t.invited_at, t.invitation_expires_at, t.accepted_at, t.created_at, t.updated_at";

    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            r#type: "member",
            org_id: row.try_get("org_id")?,
            user_id: row.try_get("user_id")?,
            email: row.try_get("email")?,
            name: row.try_get("name")?,
            role: row.try_get("role")?,
            status: row.try_get("status")?,
            invited_by: row.try_get("invited_by")?,
            invited_at: row.try_get("invited_at")?,
            invitation_expires_at: row.try_get("invitation_expires_at")?,
            accepted_at: row.try_get("accepted_at")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
            invitation_token: None,
        })
    }

    fn id(&self) -> Uuid {
        self.id
    }
}

impl Versioned for Member {
    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

impl Member {
    fn is_callers(&self, caller: &Caller) -> bool {
        self.user_id.is_some() && self.user_id == caller.user_id
    }

    fn is_active_owner(&self) -> bool {
        self.status == "active" && self.role == "owner"
    }

    fn must_be_of(self, org_id: Uuid) -> Result<Self> {
        if self.org_id == org_id {
            return Ok(self);
        }
        Err(ApiError::not_found(Self::NAME))
    }
}

/// Which members.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    role: Option<String>,
    status: Option<String>,
    /// Of those who have accepted.
    user_id: Option<Uuid>,
}

/// An organization's members, the newest first.
#[utoipa::path(get, operation_id = "members_list", path = "/organizations/{id}/members", tag = "members", params(("id" = Uuid, Path), Part, Query), responses((status = 200, body = Page<Member>)))]
pub(crate) async fn list(
    State(shared): State<Shared>,
    caller: Caller,
    Id(org_id): Id,
    Paged(part, query): Paged<Query>,
) -> Result<Json<Page<Member>>> {
    caller.may(Act::ReadMembers)?;
    if let Some(role) = &query.role {
        check::one_of("role", role, ROLES)?;
    }
    if let Some(status) = &query.status {
        check::one_of("status", status, STATUSES)?;
    }
    let mut filter = Filter::visible::<Member>(&caller);
    filter.and("t.org_id = ?", org_id);
    filter.and_if("t.role = ?", query.role);
    filter.and_if("t.status = ?", query.status);
    filter.and_if("t.user_id = ? AND t.status <> 'invited'", query.user_id);
    let page = Transaction::read(&shared.pool, &caller, async |transaction| {
        listing::find::<Organization>(transaction, &caller, org_id).await?;
        listing::page(transaction, &caller, filter, part).await
    });
    page.await.map(Json)
}

/// One member.
#[utoipa::path(get, operation_id = "members_show", path = "/organizations/{id}/members/{member_id}", tag = "members", params(("id" = Uuid, Path), ("member_id" = Uuid, Path)), responses((status = 200, body = Member)))]
pub(crate) async fn show(
    State(shared): State<Shared>,
    caller: Caller,
    Ids(org_id, id): Ids,
) -> Result<Tagged<Member>> {
    caller.may(Act::ReadMembers)?;
    let found = Transaction::read(&shared.pool, &caller, async |transaction| {
        listing::find::<Organization>(transaction, &caller, org_id).await?;
        let member: Member = listing::find(transaction, &caller, id).await?;
        member.must_be_of(org_id)
    });
    found.await.map(Tagged::ok)
}

/// A new member: somebody with an address who is invited, or a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMember {
    /// Who is invited. Upper and lower case are one.
    email: Option<String>,
    /// What whoever is invited is called until they say it themselves.
    name: Option<String>,
    /// For callers of the whole installation: a user, who is active at once.
    user_id: Option<Uuid>,
    /// `owner`, `admin`, `member` or `viewer`; not above the caller's own.
    role: String,
    /// When the invitation ends: 60 to 2,592,000 from now; 604,800 (7 days) if not given.
    expires_in_seconds: Option<u32>,
}

impl NewMember {
    fn joining(self) -> Result<Joining> {
        match (self.email, self.user_id) {
            (Some(email), None) => Joining::invited(&email, self.name, self.expires_in_seconds),
            (None, Some(user_id)) if self.name.is_none() && self.expires_in_seconds.is_none() => {
                Ok(Joining::User(user_id))
            }
            (None, Some(_)) => Err(ApiError::invalid(
                "user_id",
                "is there already: `name` and `expires_in_seconds` are for invitations",
            )),
            _ => Err(ApiError::invalid(
                "email",
                "either `email` or `user_id` is required",
            )),
        }
    }
}

/// Invites somebody: the token in this answer's `invitation_token`, and nowhere else, is what they accept with. Whoever waits
/// already gets a new one in place of the one before.
#[utoipa::path(post, operation_id = "members_create", path = "/organizations/{id}/members", tag = "members", params(("id" = Uuid, Path)), request_body = NewMember, responses((status = 201, body = Member)))]
pub(crate) async fn create(
    State(shared): State<Shared>,
    caller: Caller,
    Id(org_id): Id,
    Body(new): Body<NewMember>,
) -> Result<Tagged<Member>> {
    caller.may(Act::ChangeMembers)?;
    check::one_of("role", &new.role, ROLES)?;
    let role = new.role.clone();
    let joining = new.joining()?;
    if matches!(joining, Joining::User(_)) {
        caller.may(Act::ChangeUsers)?;
    }
    changes::create(&shared, &caller, async |transaction| {
        organizations::lock(transaction, &caller, org_id).await?;
        must_reach(standing(transaction, &caller, org_id).await?, &role)?;
        let (id, token) = joining::join(transaction, &caller, org_id, &role, joining).await?;
        let made: Member = listing::find(transaction, &caller, id).await?;
        Ok(Member {
            invitation_token: token,
            ..made
        })
    })
    .await
}

/// What changes. What is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MemberChanges)]
#[serde(deny_unknown_fields)]
pub(crate) struct Changes {
    #[serde(default, deserialize_with = "some")]
    role: Option<String>,
    /// `active` or `suspended`: the admin keys of one who is suspended don't work.
    #[serde(default, deserialize_with = "some")]
    status: Option<String>,
}

/// Changes a member.
#[utoipa::path(post, operation_id = "members_update", path = "/organizations/{id}/members/{member_id}", tag = "members", params(IfMatch, ("id" = Uuid, Path), ("member_id" = Uuid, Path)), request_body = Changes, responses((status = 200, body = Member)))]
pub(crate) async fn update(
    State(shared): State<Shared>,
    caller: Caller,
    Ids(org_id, id): Ids,
    if_match: IfMatch,
    Body(changes): Body<Changes>,
) -> Result<Tagged<Member>> {
    caller.may(Act::ChangeMembers)?;
    if let Some(role) = &changes.role {
        check::one_of("role", role, ROLES)?;
    }
    if let Some(status) = &changes.status {
        check::one_of("status", status, &["active", "suspended"])?;
    }
    let changed = Transaction::within(&shared.pool, &caller, async |transaction| {
        let (own, member) = lock(transaction, &caller, (org_id, id), &if_match).await?;
        must_reach(own, &member.role)?;
        change(transaction, own, &member, &changes).await?;
        listing::find(transaction, &caller, id).await
    });
    changed.await.map(Tagged::ok)
}

async fn change(
    transaction: &Transaction,
    own: Role,
    member: &Member,
    changes: &Changes,
) -> Result<()> {
    let mut columns = Columns::default();
    if let Some(role) = &changes.role {
        must_reach(own, role)?;
        columns.set("role", role.clone());
    }
    if let Some(status) = &changes.status {
        if member.status == "invited" {
            return Err(ApiError::conflict(
                "not_active",
                "the invitation isn't accepted yet",
            ));
        }
        if status == "active" && member.status != "active" {
            limits::room_for(transaction, member.org_id, Limit::Users).await?;
        }
        columns.set("status", status.clone());
    }
    let stays_owner = changes.role.as_deref().is_none_or(|role| role == "owner")
        && changes.status.as_deref().is_none_or(|it| it == "active");
    if !stays_owner {
        must_not_be_last_owner(transaction, member).await?;
    }
    columns.update(transaction, Member::TABLE, member.id).await
}

/// Removes a member, or an invitation. Anybody may leave. The admin keys that were theirs in the organization are revoked;
/// API keys that they have made stay.
#[utoipa::path(delete, operation_id = "members_delete", path = "/organizations/{id}/members/{member_id}", tag = "members", params(IfMatch, ("id" = Uuid, Path), ("member_id" = Uuid, Path)), responses((status = 200, body = Deleted)))]
pub(crate) async fn delete(
    State(shared): State<Shared>,
    caller: Caller,
    Ids(org_id, id): Ids,
    if_match: IfMatch,
) -> Result<Json<Deleted>> {
    Transaction::within(&shared.pool, &caller, async |transaction| {
        let (own, member) = lock(transaction, &caller, (org_id, id), &if_match).await?;
        if !member.is_callers(&caller) {
            caller.may(Act::ChangeMembers)?;
            must_reach(own, &member.role)?;
        }
        must_not_be_last_owner(transaction, &member).await?;
        remove(transaction, id).await
    })
    .await?;
    Ok(Json(Deleted {
        id,
        r#type: "member_deleted",
    }))
}

async fn remove(transaction: &Transaction, id: Uuid) -> Result<()> {
    // They would work again if their owner came back.
    let revoke = "UPDATE admin_keys k SET status = 'revoked', revoked_at = now() FROM org_members m
        WHERE m.id = $1 AND k.org_id = m.org_id AND k.user_id = m.user_id AND k.status = 'active'";
    transaction.all(revoke, &[&id]).await?;
    let sql = "DELETE FROM org_members WHERE id = $1 RETURNING id";
    transaction.one(sql, &[&id]).await.map(drop)
}
