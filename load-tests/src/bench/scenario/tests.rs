//! Which files are scenarios.

use super::Scenario;

fn check(text: &str, complaint: Option<&str>) {
    let scenario: Scenario = toml::from_str(text).unwrap();
    assert_eq!(scenario.check().err().as_deref(), complaint, "{text}");
}

fn scenario(more: &str, request: &str) -> String {
    format!(
        "title = 't'\nabout = 'a'\norder = 1\nconnections = 1\n{more}\n[[request]]\nbytes = 300\n{request}"
    )
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let least = "requests, weights, connections, keys and rates are at least 1";
    check(&scenario("", ""), None);
    check(&scenario("", "events = 6"), None);
    check(
        &scenario("", "events = 5"),
        Some("a stream has 6 events or more"),
    );
    check(&scenario("per_second = 0", ""), Some(least));
    check(&scenario("requests_per_turn = 0", ""), Some(least));
    check(&scenario("", "weight = 0"), Some(least));
    check(
        &scenario("per_second = 1\nhalf_of = 'short'", ""),
        Some("per_second and half_of exclude each other"),
    );
    check(
        &scenario("keys = 2\nunknown_keys = true", ""),
        Some("keys that are unknown aren't made"),
    );
    check(
        &scenario("", "read = { bytes = 0, every_ms = 1 }"),
        Some("a pace is of one byte at least"),
    );
}

#[test]
fn half_is_of_what_everybody_is_asked_without_a_rate() {
    let named = |name: &str, more: &str| {
        let mut scenario: Scenario = toml::from_str(&scenario(more, "")).unwrap();
        scenario.name = name.to_owned();
        scenario
    };
    let half = named("half", "half_of = 'short'");
    let is_good = |other: Scenario| half.check_half(&[other, half.clone()]).is_ok();
    assert!(is_good(named("short", "")));
    assert!(!is_good(named("another", "")));
    assert!(!is_good(named("short", "per_second = 5")));
    assert!(!is_good(named("short", "unknown_keys = true")));
}
