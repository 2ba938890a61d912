//! `mindweave spool`: what is on disk and not yet in the database, and whether it is as it was written.

use std::collections::HashMap;

use domain::error_chain;
use ingest::{StreamOnDisk, inspect_spool};
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{CommandError, Outcome, configure, connect_to};
use crate::cli::{Common, Spool};
use crate::config::{Config, Purpose};
use crate::out;

pub(super) async fn run(common: &Common, words: Spool) -> Outcome {
    let config = configure(common, None, Purpose::Other)?;
    let streams = inspect(&config).await?;
    match words {
        Spool::Status { json } => status(&config, &streams, json).await,
        Spool::Verify => verify(&streams),
    }
}

async fn inspect(config: &Config) -> Result<Vec<StreamOnDisk>, CommandError> {
    let dir = config.ingest.spool.dir.clone();
    if !dir.exists() {
        return Err(CommandError::Input(format!(
            "there is no spool in {}",
            dir.display()
        )));
    }
    let inspected = tokio::task::spawn_blocking(move || inspect_spool(&dir)).await;
    match inspected {
        Ok(streams) => Ok(streams?),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn status(config: &Config, streams: &[StreamOnDisk], as_json: bool) -> Outcome {
    let stored = match stored(config).await {
        Ok(stored) => Some(stored),
        Err(error) => {
            out::error_line(format!(
                "mindweave: the database can't be asked what it has: {}",
                error_chain(&error)
            ));
            None
        }
    };
    let of = |stream: &StreamOnDisk| {
        let stored = stored.as_ref()?.get(&stream.stream).copied().unwrap_or(0);
        let waiting = stream
            .last_seq
            .saturating_sub(stored.max(stream.first_seq.saturating_sub(1)));
        Some((stored, waiting))
    };
    if as_json {
        let lines: Vec<_> = streams
            .iter()
            .map(|stream| {
                json!({
                    "stream": stream.stream, "segments": stream.segments, "bytes": stream.bytes,
                    "first_seq": stream.first_seq, "last_seq": stream.last_seq,
                    "stored_seq": of(stream).map(|of| of.0), "waiting": of(stream).map(|of| of.1),
                })
            })
            .collect();
        out::line(json!({ "data": lines }));
        return Ok(());
    }
    out::line(format!(
        "{:<36}  {:>8}  {:>14}  {:>12}  {:>12}  {:>12}  {:>10}",
        "STREAM", "SEGMENTS", "BYTES", "FIRST", "LAST", "STORED", "WAITING"
    ));
    let text = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |n| n.to_string());
    for stream in streams {
        out::line(format!(
            "{:<36}  {:>8}  {:>14}  {:>12}  {:>12}  {:>12}  {:>10}",
            stream.stream,
            stream.segments,
            stream.bytes,
            stream.first_seq,
            stream.last_seq,
            text(of(stream).map(|of| of.0)),
            text(of(stream).map(|of| of.1)),
        ));
    }
    Ok(())
}

/// Up to where the database has each stream.
async fn stored(config: &Config) -> Result<HashMap<Uuid, u64>, CommandError> {
    let client: Client = connect_to(config).await?;
    let mut stored = HashMap::new();
    for row in client
        .query("SELECT stream, seq FROM ingest_cursor", &[])
        .await?
    {
        stored.insert(row.try_get(0)?, row.try_get::<_, i64>(1)?.unsigned_abs());
    }
    Ok(stored)
}

fn verify(streams: &[StreamOnDisk]) -> Outcome {
    let mut damaged = 0;
    for stream in streams {
        out::line(format!(
            "{}  {} events in {} segments, {} to {}",
            stream.stream, stream.events, stream.segments, stream.first_seq, stream.last_seq
        ));
        if stream.torn_bytes > 0 {
            out::line(format!(
                "  {} bytes of a write that was cut short, or is under way",
                stream.torn_bytes
            ));
        }
        for place in &stream.damage {
            damaged += 1;
            out::line(format!("  damaged: {place}"));
        }
    }
    if damaged > 0 {
        return Err(CommandError::Input(format!(
            "{damaged} places are damaged: docs/SPEC-ingest.md says what to do"
        )));
    }
    Ok(())
}
