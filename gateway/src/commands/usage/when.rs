//! Moments as they are typed.

use domain::Timestamp;

use crate::commands::CommandError;

/// A duration back from now, a date, or a moment.
pub(super) fn parse(flag: &str, text: &str, now: Timestamp) -> Result<Timestamp, CommandError> {
    if let Ok(back) = humantime::parse_duration(text) {
        let back = i64::try_from(back.as_micros()).unwrap_or(i64::MAX);
        return Ok(Timestamp {
            unix_micros: now.unix_micros.saturating_sub(back),
        });
    }
    let moment = humantime::parse_rfc3339_weak(text)
        .or_else(|_| humantime::parse_rfc3339_weak(&format!("{text} 00:00:00")))
        .map_err(|_| {
            CommandError::Input(format!(
                "{flag} `{text}` is neither a duration (7d, 12h) nor a date (2026-11-01)"
            ))
        })?;
    let since_epoch = moment
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Ok(Timestamp {
        unix_micros: i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_dates_and_moments_are_understood() {
        let now = Timestamp {
            unix_micros: 1_795_464_001_000_000,
        };
        for (text, expected) in [
            ("1s", Some(1_795_464_000_000_000)),
            ("2026-11-23", Some(1_795_392_000_000_000)),
            ("2026-11-23T20:00:01Z", Some(1_795_464_001_000_000)),
            ("yesterday", None),
        ] {
            let moment = parse("--since", text, now).ok();
            assert_eq!(moment.map(|moment| moment.unix_micros), expected, "{text}");
        }
    }
}
