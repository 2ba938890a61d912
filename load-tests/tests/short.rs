//! The short form of every scenario. The gateway's program is the one that `cargo nextest run --workspace` has built beside
//! this one's.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper that fails is a failed test, and says why"
)]

use std::process::Command;

fn check(scenario: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_load-tests"))
        .args([scenario, "--short"])
        .output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{complaint}");
}

#[test]
fn kills_lose_and_double_nothing() {
    check("kills");
}

#[test]
fn whatever_happens_to_the_database_loses_and_doubles_nothing() {
    check("database");
}

#[test]
fn an_outage_goes_unnoticed_and_is_made_up_for_in_order() {
    check("outage");
}

#[test]
fn a_full_disk_refuses_before_money_is_spent() {
    check("disk-full");
}

#[test]
fn rows_that_are_refused_are_set_aside_and_the_others_stored() {
    check("poison");
}

#[test]
fn memory_does_not_grow() {
    check("memory");
}

#[test]
fn every_request_of_a_measurement_is_answered() {
    check("latency");
}

#[test]
fn whoever_is_here_is_measured_in_every_scenario() {
    check("bench");
}

#[test]
fn budgets_are_exact_and_bounded_whoever_asks_at_once() {
    check("budgets");
}

#[test]
fn changes_are_in_force_soon_and_disturb_nobody() {
    check("changes");
}

#[test]
fn requests_and_the_admin_api_are_answered_beside_each_other() {
    check("admin");
}

#[test]
fn keys_and_streams_take_memory_that_can_be_told() {
    check("footprint");
}

#[test]
fn a_request_can_be_measured_with_few_and_many_of_everything() {
    check("growth");
}

#[test]
fn who_comes_when_there_is_no_room_is_told_so() {
    check("overload");
}

#[test]
fn two_writers_store_what_waits_and_what_comes() {
    check("storing");
}
