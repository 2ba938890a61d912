//! The columns of an encoded row that count against budgets.

use domain::{ApiKeyId, OrgId, Picodollars, ProjectId, Timestamp, UserId};
use serde::Deserialize;
use serde::de::IgnoredAny;
use uuid::Uuid;

use crate::numeric;

/// What a row counts for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowUsage {
    /// When it was used: for most, when the request was admitted.
    pub time: Timestamp,
    /// Whose it was.
    pub org_id: OrgId,
    /// The key's project.
    pub project_id: ProjectId,
    /// Who made the key.
    pub user_id: Option<UserId>,
    /// The key.
    pub api_key_id: Option<ApiKeyId>,
    /// The model that answered.
    pub model: String,
    /// Input, cache reads and writes.
    pub input_tokens: u64,
    /// Output.
    pub output_tokens: u64,
    /// What it cost.
    pub cost: Picodollars,
}

/// A row that [`super::encode`] didn't write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no row of usage_events")]
pub(crate) struct Malformed;

/// What takes a row out of budgets.
#[derive(Debug, Deserialize)]
struct Marks {
    /// Made with a test key.
    test: Option<IgnoredAny>,
    /// It stands for requests that were not admitted.
    refusals: Option<IgnoredAny>,
}

/// What of a row counts; none of one that doesn't.
pub(crate) fn read_usage(row: &[u8], time: Timestamp) -> Result<Option<RowUsage>, Malformed> {
    let (columns, fields) = row.split_first_chunk().ok_or(Malformed)?;
    if i16::from_be_bytes(*columns) != super::COLUMNS {
        return Err(Malformed);
    }
    let mut fields = Fields(fields);
    fields.skip(1)?; // time
    let (org_id, project_id) = (fields.id()?, fields.id()?);
    let (user_id, api_key_id) = (fields.id()?, fields.id()?);
    fields.skip(2)?; // request_id, event_type
    let model = fields.next()?.ok_or(Malformed)?;
    let model = std::str::from_utf8(model).map_err(|_| Malformed)?;
    let [input, output, cache_read, cache_write] = [(); 4].map(|()| fields.count());
    fields.skip(2)?; // cache_write_1h_tokens, web_search_requests
    let cost = fields.next()?.and_then(numeric::read_cents);
    fields.skip(8)?; // price_version to error_message
    if !fields.is_marked()? {
        return Ok(Some(RowUsage {
            time,
            org_id: OrgId(org_id.ok_or(Malformed)?),
            project_id: ProjectId(project_id.ok_or(Malformed)?),
            user_id: user_id.map(UserId),
            api_key_id: api_key_id.map(ApiKeyId),
            model: model.to_owned(),
            input_tokens: input? + cache_read? + cache_write?,
            output_tokens: output?,
            cost: cost.ok_or(Malformed)?,
        }));
    }
    Ok(None)
}

/// Fields that weren't read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next one; none if it is null.
    fn next(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let (length, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        let length = i32::from_be_bytes(*length);
        if length == -1 {
            self.0 = rest;
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let (field, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(Some(field))
    }

    fn skip(&mut self, count: usize) -> Result<(), Malformed> {
        (0..count).try_for_each(|_| self.next().map(drop))
    }

    fn id(&mut self) -> Result<Option<Uuid>, Malformed> {
        let id = self.next()?.map(Uuid::from_slice);
        id.transpose().map_err(|_| Malformed)
    }

    fn count(&mut self) -> Result<u64, Malformed> {
        let count = self.next()?.and_then(|field| field.try_into().ok());
        let count = i32::from_be_bytes(count.ok_or(Malformed)?);
        u64::try_from(count).map_err(|_| Malformed)
    }

    /// Whether metadata takes the row out of budgets.
    fn is_marked(&mut self) -> Result<bool, Malformed> {
        let metadata = self.next()?.and_then(|field| field.get(1..));
        let marks = serde_json::from_slice(metadata.ok_or(Malformed)?);
        let Marks { test, refusals } = marks.map_err(|_| Malformed)?;
        Ok(test.is_some() || refusals.is_some())
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use domain::{Picodollars, TokenCounts, UsageEvent};
    use serde_json::{Map, Value, json};

    use super::super::encode;
    use super::*;
    use crate::field::put_jsonb;
    use crate::open_slots::tests::interrupted_event;

    fn row_of(event: &UsageEvent) -> BytesMut {
        let mut row = BytesMut::new();
        encode(event, &mut row);
        row
    }

    /// An event with a number of its own in every column.
    fn event() -> UsageEvent {
        let mut event = interrupted_event();
        event.model = "claude-größe-4".to_owned();
        event.usage.tokens = TokenCounts {
            input: 1,
            output: 20,
            cache_read: 300,
            cache_write: 4_000,
            cache_write_1h: 50_000,
        };
        event.usage.web_search_requests = 600_000;
        event.cost.amount = Picodollars(12_345_678_901);
        event
    }

    fn check(change: impl FnOnce(&mut UsageEvent), change_read: impl FnOnce(&mut RowUsage)) {
        let mut event = event();
        let mut expected = RowUsage {
            time: event.time,
            org_id: event.org_id,
            project_id: event.project_id,
            user_id: event.user_id,
            api_key_id: Some(event.api_key_id),
            model: event.model.clone(),
            input_tokens: 4_301,
            output_tokens: 20,
            cost: event.cost.amount,
        };
        change(&mut event);
        change_read(&mut expected);
        assert_eq!(read_usage(&row_of(&event), event.time), Ok(Some(expected)));
    }

    #[test]
    fn a_row_is_read_as_the_database_will_have_it() {
        check(|_| {}, |_| {});
        check(|event| event.user_id = None, |read| read.user_id = None);
        check(
            |event| event.model = String::new(),
            |read| read.model = String::new(),
        );
        // Cut and clamped as its columns are.
        check(
            |event| event.model = "ü".repeat(300),
            |read| read.model = "ü".repeat(255),
        );
        let most = i32::MAX.unsigned_abs();
        check(
            |event| event.usage.tokens.output = u64::MAX,
            |read| read.output_tokens = u64::from(most),
        );
        check(
            |event| {
                event.usage.tokens.input = u64::MAX;
                event.usage.tokens.cache_read = u64::MAX;
            },
            |read| read.input_tokens = 2 * u64::from(most) + 4_000,
        );
        check(
            |event| event.cost.amount = Picodollars(u64::MAX),
            |read| read.cost = Picodollars(u64::MAX),
        );
        check(
            |event| {
                let nul = Value::String("\0\"".to_owned());
                event.usage.raw = Map::from_iter([("refusals".to_owned(), nul)]).into();
                event.outcome.error_message = Some("\0".to_owned());
            },
            |_| {},
        );
    }

    #[test]
    fn rows_of_test_keys_and_refusals_count_for_nothing() {
        let mut test = event();
        test.test = true;
        assert_eq!(read_usage(&row_of(&test), test.time), Ok(None));

        let (row, mut metadata) = (row_of(&event()), BytesMut::new());
        put_jsonb(&mut metadata, |row| {
            super::super::write_metadata(&event(), row)
        });
        let mut refused = BytesMut::from(&row[..row.len() - metadata.len()]);
        let refusals = json!({"refusals": 7});
        put_jsonb(&mut refused, |row| {
            Ok(serde_json::to_writer(row, &refusals)?)
        });
        assert_eq!(read_usage(&refused, event().time), Ok(None));
    }

    #[test]
    fn a_row_that_was_cut_anywhere_is_not_read() {
        let row = row_of(&event());
        for length in 0..row.len() {
            let read = read_usage(&row[..length], event().time);
            assert_eq!(read, Err(Malformed), "{length} bytes");
        }
        let mut other = row;
        other[1] += 1;
        assert_eq!(read_usage(&other, event().time), Err(Malformed));
    }
}
