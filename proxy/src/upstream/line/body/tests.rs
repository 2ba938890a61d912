use proptest::prelude::*;

use super::*;

/// Data, trailers, and what is behind them.
type Parts = (Vec<u8>, Option<HeaderMap>, Vec<u8>);

/// Decodes pieces, and answers the data, the trailers, and what is left behind the body.
fn decode(decoder: &mut Decoder, pieces: &[&[u8]]) -> Result<Parts, LineError> {
    let (mut data, mut behind) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut rest = *piece;
        let decoded = decoder.decode(&mut rest);
        data.extend(decoded.data.into_iter().flatten());
        decoded.fault.map_or(Ok(()), Err)?;
        behind.extend_from_slice(rest);
    }
    Ok((data, decoder.take_trailers(), behind))
}

fn chunked(text: &str) -> Result<Parts, LineError> {
    let whole = decode(&mut Decoder::chunked(), &[text.as_bytes()]);
    // Byte by byte it is the same.
    let bytes: Vec<_> = text.as_bytes().chunks(1).collect();
    let cut = decode(&mut Decoder::chunked(), &bytes);
    match (&whole, &cut) {
        (Ok(whole), Ok(cut)) => assert_eq!(whole, cut),
        (Err(whole), Err(cut)) => assert_eq!(whole.to_string(), cut.to_string()),
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => {
            panic!("{text}: {error}, if it is cut or isn't")
        }
    }
    whole
}

#[test]
fn chunks_are_what_is_in_them() {
    for (text, expected) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("3\r\nhel\r\n2\r\nlo\r\n00\r\n\r\n", "hello"),
        ("00000005;a=\"b\"\r\nhello\r\n0;x\r\n\r\n", "hello"),
        ("5 \r\nhello\r\n0\t\r\n\r\n", "hello"),
        ("a\r\n\r\n0\r\n\r\n567\r\n0\r\n\r\n", "\r\n0\r\n\r\n567"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    ] {
        let (data, trailers, behind) = chunked(text).unwrap();
        assert_eq!(data, expected.as_bytes(), "{text}");
        assert!(trailers.is_none() && behind.is_empty(), "{text}");
    }
}

#[test]
fn what_comes_behind_the_last_chunk_is_left() {
    let (data, _, behind) = chunked("1\r\na\r\n0\r\n\r\nHTTP/1.1").unwrap();
    assert_eq!(
        (data.as_slice(), behind.as_slice()),
        (&b"a"[..], &b"HTTP/1.1"[..])
    );
}

#[test]
fn trailers_are_read() {
    let (_, trailers, _) = chunked("0\r\nA: 1\r\na: 2\r\nb:\r\n\r\n").unwrap();
    let trailers = trailers.unwrap();
    let all: Vec<_> = trailers.get_all("a").iter().collect();
    assert_eq!(all, ["1", "2"]);
    assert_eq!(trailers["b"], "");
}

#[test]
fn what_makes_no_sense_is_an_error() {
    let extension = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(17 << 10));
    let long = format!("0\r\na: {}\r\n\r\n", "x".repeat(17 << 10));
    let many = format!("0\r\n{}\r\n", "a: b\r\n".repeat(65));
    for text in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1;\n\r\na\r\n0\r\n\r\n",
        "0\r\n\n",
        "0\r\n\rx",
        "10000000000000000\r\n",
        "00000000000000001\r\n",
        "0\r\nno trailer\r\n\r\n",
        "0\r\na: b\n\nHTTP/1.1 200 OK\r\n\r\n",
        &extension,
        &long,
        &many,
    ] {
        assert!(chunked(text).is_err(), "{text:?}");
    }
}

#[test]
fn what_came_before_a_fault_is_there() {
    let mut bytes = &b"2\r\nhe\r\n3\r\nllo\r\nx"[..];
    let mut decoder = Decoder::chunked();
    let decoded = decoder.decode(&mut bytes);
    assert_eq!(decoded.data.unwrap(), "hello");
    assert!(decoded.fault.is_some());
    // Nor does it go on behind it.
    let mut more = &b"0\r\n\r\n"[..];
    assert!(decoder.decode(&mut more).fault.is_some());
    assert!(!decoder.has_ended() && decoder.close().is_err());
}

#[test]
fn a_body_in_chunks_ends_with_its_last_one_alone() {
    let text = b"1\r\na\r\n0\r\nx: y\r\n\r\n";
    for cut in 0..text.len() {
        let mut decoder = Decoder::chunked();
        decode(&mut decoder, &[&text[..cut]]).unwrap();
        assert!(!decoder.has_ended());
        assert!(matches!(decoder.close(), Err(LineError::Closed)), "{cut}");
    }
}

#[test]
fn a_body_ends_after_its_length() {
    let mut decoder = Decoder::Length(5);
    assert!(matches!(decoder.close(), Err(LineError::Closed)));
    let (data, _, behind) = decode(&mut decoder, &[b"he", b"lloHTTP"]).unwrap();
    assert_eq!(
        (data.as_slice(), behind.as_slice()),
        (&b"hello"[..], &b"HTTP"[..])
    );
    assert!(decoder.has_ended());
    decoder.close().unwrap();
}

#[test]
fn a_body_may_end_with_its_connection() {
    let mut decoder = Decoder::UntilClosed;
    let (data, _, _) = decode(&mut decoder, &[b"he", b"llo"]).unwrap();
    assert_eq!(data, b"hello");
    assert!(!decoder.has_ended() && decoder.left().is_none());
    decoder.close().unwrap();
    assert!(decoder.has_ended());
}

proptest! {
    /// However data is put into chunks, and those are cut, the data comes out.
    #[test]
    fn data_in_chunks_comes_out_as_it_was(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut text = Vec::new();
        for chunk in &chunks {
            text.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            text.extend_from_slice(chunk);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\n\r\nnext");
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(text.len())).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let pieces: Vec<_> = places.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
        let mut decoder = Decoder::chunked();
        let (data, trailers, behind) = decode(&mut decoder, &pieces).unwrap();
        prop_assert_eq!(data, chunks.concat());
        prop_assert_eq!(behind, b"next");
        prop_assert!(decoder.has_ended() && trailers.is_none());
    }

    /// Whatever comes, it is read or refused, and takes no longer than it is.
    #[test]
    fn nothing_that_comes_is_too_much(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = Decoder::chunked();
        let mut rest = bytes.as_slice();
        let fault = decoder.decode(&mut rest).fault;
        prop_assert!(rest.is_empty() || fault.is_some() || decoder.has_ended());
    }
}
