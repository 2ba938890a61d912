//! Lists as the API pages them: `limit`, `after_id`, `before_id` in, `has_more`, `first_id`, `last_id` out.

use serde::Serialize;

use crate::api_error::ApiError;

#[derive(Clone, Copy, Debug)]
pub(crate) struct PageQuery<'a> {
    limit: usize,
    after_id: Option<&'a str>,
    before_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Page<'a, T> {
    data: &'a [T],
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

impl<'a> PageQuery<'a> {
    /// Reads a query string; ids need no percent-decoding. Other parameters are ignored.
    pub(crate) fn parse(query: Option<&'a str>) -> Result<Self, ApiError> {
        let mut parsed = Self {
            limit: 20,
            after_id: None,
            before_id: None,
        };
        for (name, value) in query
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
        {
            match name {
                "limit" => parsed.limit = limit(value)?,
                "after_id" => parsed.after_id = Some(value),
                "before_id" => parsed.before_id = Some(value),
                _ => {}
            }
        }
        Ok(parsed)
    }

    /// The page of `items` that this query means. An id that isn't among them selects nothing.
    pub(crate) fn page<T>(self, items: &'a [T], id: impl Fn(&'a T) -> &'a str) -> Page<'a, T> {
        let position = |wanted| items.iter().position(|item| id(item) == wanted);
        let (data, has_more) = if let Some(before) = self.before_id {
            let earlier = position(before)
                .and_then(|end| items.get(..end))
                .unwrap_or_default();
            let start = earlier.len().saturating_sub(self.limit);
            (earlier.get(start..).unwrap_or_default(), start > 0)
        } else {
            let start = match self.after_id {
                Some(after) => position(after).map_or(items.len(), |at| at.saturating_add(1)),
                None => 0,
            };
            let later = items.get(start..).unwrap_or_default();
            let data = later.get(..self.limit).unwrap_or(later);
            (data, data.len() < later.len())
        };
        Page {
            data,
            has_more,
            first_id: data.first().map(&id),
            last_id: data.last().map(&id),
        }
    }
}

fn limit(value: &str) -> Result<usize, ApiError> {
    let limit: usize = value.parse().map_err(|_| {
        ApiError::invalid(
            "limit: Input should be a valid integer, unable to parse string as an integer",
        )
    })?;
    match limit {
        0 => Err(ApiError::invalid(
            "limit: Input should be greater than or equal to 1",
        )),
        1..=1000 => Ok(limit),
        _ => Err(ApiError::invalid(
            "limit: Input should be less than or equal to 1000",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::PageQuery;

    fn check(query: &str, expected: &str) {
        let items: Vec<String> = ["a", "b", "c", "d"].map(String::from).into();
        let answer = match PageQuery::parse(Some(query)) {
            Ok(query) => serde_json::to_string(&query.page(&items, |item| item)).unwrap(),
            Err(error) => format!("{:?}", error.fault),
        };
        assert_eq!(answer, expected, "{query}");
    }

    #[test]
    fn pages() {
        check(
            "",
            r#"{"data":["a","b","c","d"],"has_more":false,"first_id":"a","last_id":"d"}"#,
        );
        check(
            "limit=2&beta=true",
            r#"{"data":["a","b"],"has_more":true,"first_id":"a","last_id":"b"}"#,
        );
        check(
            "limit=2&after_id=b",
            r#"{"data":["c","d"],"has_more":false,"first_id":"c","last_id":"d"}"#,
        );
        check(
            "limit=2&before_id=d",
            r#"{"data":["b","c"],"has_more":true,"first_id":"b","last_id":"c"}"#,
        );
        check(
            "after_id=z",
            r#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#,
        );
        check("limit=0", "Invalid");
        check("limit=1001", "Invalid");
        check("limit=many", "Invalid");
    }
}
