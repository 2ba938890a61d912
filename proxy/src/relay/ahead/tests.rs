use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::relay::RelayError;

/// A frame, as tests write it down.
#[derive(Debug, Clone, PartialEq)]
enum Sent {
    Data(Bytes),
    Trailers,
    Error,
    Nothing,
}

use Sent::{Data, Error, Nothing, Trailers};

fn data(text: &'static str) -> Sent {
    Data(Bytes::from_static(text.as_bytes()))
}

fn of_length(length: usize) -> Sent {
    Data(vec![b'x'; length].into())
}

fn push(ahead: &mut Ahead, sent: &Sent, is_at_end: bool) -> bool {
    let frame = match sent {
        Data(data) => Some(Ok(Frame::data(data.clone()))),
        Trailers => Some(Ok(Frame::trailers(HeaderMap::new()))),
        Error => Some(Err(RelayError::Silent)),
        Nothing => None,
    };
    ahead.push(frame, is_at_end)
}

fn pop(ahead: &mut Ahead) -> Option<Sent> {
    ahead.pop().map(|frame| match frame {
        Some(Ok(frame)) => frame.into_data().map_or(Trailers, Data),
        Some(Err(_)) => Error,
        None => Nothing,
    })
}

fn all_of(ahead: &mut Ahead) -> Vec<Sent> {
    std::iter::from_fn(|| pop(ahead)).collect()
}

/// These have come, and none of them is the answer's last.
fn with(frames: &[Sent]) -> Ahead {
    let mut ahead = Ahead::default();
    for frame in frames {
        push(&mut ahead, frame, false);
    }
    ahead
}

fn lengths(sent: &[Sent]) -> Vec<usize> {
    let length = |sent: &Sent| match sent {
        Data(data) => data.len(),
        Trailers | Error | Nothing => 0,
    };
    sent.iter().map(length).collect()
}

#[test]
fn small_frames_leave_as_one() {
    let mut ahead = with(&[data("a"), data(""), data("bc"), data("d")]);
    assert_eq!(ahead.bytes(), 4);
    assert_eq!(pop(&mut ahead), Some(data("abcd")));
    assert_eq!((ahead.bytes(), pop(&mut ahead)), (0, None));
}

#[test]
fn a_frame_by_itself_leaves_as_it_came() {
    let came = Bytes::from(vec![b'x'; 10]);
    let mut ahead = with(&[Data(came.clone())]);
    let Some(Data(left)) = pop(&mut ahead) else {
        panic!("nothing left");
    };
    assert_eq!(left.as_ptr(), came.as_ptr(), "it was copied");
}

#[test]
fn a_large_frame_is_not_copied() {
    let came = Bytes::from(vec![b'x'; SMALL + 1]);
    let mut ahead = with(&[Data(came.clone()), data("a"), data("b")]);
    let Some(Data(left)) = pop(&mut ahead) else {
        panic!("nothing left");
    };
    assert_eq!(left.as_ptr(), came.as_ptr(), "it was copied");
    assert_eq!(all_of(&mut ahead), [data("ab")]);
}

#[test]
fn no_more_is_joined_than_two_small_frames_hold() {
    let frames = [SMALL, SMALL, 1, SMALL, SMALL - 1, 5].map(of_length);
    let left = all_of(&mut with(&frames));
    assert_eq!(lengths(&left), [2 * SMALL, 2 * SMALL, 5]);
}

#[test]
fn what_does_not_fit_waits_for_the_next() {
    let frames = [SMALL, SMALL + 1, 1].map(of_length);
    let left = all_of(&mut with(&frames));
    assert_eq!(lengths(&left), [SMALL, SMALL + 1, 1]);
}

#[test]
fn the_last_of_an_answer_leaves_by_itself() {
    let mut ahead = with(&[data("a"), data("b")]);
    assert!(push(&mut ahead, &data("c"), true));
    assert_eq!(pop(&mut ahead), Some(data("ab")));
    assert!(ahead.leaves, "the last may not wait for more");
    assert_eq!(pop(&mut ahead), Some(data("c")));
    assert!(!ahead.leaves && ahead.is_empty());
}

#[test]
fn an_answer_of_two_frames_is_not_joined() {
    let mut ahead = with(&[data("a")]);
    assert!(push(&mut ahead, &data("b"), true));
    assert_eq!(all_of(&mut ahead), [data("a"), data("b")]);
}

#[test]
fn what_is_not_data_stands_between_what_is() {
    for (end, apart) in [(Trailers, false), (Error, true), (Nothing, true)] {
        let mut ahead = with(&[data("a"), data("b")]);
        assert_eq!(push(&mut ahead, &end, false), apart);
        assert_eq!(all_of(&mut ahead), [data("ab"), end]);
    }
    let mut ahead = with(&[Trailers, data("a"), data("b"), Trailers, data("c")]);
    let expected = [Trailers, data("ab"), Trailers, data("c")];
    assert_eq!(all_of(&mut ahead), expected);
}

#[test]
fn it_is_full_at_its_limit() {
    let mut ahead = with(&[of_length(MOST_AHEAD - 1)]);
    assert!(!ahead.is_full());
    push(&mut ahead, &Trailers, false);
    assert!(!ahead.is_full(), "only data counts");
    push(&mut ahead, &data("x"), false);
    assert!(ahead.is_full());
    pop(&mut ahead);
    assert!(!ahead.is_full(), "there is room again");
}

#[test]
fn a_turn_counts_until_the_next_frame() {
    let mut ahead = with(&[data("a")]);
    ahead.had_turn = true;
    push(&mut ahead, &data("b"), false);
    assert!(!ahead.had_turn);
}

/// Lengths about the limits, and content that differs from one byte to the next.
fn frames() -> impl Strategy<Value = Vec<Sent>> {
    let length = prop_oneof![0..20_usize, SMALL - 2..SMALL + 3, 2 * SMALL - 2..MOST_AHEAD];
    let data = (length, any::<u8>()).prop_map(|(length, seed)| {
        let byte = |at: usize| seed.wrapping_add(u8::try_from(at % 251).unwrap());
        Data((0..length).map(byte).collect())
    });
    proptest::collection::vec(prop_oneof![9 => data, 1 => Just(Trailers)], 0..20)
}

/// Neighbouring data as one.
fn joined(frames: &[Sent]) -> Vec<Result<Vec<u8>, Sent>> {
    let mut all: Vec<Result<Vec<u8>, Sent>> = Vec::new();
    for frame in frames {
        match (frame, all.last_mut()) {
            (Data(data), Some(Ok(last))) => last.extend_from_slice(data),
            (Data(data), _) => all.push(Ok(data.to_vec())),
            (other, _) => all.push(Err(other.clone())),
        }
    }
    all
}

proptest! {
    #[test]
    fn whatever_comes_leaves_once_and_in_order(
        frames in frames(),
        pops in proptest::collection::vec(0..3_usize, 20),
        ends in any::<bool>(),
    ) {
        let (mut ahead, mut left) = (Ahead::default(), Vec::new());
        let mut waiting = 0;
        for (frame, pops) in frames.iter().zip(pops) {
            push(&mut ahead, frame, false);
            waiting += lengths(std::slice::from_ref(frame))[0];
            prop_assert_eq!(ahead.bytes(), waiting);
            for _ in 0..pops {
                let popped = pop(&mut ahead);
                waiting -= lengths(popped.as_slice()).iter().sum::<usize>();
                left.extend(popped);
                prop_assert_eq!(ahead.bytes(), waiting);
                prop_assert_eq!(ahead.leaves, !ahead.is_empty());
            }
        }
        let mut sent = frames;
        if ends {
            push(&mut ahead, &Nothing, false);
            sent.push(Nothing);
        }
        left.extend(all_of(&mut ahead));
        prop_assert_eq!(ahead.bytes(), 0);
        prop_assert!(joined(&left) == joined(&sent), "other bytes, or another order");
        let limit = lengths(&sent).into_iter().max().unwrap_or(0).max(2 * SMALL);
        prop_assert!(lengths(&left).into_iter().all(|length| length <= limit));
    }
}
