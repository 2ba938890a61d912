//! Requests that a process had admitted and not brought to an end when it died.
//!
//! Guarantees: each of them becomes one event. A trace whose event had reached the spool is no interrupted request, and is told by
//! its id among what was written last; so that it doesn't matter if this is itself interrupted and begun again.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use domain::UsageEvent;
use uuid::Uuid;

use crate::open_slots;
use crate::record;
use crate::replacing;
use crate::streams::{SpoolStartError, Streams};

/// The file of a lane's open requests.
pub(crate) fn file(root: &Path, lane: usize) -> PathBuf {
    root.join(format!("open-{lane}.slots"))
}

/// Events of the requests that are open in any file and have none yet.
pub(crate) fn interrupted(
    root: &Path,
    streams: &Streams,
) -> Result<Vec<UsageEvent>, SpoolStartError> {
    let mut open: HashMap<Uuid, UsageEvent> = HashMap::new();
    for path in files(root)? {
        let found = open_slots::interrupted(&path).map_err(|source| SpoolStartError::Io {
            action: "read",
            path,
            source,
        })?;
        open.extend(found.into_iter().map(|event| (event.request_id.0, event)));
    }
    // Whatever has an event has had it since.
    let since = open.values().map(|event| event.time.unix_micros).min();
    if let Some(since) = since {
        let known = streams.each_since(since, |payload| {
            if let Some(id) = record::request_id(payload) {
                open.remove(&id);
            }
        });
        known.map_err(SpoolStartError::fault)?;
    }
    let mut events: Vec<_> = open.into_values().collect();
    events.sort_by_key(|event| event.request_id);
    Ok(events)
}

/// Removes the files, once what they say is in the spool.
pub(crate) fn remove_files(root: &Path) -> Result<(), SpoolStartError> {
    for path in files(root)? {
        std::fs::remove_file(&path).map_err(|source| SpoolStartError::Io {
            action: "remove",
            path,
            source,
        })?;
    }
    replacing::sync(root).map_err(|source| SpoolStartError::Io {
        action: "sync",
        path: root.to_owned(),
        source,
    })
}

/// Of however many lanes the earlier process had.
fn files(root: &Path) -> Result<Vec<PathBuf>, SpoolStartError> {
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("open-") && name.ends_with(".slots"))
    };
    let list = || -> io::Result<Vec<PathBuf>> {
        let entries = std::fs::read_dir(root)?;
        let paths: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
        Ok(paths?.into_iter().filter(is_one).collect())
    };
    list().map_err(|source| SpoolStartError::Io {
        action: "list",
        path: root.to_owned(),
        source,
    })
}
