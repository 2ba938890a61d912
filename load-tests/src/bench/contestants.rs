//! Who is measured: the upstream itself, proxies that check nothing, and the gateway with everything on.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;
use testkit::{Database, Gateway, Scene, eventually};
use tokio::net::TcpStream;

use super::generator::Target;
use crate::kernel::Processes;
use crate::plan::Plan;

/// What the ratios are to.
pub(super) const NGINX: &str = "nginx";
pub(super) const BARE_HYPER: &str = "bare hyper";
pub(super) const DIRECT: &str = "direct";

pub(super) struct Contestant {
    pub(super) name: &'static str,
    pub(super) target: Target,
    /// None of the upstream itself: it is no proxy.
    pub(super) processes: Option<Processes>,
    gateway: Option<Gateway>,
    _process: Option<Process>,
}

/// A program that ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already, if it fails.
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// All that can be measured here.
pub(super) struct Contestants {
    pub(super) all: Vec<Contestant>,
    /// Those that can't, and why.
    pub(super) missing: Vec<String>,
    _scene: Scene,
    _folder: tempfile::TempDir,
}

impl Contestants {
    pub(super) async fn start(plan: &Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (simulator, upstream) = simulator(plan);
        let mut missing = Vec::new();
        let mut all = vec![Contestant {
            name: DIRECT,
            target: target(upstream, "sk-ant-anybody"),
            processes: None,
            gateway: None,
            _process: Some(simulator),
        }];
        if has_nginx() {
            let address = free_address();
            let configuration = folder.path().join("nginx.conf");
            fs::write(&configuration, nginx_configuration(address, upstream)).unwrap();
            let mut command = Command::new("nginx");
            command.arg("-p").arg(folder.path());
            command.arg("-e").arg("stderr");
            command.arg("-c").arg(&configuration);
            all.push(peer(NGINX, command, address).await);
        } else {
            missing.push("nginx is not installed (apt-get install nginx)".to_owned());
        }
        for (name, program) in [(BARE_HYPER, "bare-hyper"), ("pingora", "bare-pingora")] {
            let path = peers().join(program);
            if path.is_file() {
                let address = free_address();
                let mut command = Command::new(path);
                command.args([address.to_string(), upstream.to_string()]);
                all.push(peer(name, command, address).await);
            } else {
                missing.push(format!(
                    "{name}: there is no {} (cargo build --release in load-tests/peers)",
                    path.display()
                ));
            }
        }
        let scene = Scene::on(Database::migrated().await).await;
        rules(&scene).await;
        for (name, durability) in [("gateway, process", "process"), ("gateway, fsync", "fsync")] {
            let data = folder.path().join(durability);
            all.push(gateway(plan, &scene, upstream, (name, durability), &data).await);
        }
        Self {
            all,
            missing,
            _scene: scene,
            _folder: folder,
        }
    }

    /// Whether every gateway ends in good order.
    pub(super) async fn stop(self) -> bool {
        let mut is_good = true;
        for contestant in self.all {
            if let Some(gateway) = contestant.gateway {
                is_good &= gateway.stop().await.success();
            }
        }
        is_good
    }
}

/// A tenant's everyday: models by name, a budget, a rate.
async fn rules(scene: &Scene) {
    let sql = r#"INSERT INTO policies (org_id, created_by, name, type, rules) VALUES
        ($1, $2, 'models', 'access', '{"allowed_models": ["claude-*"]}'),
        ($1, $2, 'budget', 'usage', '{"max_cost_per_day_usd": "1000000.00", "per": "project"}'),
        ($1, $2, 'rate', 'usage', '{"max_requests_per_minute": 1000000000, "per": "key"}')"#;
    let of = &scene.tenant;
    let made = scene.sql.execute(sql, &[&of.org_id, &of.user_id]).await;
    made.unwrap();
}

async fn gateway(
    plan: &Plan,
    scene: &Scene,
    upstream: SocketAddr,
    (name, durability): (&'static str, &str),
    data: &Path,
) -> Contestant {
    let gateway = testkit::gateway::Builder::serve(&plan.binary, &scene.database.url())
        .upstream(&format!("http://{upstream}"))
        .data_dir(data)
        .env("MINDWEAVE_LOG_LEVEL", "info")
        .env("MINDWEAVE_PROXY_THREADS", "1")
        .env("MINDWEAVE_SPOOL_DURABILITY", durability)
        .start()
        .await;
    let url = gateway.ready_text("proxy_url");
    let address = url.trim_start_matches("http://").parse().unwrap();
    Contestant {
        name,
        target: target(address, &scene.key),
        processes: Some(Processes(vec![gateway.pid()])),
        gateway: Some(gateway),
        _process: None,
    }
}

fn target(address: SocketAddr, key: &str) -> Target {
    Target {
        address,
        key: key.to_owned(),
    }
}

fn simulator(plan: &Plan) -> (Process, SocketAddr) {
    let mut command = Command::new(&plan.binary);
    command.args(["simulator", "--listen", "127.0.0.1:0"]);
    command.stdout(Stdio::piped());
    let mut process = Process(command.spawn().unwrap());
    let said = process.0.stdout.take().unwrap();
    let line = BufReader::new(said).lines().next().unwrap().unwrap();
    let (_, address) = line.split_once("http://").unwrap();
    (process, address.parse().unwrap())
}

/// Waits until it lets connections in.
async fn peer(name: &'static str, mut command: Command, address: SocketAddr) -> Contestant {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let process = Process(command.spawn().unwrap());
    eventually("a peer listens", || async move {
        TcpStream::connect(address).await.ok()
    })
    .await;
    let pid = i32::try_from(process.0.id()).ok().and_then(Pid::from_raw);
    Contestant {
        name,
        target: target(address, "sk-ant-anybody"),
        processes: Some(Processes(vec![pid.unwrap()])),
        gateway: None,
        _process: Some(process),
    }
}

/// Nobody else takes it in the moment between, on a machine that measures.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn has_nginx() -> bool {
    let mut command = Command::new("nginx");
    command.arg("-v").stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/target/release")
}

/// One process, as fast as it can be told to be without changing what callers see: nothing is logged, connections are kept,
/// what arrives leaves at once.
fn nginx_configuration(listen: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "daemon off;
master_process off;
error_log stderr crit;
pid nginx.pid;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    client_max_body_size 32m;
    upstream claude {{
        server {upstream};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {listen};
        location / {{
            proxy_pass http://claude;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
            proxy_request_buffering off;
        }}
    }}
}}
"
    )
}
