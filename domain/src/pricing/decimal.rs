//! Decimal numbers as they are written in price lists.

/// A number of at most twelve digits before the point, in units of 10^-`places`; `None` if it isn't one, or has more
/// digits behind the point than fit.
pub(super) fn parse(text: &str, places: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let part = part.get(..1).map(|_| part.trim_end_matches('0'))?;
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty()
        || whole.len() > 12
        || !digits(whole)
        || part.len() > places
        || !digits(part)
    {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn decimals_are_read_exactly_or_not_at_all() {
        for (text, expected) in [
            ("0.125", Some(125_000)),
            ("8", Some(8_000_000)),
            ("0", Some(0)),
            ("1.10", Some(1_100_000)),
            ("0.0000010", Some(1)),
            ("0.0000001", None),
            ("", None),
            (".5", None),
            ("5.", None),
            ("-1", None),
            ("+1", None),
            ("1e3", None),
            ("1,5", None),
            ("1.2.3", None),
            ("\u{0661}", None),
            ("9999999999999", None),
        ] {
            assert_eq!(parse(text, 6), expected, "{text}");
        }
    }
}
