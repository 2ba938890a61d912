//! `mindweave spool`, and a start over a spool that isn't as it was.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::Scene;
use testkit::command::{run, succeed};

use crate::MINDWEAVE;
use crate::load::ask_many;
use crate::stage::Stage;

/// Six events in the spool of a gateway that has ended, and nothing in the database.
async fn waiting(data_dir: &Path) -> crate::stage::Set {
    let set = Stage::set(Scene::new().await).await;
    let mut gateway = set.builder().data_dir(data_dir).start().await;
    set.link.cut();
    ask_many(&gateway.client(&set.scene.key), 6, 1).await;
    gateway.terminate();
    assert!(gateway.ended().await.success());
    set
}

fn segments(data_dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for stream in fs::read_dir(data_dir.join("spool")).unwrap() {
        let stream = stream.unwrap().path();
        if !stream.is_dir() {
            continue;
        }
        let files = fs::read_dir(stream)
            .unwrap()
            .map(|file| file.unwrap().path());
        found.extend(files.filter(|file| file.extension().is_some_and(|ending| ending == "seg")));
    }
    found
}

#[tokio::test]
async fn what_waits_is_shown_with_the_database_and_without() {
    let folder = tempfile::tempdir().unwrap();
    let set = waiting(folder.path()).await;
    let data_dir = folder.path().to_str().unwrap();
    let words = ["spool", "status", "--json", "--data-dir", data_dir];
    let url = set.scene.database.url();
    let report = succeed(MINDWEAVE, &words, &[("DATABASE_URL", &url)]).await;
    let report: Value = serde_json::from_str(&report).unwrap();
    let streams = report["data"].as_array().unwrap();
    assert_eq!(streams.len(), 2);
    let waiting: i64 = streams
        .iter()
        .map(|stream| stream["waiting"].as_i64().unwrap())
        .sum();
    assert_eq!(waiting, 6);

    let away = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")];
    let ended = run(
        MINDWEAVE,
        &["spool", "status", "--data-dir", data_dir],
        &away,
    )
    .await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.err.contains("can't be asked"), "{}", ended.err);
    assert!(ended.out.contains('?'), "{}", ended.out);

    let verified = succeed(MINDWEAVE, &["spool", "verify", "--data-dir", data_dir], &[]).await;
    assert_eq!(verified.lines().count(), 2, "{verified}");
}

#[tokio::test]
async fn damage_is_found_and_nothing_starts_over_it() {
    let folder = tempfile::tempdir().unwrap();
    let set = waiting(folder.path()).await;
    let data_dir = folder.path().to_str().unwrap();
    // In the payload of a stream's first event, with others behind it that were synced later.
    let damaged = segments(folder.path()).remove(0);
    let mut options = fs::OpenOptions::new();
    let file = options.read(true).write(true).open(&damaged).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 4096 + 60).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 4096 + 60).unwrap();
    let ended = run(MINDWEAVE, &["spool", "verify", "--data-dir", data_dir], &[]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.out.contains(damaged.to_str().unwrap()),
        "{}",
        ended.out
    );

    let before = fs::read(&damaged).unwrap();
    set.link.restore();
    let url = set.scene.database.url();
    let words = [
        "serve",
        "--data-dir",
        data_dir,
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "127.0.0.1:0",
    ];
    let environment = [
        ("DATABASE_URL", url.as_str()),
        ("ANTHROPIC_API_KEY", "sk-ant-x"),
    ];
    let ended = run(MINDWEAVE, &words, &environment).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.contains("is damaged at byte 4096"),
        "{}",
        ended.err
    );
    assert_eq!(fs::read(&damaged).unwrap(), before, "nothing was changed");
}

#[tokio::test]
async fn without_a_spool_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let words = [
        "spool",
        "verify",
        "--data-dir",
        folder.path().to_str().unwrap(),
    ];
    let ended = run(MINDWEAVE, &words, &[]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.err.contains("there is no spool in"), "{}", ended.err);
}
