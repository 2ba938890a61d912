use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{OrgId, ProjectId};
use policy_engine::{Engine, OrgSource, ProjectSource};
use serde_json::Value;
use uuid::Uuid;

use super::super::{OrgRules, Rules, Whose};
use crate::snapshot::load::Fingerprint;

fn project(number: u128) -> ProjectId {
    ProjectId(Uuid::from_u128(number))
}

/// An organization with these projects.
fn rules(number: u128, projects: &[u128]) -> (OrgId, OrgRules) {
    let id = OrgId(Uuid::from_u128(number));
    let org = OrgSource {
        id,
        slug: String::new(),
        settings: Value::Null,
        subscription: None,
        roles: BTreeMap::new(),
        policies: Vec::new(),
    };
    let source = |number: &u128| {
        Arc::new(ProjectSource {
            id: project(*number),
            slug: String::new(),
            settings: Value::Null,
            quotas: Value::Null,
            policies: Vec::new(),
            mcp_servers: Vec::new(),
        })
    };
    let rules = OrgRules {
        org: Arc::new(org),
        projects: projects.iter().map(source).collect(),
        rows: Vec::new(),
        fingerprint: Fingerprint::default(),
    };
    (id, rules)
}

fn known(rules: &Rules) -> Vec<u128> {
    (0..30)
        .filter(|number| rules.knows(project(*number)))
        .collect()
}

#[test]
fn what_is_gone_stays_until_it_is_let_go() {
    let mut held = Rules::new(Arc::new(Engine::new(crate::clock::system())));
    let loaded = BTreeMap::from([rules(1, &[10, 11]), rules(2, &[20])]);
    assert!(held.replace(&Whose::Everybody, loaded));
    let one = Whose::These([rules(1, &[]).0].into());
    for (whose, loaded, expected) in [
        (
            &one,
            BTreeMap::from([rules(1, &[10, 12])]),
            vec![10, 12, 20],
        ),
        (&one, BTreeMap::new(), vec![20]),
        (
            &Whose::Everybody,
            BTreeMap::from([rules(1, &[11])]),
            vec![11],
        ),
    ] {
        let before = known(&held);
        assert!(held.replace(whose, loaded));
        assert!(before.iter().all(|number| known(&held).contains(number)));
        held.let_go();
        assert_eq!(known(&held), expected);
    }
}

#[test]
fn the_same_again_is_no_change() {
    let mut held = Rules::new(Arc::new(Engine::new(crate::clock::system())));
    let loaded = BTreeMap::from([rules(1, &[10, 11])]);
    assert!(held.replace(&Whose::Everybody, loaded.clone()));
    assert!(!held.replace(&Whose::Everybody, loaded));
    assert!(held.leaving.is_empty());
}

#[test]
fn a_project_that_moves_is_not_gone() {
    let mut held = Rules::new(Arc::new(Engine::new(crate::clock::system())));
    held.replace(
        &Whose::Everybody,
        BTreeMap::from([rules(1, &[10]), rules(2, &[])]),
    );
    held.replace(
        &Whose::Everybody,
        BTreeMap::from([rules(1, &[]), rules(2, &[10])]),
    );
    assert!(held.leaving.is_empty());
    assert_eq!(held.owners.get(&project(10)), Some(&rules(2, &[]).0));
}
