//! Starts that can't be: said clearly, and with the right exit code.

use std::net::TcpListener;

use testkit::Scene;
use testkit::command::run;

use crate::MINDWEAVE;

/// `serve` with a listener where somebody else listens.
async fn check_taken(flag: &str, free: [&str; 2], key: &str) {
    let scene = Scene::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let url = scene.database.url();
    let [one, other] = free;
    let free = "127.0.0.1:0";
    let words = ["serve", flag, &address, one, free, other, free];
    let environment = [("DATABASE_URL", url.as_str()), ("ANTHROPIC_API_KEY", "x")];
    let ended = run(MINDWEAVE, &words, &environment).await;
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    let said = ended
        .err
        .lines()
        .find(|line| line.starts_with("mindweave: "));
    let said = said.unwrap_or_else(|| panic!("no error in: {}", ended.err));
    for part in [key, &address, "in use"] {
        assert!(said.contains(part), "`{part}` is missing in: {}", ended.err);
    }
}

#[tokio::test]
async fn a_proxy_address_in_use_is_named() {
    check_taken(
        "--listen",
        ["--metrics-listen", "--admin-listen"],
        "proxy.listen",
    )
    .await;
}

#[tokio::test]
async fn a_metrics_address_in_use_is_named() {
    check_taken(
        "--metrics-listen",
        ["--listen", "--admin-listen"],
        "metrics.listen",
    )
    .await;
}

#[tokio::test]
async fn an_admin_address_in_use_is_named() {
    check_taken(
        "--admin-listen",
        ["--listen", "--metrics-listen"],
        "admin.listen",
    )
    .await;
}

#[tokio::test]
async fn serve_without_a_database_is_a_fault_of_the_configuration() {
    let ended = run(MINDWEAVE, &["serve"], &[("ANTHROPIC_API_KEY", "x")]).await;
    assert_eq!(ended.code, Some(64), "{}", ended.err);
    assert!(ended.err.contains("database.url"), "{}", ended.err);
    assert!(
        ended.err.contains("DATABASE_URL"),
        "what to do: {}",
        ended.err
    );
}

#[tokio::test]
async fn a_command_without_a_database_says_what_to_do() {
    for words in [
        &["usage"][..],
        &["migrate", "status"],
        &["admin-key", "list"],
    ] {
        let ended = run(MINDWEAVE, words, &[]).await;
        assert!(ended.code.is_some_and(|code| code != 0), "{words:?}");
        assert!(ended.err.contains("--database-url"), "{}", ended.err);
    }
}

#[tokio::test]
async fn a_database_that_can_not_be_reached_is_no_secret_told() {
    let url = "postgres://user:hunter2-password@127.0.0.1:1/db";
    let ended = run(MINDWEAVE, &["usage", "--database-url", url], &[]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.contains("can't connect to the database"),
        "{}",
        ended.err
    );
    assert!(!ended.err.contains("hunter2"), "{}", ended.err);
}

#[tokio::test]
async fn help_and_mistakes_have_their_own_exit_codes() {
    let help = run(MINDWEAVE, &["--help"], &[]).await;
    assert_eq!(help.code, Some(0));
    for command in [
        "up",
        "serve",
        "migrate",
        "admin-key",
        "usage",
        "check-config",
        "simulator",
    ] {
        assert!(
            help.out.contains(command),
            "{command} is missing in {}",
            help.out
        );
    }
    let mistake = run(MINDWEAVE, &["serv"], &[]).await;
    assert_eq!(mistake.code, Some(2), "{}", mistake.err);
}
