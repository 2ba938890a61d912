//! Commands of the binary that do something and end.

use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::PATIENCE;

/// What a command did.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it said on standard output.
    pub out: String,
    /// What it said on standard error.
    pub err: String,
}

/// Runs a program in a folder of its own with nothing set but these variables, and waits for its end.
pub async fn run(program: &str, words: &[&str], environment: &[(&str, &str)]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command
        .args(words)
        .current_dir(&folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let Output {
        status,
        stdout,
        stderr,
    } = output.expect("the command ends").unwrap();
    Ended {
        code: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// The same for a command that must succeed; gives what it said.
pub async fn succeed(program: &str, words: &[&str], environment: &[(&str, &str)]) -> String {
    let ended = run(program, words, environment).await;
    assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.err);
    ended.out
}
