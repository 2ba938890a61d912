//! What it costs to read what is left of limits, and what it costs those who ask to be admitted meanwhile.

#![expect(
    clippy::disallowed_methods,
    reason = "it measures how long things take"
)]

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use super::*;
use crate::budget::Whom;

const KEYS: u128 = 100_000;

fn key(number: u128) -> Caller {
    Caller {
        key_id: ApiKeyId(Uuid::from_u128(1_000 + number % KEYS)),
        ..caller(OWNER)
    }
}

/// Limits of the organization, of users and of keys, on which each key has spent something.
fn engine_of_many() -> Engine {
    let engine = engine();
    let per = |number, per: &str| {
        let rules = json!({"max_tokens_per_day": 1_000_000_000_000_u64, "max_cost_per_month_usd": "1000000", "per": per});
        policy(number, "usage", rules)
    };
    let policies = vec![per(1, "organization"), per(2, "user"), per(3, "key")];
    let project = Arc::new(project(Vec::new()));
    assert_eq!(engine.replace(&Arc::new(org(policies)), &[project]), []);
    let prices = &PriceBook::embedded().unwrap();
    with_request(&json!({}), |request| {
        for number in 0..KEYS {
            let admitted = engine.admit(&key(number), request, prices, now());
            engine.settle(admitted.unwrap(), &used(100, 7));
        }
    });
    engine
}

fn read(engine: &Engine, key: Option<u128>) -> Limits {
    let whom = Whom {
        project_id: Some(PROJECT),
        user_id: Some(OWNER),
        key_id: key.map(|number| self::key(number).key_id),
    };
    let of = LimitsOf {
        org_id: ORG,
        whom,
        test: false,
        model: None,
        most: 1_000,
    };
    engine.limits(&of, now())
}

/// Requests admitted and settled in a while, by one thread.
fn admits(engine: &Engine, while_so: Duration) -> u32 {
    let prices = &PriceBook::embedded().unwrap();
    with_request(&json!({}), |request| {
        let (began, mut done) = (Instant::now(), 0_u32);
        while began.elapsed() < while_so {
            let caller = key(u128::from(done) * 7_919);
            let admitted = engine.admit(&caller, request, prices, now()).unwrap();
            engine.settle(admitted, &used(1, 1));
            done += 1;
        }
        done
    })
}

#[test]
#[ignore = "a measurement: run it with --run-ignored all --no-capture"]
fn what_reading_costs_and_what_is_admitted_meanwhile() {
    let engine = engine_of_many();
    assert_eq!(read(&engine, Some(5)).limits.len(), 6);
    let times = 20_000;
    let began = Instant::now();
    for number in 0..times {
        read(&engine, Some(number));
    }
    let each = began.elapsed() / u32::try_from(times).unwrap();
    let [first_read, first_admit] = [true, false].map(|reads| {
        engine.correct(&[correction()]);
        let began = Instant::now();
        if reads {
            read(&engine, None);
        } else {
            drop(admit(&engine, &key(5), &json!({})).unwrap());
        }
        began.elapsed()
    });
    println!(
        "a read {each:?}; after a correction: the first read {first_read:?}, the first request {first_admit:?}"
    );
    let second = Duration::from_secs(1);
    beside(&engine, second, false);
    // By turns: others use the machine too.
    let rounds: Vec<_> = (0..8)
        .map(|_| [false, true].map(|reads| beside(&engine, second, reads)))
        .collect();
    let sum = |place: usize| rounds.iter().map(|round| round[place].0).sum::<u32>();
    let reads: u128 = rounds.iter().map(|round| round[1].1).sum();
    let (without, with) = (sum(0), sum(1));
    println!(
        "admits in 8 s: {without} without reads, {with} beside {reads} reads, {:.3}; {rounds:?}",
        f64::from(with) / f64::from(without)
    );
}

fn correction() -> Correction {
    Correction {
        org_id: ORG,
        project_id: PROJECT,
        key_id: Some(key(0).key_id),
        model: "claude-opus-5".to_owned(),
        unix_micros: now().unix_micros,
        picodollars: 1,
    }
}

/// The same while another thread wakes up a thousand times a second, more often than any dashboard asks, and reads or doesn't. How
/// often it did.
fn beside(engine: &Engine, while_so: Duration, reads: bool) -> (u32, u128) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut turns = 0_u128;
            while !stop.load(Ordering::Relaxed) {
                if reads {
                    read(engine, Some(turns));
                }
                turns += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            turns
        });
        let admitted = admits(engine, while_so);
        stop.store(true, Ordering::Relaxed);
        (admitted, reading.join().unwrap())
    })
}
