//! What of a request's way allocates, and how often.
//!
//! Nothing: finding a key, deciding and settling, an event in the middle of a stream. So often, however long the body or the answer
//! is, and with bytes that have no room for a copy of it: inspecting, and metering an answer. So often: encoding an event. These are
//! bounds from above, a little more than what was counted; whoever gets below lowers them.

#![allow(clippy::unwrap_used, reason = "a test that can't run has failed")]

use std::hint::black_box;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use benches::answers::{EVENT_STREAM, JSON, beginning, delta, end, message};
use benches::policies::{NOW, admit, budget, engine, policy, rule, settle};
use benches::{bodies, events, keys};
use bytes::{Bytes, BytesMut};
use domain::{KeyHash, PriceBook};
use policy_engine::PolicySource;
use proxy::AnswerMeter;

const AT: Duration = Duration::from_millis(300);

#[test]
fn finding_a_key_allocates_nothing_known_or_not() {
    let index = keys::index(100);
    for number in [7, 100] {
        let key = keys::key(number);
        let counted = measure(|| {
            let found = index.get(&KeyHash::of(key.as_bytes()));
            assert_eq!(found.is_some(), number < 100);
        });
        assert_allocations(counted, 0, 0, &key);
    }
}

/// Kept are the places of its members and the model's name; on the way, which brackets are open.
#[test]
fn inspecting_a_body_copies_nothing_of_it() {
    for bytes in [1 << 10, 200 << 10, 5 << 20] {
        // Shared with whoever sends it on.
        let body = Bytes::from(bodies::conversation(bytes));
        let _sent_on = body.clone();
        let counted = measure(|| drop(proxy::inspect(black_box(&body).clone()).unwrap()));
        assert_allocations(counted, 3, 160, &format!("{bytes} bytes"));
    }
}

#[test]
fn a_decision_and_its_settling_allocate_nothing() {
    for count in [0, 5, 10] {
        assert_decides((0..count).map(policy).collect(), 0);
    }
    assert_decides((0..100).map(rule).collect(), 0);
}

/// Six budgets have room in what a request keeps of them; more of them get room of their own.
#[test]
fn holding_on_six_budgets_and_settling_allocate_nothing() {
    for count in [1, 4, 6] {
        assert_decides((0..count).map(budget).collect(), 0);
    }
    assert_decides((0..8).map(budget).collect(), 1);
}

/// For keys that were seen before, as all but the first request of each are.
#[track_caller]
fn assert_decides(policies: Vec<PolicySource>, most_a_request: u64) {
    let prices = PriceBook::embedded().unwrap();
    let count = policies.len();
    let engine = engine(policies);
    settle(&engine, admit(&engine, &prices, 1));
    let counted = measure(|| {
        for _ in 0..100 {
            settle(&engine, admit(&engine, &prices, 1));
        }
    });
    let (most, most_bytes) = (100 * most_a_request, 100 * 400 * most_a_request);
    assert_allocations(counted, most, most_bytes, &format!("{count} policies"));
}

#[test]
fn an_event_in_the_middle_of_a_stream_allocates_nothing() {
    let mut meter = AnswerMeter::new(EVENT_STREAM, None);
    meter.observe(&beginning(), AT);
    meter.observe(&delta(20), AT);
    for characters in [20, 2_000] {
        let event = delta(characters);
        let counted = measure(|| {
            for _ in 0..100 {
                meter.observe(black_box(&event), AT);
            }
        });
        assert_allocations(counted, 0, 0, &format!("{characters} characters"));
    }
}

/// Network packets end anywhere.
#[test]
fn an_event_that_is_cut_allocates_nothing_where_its_text_is_cut() {
    let mut meter = AnswerMeter::new(EVENT_STREAM, None);
    meter.observe(&beginning(), AT);
    meter.observe(&delta(20), AT);
    let event = delta(2_000);
    let (first, rest) = event.split_at(1_000);
    let counted = measure(|| {
        for _ in 0..100 {
            meter.observe(black_box(first), AT);
            meter.observe(black_box(rest), AT);
        }
    });
    assert_allocations(counted, 0, 0, "cut in two");
}

#[test]
fn a_stream_takes_as_many_allocations_however_long_it_is() {
    let (beginning, delta, end) = (beginning(), delta(20), end());
    for deltas in [1, 1_000] {
        let counted = measure(|| {
            let mut meter = AnswerMeter::new(EVENT_STREAM, None);
            meter.observe(&beginning, AT);
            (0..deltas).for_each(|_| meter.observe(black_box(&delta), AT));
            meter.observe(&end, AT);
            assert!(meter.is_complete());
            drop(meter.finish());
        });
        assert_allocations(counted, 28, 4_200, &format!("{deltas} deltas"));
    }
}

#[test]
fn a_message_takes_as_many_allocations_however_long_it_is() {
    for characters in [200, 200_000] {
        let message = message(characters);
        let counted = measure(|| {
            let mut meter = AnswerMeter::new(JSON, None);
            meter.observe(black_box(&message), AT);
            assert!(meter.is_complete());
            drop(meter.finish());
        });
        assert_allocations(counted, 16, 2_400, &format!("{characters} characters"));
    }
}

#[test]
fn encoding_an_event_allocates_no_more_than_its_metadata_needs() {
    let event = events::event(7, NOW);
    let mut row = BytesMut::with_capacity(4_096);
    let counted = measure(|| ingest::encode(black_box(&event), &mut row));
    assert_allocations(counted, 0, 0, "one event");
}

/// No more allocations than these, of no more bytes in all; and nothing of them is left.
#[track_caller]
fn assert_allocations(counted: AllocationInfo, most: u64, most_bytes: u64, of: &str) {
    let is_within = counted.count_total <= most && counted.bytes_total <= most_bytes;
    assert!(is_within, "{of}: {counted:?}");
    assert_eq!(counted.count_current, 0, "{of}: {counted:?}");
}
