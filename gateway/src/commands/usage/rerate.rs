//! `mindweave usage rerate`: stored events priced again, by another book.
//!
//! Guarantees: each chunk is a transaction, so what was done stays done and a second run goes on from there; of runs on one
//! database one works at a time; nothing is changed without an entry in the audit log that says so beforehand.
//! Rollups follow by themselves: a changed row reopens its buckets. Running gateways are told in the chunk's transaction, so
//! that their budgets follow too.

mod corrections;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use domain::{Basis, Cost, Picodollars, PriceBook, Timestamp};
use serde_json::json;
use tokio_postgres::{Client, Transaction};
use uuid::Uuid;

use super::stored::{COLUMNS, Stored};
use super::when;
use crate::cli::{Common, UsageRerate};
use crate::commands::{CommandError, Outcome, configure, connect_to};
use crate::config::Purpose;
use crate::{clock, out, prices};

const CHUNK: i32 = 5_000;
/// "mindrate" in ASCII: the advisory lock of the run.
const LOCK: i64 = 0x6d69_6e64_7261_7465;
/// How far back rollups count again what has changed.
const REACH: Duration = Duration::from_secs(28 * 24 * 60 * 60);

pub(super) async fn run(common: &Common, words: &UsageRerate) -> Outcome {
    let config = configure(common, None, Purpose::Other)?;
    let book = read_book(&words.price_book)?;
    let span = Span::read(words)?;
    // One reads, the other writes: a chunk is committed while the next is still to be read.
    let (mut reader, mut writer) = (connect_to(&config).await?, connect_to(&config).await?);
    let lock = writer
        .query_one("SELECT pg_try_advisory_lock($1)", &[&LOCK])
        .await?;
    if !lock.try_get::<_, bool>(0)? {
        return Err(CommandError::Input(
            "another `usage rerate` is at work on this database".to_owned(),
        ));
    }
    let mut result = Totals::default();
    if !words.dry_run {
        audit(&writer, "usage_events.rerate", &span, &book, None).await?;
    }
    let events = reader.build_transaction().read_only(true).start().await?;
    let declare = format!(
        "DECLARE events NO SCROLL CURSOR FOR SELECT {COLUMNS} FROM usage_events
         WHERE time >= '{}' AND time < '{}'",
        humantime::format_rfc3339_micros(span.since),
        humantime::format_rfc3339_micros(span.until),
    );
    events.batch_execute(&declare).await?;
    loop {
        let rows = events
            .query(&format!("FETCH {CHUNK} FROM events"), &[])
            .await?;
        if rows.is_empty() {
            break;
        }
        let mut changes = Vec::new();
        for row in &rows {
            let event = Stored::read(row)?;
            let cost = event.repriced(&book);
            result.count(&event, cost.as_ref());
            changes.extend(cost.map(|cost| Change { event, cost }));
        }
        if !words.dry_run && !changes.is_empty() {
            store(&mut writer, &changes).await?;
        }
        out::error_line(format!(
            "{} events read, {} changed",
            result.events, result.changed
        ));
    }
    events.commit().await?;
    if !words.dry_run {
        audit(&writer, "usage_events.rerated", &span, &book, Some(&result)).await?;
    }
    result.print(words.dry_run, &book);
    Ok(())
}

fn read_book(path: &Path) -> Result<PriceBook, CommandError> {
    prices::read(path).map_err(|problem| {
        CommandError::Input(format!("--price-book {}: {problem}", path.display()))
    })
}

/// From when until when.
struct Span {
    since: SystemTime,
    until: SystemTime,
}

impl Span {
    fn read(words: &UsageRerate) -> Result<Self, CommandError> {
        let now = clock::system().now();
        let since = system_time(when::parse("--since", &words.since, now)?);
        let until = match &words.until {
            Some(until) => system_time(when::parse("--until", until, now)?),
            None => system_time(now),
        };
        if since >= until {
            return Err(CommandError::Input(
                "--since is not before --until".to_owned(),
            ));
        }
        let reach = system_time(now) - REACH;
        if since < reach {
            let reach_text = humantime::format_rfc3339_seconds(reach);
            out::error_line(format!(
                "what is older than {reach_text} is out of reach: its rollups are closed for good, and retention drops its events"
            ));
        }
        Ok(Self {
            since: since.max(reach),
            until,
        })
    }
}

fn system_time(moment: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(moment.unix_micros).unwrap_or(0))
}

/// An event that shall cost something else.
struct Change {
    event: Stored,
    cost: Cost,
}

async fn store(writer: &mut Client, changes: &[Change]) -> Result<(), tokio_postgres::Error> {
    let transaction = writer.transaction().await?;
    update(&transaction, changes).await?;
    corrections::tell(&transaction, changes).await?;
    transaction.commit().await
}

async fn update(
    transaction: &Transaction<'_>,
    changes: &[Change],
) -> Result<(), tokio_postgres::Error> {
    let times: Vec<_> = changes.iter().map(|change| change.event.time).collect();
    let ids: Vec<_> = changes
        .iter()
        .map(|change| change.event.request_id)
        .collect();
    let costs: Vec<_> = changes
        .iter()
        .map(|change| change.cost.amount.cents().to_string())
        .collect();
    let versions: Vec<_> = changes
        .iter()
        .map(|change| match &change.cost.basis {
            Basis::Priced(version) => Some(version.to_string()),
            Basis::NoUsage | Basis::Listed | Basis::Free(_) | Basis::Unpriced(_) => None,
        })
        .collect();
    let unpriced: Vec<_> = changes
        .iter()
        .map(|change| match change.cost.basis {
            Basis::Unpriced(reason) => Some(reason.as_str()),
            Basis::NoUsage | Basis::Listed | Basis::Free(_) | Basis::Priced(_) => None,
        })
        .collect();
    let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else {
        return Ok(());
    };
    // The span is said a second time for the sake of partitions and the index on time.
    let statement = "UPDATE usage_events AS event
        SET cost_cents = change.cost::numeric, price_version = change.version,
            metadata = CASE WHEN change.unpriced IS NULL THEN event.metadata - 'unpriced'
                            ELSE event.metadata || jsonb_build_object('unpriced', change.unpriced) END
        FROM unnest($1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::text[])
             AS change (time, request_id, cost, version, unpriced)
        WHERE event.time = change.time AND event.request_id = change.request_id
          AND event.time BETWEEN $6::timestamptz AND $7::timestamptz";
    transaction
        .execute(
            statement,
            &[&times, &ids, &costs, &versions, &unpriced, first, last],
        )
        .await?;
    Ok(())
}

/// An entry before, so that no change goes without, and one for each organization afterwards with what came of it.
async fn audit(
    client: &Client,
    action: &str,
    span: &Span,
    book: &PriceBook,
    result: Option<&Totals>,
) -> Result<(), tokio_postgres::Error> {
    let of_all = BTreeMap::from([(None, None)]);
    let by_org = result.map_or(of_all, |result| {
        let changed = result.by_org.iter().filter(|(_, total)| total.changed > 0);
        changed
            .map(|(org_id, total)| (Some(*org_id), Some(total)))
            .collect()
    });
    let statement = "INSERT INTO audit_logs (actor_type, org_id, action, resource_type, changes)
        VALUES ('system', $1, $2, 'usage_events', $3)";
    for (org_id, total) in by_org {
        let mut changes = json!({
            "since": humantime::format_rfc3339_micros(span.since).to_string(),
            "until": humantime::format_rfc3339_micros(span.until).to_string(),
            "price_version": &**book.version(),
        });
        if let (Some(total), Some(changes)) = (total, changes.as_object_mut()) {
            changes.insert("events_changed".to_owned(), json!(total.changed));
            changes.insert(
                "cost_usd_before".to_owned(),
                json!(total.before.to_string()),
            );
            changes.insert("cost_usd_after".to_owned(), json!(total.after.to_string()));
        }
        client
            .execute(statement, &[&org_id, &action, &changes])
            .await?;
    }
    Ok(())
}

/// What a run has seen.
#[derive(Default)]
struct Totals {
    events: u64,
    changed: u64,
    by_model: BTreeMap<String, Total>,
    by_org: BTreeMap<Uuid, Total>,
}

#[derive(Default)]
struct Total {
    changed: u64,
    before: Picodollars,
    after: Picodollars,
}

impl Totals {
    fn count(&mut self, event: &Stored, cost: Option<&Cost>) {
        self.events += 1;
        let Some(cost) = cost else { return };
        self.changed += 1;
        let before = event.cost();
        let by_model = self.by_model.entry(event.model.clone()).or_default();
        let by_org = self.by_org.entry(event.org_id).or_default();
        for total in [by_model, by_org] {
            total.changed += 1;
            total.before += before;
            total.after += cost.amount;
        }
    }

    fn print(&self, dry_run: bool, book: &PriceBook) {
        out::line(format!(
            "{:<30}  {:>10}  {:>18}  {:>18}",
            "MODEL", "EVENTS", "USD BEFORE", "USD AFTER"
        ));
        for (
            model,
            Total {
                changed,
                before,
                after,
            },
        ) in &self.by_model
        {
            out::line(format!(
                "{model:<30}  {changed:>10}  {before:>18}  {after:>18}"
            ));
        }
        let verb = if dry_run { "would change" } else { "changed" };
        out::line(format!(
            "{} of {} events {verb}, by price version {}",
            self.changed,
            self.events,
            book.version()
        ));
    }
}
