//! Who may do what: every route, every role, one's own organization and somebody else's.

use http::{Method, StatusCode};
use http_body::Frame;
use serde_json::{Value, json};
use testkit::{Client, Scene};
use uuid::Uuid;

use crate::stage::{Stage, admin_key, at, get, post, project};

/// A project with a key and a policy, and somebody who is invited.
struct Belongings {
    org: Uuid,
    project: String,
    key: String,
    policy: String,
    admin_key: String,
    mcp_server: String,
    mcp_tool: String,
    user: Uuid,
    member: String,
}

async fn belongings(stage: &Stage, org: Uuid, user: Uuid) -> Belongings {
    let api = &stage.installation;
    let made =
        json!({"org_id": org, "name": "p", "slug": format!("p-{}", Uuid::now_v7().simple())});
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    let project = id(&post(api, "projects", made).await);
    let key = json!({"project_id": project, "name": "k", "created_by": user});
    let key = id(&post(api, "api-keys", key).await);
    let policy = json!({"project_id": project, "name": "x", "policy_type": "usage", "created_by": user,
        "rules": {"max_tokens_per_day": 1}, "status": "draft"});
    let policy = id(&post(api, "policies", policy).await);
    let admin_key = json!({"org_id": org, "role": "viewer", "name": "a"});
    let admin_key = id(&post(api, "admin-keys", admin_key).await);
    let member = json!({"email": format!("{}@x.example", Uuid::now_v7()), "role": "viewer"});
    let member = id(&post(api, &format!("organizations/{org}/members"), member).await);
    let path = format!("organizations/{org}/subscription");
    post(api, &path, unlimited()).await;
    let server = json!({"project_id": project, "name": "m", "registered_by": user, "transport_type": "stdio",
        "transport_config": {"command": "x"}});
    let mcp_server = id(&post(api, "mcp-servers", server).await);
    let tool = json!({"server_id": mcp_server, "name": "t"});
    let mcp_tool = id(&post(api, "mcp-tools", tool).await);
    Belongings {
        org,
        project,
        key,
        policy,
        admin_key,
        mcp_server,
        mcp_tool,
        user,
        member,
    }
}

fn unlimited() -> Value {
    json!({"limits": {"max_users": null, "max_projects": null, "max_mcp_servers": null, "max_tokens_per_month": null}})
}

/// A route, with a body that is right, and the least role that may use it on its own organization.
type Route = (Method, String, Value, Option<&'static str>);

fn routes(of: &Belongings) -> Vec<Route> {
    let Belongings {
        org,
        project,
        key,
        policy,
        admin_key,
        mcp_server,
        mcp_tool,
        user,
        member,
    } = of;
    let get = |path: String| (Method::GET, path, json!(null), Some("viewer"));
    let post = |path: String, body: Value, role| (Method::POST, path, body, role);
    vec![
        get(format!("organizations/{org}")),
        get(format!("projects/{project}")),
        get(format!("api-keys/{key}")),
        get(format!("policies/{policy}")),
        get(format!("users/{user}")),
        post(format!("users/{user}"), json!({"name": "n"}), None),
        post(format!("users/{user}/reset-mfa"), json!({}), None),
        get(format!("organizations/{org}/members")),
        get(format!("organizations/{org}/members/{member}")),
        get(format!("organizations/{org}/subscription")),
        post(
            format!("organizations/{org}/members"),
            json!({"email": format!("{}@x.example", Uuid::now_v7()), "role": "viewer"}),
            Some("admin"),
        ),
        post(
            format!("organizations/{org}/members"),
            json!({"email": format!("{}@x.example", Uuid::now_v7()), "role": "owner"}),
            Some("owner"),
        ),
        post(
            format!("organizations/{org}/members/{member}"),
            json!({"role": "member"}),
            Some("admin"),
        ),
        (
            Method::DELETE,
            format!("organizations/{org}/members/{member}"),
            json!(null),
            Some("admin"),
        ),
        post(
            format!("organizations/{org}/subscription"),
            unlimited(),
            None,
        ),
        (
            Method::DELETE,
            format!("organizations/{org}/subscription"),
            json!(null),
            None,
        ),
        post(
            format!("organizations/{org}"),
            json!({"name": "n"}),
            Some("admin"),
        ),
        post(
            format!("organizations/{org}"),
            json!({"status": "active"}),
            None,
        ),
        post(
            "projects".to_owned(),
            json!({"org_id": org, "name": "n", "slug": format!("s-{}", Uuid::now_v7().simple())}),
            Some("admin"),
        ),
        post(
            format!("projects/{project}"),
            json!({"name": "n"}),
            Some("admin"),
        ),
        post(
            "api-keys".to_owned(),
            json!({"project_id": project, "name": "n"}),
            Some("member"),
        ),
        post(
            format!("api-keys/{key}"),
            json!({"name": "n"}),
            Some("member"),
        ),
        post(format!("api-keys/{key}/rotate"), json!({}), Some("member")),
        post(format!("api-keys/{key}/revoke"), json!({}), Some("member")),
        post(
            "policies".to_owned(),
            json!({"project_id": project, "name": "n", "policy_type": "usage", "rules": {"max_tokens_per_day": 1}, "status": "draft"}),
            Some("admin"),
        ),
        post(
            format!("policies/{policy}"),
            json!({"name": "n"}),
            Some("admin"),
        ),
        post(
            "policies/dry-run".to_owned(),
            json!({"policy_id": policy, "events": {"last": 1}}),
            Some("admin"),
        ),
        get(format!("budgets?project_id={project}")),
        (
            Method::DELETE,
            format!("policies/{policy}"),
            json!(null),
            Some("admin"),
        ),
        get(format!("mcp-servers/{mcp_server}")),
        get(format!("mcp-tools/{mcp_tool}")),
        post(
            "mcp-servers".to_owned(),
            json!({"project_id": project, "name": Uuid::now_v7(), "transport_type": "stdio", "transport_config": {"command": "x"}}),
            Some("member"),
        ),
        post(
            format!("mcp-servers/{mcp_server}"),
            json!({"version": "2"}),
            Some("admin"),
        ),
        post(
            format!("mcp-servers/{mcp_server}/approve"),
            json!({"accept_unscanned": true}),
            Some("admin"),
        ),
        post(
            format!("mcp-servers/{mcp_server}/reject"),
            json!({"reason": "r"}),
            Some("admin"),
        ),
        post(
            format!("mcp-servers/{mcp_server}/scan"),
            json!({}),
            Some("admin"),
        ),
        post(
            "mcp-tools".to_owned(),
            json!({"server_id": mcp_server, "name": Uuid::now_v7()}),
            Some("admin"),
        ),
        post(
            format!("mcp-tools/{mcp_tool}"),
            json!({"enabled": false}),
            Some("admin"),
        ),
        (
            Method::DELETE,
            format!("mcp-tools/{mcp_tool}"),
            json!(null),
            Some("admin"),
        ),
        (
            Method::DELETE,
            format!("mcp-servers/{mcp_server}"),
            json!(null),
            Some("admin"),
        ),
        post(
            format!("projects/{project}/archive"),
            json!({}),
            Some("admin"),
        ),
        (
            Method::DELETE,
            format!("projects/{project}"),
            json!(null),
            Some("admin"),
        ),
        (
            Method::GET,
            format!("admin-keys/{admin_key}"),
            json!(null),
            Some("admin"),
        ),
        post(
            "admin-keys".to_owned(),
            json!({"org_id": org, "role": "viewer", "name": "n"}),
            Some("owner"),
        ),
        post(
            format!("admin-keys/{admin_key}/revoke"),
            json!({}),
            Some("owner"),
        ),
        (
            Method::DELETE,
            format!("organizations/{org}"),
            json!(null),
            None,
        ),
        post(
            "organizations".to_owned(),
            json!({"name": "n", "slug": format!("o-{}", Uuid::now_v7().simple())}),
            None,
        ),
    ]
}

async fn send(client: &Client, (method, path, body, _): &Route) -> StatusCode {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    client.send(method.clone(), &at(path), body).await.status
}

const ROLES: [&str; 4] = ["viewer", "member", "admin", "owner"];

#[tokio::test]
async fn each_role_may_what_it_may_in_its_own_organization() {
    let stage = Stage::new().await;
    let user = stage.scene.tenant.user_id;
    let of_role = async |role| (stage.of_tenant(role).await, user);
    check_roles(&stage, of_role).await;
}

#[tokio::test]
async fn a_session_may_what_its_member_may() {
    let stage = Stage::new().await;
    let of_role = async |role| crate::login::session_of(&stage, role).await;
    check_roles(&stage, of_role).await;
}

async fn check_roles(stage: &Stage, of_role: impl AsyncFn(&'static str) -> (Client, Uuid)) {
    for (rank, role) in ROLES.into_iter().enumerate() {
        let (client, user) = of_role(role).await;
        let own = belongings(stage, stage.scene.tenant.org_id, user).await;
        for route in routes(&own) {
            let needed = route
                .3
                .and_then(|least| ROLES.iter().position(|role| *role == least));
            let may = needed.is_some_and(|least| rank >= least);
            let status = send(&client, &route).await;
            let (method, path, ..) = &route;
            if may {
                assert!(status.is_success(), "{role}: {method} {path}: {status}");
            } else {
                assert_eq!(status, StatusCode::FORBIDDEN, "{role}: {method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn every_role_reads_the_usage_of_its_organization() {
    let stage = Stage::new().await;
    for role in ROLES {
        let client = stage.of_tenant(role).await;
        get(
            &client,
            "usage?since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z",
        )
        .await;
        for report in ["usage_report/messages", "cost_report"] {
            let path = format!("/v1/organizations/{report}?starting_at=2020-01-01T00:00:00Z");
            assert_eq!(client.get(&path).await.status, StatusCode::OK, "{path}");
        }
    }
    let nobody = stage.client("");
    let answer = nobody.get(&at("usage?since=2020-01-01T00:00:00Z")).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_is_somebody_elses_is_not_there() {
    let stage = Stage::new().await;
    let other = testkit::Tenant::create(&stage.scene.sql).await;
    let theirs = belongings(&stage, other.org_id, other.user_id).await;
    let owner = stage.of_tenant("owner").await;
    for route in routes(&theirs) {
        let (method, path, _, least) = &route;
        let status = send(&owner, &route).await;
        let expected = if least.is_some() {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::FORBIDDEN
        };
        assert_eq!(status, expected, "{method} {path}");
    }
    for list in [
        "organizations",
        "projects",
        "api-keys",
        "policies",
        "users",
        "admin-keys",
        "audit-logs",
        "mcp-servers",
        "mcp-tools",
    ] {
        let shown = get(&owner, &format!("{list}?limit=1000")).await.to_string();
        for id in [
            &theirs.org.to_string(),
            &theirs.project,
            &theirs.key,
            &theirs.policy,
            &theirs.member,
            &theirs.mcp_server,
            &theirs.mcp_tool,
        ] {
            assert!(!shown.contains(id), "{list}");
        }
        let path = format!("{list}?after_id={}", theirs.project);
        assert_eq!(owner.get(&at(&path)).await.status, StatusCode::BAD_REQUEST);
    }
    // Nothing of it has changed.
    let project = get(&stage.installation, &format!("projects/{}", theirs.project)).await;
    assert_eq!(
        (&project["name"], &project["status"]),
        (&json!("p"), &json!("active"))
    );
}

async fn status_of(stage: &Stage, key: &str) -> (StatusCode, String) {
    let answer = stage.client(key).get(&at("whoami")).await;
    let code = if answer.status.is_success() {
        String::new()
    } else {
        answer.error_code()
    };
    (answer.status, code)
}

async fn change(scene: &Scene, sql: &str) {
    scene.sql.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn keys_that_are_not_good_are_told_why() {
    let stage = Stage::new().await;
    let scene = &stage.scene;
    let (org, user) = (scene.tenant.org_id, scene.tenant.user_id);
    stage.of_tenant("owner").await;
    let key = admin_key(scene, Some(org), Some(user), "viewer").await;
    assert_eq!(status_of(&stage, &key).await.0, StatusCode::OK);
    assert_eq!(
        status_of(&stage, "").await,
        (StatusCode::UNAUTHORIZED, "key_missing".to_owned())
    );
    assert_eq!(
        status_of(&stage, "mw_ak_x").await,
        (StatusCode::UNAUTHORIZED, "key_unknown".to_owned())
    );
    assert_eq!(
        status_of(&stage, &scene.key).await,
        (StatusCode::UNAUTHORIZED, "key_unknown".to_owned()),
        "a key for the proxy opens nothing here"
    );
    for (faulty, status, code, right) in [
        (
            "allowed_ips = '{10.0.0.0/8}'",
            StatusCode::FORBIDDEN,
            "ip_not_allowed",
            "allowed_ips = '{10.0.0.0/8,127.0.0.1}'",
        ),
        (
            "expires_at = now()",
            StatusCode::UNAUTHORIZED,
            "key_expired",
            "expires_at = now() + interval '1 day'",
        ),
        (
            "status = 'revoked'",
            StatusCode::UNAUTHORIZED,
            "key_revoked",
            "status = 'active'",
        ),
    ] {
        change(
            scene,
            &format!("UPDATE admin_keys SET {faulty} WHERE role = 'viewer'"),
        )
        .await;
        assert_eq!(status_of(&stage, &key).await, (status, code.to_owned()));
        change(
            scene,
            &format!("UPDATE admin_keys SET {right} WHERE role = 'viewer'"),
        )
        .await;
        assert_eq!(status_of(&stage, &key).await.0, StatusCode::OK, "{right}");
    }
    change(scene, "UPDATE organizations SET status = 'suspended'").await;
    assert_eq!(status_of(&stage, &key).await.1, "organization_inactive");
    change(
        scene,
        "UPDATE organizations SET status = 'active'; UPDATE users SET status = 'suspended'",
    )
    .await;
    assert_eq!(status_of(&stage, &key).await.1, "user_inactive");
}

#[tokio::test]
async fn a_bearer_token_is_as_good_and_two_keys_are_one_too_many() {
    let stage = Stage::new().await;
    let key = admin_key(&stage.scene, None, None, "owner").await;
    let bearer = stage
        .client("")
        .with("authorization", &format!("Bearer {key}"));
    let who = get(&bearer, "whoami").await;
    assert_eq!(
        (&who["type"], &who["org_id"]),
        (&json!("whoami"), &json!(null))
    );
    let both = stage
        .client("mw_ak_other")
        .with("authorization", &format!("Bearer {key}"));
    assert_eq!(both.get(&at("whoami")).await.error_code(), "key_ambiguous");
}

#[tokio::test]
async fn a_callers_user_made_what_it_makes() {
    let stage = Stage::new().await;
    let admin = stage.of_tenant("admin").await;
    let made = post(&admin, "projects", project("mine")).await;
    assert_eq!(made["org_id"], stage.scene.tenant.org_id.to_string());
    let key = json!({"project_id": made["id"], "name": "k"});
    let key = post(&admin, "api-keys", key).await;
    assert_eq!(key["created_by"], stage.scene.tenant.user_id.to_string());
    let sql = "SELECT actor_type, actor_id FROM audit_logs WHERE action = 'api_keys.create' AND resource_id::text = $1";
    let id = key["id"].as_str().unwrap();
    let row = stage.scene.sql.query_one(sql, &[&id]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "user");
    assert_eq!(row.get::<_, Uuid>(1), stage.scene.tenant.user_id);

    // Nobody is made to have made something who is a stranger.
    let stranger = testkit::Tenant::create(&stage.scene.sql).await.user_id;
    let key = json!({"project_id": made["id"], "name": "k", "created_by": stranger});
    let refused = admin.post(&at("api-keys"), &key).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["error"]["details"]["path"], "created_by");
}

#[tokio::test]
async fn a_persons_key_is_worth_no_more_than_the_person() {
    let stage = Stage::new().await;
    let owner = stage.of_tenant("owner").await;
    let making = || post_status(&owner, "projects", project(&Uuid::now_v7().to_string()));
    assert_eq!(making().await, StatusCode::CREATED);
    change(&stage.scene, "UPDATE org_members SET role = 'viewer'").await;
    assert_eq!(making().await, StatusCode::FORBIDDEN);
    assert_eq!(get(&owner, "whoami").await["role"], "viewer");
    change(
        &stage.scene,
        "UPDATE org_members SET role = 'owner', status = 'suspended'",
    )
    .await;
    let refused = owner.get(&at("whoami")).await;
    assert_eq!(refused.error_code(), "user_inactive");
    change(&stage.scene, "DELETE FROM org_members").await;
    let refused = owner.get(&at("whoami")).await;
    assert_eq!(refused.error_code(), "user_inactive");
}

async fn post_status(client: &Client, path: &str, body: Value) -> StatusCode {
    client.post(&at(path), &body).await.status
}

#[tokio::test]
async fn members_make_and_rotate_keys_of_their_own() {
    let stage = Stage::new().await;
    let (org, project) = (stage.scene.tenant.org_id, stage.scene.tenant.project_id);
    let member = stage.of_tenant("member").await;
    let other = testkit::Tenant::create(&stage.scene.sql).await.user_id;
    let join = "INSERT INTO org_members (org_id, user_id, role) VALUES ($1, $2, 'owner')";
    stage
        .scene
        .sql
        .execute(join, &[&org, &other])
        .await
        .unwrap();
    let for_other = json!({"project_id": project, "name": "k", "created_by": other});
    let status = post_status(&member, "api-keys", for_other.clone()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);

    let admin = stage.of_tenant("admin").await;
    let theirs = post(&admin, "api-keys", for_other).await;
    let rotate = format!("api-keys/{}/rotate", theirs["id"].as_str().unwrap());
    let status = post_status(&member, &rotate, json!({})).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let own = json!({"project_id": project, "name": "k"});
    let own = post(&member, "api-keys", own).await;
    let rotate = format!("api-keys/{}/rotate", own["id"].as_str().unwrap());
    assert_eq!(
        post_status(&member, &rotate, json!({})).await,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn a_key_that_is_revoked_while_its_body_is_on_the_way_changes_nothing() {
    let stage = Stage::new().await;
    let owner = stage.of_tenant("owner").await;
    let (sender, body) = testkit::upstream::paced();
    let path = at("projects");
    let sending = owner.send_body(Method::POST, &path, body);
    let meanwhile = async {
        let body = project("late").to_string();
        let (first, rest) = body.split_at(5);
        sender
            .send(Ok(Frame::data(first.to_owned().into())))
            .await
            .unwrap();
        testkit::eventually("the key is used", || async {
            let sql = "SELECT last_used_at IS NOT NULL FROM admin_keys WHERE org_id IS NOT NULL";
            let used: bool = stage.scene.sql.query_one(sql, &[]).await.unwrap().get(0);
            used.then_some(())
        })
        .await;
        change(&stage.scene, "UPDATE admin_keys SET status = 'revoked'").await;
        sender
            .send(Ok(Frame::data(rest.to_owned().into())))
            .await
            .unwrap();
        drop(sender);
    };
    let (answer, ()) = tokio::join!(sending, meanwhile);
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    assert_eq!(answer.error_code(), "key_revoked");
}
