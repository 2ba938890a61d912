//! The plan of the house, compared with the house: which crate may use which, and which library only where.
//!
//! The tables stand in `docs/ARCHITECTURE.md` too, with the reasons.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper that fails is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// What a crate may use of ours, as a normal dependency.
const CRATES: &[(&str, &[&str])] = &[
    ("admin-api", &["domain", "policy-engine"]),
    (
        "benches",
        &["domain", "ingest", "policy-engine", "proxy", "testkit"],
    ),
    ("domain", &[]),
    (
        "gateway",
        &[
            "admin-api",
            "domain",
            "ingest",
            "migrations",
            "policy-engine",
            "proxy",
            "simulator",
        ],
    ),
    ("ingest", &["domain"]),
    ("load-tests", &["domain", "ingest", "migrations", "testkit"]),
    ("migrations", &[]),
    ("policy-engine", &["domain"]),
    ("proxy", &["domain", "ingest", "policy-engine"]),
    ("simulator", &["domain"]),
    ("testkit", &["domain", "migrations", "simulator"]),
];

/// Libraries with a home: the crates that may use them.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("argon2", &["admin-api"]),
    ("axum", &["admin-api"]),
    ("cel", &["policy-engine"]),
    ("clap", &["gateway", "load-tests"]),
    ("csv", &["admin-api"]),
    ("data-encoding", &["admin-api"]),
    ("globset", &["policy-engine"]),
    ("governor", &["policy-engine"]),
    ("httparse", &["proxy"]),
    ("hyper", &["load-tests", "proxy", "simulator", "testkit"]),
    (
        "hyper-util",
        &["admin-api", "load-tests", "proxy", "simulator", "testkit"],
    ),
    ("plotters", &["load-tests"]),
    ("reqwest", &["admin-api"]),
    (
        "tokio-postgres",
        &[
            "admin-api",
            "gateway",
            "ingest",
            "load-tests",
            "migrations",
            "testkit",
        ],
    ),
    ("unicode-normalization", &["admin-api"]),
    ("utoipa", &["admin-api"]),
    ("utoipa-swagger-ui", &["admin-api"]),
];

/// Crates that know no clock, no socket, no runtime.
const PURE: &[&str] = &["domain", "policy-engine"];
const IMPURE: &[&str] = &["tokio", "hyper", "tokio-postgres", "socket2", "rustls"];

/// Normal dependencies of each crate of the workspace.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| (text(&package["name"]), normal(package)))
        .collect()
}

/// Neither dev- nor build-dependencies.
fn normal(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().unwrap();
    all.iter()
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| text(&dependency["name"]))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn a_crate_uses_only_what_the_plan_allows() {
    let dependencies = dependencies();
    let ours: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    let planned: BTreeSet<&str> = CRATES.iter().map(|(name, _)| *name).collect();
    assert_eq!(ours, planned, "the workspace's crates");
    for (name, allowed) in CRATES {
        let used = dependencies[*name]
            .iter()
            .map(String::as_str)
            .filter(|used| ours.contains(used));
        let beyond: Vec<&str> = used.filter(|used| !allowed.contains(used)).collect();
        assert!(beyond.is_empty(), "{name} uses {beyond:?}");
    }
}

#[test]
fn a_library_is_used_only_where_it_is_at_home() {
    let dependencies = dependencies();
    for (library, homes) in LIBRARIES {
        let users = dependencies
            .iter()
            .filter(|(_, used)| used.contains(*library))
            .map(|(name, _)| name.as_str());
        let strangers: Vec<&str> = users.filter(|user| !homes.contains(user)).collect();
        assert!(strangers.is_empty(), "{strangers:?} use {library}");
    }
}

#[test]
fn pure_crates_know_no_clock_no_socket_and_no_runtime() {
    let dependencies = dependencies();
    for name in PURE {
        let impure: Vec<&str> = IMPURE
            .iter()
            .copied()
            .filter(|library| dependencies[*name].contains(*library))
            .collect();
        assert!(impure.is_empty(), "{name} uses {impure:?}");
    }
}
