//! `mindweave usage`: what was used and what it cost, by one thing or another.

use serde_json::json;
use tokio_postgres::{Client, Row};

use super::when;
use crate::cli::{Common, UsageBy, UsageReport};
use crate::commands::{Outcome, connect};
use crate::{clock, out};

pub(super) async fn run(common: &Common, words: &UsageReport) -> Outcome {
    let since_micros = when::parse("--since", &words.since, clock::system().now())?.unix_micros;
    let client = connect(common).await?;
    let rows: Vec<Line> = query(&client, words.by, since_micros).await?;
    if words.json {
        let lines: Vec<_> = rows.iter().map(Line::json).collect();
        out::line(json!({ "data": lines }));
    } else {
        table(words.by, &rows);
    }
    Ok(())
}

/// One row of the report. Test keys are told apart: what they used is nothing that anybody pays for.
struct Line {
    name: String,
    test: bool,
    requests: i64,
    errors: i64,
    /// Input, output, cache read, cache write.
    tokens: [i64; 4],
    cost_usd: String,
}

impl Line {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            name: row.try_get::<_, Option<String>>(0)?.unwrap_or_default(),
            test: row.try_get(1)?,
            requests: row.try_get(2)?,
            errors: row.try_get(3)?,
            tokens: [
                row.try_get(4)?,
                row.try_get(5)?,
                row.try_get(6)?,
                row.try_get(7)?,
            ],
            cost_usd: row.try_get(8)?,
        })
    }

    fn json(&self) -> serde_json::Value {
        let [input, output, cache_read, cache_write] = self.tokens;
        json!({
            "name": self.name, "test": self.test, "requests": self.requests, "errors": self.errors,
            "input_tokens": input, "output_tokens": output,
            "cache_read_tokens": cache_read, "cache_write_tokens": cache_write, "cost_usd": self.cost_usd,
        })
    }
}

async fn query(
    client: &Client,
    by: UsageBy,
    since_micros: i64,
) -> Result<Vec<Line>, tokio_postgres::Error> {
    // As the admin API counts: without what a rule refused. A division would lose digits of large sums.
    // What is grouped by is never a name: two projects may share one.
    let (key, name) = match by {
        UsageBy::Model => ("e.model", "e.model"),
        UsageBy::Project => (
            "e.project_id",
            "(SELECT p.slug FROM projects p WHERE p.id = e.project_id)",
        ),
        UsageBy::Key => (
            "e.api_key_id",
            "(SELECT k.name FROM api_keys k WHERE k.id = e.api_key_id)",
        ),
        UsageBy::User => (
            "e.user_id",
            "(SELECT u.email FROM users u WHERE u.id = e.user_id)",
        ),
        UsageBy::Day => (
            "(e.time AT TIME ZONE 'UTC')::date",
            "(e.time AT TIME ZONE 'UTC')::date",
        ),
    };
    let text = format!(
        "SELECT coalesce(({name})::text, ({key})::text), coalesce(e.metadata->>'test', '') = 'true' AS test, count(*), \
                count(*) FILTER (WHERE e.status <> 'success'), \
                coalesce(sum(e.input_tokens), 0)::bigint, coalesce(sum(e.output_tokens), 0)::bigint, \
                coalesce(sum(e.cache_read_tokens), 0)::bigint, coalesce(sum(e.cache_write_tokens), 0)::bigint, \
                trim_scale(coalesce(sum(e.cost_cents), 0) * 0.01)::text \
         FROM usage_events e \
         WHERE e.time >= to_timestamp($1::bigint / 1000000.0) AND NOT e.metadata ? 'refusals' \
         GROUP BY {key}, test ORDER BY test, 1"
    );
    let rows = client.query(&text, &[&since_micros]).await?;
    rows.iter().map(Line::read).collect()
}

fn table(by: UsageBy, lines: &[Line]) {
    let title = format!("{by:?}").to_uppercase();
    let width = lines
        .iter()
        .map(|line| line.name.chars().count())
        .max()
        .unwrap_or(0)
        .max(title.len());
    out::line(format!(
        "{title:<width$}  {:<4}  {:>9}  {:>7}  {:>12}  {:>12}  {:>12}  {:>12}  {:>12}",
        "", "REQUESTS", "ERRORS", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE", "COST USD"
    ));
    for line in lines {
        let [input, output, cache_read, cache_write] = line.tokens;
        let kind = if line.test { "test" } else { "" };
        out::line(format!(
            "{:<width$}  {kind:<4}  {:>9}  {:>7}  {input:>12}  {output:>12}  {cache_read:>12}  {cache_write:>12}  {:>12}",
            line.name, line.requests, line.errors, line.cost_usd
        ));
    }
    if lines.is_empty() {
        out::line("nothing yet");
    }
}
