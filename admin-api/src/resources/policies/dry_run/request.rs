//! A dry run on one request that nobody makes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use domain::{ApiKeyId, KeyHash, KeyKind, OrgId, ProjectId, UserId};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Uri};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::draft::Draft;
use super::shown::Decision;
use super::{beside, place};
use crate::caller::Caller;
use crate::check;
use crate::data_plane::{Asked, InForce, With};
use crate::error::{ApiError, Result};
use crate::listing::{self, Filter};
use crate::resources::api_keys::ApiKey;
use crate::resources::members::Member;
use crate::resources::projects::Project;
use crate::server::Shared;
use crate::transaction::Transaction;

/// A request of the data plane's, as it would come.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// Such as `/v1/messages`.
    path: String,
    /// `POST` if not given.
    method: Option<String>,
    /// Those that count, as `anthropic-beta`; keys are not among them.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body, as JSON; a text is taken to be the body as it would be sent.
    #[schema(value_type = Option<Object>)]
    body: Option<Value>,
    /// With which key.
    api_key_id: Option<Uuid>,
    /// Or with some good key of this project.
    project_id: Option<Uuid>,
    /// With `project_id`: whose key.
    user_id: Option<Uuid>,
    /// From where: from where this request comes, if not given.
    #[schema(value_type = Option<String>)]
    client_ip: Option<IpAddr>,
}

/// What is decided about a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OfRequest {
    /// `policy_dry_run`
    r#type: &'static str,
    /// Whose counters were looked at.
    instance_id: Uuid,
    /// Whether what was spent before that process began is among it.
    settled: bool,
    now: Decision,
    with_policy: Decision,
}

pub(super) async fn run(
    shared: &Shared,
    caller: &Caller,
    in_force: InForce,
    draft: Draft,
    request: Request,
) -> Result<OfRequest> {
    let head = request.head()?;
    let body = request.bytes();
    let whose = request.whose()?;
    let address = request.client_ip.unwrap_or(caller.origin.address);
    let (found, maker) = Transaction::within(&shared.pool, caller, async |transaction| {
        let found = draft.find(transaction, caller).await?;
        let maker = whose.find(transaction, caller).await?;
        Ok((found, maker))
    })
    .await?;
    if maker.org_id != found.org_id {
        return Err(ApiError::invalid(
            whose.path(),
            "is of another organization than the policy",
        ));
    }
    let place = place(&shared.dry_runs, found.org_id)?;
    let tried = found.compile(shared).await?;
    beside(shared, place, move |turn| {
        let InForce {
            engine, data_plane, ..
        } = &in_force;
        let by = policy_engine::Caller {
            key_id: maker.key_id,
            user_id: maker.user_id,
            project_id: maker.project_id,
            org_id: OrgId(tried.org_id),
            test: maker.test,
            address,
        };
        let now = engine.present(by.org_id, by.project_id)?;
        let then = engine.rehearse(by.org_id, by.project_id, &tried.change)?;
        drop(turn);
        let asked = Asked {
            head: &head,
            body: &body,
            key: maker.with.of(),
            caller: &by,
        };
        Some(OfRequest {
            r#type: "policy_dry_run",
            instance_id: in_force.instance_id,
            settled: data_plane.is_settled(),
            now: Decision::of(data_plane.judge(&now, &asked), None),
            with_policy: Decision::of(data_plane.judge(&then, &asked), tried.nameless),
        })
    })
    .await
}

impl Request {
    fn head(&self) -> Result<Parts> {
        let method = self.method.as_deref().unwrap_or("POST");
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
        let method = method.map_err(|_| ApiError::invalid("request.method", "is no method"))?;
        check::text("request.path", &self.path, 4_096)?;
        let uri: Option<Uri> = self.path.parse().ok();
        let uri = uri.filter(|uri| uri.path().starts_with('/') && uri.authority().is_none());
        let uri = uri
            .ok_or_else(|| ApiError::invalid("request.path", "is no path, such as /v1/messages"))?;
        let (mut head, ()) = http::Request::new(()).into_parts();
        (head.method, head.uri) = (method, uri);
        for (name, value) in &self.headers {
            let path = || format!("request.headers.{name}");
            let name = HeaderName::from_bytes(name.as_bytes());
            let name = name.map_err(|_| ApiError::invalid(path(), "is no name of a header"))?;
            let value = HeaderValue::from_str(value);
            let value = value.map_err(|_| ApiError::invalid(path(), "is no value of a header"))?;
            let _before = head.headers.insert(name, value);
        }
        Ok(head)
    }

    fn bytes(&self) -> Bytes {
        match &self.body {
            None | Some(Value::Null) => Bytes::new(),
            Some(Value::String(text)) => Bytes::from(text.clone()),
            Some(json) => Bytes::from(json.to_string()),
        }
    }

    fn whose(&self) -> Result<Whose> {
        match (self.api_key_id, self.project_id, self.user_id) {
            (Some(_), None, Some(_)) => Err(ApiError::invalid(
                "request.user_id",
                "is known of a key, and can't be given with api_key_id",
            )),
            (Some(key), None, None) => Ok(Whose::Key(key)),
            (None, Some(project), user) => Ok(Whose::Project(project, user)),
            (None, None, _) => Err(ApiError::invalid(
                "request.api_key_id",
                "is required, or project_id",
            )),
            (Some(_), Some(_), _) => Err(ApiError::invalid(
                "request.project_id",
                "can't be given together with api_key_id",
            )),
        }
    }
}

/// With which key.
#[derive(Debug, Clone, Copy)]
enum Whose {
    Key(Uuid),
    Project(Uuid, Option<Uuid>),
}

/// Who makes the request.
struct Maker {
    org_id: Uuid,
    project_id: ProjectId,
    user_id: Option<UserId>,
    key_id: ApiKeyId,
    test: bool,
    with: Which,
}

/// With which key: its hash, or whether the project and its organization are active whose it would be.
enum Which {
    Known(KeyHash),
    Good { project: bool, organization: bool },
}

impl Which {
    fn of(&self) -> With<'_> {
        match self {
            Self::Known(hash) => With::Key(hash),
            Self::Good {
                project,
                organization,
            } => With::Good {
                project: *project,
                organization: *organization,
            },
        }
    }
}

impl Whose {
    fn path(self) -> &'static str {
        match self {
            Self::Key(_) => "request.api_key_id",
            Self::Project(..) => "request.project_id",
        }
    }

    async fn find(self, transaction: &Transaction, caller: &Caller) -> Result<Maker> {
        match self {
            Self::Key(id) => key(transaction, caller, id).await,
            Self::Project(id, user) => {
                let project: Project = listing::find(transaction, caller, id).await?;
                let org_id = project.org_id;
                if let Some(user) = user {
                    let mut member = Filter::visible::<Member>(caller);
                    member.and("t.org_id = ?", org_id);
                    member.and("t.user_id = ?", user);
                    let sql = format!("SELECT FROM org_members t WHERE {}", member.sql());
                    let found = transaction.maybe(&sql, &member.values()).await?;
                    found.ok_or_else(|| ApiError::not_found("member"))?;
                }
                Ok(Maker {
                    org_id,
                    project_id: ProjectId(id),
                    user_id: user.map(UserId),
                    key_id: ApiKeyId(Uuid::nil()),
                    test: false,
                    with: good(transaction, id).await?,
                })
            }
        }
    }
}

/// A good key of a project that is there.
async fn good(transaction: &Transaction, project: Uuid) -> Result<Which> {
    let sql = "SELECT t.status = 'active', o.status = 'active' FROM projects t JOIN organizations o ON o.id = t.org_id WHERE t.id = $1";
    let row = transaction.one(sql, &[&project]).await?;
    Ok(Which::Good {
        project: row.try_get(0)?,
        organization: row.try_get(1)?,
    })
}

async fn key(transaction: &Transaction, caller: &Caller, id: Uuid) -> Result<Maker> {
    let mut filter = Filter::visible::<ApiKey>(caller);
    filter.and("t.id = ?", id);
    let sql = format!(
        "SELECT t.key_hash, t.key_prefix, t.created_by, t.project_id, own.org_id FROM api_keys t \
         JOIN projects own ON own.id = t.project_id WHERE {}",
        filter.sql()
    );
    let row = transaction.maybe(&sql, &filter.values()).await?;
    let row = row.ok_or_else(|| ApiError::not_found("API key"))?;
    let prefix: &str = row.try_get("key_prefix")?;
    let hash: &str = row.try_get("key_hash")?;
    // What was written by hand and is no hash is no key's.
    let hash = KeyHash::from_hex(hash).unwrap_or(KeyHash([0; 32]));
    Ok(Maker {
        org_id: row.try_get("org_id")?,
        project_id: ProjectId(row.try_get("project_id")?),
        user_id: Some(UserId(row.try_get("created_by")?)),
        key_id: ApiKeyId(id),
        test: KeyKind::from_prefix(prefix) == Some(KeyKind::Test),
        with: Which::Known(hash),
    })
}
