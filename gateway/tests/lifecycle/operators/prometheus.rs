//! A real Prometheus, as Debian packages it.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use testkit::client::question;
use testkit::{Client, Gateway, Scene, eventually};
use tokio::process::Child;

use super::metrics::scrape;
use crate::MINDWEAVE;
use crate::load::answered;

const MISSING: &str =
    "Prometheus is not installed: run `scripts/install.sh test`, or `apt-get install prometheus`";

/// A gateway that has answered.
async fn answering() -> (Scene, Gateway) {
    let scene = Scene::new().await;
    let (gateway, client) = scene.simulated(MINDWEAVE).await;
    answered(&client.ask().await);
    answered(&client.post("/v1/messages", &question(true)).await);
    scene.events(2).await;
    (scene, gateway)
}

#[tokio::test]
async fn promtool_finds_nothing_wrong_with_the_metrics() {
    let (_scene, gateway) = answering().await;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(MISSING);
    let text = scrape(&gateway).await;
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let said = promtool.wait_with_output().unwrap();
    let problems = [said.stdout, said.stderr].concat();
    let problems = String::from_utf8_lossy(&problems);
    assert!(said.status.success() && problems.is_empty(), "{problems}");
}

/// A Prometheus that scrapes one gateway; killed when dropped.
struct Prometheus {
    client: Client,
    _process: Child,
    _folder: TempDir,
}

impl Prometheus {
    async fn scraping(gateway: &Gateway) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = gateway
            .ready_text("metrics_url")
            .trim_start_matches("http://");
        let config = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
             scrape_configs: [{{job_name: mindweave, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let log = folder.path().join("log");
        let process = tokio::process::Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg("--web.listen-address=127.0.0.1:0")
            .current_dir(&folder)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .expect(MISSING);
        let address = eventually("Prometheus listens", || async {
            let log = fs::read_to_string(&log).unwrap();
            let line = log
                .lines()
                .find(|line| line.contains(r#"msg="Listening on""#))?;
            let (_, address) = line.rsplit_once("address=")?;
            Some(address.to_owned())
        })
        .await;
        Self {
            client: Client::new(&format!("http://{address}"), ""),
            _process: process,
            _folder: folder,
        }
    }

    /// The value of a query, once it has one.
    async fn query(&self, query: &str) -> f64 {
        eventually(query, || async {
            let path = format!("/api/v1/query?query={query}");
            let answer: Value = serde_json::from_slice(&self.client.get(&path).await.body).ok()?;
            let value = answer["data"]["result"][0]["value"][1].as_str()?;
            Some(value.parse().unwrap())
        })
        .await
    }
}

#[tokio::test]
async fn a_real_prometheus_scrapes_the_metrics_listener() {
    let (_scene, gateway) = answering().await;
    let prometheus = Prometheus::scraping(&gateway).await;
    eventually("the gateway is up", || async {
        (prometheus.query("up").await > 0.0).then_some(())
    })
    .await;
    for (query, expected) in [
        ("sum(mindweave_requests_total)", 2.0),
        ("sum(mindweave_request_duration_seconds_count)", 2.0),
        ("mindweave_events_stored_total", 2.0),
        ("mindweave_keys_loaded", 1.0),
        ("mindweave_db_up", 1.0),
    ] {
        assert_eq!(prometheus.query(query).await, expected, "{query}");
    }
}
