//! The items of a batch: which rules they are held to, and how it is told.

use super::*;
use crate::engine::{Item, ItemRules};
use crate::facts::Unkept;
use crate::notes::{Note, Notes};

fn with_policies(policies: Vec<PolicySource>) -> Engine {
    let engine = engine();
    let faults = engine.replace(&Arc::new(org(Vec::new())), &[Arc::new(project(policies))]);
    assert_eq!(faults, Vec::new());
    engine
}

fn item_rules(engine: &Engine) -> Option<ItemRules> {
    engine.item_rules(&caller(MEMBER), now())
}

/// Shows items of these fields, each with the names of what wasn't kept of it; what the first denial and the notes say.
fn check(rules: &mut ItemRules, items: &[(Value, &[&str])]) -> String {
    for (index, (fields, unkept)) in (0..).zip(items) {
        let names: Vec<_> = unkept.iter().map(|name| (*name).to_owned()).collect();
        let unkept = Unkept::of(&names);
        let decided = with_request(fields, |request| {
            rules.check(&Item {
                index,
                custom_id: Some("a \"b\"\u{e4}"),
                request: Request {
                    unkept: Some(&unkept),
                    ..*request
                },
            })
        });
        if let Err(denial) = decided {
            return denial.message;
        }
    }
    "passed".to_owned()
}

fn told(notes: &[Note]) -> Vec<&str> {
    notes.iter().map(|note| note.message.as_str()).collect()
}

#[test]
fn without_rules_about_items_there_is_nothing_to_show_them_to() {
    let usage = policy(1, "usage", json!({"max_requests_per_day": 1}));
    assert!(item_rules(&with_policies(vec![usage])).is_none());
    let mut for_others = policy(2, "access", json!({"denied_models": ["opus"]}));
    for_others.applies_to = json!({"users": [OWNER.0]});
    assert!(item_rules(&with_policies(vec![for_others])).is_none());
    let mut draft = policy(3, "access", json!({"denied_models": ["opus"]}));
    draft.status = PolicyStatus::Draft;
    assert!(item_rules(&with_policies(vec![draft])).is_none());
    assert!(item_rules(&engine()).is_none(), "nobody knows the project");
}

#[test]
fn rules_that_could_refuse_are_told_from_those_that_warn() {
    for (action, expected) in [("block", true), ("warn", false), ("log", false)] {
        let access = json!({"denied_models": ["opus"], "action": action});
        let rules = item_rules(&with_policies(vec![policy(1, "access", access)])).unwrap();
        assert_eq!(rules.can_refuse(), expected, "{action}");
    }
    let engine = engine();
    let mut models = project(Vec::new());
    models.settings = json!({"allowed_models": ["haiku"]});
    engine.replace(&Arc::new(org(Vec::new())), &[Arc::new(models)]);
    assert!(item_rules(&engine).unwrap().can_refuse(), "allowed_models");
    let mut strict = org(Vec::new());
    strict.settings = json!({"require_mcp_approval": true});
    engine.replace(&Arc::new(strict), &[Arc::new(project(Vec::new()))]);
    assert!(item_rules(&engine).unwrap().can_refuse(), "the registry");
}

#[test]
fn an_item_is_a_request_of_messages_but_for_its_endpoint() {
    let expression = json!({"message": "no", "expression": "request.endpoint == 'messages' && request.max_tokens > 600"});
    let endpoints = json!({"denied_endpoints": ["messages"], "denied_models": ["haiku"]});
    let policies = vec![
        policy(1, "custom", expression),
        policy(2, "access", endpoints),
    ];
    let mut rules = item_rules(&with_policies(policies)).unwrap();
    assert_eq!(check(&mut rules, &[(json!({}), &[])]), "passed");
    let said = check(
        &mut rules,
        &[(json!({}), &[]), (json!({"max_tokens": 601}), &[])],
    );
    assert_eq!(
        said,
        "requests[1] (custom_id \"a??b??\"): no (policy \"policy 1\")"
    );
    let said = check(&mut rules, &[(json!({"model": "claude-haiku-4-5"}), &[])]);
    assert!(said.contains("claude-haiku-4-5"), "{said}");
}

#[test]
fn a_policy_speaks_once_a_batch() {
    let warns = json!({"denied_models": ["opus"], "action": "warn"});
    let logs = json!({"max_tokens": 1, "action": "log"});
    let policies = vec![policy(1, "access", warns), policy(2, "access", logs)];
    let engine = with_policies(policies);
    let mut rules = item_rules(&engine).unwrap();
    let cheap = json!({"model": "claude-haiku-4-5", "max_tokens": 1});
    let items = [(cheap, &[][..]), (json!({}), &[]), (json!({}), &[])];
    assert_eq!(check(&mut rules, &items), "passed");
    let notes = rules.into_notes();
    let [warning] = told(&notes.warnings)[..] else {
        panic!("{notes:?}")
    };
    assert!(warning.starts_with("requests[1]: "), "{warning}");
    assert_eq!(notes.logged.len(), 1);

    let mut rules = item_rules(&engine).unwrap();
    rules.are_told(&notes);
    assert_eq!(check(&mut rules, &items), "passed");
    assert_eq!(rules.into_notes(), Notes::default(), "the batch was told");
}

#[test]
fn what_was_not_kept_is_refused_by_the_rules_that_look_at_it() {
    let pattern = json!({"blocked_patterns": [{"name": "key", "pattern": "AKIA"}]});
    let models = json!({"denied_models": ["haiku"]});
    let geo = json!({"forbidden_fields": ["metadata.user_id"]});
    for (kind, policy_rules, unkept, is_refused) in [
        ("compliance", pattern.clone(), "messages", true),
        ("compliance", pattern, "tools", false),
        ("compliance", geo.clone(), "metadata", true),
        ("compliance", geo, "messages", false),
        ("access", models.clone(), "messages", false),
        ("access", models.clone(), "fallbacks", true),
        ("access", models, "model", true),
    ] {
        let engine = with_policies(vec![policy(1, kind, policy_rules.clone())]);
        let mut rules = item_rules(&engine).unwrap();
        let said = check(&mut rules, &[(json!({}), &[unkept])]);
        let expected = format!("the field {unkept} is too long");
        assert_eq!(
            said.contains(&expected),
            is_refused,
            "{policy_rules}: {said}"
        );
        assert_eq!(said == "passed", !is_refused, "{policy_rules}: {said}");

        let mut warns = policy_rules.clone();
        warns["action"] = json!("warn");
        let engine = with_policies(vec![policy(1, kind, warns)]);
        let mut rules = item_rules(&engine).unwrap();
        assert_eq!(check(&mut rules, &[(json!({}), &[unkept])]), "passed");
        assert_eq!(rules.into_notes().warnings.len(), usize::from(is_refused));
    }
}

#[test]
fn rules_that_are_replaced_hold_for_a_batch_that_has_begun() {
    let engine = with_policies(vec![policy(
        1,
        "access",
        json!({"denied_models": ["opus"]}),
    )]);
    let mut rules = item_rules(&engine).unwrap();
    engine.replace(&Arc::new(org(Vec::new())), &[Arc::new(project(Vec::new()))]);
    assert_ne!(check(&mut rules, &[(json!({}), &[])]), "passed");
}
