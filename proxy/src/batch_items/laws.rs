//! What must hold of every batch, whatever the bytes: its items don't depend on where they are cut, what is kept is
//! bounded, and where the body is JSON they are what `serde_json` says.

use serde_json::value::RawValue;

use super::draft::{MOST, MOST_WITH_LONG};
use super::walk::MOST_OF_A_NAME;
use super::{BatchItems, Item, Unreadable};
use crate::fuzz::cuts;
use crate::inspect::MOST_MEMBERS;
use crate::inspect::laws::Members;

/// An item with all that it owns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Known {
    pub(super) custom_id: Option<String>,
    pub(super) params_bytes: u64,
    pub(super) long: Vec<String>,
    pub(super) fields: Vec<(String, String)>,
}

pub(crate) fn check(body: &[u8], sizes: &[u8]) {
    let [read, others @ ..] = cuts(body, sizes).map(|pieces| read(None, pieces));
    for other in &others {
        assert_eq!(*other, read, "cuts make a difference");
    }
    let (items, end) = read;
    items.iter().for_each(check_bounds);
    if let Some(expected) = expected(body) {
        assert_eq!((items, end), (expected, Ok(())));
    }
}

/// All items of a body, and how it ends.
pub(super) fn read<'a>(
    encoding: Option<&str>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Known>, Result<(), Unreadable>) {
    let mut items = Vec::new();
    let end = BatchItems::new(encoding, u64::MAX).and_then(|mut reader| {
        for piece in pieces {
            reader.feed(piece, &mut |item| items.push(known(item)))?;
        }
        reader.finish()
    });
    (items, end)
}

fn known(item: &Item<'_>) -> Known {
    let fields = item.fields();
    Known {
        custom_id: item.custom_id.as_deref().map(str::to_owned),
        params_bytes: item.params_bytes,
        long: item.long.to_vec(),
        fields: fields
            .map(|field| (field.name.into_owned(), field.json.to_owned()))
            .collect(),
    }
}

fn check_bounds(item: &Known) {
    let kept: usize = item.fields.iter().map(|(_, json)| json.len()).sum();
    assert!(kept <= MOST);
    assert!(item.long.iter().all(|name| name.len() <= MOST_OF_A_NAME));
    assert!(item.fields.len() + item.long.len() <= MOST_MEMBERS);
    assert!(item.custom_id.as_ref().is_none_or(|id| id.len() <= 1024));
}

/// The items of a body in which nothing is too long to be known.
pub(super) fn expected(body: &[u8]) -> Option<Vec<Known>> {
    if body.len() > MOST_WITH_LONG {
        return None;
    }
    let members = serde_json::from_slice::<Members<'_>>(body).ok()?.0;
    let requests = members.iter().filter(|(name, _)| name == "requests");
    let arrays = requests.filter_map(|(_, json)| serde_json::from_str(json.get()).ok());
    let items = arrays.flat_map(|array: Vec<&RawValue>| array);
    let objects = items
        .map(RawValue::get)
        .filter(|json| json.starts_with('{'));
    objects.map(expected_item).collect()
}

fn expected_item(json: &str) -> Option<Known> {
    let item = serde_json::from_str::<Members<'_>>(json).ok()?;
    let custom_id = item.last_raw("custom_id").map(RawValue::get);
    let params = item.last_raw("params").map(RawValue::get);
    let params = params.filter(|json| json.starts_with('{'));
    // Of those before the last nothing counts, but they have to be JSON as well.
    let all = item.0.iter().filter(|(name, _)| name == "params");
    let all = all.map(|(_, json)| json.get()).chain(["{}"]);
    let objects = all.filter(|json| json.starts_with('{'));
    let objects = objects.map(|json| serde_json::from_str::<Members<'_>>(json).ok());
    objects.collect::<Option<Vec<_>>>()?;
    let members = serde_json::from_str::<Members<'_>>(params.unwrap_or("{}"))
        .ok()?
        .0;
    let is_short = |name: &str| name.len() * "\\u0000".len() + 2 <= MOST_OF_A_NAME;
    if members.len() > MOST_MEMBERS || !members.iter().all(|(name, _)| is_short(name)) {
        return None;
    }
    Some(Known {
        custom_id: custom_id
            .filter(|json| json.len() <= 1024)
            .and_then(|json| serde_json::from_str(json).ok()),
        params_bytes: params.map_or(0, |params| params.len() as u64),
        long: Vec::new(),
        fields: members
            .into_iter()
            .map(|(name, json)| (name, json.get().to_owned()))
            .collect(),
    })
}
