//! `mindweave usage explain`: from the counters of one request to what it cost.

use domain::pricing::Line;
use domain::{Basis, Cost, Picodollars, PriceBook};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use super::stored::{COLUMNS, Stored};
use crate::cli::{Common, UsageExplain};
use crate::commands::{CommandError, Outcome, configure, connect_to};
use crate::config::Purpose;
use crate::out;

pub(super) async fn run(common: &Common, words: &UsageExplain) -> Outcome {
    let config = configure(common, None, Purpose::Other)?;
    let client = connect_to(&config).await?;
    let events = find(&client, words.request_id).await?;
    if events.is_empty() {
        return Err(CommandError::Input(format!(
            "there is no event of request {}: it may not be stored yet, or retention has dropped it",
            words.request_id
        )));
    }
    for event in &events {
        let mut lines = Vec::new();
        let cost = config
            .prices
            .book
            .explain(&event.charge(), |line| lines.push(line));
        if words.json {
            out::line(as_json(event, &lines, &cost, &config.prices.book));
        } else {
            print(event, &lines, &cost, &config.prices.book);
        }
    }
    Ok(())
}

/// The id of a request begins with its time, and an event's time is when the request was admitted, which is once its body has
/// come: so there is no need for an index, or to look everywhere.
async fn find(client: &Client, request_id: Uuid) -> Result<Vec<Stored>, tokio_postgres::Error> {
    let began = request_id.get_timestamp().map(|began| began.to_unix().0);
    let began = began
        .and_then(|seconds| i64::try_from(seconds).ok())
        .unwrap_or(0);
    let query = format!(
        "SELECT {COLUMNS} FROM usage_events
         WHERE request_id = $1 AND time BETWEEN to_timestamp($2::bigint) - interval '1 minute'
                                            AND to_timestamp($2::bigint) + interval '1 day'"
    );
    let rows = client.query(&query, &[&request_id, &began]).await?;
    rows.iter().map(Stored::read).collect()
}

fn print(event: &Stored, lines: &[Line<'_>], cost: &Cost, book: &PriceBook) {
    out::line(format!("request  {}", event.request_id));
    out::line(format!(
        "time     {}",
        humantime::format_rfc3339_micros(event.time)
    ));
    out::line(format!("model    {}", event.model));
    out::line(format!("prices   version {}", book.version()));
    out::line("");
    out::line(format!(
        "{:>3}  {:<16}  {:<26}  {:<10}  {:<15}  {:>10}  {:>12}  {:>6}  {:>6}  {:>6}  {:>16}",
        "LEG", "KIND", "MODEL", "SINCE", "ITEM", "COUNT", "USD EACH", "TIER", "GEO", "SPEED", "USD"
    ));
    for line in lines {
        let [tier, geo, speed] = line.multipliers.map(multiplier);
        let (leg, kind) = line.leg.map_or((String::new(), ""), |(index, leg)| {
            (index.to_string(), leg.kind.as_str())
        });
        let (model, from) = line
            .row
            .map_or(("", ""), |row| (row.model, row.from.unwrap_or("always")));
        let item = match line.row.and_then(|row| row.above_tokens) {
            Some(above) => format!("{} >{above}", line.item.as_str()),
            None => line.item.as_str().to_owned(),
        };
        let declined = line.leg.is_some_and(|(_, leg)| leg.declined);
        let remark = if declined {
            "  declined: not billed"
        } else {
            ""
        };
        out::line(format!(
            "{leg:>3}  {kind:<16}  {model:<26}  {from:<10}  {item:<15}  {:>10}  {:>12}  {tier:>6}  {geo:>6}  {speed:>6}  {:>16}{remark}",
            line.count, line.price, line.amount
        ));
    }
    out::line("");
    out::line(format!(
        "total    {} USD ({} cents){}",
        cost.amount,
        cost.amount.cents(),
        reason(&cost.basis)
    ));
    let version = event.price_version.as_deref().unwrap_or("none");
    out::line(format!(
        "stored   {} cents, price version {version}{}",
        event.cost_cents,
        difference(event, book)
    ));
}

fn difference(event: &Stored, book: &PriceBook) -> &'static str {
    if event.is_listed {
        "; it is the API's own figure, not the book's"
    } else if event.repriced(book).is_some() {
        "; these prices say otherwise: see `mindweave usage rerate`"
    } else {
        ""
    }
}

/// Why the total is not just the sum.
fn reason(basis: &Basis) -> String {
    match basis {
        Basis::Priced(_) => String::new(),
        Basis::Listed => ": the API's own figure".to_owned(),
        Basis::NoUsage => ": nothing was consumed".to_owned(),
        Basis::Free(free) => format!(": not billed ({})", free.as_str()),
        Basis::Unpriced(unpriced) => format!(": not all of it has a price ({})", unpriced.as_str()),
    }
}

/// In tenths of thousandths, as a decimal number.
fn multiplier(value: u32) -> String {
    let unit = Picodollars::DOLLAR.0 / 10_000;
    Picodollars(u64::from(value) * unit).to_string()
}

fn as_json(event: &Stored, lines: &[Line<'_>], cost: &Cost, book: &PriceBook) -> Value {
    let lines: Vec<_> = lines.iter().map(line_as_json).collect();
    let (free, unpriced) = match &cost.basis {
        Basis::Free(free) => (Some(free.as_str()), None),
        Basis::Unpriced(unpriced) => (None, Some(unpriced.as_str())),
        Basis::NoUsage | Basis::Listed | Basis::Priced(_) => (None, None),
    };
    json!({
        "request_id": event.request_id,
        "time": humantime::format_rfc3339_micros(event.time).to_string(),
        "model": event.model,
        "usage": event.usage.raw,
        "lines": lines,
        "price_version": &**book.version(),
        "cost_usd": cost.amount.to_string(),
        "free": free,
        "unpriced": unpriced,
        "stored": {"cost_cents": event.cost_cents, "price_version": event.price_version, "unpriced": event.unpriced,
            "priced_by": event.is_listed.then_some("list_cost")},
        "differs": event.repriced(book).is_some(),
    })
}

fn line_as_json(line: &Line<'_>) -> Value {
    let [tier, geo, speed] = line.multipliers.map(multiplier);
    json!({
        "leg": line.leg.map(|(index, _)| index),
        "kind": line.leg.map(|(_, leg)| leg.kind.as_str()),
        "declined": line.leg.is_some_and(|(_, leg)| leg.declined),
        "model": line.row.map(|row| row.model),
        "from": line.row.and_then(|row| row.from),
        "above_tokens": line.row.and_then(|row| row.above_tokens),
        "item": line.item.as_str(),
        "count": line.count,
        "price_usd": line.price.to_string(),
        "multipliers": {"service_tier": tier, "inference_geo": geo, "speed": speed},
        "amount_usd": line.amount.to_string(),
    })
}
