//! One-time passwords by time: RFC 6238 with what every authenticator takes, which is SHA-1, six digits and 30 seconds.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use domain::Timestamp;

const SECONDS: i64 = 30;
const DIGITS: usize = 6;
/// Clocks are off, and people slow: one step either way.
const SKEW: [i64; 3] = [-1, 0, 1];
pub(super) const SECRET_BYTES: usize = 20;
const ISSUER: &str = "MindWeave";

/// Whether a text could be one.
pub(super) fn is_one(code: &str) -> bool {
    code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit())
}

/// The step that a code is for, if it is for one of now that comes after the last one that was used.
pub(super) fn step_of(secret: &[u8], code: &str, now: Timestamp, last: Option<i64>) -> Option<i64> {
    let current = now.unix_micros.div_euclid(SECONDS * 1_000_000);
    SKEW.into_iter()
        .map(|skew| current + skew)
        .filter(|step| last.is_none_or(|last| *step > last))
        .find(|step| {
            let expected = at(secret, *step);
            verify_slices_are_equal(expected.as_bytes(), code.as_bytes()).is_ok()
        })
}

/// The code of a step: RFC 4226, section 5.3.
fn at(secret: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().map_or(0, |last| last & 0xf));
    let four = tag.iter().skip(offset).take(4);
    let number = four.fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}

/// As people type it where they can't scan it.
pub(super) fn shown(secret: &[u8]) -> String {
    BASE32_NOPAD.encode(secret)
}

/// What authenticators scan.
pub(super) fn uri(secret: &[u8], email: &str) -> String {
    let email: String = form_urlencoded::byte_serialize(email.as_bytes()).collect();
    let secret = shown(secret);
    format!(
        "otpauth://totp/{ISSUER}:{email}?secret={secret}&issuer={ISSUER}&algorithm=SHA1&digits={DIGITS}&period={SECONDS}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    fn after(seconds: i64) -> Timestamp {
        Timestamp {
            unix_micros: seconds * 1_000_000,
        }
    }

    /// RFC 6238, appendix B, the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(at(SECRET, seconds / SECONDS), code, "{seconds}");
            let step = step_of(SECRET, code, after(seconds), None);
            assert_eq!(step, Some(seconds / SECONDS));
        }
    }

    #[test]
    fn a_code_is_good_one_step_early_or_late_and_once() {
        let code = at(SECRET, 1_000);
        for (now, last, expected) in [
            (998, None, None),
            (999, None, Some(1_000)),
            (1_001, None, Some(1_000)),
            (1_002, None, None),
            (1_000, Some(999), Some(1_000)),
            (1_000, Some(1_000), None),
            (1_000, Some(1_001), None),
        ] {
            let found = step_of(SECRET, &code, after(now * SECONDS), last);
            assert_eq!(found, expected, "{now} {last:?}");
        }
        assert_eq!(step_of(SECRET, "", after(30_000), None), None);
    }

    #[test]
    fn only_six_digits_are_one() {
        for (code, expected) in [
            ("123456", true),
            ("12345", false),
            ("12345x", false),
            ("１２", false),
        ] {
            assert_eq!(is_one(code), expected, "{code}");
        }
    }

    #[test]
    fn the_uri_names_the_user() {
        assert_eq!(
            uri(b"12345", "a+b@acme.example"),
            "otpauth://totp/MindWeave:a%2Bb%40acme.example?secret=GEZDGNBV&issuer=MindWeave&algorithm=SHA1&digits=6&period=30"
        );
    }
}
