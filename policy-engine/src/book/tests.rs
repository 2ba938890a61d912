//! Budgets: what is held, what is spent, and in which window.

mod clock;
mod kept;
mod models;
mod moves;
mod plain;
mod reading;
mod settled;

use std::sync::atomic::{AtomicU64, Ordering};

use domain::{ApiKeyId, OrgId, ProjectId, UserId};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::budget::{Origin, Whom, Whose};
use crate::limit::{Limit, Metric, Per, Scope, UsageAction};

/// Requests for one model.
#[derive(Debug)]
struct Counts(&'static str);

impl Whose for Counts {
    fn counts(&self, _: &Holder, _: &People, model: &str) -> bool {
        self.0 == model
    }

    fn may_count(&self, _: &Whom, _: &People) -> bool {
        true
    }
}

impl Watch for () {
    fn budget(&mut self, _: &Budget, _: &Standing) {}

    fn unpriced(&mut self, _: &Budget) {}
}

const MODELS: [&str; 2] = ["claude-opus-5", "claude-haiku-4-5"];
const PRICE_PER_TOKEN: u64 = 1_000;

fn budget(metric: Metric, window: Window, most: u64, scope: Scope) -> Budget {
    Budget {
        id: BudgetId::of((metric, window, scope)),
        origin: Origin::Quota,
        limit: Limit {
            metric,
            window,
            most,
        },
        per: Per {
            scope,
            model: false,
        },
        action: UsageAction::HardLimit,
        warn_at_percent: None,
        allow_unpriced: false,
        project_id: None,
        whose: None,
    }
}

/// The sixth is the first one's key, which became another project's and user's.
fn holder(key: u8) -> Holder {
    let id = |n: u8| Uuid::from_u128(u128::from(n));
    Holder {
        org_id: OrgId(id(0)),
        project_id: ProjectId(id(1 + key % 2)),
        user_id: Some(UserId(id(key % 3))),
        key_id: ApiKeyId(id(key % 5)),
    }
}

fn at(seconds: i64) -> Timestamp {
    // A Wednesday noon.
    Timestamp {
        unix_micros: (20_782 * 86_400 + 43_200 + seconds) * 1_000_000,
    }
}

fn ask(key: u8, model: &'static str, max_tokens: u64, seconds: i64) -> Ask<'static> {
    Ask {
        holder: holder(key),
        model,
        body_bytes: 300,
        max_tokens,
        works: true,
        known: None,
        at: at(seconds),
    }
}

fn price(input: u64, output: u64) -> Picodollars {
    Picodollars((input + output) * PRICE_PER_TOKEN)
}

fn used(key: u8, model: &'static str, tokens: u64, seconds: i64) -> Used<'static> {
    Used {
        holder: holder(key),
        model,
        at: at(seconds),
        amounts: Amounts {
            input_tokens: tokens / 2,
            output_tokens: tokens - tokens / 2,
            requests: 1,
            cost: tokens * PRICE_PER_TOKEN,
        },
        learn_from: None,
    }
}

fn hold(book: &Arc<Book>, ask: &Ask<'_>, budgets: &[Budget]) -> Option<Hold> {
    let people = People::default();
    let price = |input, output| Some(price(input, output));
    book.hold(ask, budgets.iter(), &people, price, &mut ()).ok()
}

/// Spent and held of a budget, as the next request would see them.
fn numbers(book: &Arc<Book>, budget: &Budget, ask: &Ask<'_>) -> (u64, u64) {
    #[derive(Default)]
    struct Seen(u64, u64);
    impl Watch for Seen {
        fn budget(&mut self, _: &Budget, standing: &Standing) {
            *self = Self(standing.spent, standing.held);
        }

        fn unpriced(&mut self, _: &Budget) {}
    }
    let (mut seen, people) = (Seen::default(), People::default());
    let soft = Budget {
        action: UsageAction::SoftLimit,
        ..budget.clone()
    };
    let price = |input, output| Some(price(input, output));
    drop(book.hold(ask, [&soft].into_iter(), &people, price, &mut seen));
    (seen.0, seen.1)
}

#[test]
fn a_request_that_fits_is_held_and_given_back() {
    let book = Arc::new(Book::default());
    // 100 tokens of input and 50 of output are expected.
    let budgets = [budget(Metric::Tokens, Window::Day, 400, Scope::Project)];
    let request = ask(2, MODELS[0], 50, 0);
    let first = hold(&book, &request, &budgets).unwrap();
    assert_eq!(numbers(&book, &budgets[0], &request), (0, 150));
    let second = hold(&book, &request, &budgets).unwrap();
    assert!(hold(&book, &request, &budgets).is_none(), "450 > 400");
    drop(first);
    let third = hold(&book, &request, &budgets).unwrap();
    let people = People::default();
    second.settle(&used(2, MODELS[0], 120, 0), budgets.iter(), &people);
    drop(third);
    assert_eq!(numbers(&book, &budgets[0], &request), (120, 0));
}

#[test]
fn what_is_held_is_given_back_whichever_budgets_are_in_force_by_then() {
    let people = People::default();
    let [a, b, c] = [Scope::Key, Scope::Project, Scope::Organization]
        .map(|scope| budget(Metric::Tokens, Window::Day, 1_000, scope));
    let request = ask(2, MODELS[0], 50, 0);
    let before = [a.clone(), b.clone()];
    for by_then in [
        vec![&a, &b],
        vec![&b, &a],
        vec![&b],
        vec![&a],
        vec![&c, &b, &a],
        vec![],
    ] {
        let book = Arc::new(Book::default());
        // Another one of as many tokens runs on, so that nothing given back twice goes unnoticed.
        let running = hold(&book, &request, &before).unwrap();
        let settled = hold(&book, &request, &before).unwrap();
        settled.settle(
            &used(2, MODELS[0], 120, 0),
            by_then.iter().copied(),
            &people,
        );
        for budget in &before {
            let held = numbers(&book, budget, &request).1;
            assert_eq!(held, 150, "{budget:?} of {by_then:?}");
        }
        drop(running);
        for budget in &before {
            let held = numbers(&book, budget, &request).1;
            assert_eq!(held, 0, "{budget:?} of {by_then:?}");
        }
    }
}

#[test]
fn of_several_budgets_all_hold_or_none() {
    let book = Arc::new(Book::default());
    let budgets = [
        budget(Metric::Tokens, Window::Day, 1_000, Scope::Project),
        budget(Metric::Requests, Window::Hour, 1, Scope::Key),
        budget(Metric::Cost, Window::Month, 10, Scope::Organization),
    ];
    let request = ask(2, MODELS[0], 50, 0);
    assert!(hold(&book, &request, &budgets).is_none(), "the cost");
    for budget in &budgets {
        assert_eq!(numbers(&book, budget, &request), (0, 0), "{budget:?}");
    }
}

#[test]
fn a_model_without_a_price_meets_no_limit_of_cost() {
    let book = Arc::new(Book::default());
    let people = People::default();
    let cost = budget(Metric::Cost, Window::Day, u64::MAX, Scope::Project);
    let free = Budget {
        allow_unpriced: true,
        ..cost.clone()
    };
    let tokens = budget(Metric::Tokens, Window::Day, 1_000, Scope::Project);
    let request = ask(2, MODELS[0], 50, 0);
    let try_with = |budgets: &[Budget]| {
        let held = book.hold(&request, budgets.iter(), &people, |_, _| None, &mut ());
        held.map(drop)
            .map_err(|error| matches!(error, Unheld::Unpriced(_)))
    };
    assert_eq!(try_with(&[tokens.clone(), cost]), Err(true));
    assert_eq!(try_with(&[tokens.clone(), free]), Ok(()));
    assert_eq!(numbers(&book, &tokens, &request), (0, 0));
}

#[test]
fn a_budget_that_comes_later_knows_what_was_used() {
    let book = Arc::new(Book::default());
    let people = People::default();
    let none: [Budget; 0] = [];
    let running = hold(&book, &ask(2, MODELS[0], 50, 0), &none).unwrap();
    book.settle(&used(2, MODELS[0], 70, 0), none.iter(), &people);
    book.settle(&used(4, MODELS[1], 30, 0), none.iter(), &people);
    let request = ask(2, MODELS[0], 50, 0);
    for (scope, expected) in [
        (Scope::Key, 70),
        (Scope::Project, 100),
        (Scope::Organization, 100),
    ] {
        let late = budget(Metric::Tokens, Window::Week, 1_000, scope);
        assert_eq!(numbers(&book, &late, &request), (expected, 0), "{scope:?}");
    }
    let mut of_one_model = budget(Metric::Tokens, Window::Month, 1_000, Scope::Organization);
    of_one_model.whose = Some(Arc::new(Counts(MODELS[0])));
    assert_eq!(numbers(&book, &of_one_model, &request), (70, 0));
    // One that was under way before the budget was there counts as well.
    running.settle(
        &used(2, MODELS[0], 5, 0),
        [&of_one_model].into_iter(),
        &people,
    );
    assert_eq!(numbers(&book, &of_one_model, &request), (75, 0));
}

#[test]
fn windows_end_and_never_run_backwards() {
    let book = Arc::new(Book::default());
    let people = People::default();
    let budgets = [budget(Metric::Tokens, Window::Hour, 1_000, Scope::Key)];
    let settle = |seconds| {
        let used = used(2, MODELS[0], 10, seconds);
        book.settle(&used, budgets.iter(), &people);
    };
    let before = hold(&book, &ask(2, MODELS[0], 50, 3_599), &budgets).unwrap();
    settle(3_599);
    assert_eq!(
        numbers(&book, &budgets[0], &ask(2, MODELS[0], 50, 3_599)),
        (10, 150)
    );
    assert_eq!(
        numbers(&book, &budgets[0], &ask(2, MODELS[0], 50, 3_600)),
        (0, 0)
    );
    // The clock goes back: what is asked then is counted in the hour that runs, what was used before isn't.
    assert_eq!(
        numbers(&book, &budgets[0], &ask(2, MODELS[0], 50, 3_599)),
        (0, 0)
    );
    before.settle(&used(2, MODELS[0], 10, 3_599), budgets.iter(), &people);
    settle(3_600);
    assert_eq!(
        numbers(&book, &budgets[0], &ask(2, MODELS[0], 50, 3_601)),
        (10, 0)
    );
}

#[test]
fn sweeping_changes_no_number() {
    let book = Arc::new(Book::default());
    let people = People::default();
    let kept = budget(Metric::Tokens, Window::Day, 1_000, Scope::Key);
    let minute = budget(Metric::Tokens, Window::Minute, 1_000, Scope::Key);
    let budgets = [kept.clone(), minute.clone()];
    let request = ask(2, MODELS[0], 50, 0);
    let in_force = budgets.iter().map(|budget| budget.id).collect();
    let first = hold(&book, &request, &budgets).unwrap();
    first.settle(&used(2, MODELS[0], 10, 0), budgets.iter(), &people);
    assert_eq!(book.size(), (1, 2));
    book.sweep(at(0), &in_force);
    assert_eq!(book.size(), (1, 2));
    book.sweep(at(0), &FxHashSet::default());
    assert_eq!(book.size(), (1, 1), "the day's can be made again");
    assert_eq!(numbers(&book, &kept, &request), (10, 0));
    assert_eq!(numbers(&book, &minute, &request), (10, 0));
    book.sweep(at(40 * 86_400), &in_force);
    assert_eq!(book.size(), (0, 0), "a month later nothing is left");
}

#[test]
fn threads_never_pass_a_limit_together() {
    const THREADS: u64 = 8;
    let book = Arc::new(Book::default());
    let budgets = [budget(
        Metric::Requests,
        Window::Day,
        1_000,
        Scope::Organization,
    )];
    let admitted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for key in 0..THREADS {
            let (book, budgets, admitted) = (&book, &budgets, &admitted);
            scope.spawn(move || {
                let key = u8::try_from(key).unwrap();
                let people = People::default();
                for round in 0..500 {
                    let Some(hold) = hold(book, &ask(key, MODELS[0], 50, 0), budgets) else {
                        continue;
                    };
                    // Some end without having used anything.
                    if round % 5 > 0 {
                        admitted.fetch_add(1, Ordering::Relaxed);
                        hold.settle(&used(key, MODELS[0], 10, 0), budgets.iter(), &people);
                    }
                }
            });
        }
    });
    let admitted = admitted.into_inner();
    let request = ask(0, MODELS[0], 50, 0);
    assert_eq!(numbers(&book, &budgets[0], &request), (admitted, 0));
    assert_eq!(admitted, 1_000, "all that there was, and no more");
}
