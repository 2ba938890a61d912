//! Where settings come from, and what is said of wrong ones.

use std::fs;

use testkit::command::{run, succeed};
use testkit::gateway::Builder;
use testkit::{Scene, Upstream};

use crate::MINDWEAVE;
use crate::load::answered;

/// Faults of every kind at once, from file, environment and flags.
const FILE: &str = r#"
    [proxy]
    threads = 0
    listen = "nowhere"
    thread = 1
    [upstream]
    url = "ftp://x"
    idle_timeout = "soon"
    [log]
    format = "xml"
"#;

#[tokio::test]
async fn check_config_lists_every_fault_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mindweave.toml");
    fs::write(&file, FILE).unwrap();
    let path = file.to_str().unwrap();
    let environment = [("MINDWEAVE_PROXY_TRUSTED_PROXIES", "10.0.0.0/8,me")];
    for command in ["check-config", "serve"] {
        let ended = run(MINDWEAVE, &[command, "--config", path], &environment).await;
        assert_eq!(ended.code, Some(64), "{command}: {}", ended.err);
        for key in [
            "database.url",
            "log.format",
            "proxy.listen",
            "proxy.thread",
            "proxy.threads",
            "proxy.trusted_proxies",
            "upstream.idle_timeout",
            "upstream.url",
        ] {
            let line = |line: &&str| line.trim().split([' ', ':']).next() == Some(key);
            assert!(ended.err.lines().any(|l| line(&l)), "{key}: {}", ended.err);
        }
        assert!(
            ended.err.contains("MINDWEAVE_PROXY_TRUSTED_PROXIES"),
            "its origin"
        );
        assert!(ended.err.contains(path), "its origin");
    }
}

#[tokio::test]
async fn check_config_finds_a_database_url_that_is_none() {
    let secret = "hunter2-database-password";
    for url in [
        format!("postgres://user:{secret}@[::1/db"),
        format!("mysql://user:{secret}@localhost/db"),
        format!("host=localhost password={secret} port=many"),
    ] {
        let environment = [("DATABASE_URL", url.as_str()), ("ANTHROPIC_API_KEY", "x")];
        let ended = run(MINDWEAVE, &["check-config"], &environment).await;
        assert_eq!(ended.code, Some(64), "{url}: {}{}", ended.out, ended.err);
        assert!(ended.err.contains("database.url"), "{}", ended.err);
        assert!(!ended.err.contains(secret), "{}", ended.err);
    }
}

#[tokio::test]
async fn a_secret_in_a_file_with_a_fault_is_not_shown() {
    let secret = "sk-ant-api03-topsecret";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mindweave.toml");
    for text in [
        format!("[upstream]\napi_key = {secret}\n"),
        format!("[upstream]\napi_key = \"{secret}\n"),
        format!("[upstream]\napi_key = \"{secret}\\n\"\n"),
        format!("[upstream]\napi_keys = \"{secret}\"\n"),
        format!("[upstream]\napi_key = [[\"{secret}\"], {{}}]\n"),
    ] {
        fs::write(&file, &text).unwrap();
        let path = file.to_str().unwrap();
        let ended = run(MINDWEAVE, &["check-config", "--config", path], &[]).await;
        assert_eq!(ended.code, Some(64), "{text}");
        assert!(!ended.err.contains("topsecret"), "{text}: {}", ended.err);
    }
}

#[tokio::test]
async fn a_good_configuration_is_said_to_be_good() {
    let environment = [
        ("DATABASE_URL", "postgres://user:secret@localhost/db"),
        ("ANTHROPIC_API_KEY", "sk-ant-api03-x"),
    ];
    let said = succeed(MINDWEAVE, &["check-config"], &environment).await;
    assert!(said.contains("valid"), "{said}");
}

#[tokio::test]
async fn options_are_understood_before_and_after_the_command() {
    let scene = Scene::new().await;
    let url = scene.database.url();
    let before = ["--database-url", &url, "migrate", "version"];
    let after = ["migrate", "version", "--database-url", &url];
    let between = ["migrate", "--database-url", &url, "version"];
    let answers = [
        succeed(MINDWEAVE, &before, &[]).await,
        succeed(MINDWEAVE, &after, &[]).await,
        succeed(MINDWEAVE, &between, &[]).await,
        // A flag beats the environment.
        succeed(
            MINDWEAVE,
            &after,
            &[("DATABASE_URL", "postgres://localhost:1/no")],
        )
        .await,
    ];
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}

#[tokio::test]
async fn a_file_configures_the_gateway() {
    let scene = Scene::new().await;
    let upstream = Upstream::simulator().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mindweave.toml");
    let (database, upstream) = (scene.database.url(), upstream.url());
    let text = format!(
        "[database]\nurl = \"{database}\"\n[upstream]\nurl = \"{upstream}\"\napi_key = \"simulator\"\n"
    );
    fs::write(&file, text).unwrap();
    let gateway = Builder::bare(MINDWEAVE)
        .arg("--config")
        .arg(&file)
        .start()
        .await;
    answered(&gateway.client(&scene.key).ask().await);
    scene.events(1).await;
    assert!(gateway.stop().await.success());
}
