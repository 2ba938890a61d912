//! Another process that runs the server of a data directory, to be killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use gateway::embedded::{Embedded, EmbeddedOptions};

use crate::fixture::DataDir;

/// Marks a directory as one in which a holder may start a server.
const MAY_HOLD: &str = "may-hold";
const HOLDING: &str = "holding the data directory";

/// Not a test of its own: the process that the tests below kill. It starts a server where it is told to and waits.
#[test]
#[ignore = "the tests that need it run it in a process of its own"]
fn hold() {
    let data_dir = std::env::current_dir().expect("a directory");
    if !data_dir.join(MAY_HOLD).exists() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let _embedded = Embedded::start(EmbeddedOptions { data_dir }, &|_| ())
            .await
            .expect("a running server");
        println!("\n{HOLDING}");
        std::future::pending::<()>().await;
    });
}

/// Another process that runs the server of a data directory; returns when it does.
pub(crate) fn holder(data_dir: &DataDir) -> Child {
    fs::create_dir_all(data_dir.path()).expect("a directory");
    fs::write(data_dir.path().join(MAY_HOLD), "").expect("a mark");
    let mut holder = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "holder::hold", "--ignored", "--nocapture"])
        .current_dir(data_dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let lines = BufReader::new(holder.stdout.take().expect("its output")).lines();
    let said = lines.map_while(Result::ok).find(|line| line == HOLDING);
    assert!(said.is_some(), "the holder ended: {:?}", holder.wait());
    holder
}

pub(crate) fn kill(mut holder: Child) {
    holder.kill().expect("a kill");
    holder.wait().expect("an end");
}
