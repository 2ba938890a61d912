//! What is checked alike in several bodies.

use chrono::{DateTime, Datelike as _, Utc};
use serde_json::Value;

use crate::caller::is_net;
use crate::error::{ApiError, Result};

const MOST_CHARACTERS: usize = 10_000;
const MOST_ITEMS: usize = 100;
const MOST_JSON_BYTES: usize = 64 << 10;

/// A text of a length that its column takes.
pub(crate) fn text(path: &str, text: &str, most: usize) -> Result<()> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        return Err(ApiError::invalid(path, "must not be empty"));
    }
    if length > most {
        return Err(ApiError::invalid(
            path,
            format!("has {length} characters; {most} are allowed"),
        ));
    }
    Ok(())
}

/// What names a thing in addresses and on the command line.
pub(crate) fn slug(path: &str, slug: &str) -> Result<()> {
    text(path, slug, 100)?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if slug.bytes().all(is_plain) && !slug.starts_with('-') && !slug.ends_with('-') {
        return Ok(());
    }
    Err(ApiError::invalid(
        path,
        "may have lower-case letters, digits, and hyphens in between",
    ))
}

/// A text that says more, if there is one.
pub(crate) fn long_text(path: &str, text: Option<&str>) -> Result<()> {
    let length = text.map_or(0, |text| text.chars().count());
    if length > MOST_CHARACTERS {
        let message = format!("has {length} characters; {MOST_CHARACTERS} are allowed");
        return Err(ApiError::invalid(path, message));
    }
    Ok(())
}

/// A list of a length that makes sense.
pub(crate) fn list<T>(path: &str, items: &[T]) -> Result<()> {
    if (1..=MOST_ITEMS).contains(&items.len()) {
        return Ok(());
    }
    Err(ApiError::invalid(
        path,
        format!("has {} entries; 1 to {MOST_ITEMS} are allowed", items.len()),
    ))
}

/// Addresses, or networks of them.
pub(crate) fn nets(path: &str, nets: &[String]) -> Result<()> {
    list(path, nets)?;
    match nets.iter().position(|net| !is_net(net)) {
        None => Ok(()),
        Some(index) => Err(ApiError::invalid(
            format!("{path}[{index}]"),
            "is no address or network, such as 10.0.0.0/8",
        )),
    }
}

/// A moment that can be written as RFC 3339.
pub(crate) fn moment(path: &str, moment: Option<DateTime<Utc>>) -> Result<()> {
    match moment {
        Some(moment) if !(1970..=9999).contains(&moment.year()) => {
            Err(ApiError::invalid(path, "must be in the years 1970 to 9999"))
        }
        _ => Ok(()),
    }
}

/// A JSON object.
pub(crate) fn object(path: &str, value: &Value) -> Result<()> {
    json(path, value)?;
    if value.is_object() {
        Ok(())
    } else {
        Err(ApiError::invalid(path, "must be an object"))
    }
}

/// A JSON value of a size that makes sense.
pub(crate) fn json(path: &str, value: &Value) -> Result<()> {
    let bytes = value.to_string().len();
    if bytes > MOST_JSON_BYTES {
        let message = format!("has {bytes} bytes; {MOST_JSON_BYTES} are allowed");
        return Err(ApiError::invalid(path, message));
    }
    Ok(())
}

/// One of the words of a column.
pub(crate) fn one_of(path: &str, word: &str, words: &[&str]) -> Result<()> {
    if words.contains(&word) {
        return Ok(());
    }
    Err(ApiError::invalid(
        path,
        format!("must be one of {}", words.join(", ")),
    ))
}

/// An address of mail, as far as it can be told without writing to it.
pub(crate) fn email(path: &str, address: &str) -> Result<()> {
    text(path, address, 255)?;
    match address.rsplit_once('@') {
        Some((name, host)) if !name.is_empty() && !address.contains(char::is_whitespace) => {
            domain(path, host)
        }
        _ => Err(ApiError::invalid(path, "is no address of mail")),
    }
}

/// The name of a host.
pub(crate) fn domain(path: &str, name: &str) -> Result<()> {
    let is_label = |label: &str| {
        let is_plain = |character: char| character.is_alphanumeric() || character == '-';
        !label.is_empty() && label.chars().all(is_plain)
    };
    if name.contains('.') && name.split('.').all(is_label) {
        return Ok(());
    }
    Err(ApiError::invalid(path, "is no domain, such as example.com"))
}
