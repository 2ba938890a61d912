//! Whatever happens to a book: its numbers are those of a plain model of it.

use super::*;

/// What may happen to a book.
#[derive(Debug, Clone)]
enum Step {
    Ask {
        key: u8,
        model: usize,
        max_tokens: u64,
    },
    /// A key makes up so many names of models, none of which answers.
    MakeUp {
        key: u8,
        names: usize,
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
    /// The clock is set back.
    SetBack {
        seconds: i64,
    },
    Sweep,
    /// As many of the budgets are in force from here on.
    Reload {
        budgets: usize,
    },
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
        1 => (0..7_200_i64).prop_map(|seconds| Step::SetBack { seconds }),
        1 => (0..6_u8, 0..100_usize).prop_map(|(key, names)| Step::MakeUp { key, names }),
        2 => Just(Step::Sweep),
        2 => (0..=6_usize).prop_map(|budgets| Step::Reload { budgets }),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..120)
}

/// A request that runs: who asked, for what, when by the clock and by the windows, expecting how many tokens.
struct Running {
    hold: Hold,
    key: u8,
    model: &'static str,
    clock: i64,
    seconds: i64,
    expected: u64,
    /// It holds on as many of them.
    budgets: usize,
}

/// One request of so many tokens.
fn amount_of(metric: Metric, tokens: u64) -> u64 {
    match metric {
        Metric::Requests => 1,
        Metric::Cost => tokens * PRICE_PER_TOKEN,
        Metric::Tokens | Metric::InputTokens | Metric::OutputTokens => tokens,
    }
}

fn ids(budgets: &[Budget]) -> FxHashSet<BudgetId> {
    budgets.iter().map(|budget| budget.id).collect()
}

/// The counter of a key's requests for a model; none if they don't count.
fn counter(budget: &Budget, holder: &Holder, model: &str) -> Option<Account> {
    let counts = budget.counts(holder, &People::default(), model);
    counts.then(|| budget.account(holder, model))
}

/// What runs in the window of a request, and is counted by the same counter.
fn held_of(running: &[Running], budget: &Budget, request: &Ask<'_>) -> u64 {
    let window = budget.limit.window;
    let budgets = some_budgets();
    let place = budgets
        .iter()
        .take_while(|each| each.id != budget.id)
        .count();
    let account = counter(budget, &request.holder, request.model);
    let alike = running.iter().filter(|other| {
        place < other.budgets
            && account.is_some()
            && counter(budget, &holder(other.key), other.model) == account
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
        let account = counter(budget, &request.holder, request.model);
        let counted = self.settled.iter().filter(|(key, model, seconds, _)| {
            budget.limit.window.index(at(*seconds)) == index
                && account.is_some()
                && counter(budget, &holder(*key), model) == account
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
    let mut of_each_model = budget(Metric::Tokens, Window::Week, 2_000, Scope::Project);
    of_each_model.per.model = true;
    let mut of_one_project = budget(Metric::Tokens, Window::Day, 1_000, Scope::User);
    of_one_project.project_id = Some(holder(0).project_id);
    vec![
        of_one_project,
        of_each_model,
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
        // As many of the budgets are in force.
        let mut count = budgets.len();
        let (mut plain, mut running) = (Plain::default(), Vec::<Running>::new());
        // Windows don't run backwards when the clock does.
        let (mut clock, mut now) = (0, 0);
        book.sweep(at(now), &ids(&budgets));
        // What requests used beyond what was held for them, since the beginning: requests and tokens.
        let mut beyond = (0, 0);
        for step in steps {
            let in_force = &budgets[..count];
            match step {
                Step::Ask { key, model, max_tokens } => {
                    let request = ask(key, MODELS[model], max_tokens, clock);
                    let as_counted = ask(key, MODELS[model], max_tokens, now);
                    let expected = 100 + max_tokens;
                    let fits = in_force.iter().all(|budget| {
                        let held = held_of(&running, budget, &as_counted);
                        let amount = amount_of(budget.limit.metric, expected);
                        let counts = counter(budget, &request.holder, request.model).is_some();
                        !counts || plain.spent(budget, &as_counted) + held + amount <= budget.limit.most
                    });
                    let got = hold(&book, &request, in_force);
                    prop_assert_eq!(got.is_some(), fits, "{:?}", request);
                    if let Some(hold) = got {
                        running.push(Running { hold, key, model: MODELS[model], clock, seconds: now, expected, budgets: count });
                    }
                }
                Step::Settle { which, tokens } if !running.is_empty() => {
                    let index = which % running.len();
                    let Running { hold, key, model, clock, seconds, expected, budgets: held_on } = running.swap_remove(index);
                    hold.settle(&used(key, model, tokens, clock), in_force.iter(), &people);
                    plain.settled.push((key, model, seconds, tokens));
                    if held_on < budgets.len() {
                        beyond.0 += 1;
                        beyond.1 += tokens;
                    } else {
                        beyond.1 += tokens.saturating_sub(expected);
                    }
                }
                Step::MakeUp { key, names } => {
                    for number in 0..names {
                        let model = format!("a-{number}");
                        let nothing = Used { model: &model, amounts: Amounts::default(), ..used(key, "", 0, now) };
                        book.settle(&nothing, in_force.iter(), &people);
                    }
                }
                Step::Drop { which } if !running.is_empty() => {
                    running.swap_remove(which % running.len());
                }
                Step::Settle { .. } | Step::Drop { .. } => {}
                Step::Wait { seconds } => {
                    clock += seconds;
                    now = now.max(clock);
                }
                Step::SetBack { seconds } => clock -= seconds,
                Step::Sweep => book.sweep(at(clock), &ids(&budgets[..count])),
                Step::Reload { budgets: then } => {
                    if let Some(added) = budgets.get(count..then) {
                        book.look_again(&ids(added));
                    }
                    count = then;
                }
                Step::Restart => {
                    clock = now;
                    running.clear();
                    book = Arc::new(Book::default());
                    book.add_settled(plain.read(now).into_iter());
                }
            }
            // The book is told of every moment.
            drop(hold(&book, &ask(0, MODELS[0], 1, clock), &[]));
            for budget in &budgets[..count] {
                for key in 0..6 {
                    let (spent, held) = numbers(&book, budget, &ask(key, MODELS[0], 1, clock));
                    let request = ask(key, MODELS[0], 1, now);
                    prop_assert_eq!(spent, plain.spent(budget, &request));
                    prop_assert_eq!(held, held_of(&running, budget, &request));
                    let beyond = if budget.limit.metric == Metric::Requests {
                        beyond.0
                    } else {
                        amount_of(budget.limit.metric, beyond.1)
                    };
                    prop_assert!(spent <= budget.limit.most + beyond);
                }
            }
        }
        drop(running);
        for budget in &budgets[..count] {
            for key in 0..6 {
                prop_assert_eq!(numbers(&book, budget, &ask(key, MODELS[0], 1, now)).1, 0);
            }
        }
    }
}
