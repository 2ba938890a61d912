//! How a migration file is called: `YYYYMMDDHHMMSS_name.up.sql`, `YYYYMMDDHHMMSS_name.down.sql`.
//!
//! Also compiled into the build script, so that what may be created is what can be embedded.

/// Longest name, in bytes: with version and suffix well below what file systems allow.
const MAX_NAME_BYTES: usize = 100;

/// What the file that makes a change ends in.
const UP: &str = ".up.sql";

/// What the file that undoes it ends in.
const DOWN: &str = ".down.sql";

pub(crate) fn up_file(version: i64, name: &str) -> String {
    format!("{version}_{name}{UP}")
}

pub(crate) fn down_file(version: i64, name: &str) -> String {
    format!("{version}_{name}{DOWN}")
}

/// Version and name of a well-formed file name, whichever way it goes.
pub(crate) fn parse(file_name: &str) -> Option<(i64, &str)> {
    let stem = file_name
        .strip_suffix(UP)
        .or_else(|| file_name.strip_suffix(DOWN))?;
    let (version, name) = stem.split_once('_')?;
    let version = version.parse().ok()?;
    (is_version(version) && is_name(name)).then_some((version, name))
}

/// Lower-case words joined by `_`: the same on every file system and in every shell.
pub(crate) fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.split('_').all(|word| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
}

/// A moment written as the 14 digits YYYYMMDDHHMMSS.
pub(crate) fn is_version(version: i64) -> bool {
    let field = |unit: i64, size: i64| version / unit % size;
    (10_000_000_000_000..=99_999_999_999_999).contains(&version)
        && (1..=12).contains(&field(100_000_000, 100))
        && (1..=31).contains(&field(1_000_000, 100))
        && field(10_000, 100) < 24
        && field(100, 100) < 60
        && field(1, 100) < 60
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file_name: &str, expected: Option<(i64, &str)>) {
        assert_eq!(parse(file_name), expected, "{file_name}");
    }

    #[test]
    fn well_formed_names_are_read() {
        check("20261123200100_a.up.sql", Some((20_261_123_200_100, "a")));
        check(
            "20261231235959_two_words2.down.sql",
            Some((20_261_231_235_959, "two_words2")),
        );
    }

    #[test]
    fn others_are_not() {
        for file_name in [
            "20261123200100_a.sql",
            "20261123200100.up.sql",
            "20261123200100_.up.sql",
            "20261123200100_Big.up.sql",
            "20261123200100_a__b.up.sql",
            "20261123200100_a-b.up.sql",
            "20261123200100_../a.up.sql",
            "20261323200100_month_13.up.sql",
            "20261132200100_day_32.up.sql",
            "20261123240000_hour_24.up.sql",
            "20261123206000_minute_60.up.sql",
            "20261123200060_second_60.up.sql",
            "2026_short.up.sql",
            "Cargo.toml",
        ] {
            check(file_name, None);
        }
    }

    #[test]
    fn made_names_can_be_read() {
        check(
            &up_file(20_261_123_200_100, "a_b"),
            Some((20_261_123_200_100, "a_b")),
        );
        check(
            &down_file(20_261_123_200_100, "a_b"),
            Some((20_261_123_200_100, "a_b")),
        );
    }
}
