//! The MCP registry: who may use which servers and tools, and how often.

use super::*;

fn table(world: impl Fn() -> World, requests: Vec<Asked>) -> String {
    let mut text = String::new();
    for asked in requests {
        let (engine, faults) = world().engine_and_faults();
        for fault in faults.iter().flat_map(|it| &it.faults) {
            writeln!(text, "  ({fault})").unwrap();
        }
        text.push_str(&play(&engine, &[asked], EXPECTED));
    }
    text
}

fn world(settings: Value) -> World {
    let mut world = World::new();
    world.org.settings = settings;
    let servers = [
        ("approved", json!({})),
        ("pending", json!({})),
        ("rejected", json!({})),
        ("deprecated", json!(null)),
    ];
    let numbered = servers.into_iter().zip(1..);
    let all = numbered.map(|((status, policy), number)| server(number, status, status, policy));
    world.projects[0].mcp_servers = all.collect();
    world
}

fn by_api(name: &str) -> Asked {
    asked(json!({"mcp_servers": [{"type": "url", "name": name, "url": "u"}]}))
}

fn by_client(name: &str) -> Asked {
    asked(json!({"tools": [{"name": format!("mcp__{name}__look")}]}))
}

#[test]
fn states() {
    let mut text = String::new();
    for required in [true, false] {
        let settings = json!({ "require_mcp_approval": required });
        writeln!(text, "{settings}").unwrap();
        for name in [
            "approved",
            "pending",
            "rejected",
            "deprecated",
            "unheard-of",
        ] {
            let requests = vec![by_api(name), by_client(name)];
            text.push_str(&table(|| world(settings.clone()), requests));
        }
    }
    for settings in [
        json!({"require_mcp_approval": null}),
        json!(null),
        json!({"require_mcp_approval": "yes"}),
    ] {
        writeln!(text, "{settings}").unwrap();
        text.push_str(&table(
            || world(settings.clone()),
            vec![by_api("unheard-of")],
        ));
    }
    insta::assert_snapshot!(text);
}

/// Wherever a request names a server.
#[test]
fn places() {
    let tools =
        |tools: &str| asked(serde_json::from_str(&format!(r#"{{"tools":{tools}}}"#)).unwrap());
    let servers = |servers: Value| asked(json!({ "mcp_servers": servers }));
    let requests = vec![
        servers(json!([{"name": "approved"}, {"name": "rejected"}])),
        servers(json!([{"name": "rejected", "tool_configuration": {"enabled": false}}])),
        servers(
            json!([{"name": "approved", "tool_configuration": {"allowed_tools": ["force_push"]}}]),
        ),
        servers(json!([{"name": "approved", "tool_configuration": {"allowed_tools": ["push"]}}])),
        servers(json!({})),
        tools(r#"[{"type": "mcp_toolset", "mcp_server_name": "rejected"}]"#),
        tools(
            r#"[{"type": "mcp_toolset", "mcp_server_name": "approved", "configs": {"force_push": {"enabled": true}}}]"#,
        ),
        tools(
            r#"[{"type": "mcp_toolset", "mcp_server_name": "approved", "configs": {"force_push": {"enabled": false}}}]"#,
        ),
        tools(r#"[{"name": "mcp__approved__force_push"}]"#),
        tools(r#"[{"name": "mcp__approved__push"}, {"name": "Bash"}]"#),
        tools(r#"[{"name": "force_push"}]"#),
        tools(r#"{}"#),
    ];
    let settings = json!({"require_mcp_approval": true});
    let mut text = table(|| world(settings.clone()), requests);
    // With escapes, which the table above shows without.
    let engine = world(settings).engine();
    let json = r#"[{"name": "\u006dcp__rejected__look"}]"#;
    let field = crate::facts::Field {
        name: "tools".into(),
        json,
    };
    let request = Request {
        fields: &[field],
        ..Request::of(Endpoint::Messages)
    };
    let prices = PriceBook::embedded().unwrap();
    let refused = engine.admit(&caller(OWNER), &request, &prices, now());
    let Err(Refused::Denied(denial)) = refused else {
        panic!("passes: {json}");
    };
    writeln!(text, "  {json}\n    -> {}", denial.message).unwrap();
    insta::assert_snapshot!(text);
}

/// What was approved is a server at a place.
#[test]
fn urls() {
    let named = |name: &str, url: Value| {
        asked(json!({"mcp_servers": [{"type": "url", "name": name, "url": url}]}))
    };
    let mut text = String::new();
    for required in [true, false] {
        let settings = json!({ "require_mcp_approval": required });
        writeln!(text, "{settings}").unwrap();
        let world = || {
            let mut world = world(settings.clone());
            let [approved, pending, ..] = &mut world.projects[0].mcp_servers[..] else {
                panic!("there are four");
            };
            approved.url = Some("https://MCP.example:443/mcp?a=B".to_owned());
            // Registered as stdio.
            pending.url = Some(String::new());
            pending.status = "approved".to_owned();
            world
        };
        let requests = vec![
            named("approved", json!("https://mcp.example/mcp?a=B")),
            named("approved", json!("HTTPS://mcp.EXAMPLE:443/mcp?a=B")),
            named("approved", json!("https://mcp.example/mcp?a=b")),
            named("approved", json!("http://mcp.example/mcp?a=B")),
            named(
                "approved",
                json!("https://mcp.example@evil.example/mcp?a=B"),
            ),
            named("approved", json!("https://evil.example/mcp?a=B")),
            named("approved", json!("")),
            named("approved", json!(5)),
            named("pending", json!("https://evil.example/")),
        ];
        text.push_str(&table(world, requests));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn terms() {
    let of = |policy: Value| {
        move || {
            let mut world = World::new();
            world.projects[0].mcp_servers = vec![server(1, "my git", "approved", policy.clone())];
            world
        }
    };
    let roles = json!({"allowed_roles": ["viewer", "developer"]});
    let approval = json!({"requires_approval_per_use": true});
    let with_approval = |approved| Asked {
        approved,
        ..by_api("my git")
    };
    let mut text = String::new();
    for (policy, requests) in [
        (
            roles,
            vec![
                by_api("my git"),
                Asked {
                    who: "member",
                    caller: caller(MEMBER),
                    ..by_api("my git")
                },
                Asked {
                    who: "stranger",
                    caller: caller(UserId(Uuid::nil())),
                    ..by_api("my git")
                },
                Asked {
                    who: "stranger",
                    caller: caller(UserId(Uuid::nil())),
                    ..by_client("my_git")
                },
            ],
        ),
        (
            json!({"allowed_roles": []}),
            vec![
                by_api("my git"),
                Asked {
                    who: "member",
                    caller: caller(MEMBER),
                    ..by_api("my git")
                },
            ],
        ),
        (
            approval,
            vec![
                by_api("my git"),
                with_approval(&["another"]),
                with_approval(&["another", "my git"]),
                by_client("my_git"),
            ],
        ),
        (
            json!({"allowed_roles": ["boss"], "rate_limit_per_minute": -1, "requires_approval_per_use": 1, "note": 5}),
            vec![by_api("my git")],
        ),
    ] {
        writeln!(text, "{policy}").unwrap();
        text.push_str(&table(of(policy), requests));
    }
    let rate = json!({"rate_limit_per_minute": 2});
    writeln!(text, "{rate}").unwrap();
    let requests = [
        by_api("my git"),
        by_client("my_git"),
        asked(json!({})),
        by_api("my git"),
        asked(json!({})),
    ];
    text.push_str(&play(&of(rate)().engine(), &requests, EXPECTED));
    insta::assert_snapshot!(text);
}
