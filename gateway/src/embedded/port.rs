//! The server's port: picked once, kept in the data directory, and moved only when somebody else sits on it at start.

use std::net::{Ipv4Addr, TcpListener};

use rand::TryRngCore;
use rand::rngs::OsRng;

use super::error::EmbeddedError;
use super::files::{self, Readers};
use super::paths::Paths;

/// Below the ports that systems hand out for outgoing connections, which come and go.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// The kept port if it is free, else a new one.
pub(super) fn choose(paths: &Paths, progress: &dyn Fn(&str)) -> Result<u16, EmbeddedError> {
    let kept = read(paths)?;
    if let Some(kept) = kept.filter(|port| is_free(*port)) {
        return Ok(kept);
    }
    let port = pick()?;
    if let Some(kept) = kept {
        progress(&format!(
            "port {kept} is taken by another process: the database moves to port {port} for good"
        ));
    }
    keep(paths, port)?;
    Ok(port)
}

/// Makes sure that the port is the one that is kept.
pub(super) fn keep(paths: &Paths, port: u16) -> Result<(), EmbeddedError> {
    let path = paths.port();
    files::keep(&path, &format!("{port}\n"), Readers::Owner)
        .map_err(EmbeddedError::io("write", &path))
}

/// The kept port; a file that holds none is as good as none.
fn read(paths: &Paths) -> Result<Option<u16>, EmbeddedError> {
    let path = paths.port();
    let text = files::read(&path).map_err(EmbeddedError::io("read", &path))?;
    Ok(text
        .and_then(|text| text.parse().ok())
        .filter(|port| *port != 0))
}

fn pick() -> Result<u16, EmbeddedError> {
    loop {
        let random = OsRng
            .try_next_u64()
            .map_err(|source| EmbeddedError::Random { source })?;
        let offset = u16::try_from(random % u64::from(COUNT)).unwrap_or_default();
        let port = FIRST + offset;
        if is_free(port) {
            return Ok(port);
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
