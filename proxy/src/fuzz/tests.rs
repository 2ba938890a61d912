use std::path::Path;

use super::{batch, coding, divided, inspect, pieces, sse, usage};

fn check_corpus(name: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check(&std::fs::read(path).unwrap());
        files += 1;
    }
    assert!(files > 0, "the corpus of {name} is empty");
}

#[test]
fn the_corpus_of_streams_breaks_no_law() {
    check_corpus("sse", sse);
}

#[test]
fn the_corpus_of_json_answers_breaks_no_law() {
    check_corpus("usage", usage);
}

#[test]
fn the_corpus_of_request_bodies_breaks_no_law() {
    check_corpus("inspect", inspect);
}

#[test]
fn the_corpus_of_batches_breaks_no_law() {
    check_corpus("batch", batch);
}

#[test]
fn the_corpus_of_coded_bodies_breaks_no_law() {
    check_corpus("coding", coding);
}

#[test]
fn the_last_mark_divides_an_input() {
    for (input, expected) in [
        (&b"abc"[..], (&b"abc"[..], &b""[..])),
        (b"abc\xff", (b"abc", b"")),
        (b"a\xffbc\xff\x01\x02", (b"a\xffbc", b"\x01\x02")),
        (b"", (b"", b"")),
    ] {
        assert_eq!(divided(input), expected, "{input:?}");
    }
}

#[test]
fn pieces_make_the_whole() {
    for (sizes, expected) in [
        (&[][..], &["abcd"][..]),
        (&[1, 0, 2], &["a", "", "bc", "d"]),
        (&[9, 1], &["abcd", "", ""]),
    ] {
        let found = pieces(b"abcd", sizes.iter().copied());
        let expected: Vec<_> = expected.iter().map(|piece| piece.as_bytes()).collect();
        assert_eq!(found, expected, "{sizes:?}");
    }
}
