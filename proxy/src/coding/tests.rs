use super::encode::{brotli, deflate, gzip, zlib, zstd};
use super::{DecodeError, decode_whole};

const LIMIT: usize = 1 << 20;

fn check(encoding: &str, bytes: &[u8], expected: Result<&[u8], DecodeError>) {
    let decoded = decode_whole(encoding, bytes, LIMIT);
    assert_eq!(
        decoded.as_deref().map_err(|error| *error),
        expected,
        "{encoding}"
    );
}

fn body() -> Vec<u8> {
    (0..100_000_u32)
        .flat_map(|n| (n / 7 * 31).to_le_bytes())
        .collect()
}

#[test]
fn every_coding_is_undone() {
    let body = body();
    check("", &body, Ok(&body));
    check("identity", &body, Ok(&body));
    check("gzip", &gzip(&body), Ok(&body));
    check("X-Gzip", &gzip(&body), Ok(&body));
    check("deflate", &zlib(&body), Ok(&body));
    check("deflate", &deflate(&body), Ok(&body));
    check("br", &brotli(&body), Ok(&body));
    check("zstd", &zstd(&body), Ok(&body));
    check("gzip, identity , br", &brotli(&gzip(&body)), Ok(&body));
    check("deflate,zstd", &zstd(&zlib(&body)), Ok(&body));
}

#[test]
fn members_and_frames_in_a_row_are_one_body() {
    check("gzip", &[gzip(b"ab"), gzip(b"cd")].concat(), Ok(b"abcd"));
    check("zstd", &[zstd(b"ab"), zstd(b"cd")].concat(), Ok(b"abcd"));
}

#[test]
fn what_has_no_decoder_is_unsupported() {
    for encoding in ["snappy", "gzip, snappy", "gzip;q=1", "gzip,gzip,gzip,gzip"] {
        check(encoding, b"", Err(DecodeError::Unsupported));
    }
}

#[test]
fn damage_and_missing_ends_are_invalid() {
    let body = body();
    for (encoding, coded) in [
        ("gzip", gzip(&body)),
        ("deflate", zlib(&body)),
        ("deflate", deflate(&body)),
        ("br", brotli(&body)),
        ("zstd", zstd(&body)),
    ] {
        for end in [0, 1, 5, coded.len() / 2, coded.len() - 1] {
            check(encoding, &coded[..end], Err(DecodeError::Invalid));
        }
        check(
            encoding,
            &[&coded[..], b"trailing"].concat(),
            Err(DecodeError::Invalid),
        );
        check(
            encoding,
            b"{\"model\":\"plain\"}",
            Err(DecodeError::Invalid),
        );
    }
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let bomb = vec![0; 64 << 20];
    for (encoding, coded) in [
        ("gzip", gzip(&bomb)),
        ("deflate", zlib(&bomb)),
        ("br", brotli(&bomb)),
        ("zstd", zstd(&bomb)),
        ("gzip,br", brotli(&gzip(&bomb))),
    ] {
        check(encoding, &coded, Err(DecodeError::TooLarge));
    }
}

#[test]
fn the_limit_counts_decoded_bytes() {
    for (limit, expected) in [(5, Err(DecodeError::TooLarge)), (6, Ok(b"abcdef".to_vec()))] {
        assert_eq!(decode_whole("", b"abcdef", limit), expected);
        assert_eq!(decode_whole("br", &brotli(b"abcdef"), limit), expected);
    }
}
