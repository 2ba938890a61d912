//! What a process had admitted and not brought into the spool when it died.
//!
//! Guarantees: each request becomes one event: its own if it had ended and its event was kept, else one that says it was
//! interrupted. A request whose event had reached the spool is told by its id among what was written last; so that it doesn't matter
//! if this is itself interrupted and begun again.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use uuid::Uuid;

use crate::kept;
use crate::open_slots;
use crate::record;
use crate::replacing;
use crate::spool::{IoContext as _, SpoolError};
use crate::streams::{SpoolStartError, Streams};

/// The file of a lane's open requests.
pub(crate) fn open_file(root: &Path, lane: usize) -> PathBuf {
    root.join(format!("open-{lane}.slots"))
}

/// The file of events that a lane keeps.
pub(crate) fn kept_file(root: &Path, lane: usize) -> PathBuf {
    root.join(format!("kept-{lane}.slots"))
}

/// What of an earlier process belongs into the spool and isn't there.
#[derive(Debug, Default)]
pub(crate) struct Left {
    /// Records, by the ids of their requests.
    pub(crate) records: Vec<Vec<u8>>,
    /// So many of them say that their request was interrupted.
    pub(crate) interrupted: usize,
}

/// One request that an earlier process left.
struct Request {
    record: Vec<u8>,
    unix_micros: i64,
    was_interrupted: bool,
}

/// Looks through the files of all lanes.
pub(crate) fn left(root: &Path, streams: &Streams) -> Result<Left, SpoolStartError> {
    let mut requests = requests(root)?;
    // Whatever has an event has had it since.
    let since = requests.values().map(|request| request.unix_micros).min();
    if let Some(since) = since {
        let known = streams.each_since(since, |payload| {
            if let Some(id) = record::request_id(payload) {
                requests.remove(&id);
            }
        });
        known.map_err(SpoolStartError::fault)?;
    }
    let mut requests: Vec<_> = requests.into_iter().collect();
    requests.sort_by_key(|(id, _)| *id);
    let mut left = Left::default();
    for (_, request) in requests {
        left.interrupted += usize::from(request.was_interrupted);
        left.records.push(request.record);
    }
    Ok(left)
}

fn requests(root: &Path) -> Result<HashMap<Uuid, Request>, SpoolStartError> {
    let mut requests = HashMap::new();
    let mut payload = BytesMut::new();
    for path in files(root, "open-")? {
        for event in open_slots::interrupted(&path).map_err(SpoolStartError::io("read", &path))? {
            record::encode(&event, &mut payload);
            let request = Request {
                record: payload.to_vec(),
                unix_micros: event.time.unix_micros,
                was_interrupted: true,
            };
            requests.insert(event.request_id.0, request);
        }
    }
    // Of what had ended, the trace that it was running may still be there.
    for path in files(root, "kept-")? {
        for record in kept::kept(&path).map_err(SpoolStartError::io("read", &path))? {
            let id = record::request_id(&record);
            if let Some((id, unix_micros)) = id.zip(record::unix_micros(&record)) {
                let request = Request {
                    record,
                    unix_micros,
                    was_interrupted: false,
                };
                requests.insert(id, request);
            }
        }
    }
    Ok(requests)
}

/// Makes durable what lanes have let go by now.
pub(crate) fn sync_files(root: &Path) -> Result<(), SpoolError> {
    for begin in ["open-", "kept-"] {
        for path in list(root, begin).context("sync", root)? {
            let synced = std::fs::File::open(&path).and_then(|file| file.sync_data());
            synced.context("sync", &path)?;
        }
    }
    Ok(())
}

/// Removes the files, once what they say is in the spool.
pub(crate) fn remove_files(root: &Path) -> Result<(), SpoolStartError> {
    for path in files(root, "open-")?
        .into_iter()
        .chain(files(root, "kept-")?)
    {
        std::fs::remove_file(&path).map_err(SpoolStartError::io("remove", &path))?;
    }
    replacing::sync(root).map_err(SpoolStartError::io("sync", root))
}

fn files(root: &Path, begin: &str) -> Result<Vec<PathBuf>, SpoolStartError> {
    list(root, begin).map_err(SpoolStartError::io("list", root))
}

/// Of however many lanes there are, or the earlier process had.
fn list(root: &Path, begin: &str) -> io::Result<Vec<PathBuf>> {
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(begin) && name.ends_with(".slots"))
    };
    let entries = std::fs::read_dir(root)?;
    let paths: io::Result<Vec<_>> = entries.map(|entry| Ok(entry?.path())).collect();
    Ok(paths?.into_iter().filter(is_one).collect())
}
