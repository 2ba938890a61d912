//! Programs that the gateway is compared with.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Pid;
use testkit::eventually;
use tokio::net::TcpStream;

use super::who::Who;
use crate::kernel::Processes;

/// A program that ends with this.
#[derive(Debug)]
pub(super) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already, if it fails.
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

impl Process {
    pub(super) fn kernel(&self) -> Processes {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        Processes(vec![pid.unwrap()])
    }
}

/// A proxy that lets connections in, or why there is none.
pub(super) async fn start(
    who: Who,
    upstream: SocketAddr,
    folder: &Path,
) -> Result<(Process, SocketAddr), String> {
    let address = free_address();
    let command = match who {
        Who::Nginx => nginx(address, upstream, folder)?,
        Who::BareHyper => built("bare-hyper", address, upstream)?,
        Who::Pingora => built("bare-pingora", address, upstream)?,
        Who::Direct | Who::GatewayProcess | Who::GatewayFsync => {
            return Err("it is no peer".to_owned());
        }
    };
    let complaints = folder.join(format!("{who:?}.stderr"));
    let process = listening(command, address, &complaints).await?;
    Ok((process, address))
}

/// Waits until it lets connections in, or has ended.
async fn listening(
    mut command: Command,
    address: SocketAddr,
    complaints: &Path,
) -> Result<Process, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(fs::File::create(complaints).unwrap());
    let started = command.spawn().map_err(|error| error.to_string())?;
    let mut process = Process(started);
    let ended = eventually("a peer listens", || {
        let ended = process.0.try_wait().unwrap();
        async move {
            if ended.is_some() {
                return Some(ended);
            }
            TcpStream::connect(address).await.ok().map(|_| None)
        }
    });
    let Some(status) = ended.await else {
        return Ok(process);
    };
    let said = fs::read_to_string(complaints).unwrap_or_default();
    let said = said.lines().next().unwrap_or_default();
    Err(format!("it ended, {status}: {said}"))
}

/// Nobody else takes it in the moment between, on a machine that measures.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn built(program: &str, listen: SocketAddr, upstream: SocketAddr) -> Result<Command, String> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("peers/target/release")
        .join(program);
    if !path.is_file() {
        return Err(format!(
            "there is no {program} (cargo build --release in load-tests/peers)"
        ));
    }
    let mut command = Command::new(path);
    command.args([listen.to_string(), upstream.to_string()]);
    Ok(command)
}

fn nginx(listen: SocketAddr, upstream: SocketAddr, folder: &Path) -> Result<Command, String> {
    let mut asked = Command::new("nginx");
    asked.arg("-v").stderr(Stdio::null());
    if !asked.status().is_ok_and(|status| status.success()) {
        return Err("it is not installed (apt-get install nginx)".to_owned());
    }
    let configuration = folder.join("nginx.conf");
    fs::write(&configuration, nginx_configuration(listen, upstream)).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder);
    command.arg("-e").arg("stderr");
    command.arg("-c").arg(&configuration);
    Ok(command)
}

/// One process, as fast as it can be told to be without changing what callers see: nothing is logged, connections are kept,
/// what arrives leaves at once. It takes as many bytes of headers as the gateway does.
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
    large_client_header_buffers 8 16k;
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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use tokio::net::TcpSocket;

    use super::listening;

    #[tokio::test]
    async fn a_peer_that_ends_says_why() {
        let folder = tempfile::tempdir().unwrap();
        // Taken, so that nobody else listens there.
        let taken = TcpSocket::new_v4().unwrap();
        taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo 'no such option' >&2; exit 3"]);
        let address = taken.local_addr().unwrap();
        let ended = listening(command, address, &folder.path().join("stderr")).await;
        let why = ended.err().unwrap_or_default();
        assert_eq!(why, "it ended, exit status: 3: no such option");
    }
}
