//! What a row has, and how it is written.

use axum::body::Bytes;
use serde_json::{Map, Value};
use tokio_postgres::Row;

use super::Format;
use crate::error::{ApiError, Result};

/// What is in a column, as far as writing is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What callers, upstreams and price books have named: a spreadsheet mustn't take it for a formula.
    Word,
    /// What can be nothing else: ids, moments, money, our own words.
    Plain,
    /// A number or a truth value, without quotes in JSON.
    Literal,
}

/// A column: its name, where it comes from, what it is.
type Column = (&'static str, &'static str, Kind);

const COLUMNS: [Column; 30] = [
    (
        "time",
        "to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
        Kind::Plain,
    ),
    ("request_id", "request_id", Kind::Plain),
    ("event_type", "event_type", Kind::Plain),
    ("endpoint", "metadata->>'endpoint'", Kind::Word),
    ("org_id", "org_id", Kind::Plain),
    ("project_id", "project_id", Kind::Plain),
    ("user_id", "user_id", Kind::Plain),
    ("api_key_id", "api_key_id", Kind::Plain),
    ("model", "model", Kind::Word),
    ("service_tier", "service_tier", Kind::Word),
    (
        "inference_geo",
        "metadata->'usage'->>'inference_geo'",
        Kind::Word,
    ),
    ("speed", "metadata->'usage'->>'speed'", Kind::Word),
    ("input_tokens", "input_tokens", Kind::Literal),
    ("output_tokens", "output_tokens", Kind::Literal),
    ("cache_read_tokens", "cache_read_tokens", Kind::Literal),
    ("cache_write_tokens", "cache_write_tokens", Kind::Literal),
    (
        "cache_write_1h_tokens",
        "cache_write_1h_tokens",
        Kind::Literal,
    ),
    ("web_search_requests", "web_search_requests", Kind::Literal),
    ("cost_usd", "trim_scale(cost_cents * 0.01)", Kind::Plain),
    ("price_version", "price_version", Kind::Word),
    ("unpriced", "metadata->>'unpriced'", Kind::Word),
    ("free", "metadata->>'free'", Kind::Word),
    ("quality", "usage_quality", Kind::Plain),
    ("status", "status", Kind::Plain),
    ("error_code", "error_code", Kind::Word),
    ("latency_ms", "latency_ms", Kind::Literal),
    (
        "time_to_first_token_ms",
        "time_to_first_token_ms",
        Kind::Literal,
    ),
    (
        "upstream_request_id",
        "metadata->>'upstream_request_id'",
        Kind::Word,
    ),
    ("test", "metadata ? 'test'", Kind::Literal),
    (
        "refusals",
        "CASE jsonb_typeof(metadata->'refusals') WHEN 'number' THEN metadata->>'refusals' END",
        Kind::Literal,
    ),
];

/// All of them, as texts.
pub(super) fn select() -> String {
    let columns = COLUMNS.map(|(name, sql, _)| format!("({sql})::text AS {name}"));
    columns.join(", ")
}

/// Writes rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer {
    format: Format,
}

impl Writer {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    /// The first page, with what stands before it.
    pub(super) fn first(self, rows: &[Row]) -> Result<Bytes> {
        let head: &[_] = match self.format {
            Format::Csv => &[COLUMNS.map(|(name, ..)| name)],
            Format::Jsonl => &[],
        };
        let head = csv_of(head.iter().copied())?;
        Ok([head, self.write(rows)?].concat().into())
    }

    pub(super) fn page(self, rows: &[Row]) -> Result<Bytes> {
        self.write(rows).map(Bytes::from)
    }

    fn write(self, rows: &[Row]) -> Result<Vec<u8>> {
        let rows = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
        match self.format {
            Format::Csv => csv_of(rows.iter().map(|fields| cells(fields))),
            Format::Jsonl => {
                let mut lines = Vec::new();
                for fields in &rows {
                    let object = object(fields)?;
                    serde_json::to_writer(&mut lines, &object)
                        .map_err(|_| ApiError::broken("writing a line of an export"))?;
                    lines.push(b'\n');
                }
                Ok(lines)
            }
        }
    }
}

type Fields<'a> = [Option<&'a str>; COLUMNS.len()];

fn read(row: &Row) -> Result<Fields<'_>> {
    let mut fields = [None; COLUMNS.len()];
    for (field, (name, ..)) in fields.iter_mut().zip(COLUMNS) {
        *field = row.try_get(name)?;
    }
    Ok(fields)
}

/// What is null is empty.
fn cells(fields: &Fields<'_>) -> Vec<String> {
    let fields = fields.iter().zip(COLUMNS);
    let cells = fields.map(
        |(field, (_, _, kind))| match (field.unwrap_or_default(), kind) {
            (text, Kind::Word) if is_formula(text) => format!("'{text}"),
            (text, Kind::Word | Kind::Plain | Kind::Literal) => text.to_owned(),
        },
    );
    cells.collect()
}

/// What spreadsheets calculate rather than show.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

fn csv_of<R>(records: impl Iterator<Item = R>) -> Result<Vec<u8>>
where
    R: IntoIterator<Item: AsRef<[u8]>>,
{
    let broken = || ApiError::broken("writing a line of an export");
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in records {
        writer.write_record(record).map_err(|_| broken())?;
    }
    writer.into_inner().map_err(|_| broken())
}

fn object(fields: &Fields<'_>) -> Result<Map<String, Value>> {
    let fields = fields.iter().zip(COLUMNS);
    let members = fields.map(|(field, (name, _, kind))| {
        let value = match (field, kind) {
            (None, _) => Value::Null,
            (Some(text), Kind::Word | Kind::Plain) => Value::from(*text),
            (Some(text), Kind::Literal) => serde_json::from_str(text)
                .map_err(|_| ApiError::broken("reading a number of an export"))?,
        };
        Ok((name.to_owned(), value))
    });
    members.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(model: &str) -> Fields<'_> {
        let mut fields = [None; COLUMNS.len()];
        for (field, (name, ..)) in fields.iter_mut().zip(COLUMNS) {
            *field = match name {
                "model" => Some(model),
                "input_tokens" => Some("-7"),
                "cost_usd" => Some("0.5"),
                "test" => Some("true"),
                _ => None,
            };
        }
        fields
    }

    #[test]
    fn no_text_is_a_formula_in_a_spreadsheet() {
        for (model, cell) in [
            ("claude-opus-5", "claude-opus-5"),
            ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
            ("@x", "'@x"),
            ("-1+2", "'-1+2"),
            ("\t=1", "'\t=1"),
        ] {
            let cells = cells(&fields(model));
            assert_eq!(cells[8], cell);
            assert_eq!(cells[12], "-7", "a number stays one");
        }
    }

    #[test]
    fn what_is_quoted_reads_as_it_was() {
        let model = "a,\"b\"\nc";
        let written = csv_of([cells(&fields(model))].into_iter()).unwrap();
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_reader(&*written);
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!(&record[8], model);
        let object = object(&fields(model)).unwrap();
        assert_eq!(
            (
                &object["model"],
                &object["input_tokens"],
                &object["cost_usd"],
                &object["test"],
                &object["speed"]
            ),
            (
                &Value::from(model),
                &Value::from(-7),
                &Value::from("0.5"),
                &Value::from(true),
                &Value::Null
            )
        );
    }
}
