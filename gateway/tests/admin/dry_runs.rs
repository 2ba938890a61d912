//! What a policy would do, and what it does.

mod past;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::client::{Answer, question};
use testkit::{Client, Scene, Tenant, eventually};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::stage::{Stage, at, delete, get, post};

/// A stage whose key the tests know by its id.
async fn stage() -> (Stage, Uuid) {
    let stage = Stage::new().await;
    let row = stage.scene.sql.query_one("SELECT id FROM api_keys", &[]);
    let key: Uuid = row.await.unwrap().get(0);
    (stage, key)
}

/// A dry run that goes well.
async fn dry_run(api: &Client, body: &Value) -> Value {
    let answer = api.post(&at("policies/dry-run"), body).await;
    assert_eq!(answer.status, StatusCode::OK, "{body}: {answer:?}");
    answer.json()
}

/// What a refusal says, wherever it comes from.
#[derive(Debug, PartialEq)]
struct Refused {
    status: u64,
    error_type: Value,
    error_code: Value,
    message: Value,
    policy: Value,
    limit: Value,
    spent: Value,
}

fn said(decision: &Value) -> Refused {
    assert_eq!(decision["allowed"], false, "{decision}");
    let of = |name: &str| decision[name].clone();
    Refused {
        status: decision["status"].as_u64().unwrap(),
        error_type: of("error_type"),
        error_code: of("error_code"),
        message: of("message"),
        policy: of("policy"),
        limit: of("limit"),
        spent: of("spent"),
    }
}

fn met(answer: &Answer) -> Refused {
    let error = &answer.json()["error"];
    let of = |name: &str| error["details"][name].clone();
    Refused {
        status: answer.status.as_u16().into(),
        error_type: error["type"].clone(),
        error_code: of("error_code"),
        message: error["message"].clone(),
        policy: of("policy"),
        limit: of("limit"),
        spent: of("spent"),
    }
}

/// A request of the data plane's.
struct Asked {
    path: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Value,
}

impl Asked {
    fn message(more: &Value) -> Self {
        let mut body = question(false);
        let fields = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        Self {
            path: "/v1/messages",
            headers: Vec::new(),
            body,
        }
    }

    fn at(path: &'static str, body: Value) -> Self {
        Self {
            path,
            headers: Vec::new(),
            body,
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    async fn send(&self, stage: &Stage) -> Answer {
        let client = stage.gateway.client(&stage.scene.key);
        let headers = self.headers.iter();
        let client = headers.fold(client, |client, (name, value)| client.with(name, value));
        client
            .send(Method::POST, self.path, self.body.to_string())
            .await
    }

    /// As a dry run has it.
    fn shown(&self, key: Uuid) -> Value {
        let headers: serde_json::Map<_, _> = self
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        json!({"path": self.path, "headers": headers, "body": self.body.to_string(), "api_key_id": key})
    }
}

/// One of each kind of rules, with a request that it refuses.
fn kinds() -> Vec<(&'static str, Value, Asked)> {
    let plain = || Asked::message(&json!({}));
    let tools =
        json!({"tools": [{"name": "mcp__github__push", "input_schema": {"type": "object"}}]});
    let item = |model: &str| json!({"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]});
    let batch = json!({"requests": [
        {"custom_id": "a", "params": item("claude-haiku-4-5")},
        {"custom_id": "b", "params": item("claude-sonnet-5")},
    ]});
    let count = Asked::at("/v1/messages/count_tokens", item("claude-sonnet-5"));
    vec![
        ("access", json!({"denied_models": ["sonnet"]}), plain()),
        ("access", json!({"allowed_models": ["opus"]}), plain()),
        (
            "access",
            json!({"denied_endpoints": ["count_tokens"]}),
            count,
        ),
        ("access", json!({"max_tokens": 31}), plain()),
        (
            "access",
            json!({"denied_betas": ["files-*"]}),
            plain().with("anthropic-beta", "files-api-2025-04-14"),
        ),
        (
            "access",
            json!({"blocked_mcp_servers": ["github"]}),
            Asked::message(&tools),
        ),
        (
            "access",
            json!({"allowed_mcp_tools": ["pull"]}),
            Asked::message(&tools),
        ),
        ("access", json!({"denied_ips": ["127.0.0.0/8"]}), plain()),
        (
            "access",
            json!({"denied_models": ["sonnet"]}),
            Asked::at("/v1/messages/batches", batch),
        ),
        (
            "compliance",
            json!({"required_metadata": ["user_id"]}),
            plain(),
        ),
        (
            "compliance",
            json!({"forbidden_fields": ["metadata.user_id"]}),
            Asked::message(&json!({"metadata": {"user_id": "u"}})),
        ),
        (
            "compliance",
            json!({"blocked_patterns": [{"name": "greeting", "pattern": "Hel+o"}]}),
            plain(),
        ),
        (
            "compliance",
            json!({"inference_geo": ["us"]}),
            Asked::message(&json!({"inference_geo": "eu"})),
        ),
        (
            "custom",
            json!({"expression": "request.max_tokens > 31 && project.slug == 'test'", "message": "ask for less"}),
            plain(),
        ),
        ("usage", json!({"max_requests_per_minute": 0}), plain()),
        ("usage", json!({"max_requests_per_day": 1}), plain()),
        ("usage", json!({"max_tokens_per_hour": 1}), plain()),
        (
            "usage",
            json!({"max_tokens_per_month": 1, "per": "key"}),
            plain(),
        ),
        (
            "usage",
            json!({"max_cost_per_day_usd": "0.000001"}),
            plain(),
        ),
    ]
}

/// The first dry run whose policy refuses while nothing runs: what a request held is given back a moment after its answer.
async fn refused_at_rest(api: &Client, body: &Value) -> Value {
    eventually("nothing is held", || async {
        let done = dry_run(api, body).await;
        let message = done["with_policy"]["message"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        (!message.contains(" held") || message.contains(" 0 held")).then_some(done)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_is_said_to_refuse_is_refused_once_it_is_there_and_not_before() {
    let (stage, key) = stage().await;
    let admin = stage.of_tenant("admin").await;
    let project = stage.scene.tenant.project_id;
    for (number, (kind, rules, asked)) in kinds().into_iter().enumerate() {
        let mut policy =
            json!({"name": format!("rule {number}"), "policy_type": kind, "rules": rules});
        if number % 2 == 0 {
            policy["project_id"] = json!(project);
        }
        let body = json!({"policy": policy, "request": asked.shown(key)});
        for _ in 0..2 {
            let passed = asked.send(&stage).await;
            assert_eq!(met(&passed).error_code, json!(null), "{policy}: {passed:?}");
            let done = refused_at_rest(&admin, &body).await;
            assert_eq!(done["now"]["allowed"], true, "{policy}: {done}");
            assert_eq!(done["with_policy"]["policy_id"], json!(null), "{done}");
        }
        let expected = said(&refused_at_rest(&admin, &body).await["with_policy"]);

        let made = post(&admin, "policies", policy.clone()).await;
        let without = json!({"policy_id": made["id"], "remove": true, "request": asked.shown(key)});
        let there = eventually("it is in force", || async {
            let done = dry_run(&admin, &without).await;
            (done["now"]["allowed"] == false).then_some(done)
        });
        let there = there.await;
        assert_eq!(there["with_policy"]["allowed"], true, "{policy}: {there}");
        assert_eq!(there["now"]["policy_id"], made["id"]);
        let refused = met(&asked.send(&stage).await);
        assert_eq!(refused, expected, "{policy}");
        assert_eq!(said(&there["now"]), expected, "{policy}");

        delete(
            &admin,
            &format!("policies/{}", made["id"].as_str().unwrap()),
        )
        .await;
        eventually("it is gone", || async {
            let done = dry_run(&admin, &body).await;
            (done["now"]["allowed"] == true).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn the_organization_goes_before_the_project_and_the_higher_priority_before_the_lower() {
    let (stage, key) = stage().await;
    let admin = stage.of_tenant("admin").await;
    let project = stage.scene.tenant.project_id;
    let policy = |name: &str, of_project: bool, priority: i32| {
        let mut policy = json!({"name": name, "policy_type": "access", "rules": {"denied_models": ["*"]},
            "priority": priority});
        if of_project {
            policy["project_id"] = json!(project);
        }
        policy
    };
    let asked = Asked::message(&json!({}));
    post(&admin, "policies", policy("there", true, 50)).await;
    eventually("it is in force", || async {
        let answer = asked.send(&stage).await;
        (answer.status == StatusCode::FORBIDDEN).then_some(())
    })
    .await;
    for (candidate, refuses) in [
        (policy("higher", true, 51), "higher"),
        (policy("lower", true, 49), "there"),
        (policy("as high, and younger", true, 50), "there"),
        (policy("the organization's", false, 1), "the organization's"),
    ] {
        let body = json!({"policy": candidate, "request": asked.shown(key)});
        let done = dry_run(&admin, &body).await;
        assert_eq!(done["now"]["policy"], "there", "{candidate}");
        assert_eq!(done["with_policy"]["policy"], refuses, "{candidate}");
        let made = post(&admin, "policies", candidate.clone()).await;
        if refuses != "there" {
            eventually("it refuses", || async {
                let answer = asked.send(&stage).await;
                (met(&answer).policy == refuses).then_some(())
            })
            .await;
        }
        delete(
            &admin,
            &format!("policies/{}", made["id"].as_str().unwrap()),
        )
        .await;
        eventually("it is gone", || async {
            (met(&asked.send(&stage).await).policy == "there").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_draft_is_tried_as_if_it_were_active_and_a_changed_one_in_its_own_place() {
    let (stage, key) = stage().await;
    let admin = stage.of_tenant("admin").await;
    let policy = json!({"name": "draft", "policy_type": "access", "rules": {"denied_models": ["sonnet"]}, "status": "draft"});
    let made = post(&admin, "policies", policy).await;
    let request = Asked::message(&json!({})).shown(key);
    let done = dry_run(
        &admin,
        &json!({"policy_id": made["id"], "request": request}),
    )
    .await;
    assert_eq!(done["now"]["allowed"], true);
    assert_eq!(done["with_policy"]["error_code"], "model_not_allowed");
    assert_eq!(done["with_policy"]["policy_id"], made["id"]);
    let warning = json!({"name": "milder", "policy_type": "access",
        "rules": {"denied_models": ["sonnet"], "action": "warn"}});
    let body = json!({"policy_id": made["id"], "policy": warning, "request": request});
    let done = dry_run(&admin, &body).await;
    let decision = &done["with_policy"];
    assert_eq!(decision["allowed"], true);
    assert_eq!(decision["warnings"][0]["policy"], "milder");
    assert_eq!(decision["warnings"][0]["policy_id"], made["id"]);
    let trace = decision["trace"].as_array().unwrap();
    assert!(
        trace.iter().any(|step| step["rule"] == "policy \"milder\""),
        "{decision}"
    );
}

#[tokio::test]
async fn a_changed_policy_stays_whose_it_is_unless_it_is_said() {
    let (stage, key) = stage().await;
    let api = &stage.installation;
    let tenant = &stage.scene.tenant;
    let other = tenant.with_another_project(&stage.scene.sql).await;
    let rules = json!({"denied_models": ["opus"]});
    let made = json!({"name": "theirs", "policy_type": "access", "project_id": other.project_id, "rules": rules,
        "created_by": tenant.user_id});
    let made = post(api, "policies", made).await;
    let request = Asked::message(&json!({})).shown(key);
    let mut policy =
        json!({"name": "theirs", "policy_type": "access", "rules": {"denied_models": ["sonnet"]}});
    let try_it = async |policy: &Value| {
        let body = json!({"policy_id": made["id"], "policy": policy, "request": request});
        dry_run(api, &body).await["with_policy"]["allowed"].clone()
    };
    assert_eq!(try_it(&policy).await, true, "the other project's still");
    policy["project_id"] = json!(tenant.project_id);
    assert_eq!(try_it(&policy).await, false);
    policy["project_id"] = json!(null);
    policy["org_id"] = json!(tenant.org_id);
    assert_eq!(try_it(&policy).await, false);
}

#[tokio::test]
async fn what_the_data_plane_refuses_without_a_rule_is_told_as_well() {
    let (stage, key) = stage().await;
    let admin = stage.of_tenant("admin").await;
    let policy = json!({"name": "p", "policy_type": "usage", "rules": {"max_tokens_per_day": 1}});
    for (request, status, code) in [
        (json!({"path": "/v2/messages"}), 404, "path_unknown"),
        (
            json!({"path": "/v1/messages", "body": "{"}),
            400,
            "body_invalid",
        ),
        (
            json!({"path": "/v1/messages", "body": {}}),
            400,
            "body_invalid",
        ),
        (
            json!({"path": "/v1/files", "method": "get"}),
            403,
            "endpoint_not_allowed",
        ),
        (
            json!({"path": "/v1/messages", "body": "x", "headers": {"content-encoding": "lzma"}}),
            400,
            "request_body_encoding_unsupported",
        ),
    ] {
        let mut request = request;
        request["api_key_id"] = json!(key);
        let done = dry_run(&admin, &json!({"policy": policy, "request": request})).await;
        for decision in [&done["now"], &done["with_policy"]] {
            assert_eq!(decision["status"], status, "{request}: {done}");
            assert_eq!(decision["error_code"], code, "{request}: {done}");
        }
    }
}

#[tokio::test]
async fn nobody_passes_whose_project_or_organization_is_not_in_service() {
    let (stage, key) = stage().await;
    let admin = stage.of_tenant("admin").await;
    let tenant = &stage.scene.tenant;
    let policy =
        json!({"name": "p", "policy_type": "usage", "rules": {"max_tokens_per_day": 1_000_000}});
    let asked = Asked::message(&json!({}));
    let mut by_project = asked.shown(key);
    let fields = by_project.as_object_mut().unwrap();
    fields.remove("api_key_id");
    fields.insert("project_id".to_owned(), json!(tenant.project_id));
    let body = json!({"policy": policy, "request": by_project});
    let done = dry_run(&admin, &body).await;
    assert_eq!(done["now"]["allowed"], true, "{done}");
    for (table, id, status, code) in [
        ("projects", tenant.project_id, "paused", "project_inactive"),
        (
            "organizations",
            tenant.org_id,
            "suspended",
            "organization_inactive",
        ),
    ] {
        let sql = format!("UPDATE {table} SET status = '{status}' WHERE id = $1");
        stage.scene.sql.execute(&sql, &[&id]).await.unwrap();
        let met = eventually("the data plane refuses", || async {
            let answer = asked.send(&stage).await;
            (met(&answer).error_code == code).then(|| met(&answer))
        })
        .await;
        // Callers of a suspended organization have no API.
        let done = dry_run(&stage.installation, &of_tenant(&body, tenant)).await;
        for decision in [&done["now"], &done["with_policy"]] {
            assert_eq!(said(decision), met, "{done}");
        }
    }
}

/// The same for callers of the whole installation, who say whose the policy is.
fn of_tenant(body: &Value, tenant: &Tenant) -> Value {
    let mut body = body.clone();
    body["policy"]["org_id"] = json!(tenant.org_id);
    body["policy"]["created_by"] = json!(tenant.user_id);
    body
}

#[tokio::test]
async fn a_body_is_too_large_for_a_dry_run_when_it_is_for_the_gateway() {
    let stage = Stage::with(Scene::new().await, |gateway| {
        gateway.env("MINDWEAVE_PROXY_MAX_BODY_BYTES", "400")
    })
    .await;
    let row = stage.scene.sql.query_one("SELECT id FROM api_keys", &[]);
    let key: Uuid = row.await.unwrap().get(0);
    let admin = stage.of_tenant("admin").await;
    let policy =
        json!({"name": "p", "policy_type": "usage", "rules": {"max_tokens_per_day": 1_000_000}});
    for (length, passes) in [(10, true), (1_000, false)] {
        let asked = Asked::message(&json!({"system": "x".repeat(length)}));
        let done = dry_run(
            &admin,
            &json!({"policy": policy, "request": asked.shown(key)}),
        )
        .await;
        let answer = asked.send(&stage).await;
        assert_eq!(answer.status == StatusCode::OK, passes, "{answer:?}");
        assert_eq!(done["now"]["allowed"], passes, "{done}");
        if !passes {
            assert_eq!(said(&done["now"]), met(&answer));
            assert_eq!(said(&done["with_policy"]), met(&answer));
        }
    }
}

#[tokio::test]
async fn a_dry_run_changes_no_counter() {
    let (stage, key) = stage().await;
    let admin = stage.of_tenant("admin").await;
    for (name, rules) in [
        (
            "budget",
            json!({"max_tokens_per_day": 1_000_000, "max_requests_per_minute": 50}),
        ),
        (
            "of keys",
            json!({"max_cost_per_day_usd": "5", "per": "key"}),
        ),
    ] {
        let policy = json!({"name": name, "policy_type": "usage", "rules": rules});
        post(&admin, "policies", policy).await;
    }
    let path = format!("budgets?api_key_id={key}");
    eventually("both are in force", || async {
        let budgets = get(&admin, &path).await;
        (budgets["data"].as_array().unwrap().len() == 3).then_some(())
    })
    .await;
    let asked = Asked::message(&json!({}));
    assert_eq!(asked.send(&stage).await.status, StatusCode::OK);
    stage.scene.events(1).await;
    let names = [
        "mindweave_requests_total",
        "mindweave_tokens_total",
        "mindweave_cost_usd_total",
        "mindweave_budget_denials_total",
        "mindweave_events_admitted_total",
        "mindweave_policy_matches_total",
    ];
    let look = async || {
        let metrics = stage.gateway.operator().get("/metrics").await;
        let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
        let lines = metrics.lines();
        let mut counters: Vec<_> = lines
            .filter(|line| names.iter().any(|name| line.starts_with(name)))
            .map(str::to_owned)
            .collect();
        counters.sort_unstable();
        let budgets = get(&admin, &path).await["data"].clone();
        (counters, budgets)
    };
    // Of a bucket it is told when it will be full again.
    let at_rest = |(counters, mut budgets): (Vec<String>, Value)| {
        for budget in budgets.as_array_mut().unwrap() {
            budget["resets_at"].take();
        }
        (counters, budgets)
    };
    let before = eventually("nothing is held", || async {
        let (counters, budgets) = look().await;
        let held = budgets
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["held"] != "0");
        (!held).then_some((counters, budgets))
    });
    let before = at_rest(before.await);
    for (kind, rules, asked) in kinds() {
        let policy = json!({"name": "p", "policy_type": kind, "rules": rules});
        dry_run(
            &admin,
            &json!({"policy": policy, "request": asked.shown(key)}),
        )
        .await;
        dry_run(&admin, &json!({"policy": policy, "events": {"last": 5}})).await;
    }
    let (counters, budgets) = at_rest(look().await);
    assert_eq!(counters, before.0);
    // The bucket of a minute fills up again meanwhile, whoever looks.
    for (after, before) in budgets
        .as_array()
        .unwrap()
        .iter()
        .zip(before.1.as_array().unwrap())
    {
        if before["window"] != "minute" {
            assert_eq!(after, before);
        }
    }
    assert_eq!(asked.send(&stage).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_can_not_be_tried_is_told_where() {
    let (stage, key) = stage().await;
    let admin = stage.of_tenant("admin").await;
    let policy = json!({"name": "p", "policy_type": "usage", "rules": {"max_tokens_per_day": 1}});
    let request = json!({"path": "/v1/messages", "api_key_id": key});
    let of_request = |change: Value| {
        let mut request = request.clone();
        let fields = change.as_object().unwrap().clone();
        request.as_object_mut().unwrap().extend(fields);
        json!({"policy": policy, "request": request})
    };
    let of_events = |events: Value| json!({"policy": policy, "events": events});
    let project = stage.scene.tenant.project_id;
    for (body, place) in [
        (json!({}), "policy"),
        (json!({"policy": policy}), "request"),
        (
            json!({"policy": policy, "request": request, "events": {}}),
            "events",
        ),
        (
            json!({"policy": policy, "remove": true, "request": request}),
            "remove",
        ),
        (
            json!({"policy": {"name": "p"}, "request": request}),
            "policy",
        ),
        (
            json!({"policy": {"name": "", "policy_type": "usage", "rules": {}}, "request": request}),
            "policy.name",
        ),
        (
            json!({"policy": {"name": "p", "policy_type": "x", "rules": {}}, "request": request}),
            "policy.policy_type",
        ),
        (of_request(json!({"path": "messages"})), "request.path"),
        (of_request(json!({"path": ""})), "request.path"),
        (of_request(json!({"method": "G E T"})), "request.method"),
        (
            of_request(json!({"headers": {"a b": "c"}})),
            "request.headers.a b",
        ),
        (
            of_request(json!({"headers": {"a": "\n"}})),
            "request.headers.a",
        ),
        (of_request(json!({"client_ip": "x"})), "request.client_ip"),
        (
            of_request(json!({"project_id": project})),
            "request.project_id",
        ),
        (of_request(json!({"user_id": project})), "request.user_id"),
        (
            of_request(json!({"api_key_id": null})),
            "request.api_key_id",
        ),
        (of_request(json!({"nothing": 1})), "request.nothing"),
        (of_events(json!({"last": 0})), "events.last"),
        (of_events(json!({"last": 10_001})), "events.last"),
        (of_events(json!({"since": "yesterday"})), "events.since"),
        (
            of_events(json!({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"})),
            "events.until",
        ),
        (
            of_events(json!({"since": "+10000-01-01T00:00:00Z"})),
            "events.since",
        ),
    ] {
        let answer = admin.post(&at("policies/dry-run"), &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {answer:?}");
        let found = &answer.json()["error"]["details"]["path"];
        assert_eq!(found, place, "{body}: {answer:?}");
    }
    let wrong = json!({"name": "p", "policy_type": "access", "rules": {"nothing": 1}});
    let body = json!({"policy": wrong, "request": request});
    let answer = admin.post(&at("policies/dry-run"), &body).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let faults = &answer.json()["error"]["details"]["faults"];
    assert_eq!(faults[0]["path"], "$.rules.nothing", "{answer:?}");
}

#[tokio::test]
async fn nothing_of_others_can_be_tried() {
    let (stage, key) = stage().await;
    let other = Tenant::create(&stage.scene.sql).await;
    other.live_key(&stage.scene.sql).await;
    let sql = "SELECT id FROM api_keys WHERE project_id = $1";
    let ids: [&(dyn ToSql + Sync); 1] = [&other.project_id];
    let their_key: Uuid = stage.scene.sql.query_one(sql, &ids).await.unwrap().get(0);
    let rules = json!({"max_tokens_per_day": 1});
    let theirs = json!({"org_id": other.org_id, "name": "p", "policy_type": "usage", "rules": rules, "created_by": other.user_id});
    let theirs = post(&stage.installation, "policies", theirs).await;
    let owner = stage.of_tenant("owner").await;
    let policy = json!({"name": "p", "policy_type": "usage", "rules": rules});
    let with = |field: &str, value: Value| {
        let mut policy = policy.clone();
        policy[field] = value;
        policy
    };
    let request = json!({"path": "/v1/messages", "api_key_id": key});
    let stranger = json!({"path": "/v1/messages", "project_id": stage.scene.tenant.project_id, "user_id": other.user_id});
    for body in [
        json!({"policy": policy, "request": {"path": "/v1/messages", "api_key_id": their_key}}),
        json!({"policy": policy, "request": {"path": "/v1/messages", "project_id": other.project_id}}),
        json!({"policy": policy, "request": stranger}),
        json!({"policy": with("org_id", json!(other.org_id)), "request": request}),
        json!({"policy": with("project_id", json!(other.project_id)), "request": request}),
        json!({"policy_id": theirs["id"], "request": request}),
        json!({"policy_id": theirs["id"], "remove": true, "request": request}),
        json!({"policy_id": theirs["id"], "events": {}}),
        json!({"policy": policy, "events": {"project_id": other.project_id}}),
    ] {
        let answer = owner.post(&at("policies/dry-run"), &body).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{body}: {answer:?}");
    }
    let body = json!({"policy_id": theirs["id"], "request": request});
    let answer = stage
        .installation
        .post(&at("policies/dry-run"), &body)
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    assert_eq!(
        answer.json()["error"]["details"]["path"],
        "request.api_key_id"
    );
}
