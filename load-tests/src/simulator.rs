//! The simulator as a process of its own: what it costs isn't counted as anybody else's.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::plan::Plan;

/// Ends with this.
#[derive(Debug)]
pub(crate) struct Simulator {
    process: Child,
    address: SocketAddr,
}

impl Simulator {
    pub(crate) fn start(plan: &Plan) -> Self {
        let mut command = Command::new(&plan.binary);
        command.args(["simulator", "--listen", "127.0.0.1:0"]);
        command.stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let said = process.stdout.take().unwrap();
        let line = BufReader::new(said).lines().next().unwrap().unwrap();
        let (_, address) = line.split_once("http://").unwrap();
        Self {
            process,
            address: address.parse().unwrap(),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Gone already, if it fails.
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}
