//! Budgets against a plain model of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::{ApiKeyId, OrgId, ProjectId, UserId};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::budget::{Origin, Whose};
use crate::limit::{Limit, Metric, Per, Scope, UsageAction};

/// Everybody's requests, or those for one model.
#[derive(Debug)]
struct Counts(Option<&'static str>);

impl Whose for Counts {
    fn counts(&self, _: &Holder, _: &People, model: &str) -> bool {
        self.0.is_none_or(|only| only == model)
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
        whose: Arc::new(Counts(None)),
    }
}

fn holder(key: u8) -> Holder {
    let id = |n: u8| Uuid::from_u128(u128::from(n));
    Holder {
        org_id: OrgId(id(0)),
        project_id: ProjectId(id(1 + key % 2)),
        user_id: Some(UserId(id(key % 3))),
        key_id: ApiKeyId(id(key)),
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
    of_one_model.whose = Arc::new(Counts(Some(MODELS[0])));
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
fn what_was_settled_before_the_start_is_added_at_any_time() {
    let book = Arc::new(Book::default());
    let people = People::default();
    let budgets = [budget(Metric::Cost, Window::Day, u64::MAX, Scope::Project)];
    let request = ask(2, MODELS[0], 50, 0);
    let running = hold(&book, &request, &budgets).unwrap();
    book.settle(&used(2, MODELS[0], 3, 0), budgets.iter(), &people);
    let day = (Window::Day, Window::Day.index(at(0)));
    let amounts = Amounts {
        cost: 7,
        ..Amounts::default()
    };
    book.add_settled([(holder(4), MODELS[1], day, amounts)].into_iter());
    let held = 150 * PRICE_PER_TOKEN;
    assert_eq!(
        numbers(&book, &budgets[0], &request),
        (3 * PRICE_PER_TOKEN + 7, held)
    );
    running.settle(&used(2, MODELS[0], 1, 0), budgets.iter(), &people);
    assert_eq!(
        numbers(&book, &budgets[0], &request),
        (4 * PRICE_PER_TOKEN + 7, 0)
    );
}

#[test]
fn what_was_priced_wrongly_is_corrected_in_its_windows() {
    let book = Arc::new(Book::default());
    let people = People::default();
    let cost = |window| budget(Metric::Cost, window, u64::MAX, Scope::Project);
    let budgets = [cost(Window::Hour), cost(Window::Day)];
    let request = ask(2, MODELS[0], 50, 3_600);
    let running = hold(&book, &request, &budgets).unwrap();
    book.settle(&used(2, MODELS[0], 10, 0), budgets.iter(), &people);
    book.settle(&used(2, MODELS[0], 1, 3_600), budgets.iter(), &people);
    let held = 150 * PRICE_PER_TOKEN;
    // The first one, an hour before.
    let key_id = holder(2).key_id;
    let corrections = [
        (key_id, MODELS[0], at(0), 5),
        (key_id, MODELS[0], at(3_600), -1),
    ];
    book.correct(corrections.into_iter());
    assert_eq!(
        numbers(&book, &budgets[0], &request),
        (PRICE_PER_TOKEN - 1, held)
    );
    assert_eq!(
        numbers(&book, &budgets[1], &request),
        (11 * PRICE_PER_TOKEN + 4, held)
    );
    book.correct(std::iter::once((
        ApiKeyId(Uuid::nil()),
        MODELS[0],
        at(0),
        5,
    )));
    drop(running);
    assert_eq!(
        numbers(&book, &budgets[1], &request),
        (11 * PRICE_PER_TOKEN + 4, 0)
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
    let windows: FxHashMap<_, _> = budgets
        .iter()
        .map(|budget| (budget.id, budget.limit.window))
        .collect();
    let first = hold(&book, &request, &budgets).unwrap();
    first.settle(&used(2, MODELS[0], 10, 0), budgets.iter(), &people);
    assert_eq!(book.size(), (1, 2));
    book.sweep(at(0), &windows);
    assert_eq!(book.size(), (1, 1), "the day's can be made again");
    assert_eq!(numbers(&book, &kept, &request), (10, 0));
    assert_eq!(numbers(&book, &minute, &request), (10, 0));
    book.sweep(at(40 * 86_400), &windows);
    assert_eq!(book.size(), (0, 0), "a month later nothing is left");
}

/// What may happen to a book.
#[derive(Debug, Clone)]
enum Step {
    Ask {
        key: u8,
        model: usize,
        max_tokens: u64,
    },
    /// One of those that run ends with so many tokens.
    Settle {
        which: usize,
        tokens: u64,
    },
    /// One of those that run ends without having used anything.
    Drop {
        which: usize,
    },
    Wait {
        seconds: i64,
    },
    Sweep,
    /// A new process, which gets from the database what was settled.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..6_u8, 0..2_usize, 1..400_u64)
            .prop_map(|(key, model, max_tokens)| Step::Ask { key, model, max_tokens }),
        3 => (any::<usize>(), 0..600_u64).prop_map(|(which, tokens)| Step::Settle { which, tokens }),
        1 => any::<usize>().prop_map(|which| Step::Drop { which }),
        2 => (0..7_200_i64).prop_map(|seconds| Step::Wait { seconds }),
        2 => Just(Step::Sweep),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..120)
}

/// A request that runs: who asked, for what, when, expecting how many tokens.
struct Running {
    hold: Hold,
    key: u8,
    model: &'static str,
    seconds: i64,
    expected: u64,
}

/// One request of so many tokens.
fn amount_of(metric: Metric, tokens: u64) -> u64 {
    match metric {
        Metric::Requests => 1,
        Metric::Cost => tokens * PRICE_PER_TOKEN,
        Metric::Tokens | Metric::InputTokens | Metric::OutputTokens => tokens,
    }
}

/// What runs in the window of a request, and is counted by the same counter.
fn held_of(running: &[Running], budget: &Budget, request: &Ask<'_>) -> u64 {
    let window = budget.limit.window;
    let alike = running.iter().filter(|other| {
        budget.account(&holder(other.key), other.model)
            == budget.account(&request.holder, request.model)
            && window.index(at(other.seconds)) == window.index(request.at)
    });
    alike
        .map(|other| amount_of(budget.limit.metric, other.expected))
        .sum()
}

/// The plain model: every request that was settled, with its key, its time and its tokens.
#[derive(Default)]
struct Plain {
    settled: Vec<(u8, &'static str, i64, u64)>,
}

impl Plain {
    fn spent(&self, budget: &Budget, request: &Ask<'_>) -> u64 {
        let index = budget.limit.window.index(request.at);
        let account = budget.account(&request.holder, request.model);
        let counted = self.settled.iter().filter(|(key, model, seconds, _)| {
            budget.limit.window.index(at(*seconds)) == index
                && budget.account(&holder(*key), model) == account
        });
        counted
            .map(|(.., tokens)| amount_of(budget.limit.metric, *tokens))
            .sum()
    }

    /// As the database gives it to a new process.
    fn read(&self, seconds: i64) -> Vec<(Holder, &'static str, (Window, i32), Amounts)> {
        let mut rows = Vec::new();
        for (key, model, settled_at, tokens) in &self.settled {
            for window in Window::ALL.into_iter().skip(1) {
                let index = window.index(at(*settled_at));
                if index == window.index(at(seconds)) {
                    let amounts = used(*key, model, *tokens, *settled_at).amounts;
                    rows.push((holder(*key), *model, (window, index), amounts));
                }
            }
        }
        rows
    }
}

fn some_budgets() -> Vec<Budget> {
    vec![
        budget(Metric::Tokens, Window::Hour, 1_500, Scope::Key),
        budget(Metric::Tokens, Window::Day, 4_000, Scope::Project),
        budget(Metric::Requests, Window::Day, 30, Scope::User),
        budget(
            Metric::Cost,
            Window::Month,
            9_000 * PRICE_PER_TOKEN,
            Scope::Organization,
        ),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn spent_is_what_was_settled_held_what_runs_and_no_limit_is_passed_but_by_answers(steps in steps()) {
        let (mut book, people, budgets) = (Arc::new(Book::default()), People::default(), some_budgets());
        let windows: FxHashMap<_, _> = budgets.iter().map(|b| (b.id, b.limit.window)).collect();
        let (mut plain, mut running, mut now) = (Plain::default(), Vec::<Running>::new(), 0);
        // What answers used beyond what was held for them, since the beginning.
        let mut beyond = 0;
        for step in steps {
            match step {
                Step::Ask { key, model, max_tokens } => {
                    let request = ask(key, MODELS[model], max_tokens, now);
                    let expected = 100 + max_tokens;
                    let fits = budgets.iter().all(|budget| {
                        let held = held_of(&running, budget, &request);
                        let amount = amount_of(budget.limit.metric, expected);
                        plain.spent(budget, &request) + held + amount <= budget.limit.most
                    });
                    let got = hold(&book, &request, &budgets);
                    prop_assert_eq!(got.is_some(), fits, "{:?}", request);
                    if let Some(hold) = got {
                        running.push(Running { hold, key, model: MODELS[model], seconds: now, expected });
                    }
                }
                Step::Settle { which, tokens } if !running.is_empty() => {
                    let index = which % running.len();
                    let Running { hold, key, model, seconds, expected } = running.swap_remove(index);
                    hold.settle(&used(key, model, tokens, seconds), budgets.iter(), &people);
                    plain.settled.push((key, model, seconds, tokens));
                    beyond += tokens.saturating_sub(expected);
                }
                Step::Drop { which } if !running.is_empty() => {
                    running.swap_remove(which % running.len());
                }
                Step::Settle { .. } | Step::Drop { .. } => {}
                Step::Wait { seconds } => now += seconds,
                Step::Sweep => book.sweep(at(now), &windows),
                Step::Restart => {
                    running.clear();
                    book = Arc::new(Book::default());
                    book.add_settled(plain.read(now).into_iter());
                }
            }
            for budget in &budgets {
                for key in 0..6 {
                    let request = ask(key, MODELS[0], 1, now);
                    let (spent, held) = numbers(&book, budget, &request);
                    prop_assert_eq!(spent, plain.spent(budget, &request));
                    prop_assert_eq!(held, held_of(&running, budget, &request));
                    let beyond = if budget.limit.metric == Metric::Requests {
                        0
                    } else {
                        amount_of(budget.limit.metric, beyond)
                    };
                    prop_assert!(spent <= budget.limit.most + beyond);
                }
            }
        }
        drop(running);
        for budget in &budgets {
            for key in 0..6 {
                prop_assert_eq!(numbers(&book, budget, &ask(key, MODELS[0], 1, now)).1, 0);
            }
        }
    }
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

#[test]
fn models_that_callers_make_up_are_bounded() {
    let book = Arc::new(Book::default());
    let people = People::default();
    let none: [Budget; 0] = [];
    let mut names = BTreeMap::new();
    for n in 0..1_000_u64 {
        names.insert(n, format!("made-up-{n}"));
    }
    for name in names.values() {
        let used = Used {
            model: name,
            ..used(2, MODELS[0], 10, 0)
        };
        book.settle(&used, none.iter(), &people);
    }
    let all = budget(Metric::Tokens, Window::Day, u64::MAX, Scope::Key);
    assert_eq!(numbers(&book, &all, &ask(2, MODELS[0], 50, 0)), (10_000, 0));
}
