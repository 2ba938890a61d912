//! Names of models come from callers.

use super::*;
use crate::book::ledger::Of;

/// As many tokens of a model, admitted at the beginning.
fn settle(book: &Arc<Book>, key: u8, model: &str, tokens: u64) {
    let none: [Budget; 0] = [];
    let used = Used {
        model,
        ..used(key, MODELS[0], tokens, 0)
    };
    book.settle(&used, none.iter(), &People::default());
}

fn of_one_model(metric: Metric) -> Budget {
    Budget {
        whose: Some(Arc::new(Counts(MODELS[0]))),
        ..budget(metric, Window::Day, u64::MAX, Scope::Key)
    }
}

fn each_model_apart(metric: Metric) -> Budget {
    let mut budget = budget(metric, Window::Day, u64::MAX, Scope::Key);
    budget.per.model = true;
    budget
}

#[test]
fn models_that_callers_make_up_are_bounded() {
    let book = Arc::new(Book::default());
    for n in 0..1_000 {
        settle(&book, 2, &format!("made-up-{n}"), 10);
    }
    let all = budget(Metric::Tokens, Window::Day, u64::MAX, Scope::Key);
    let request = ask(2, MODELS[0], 50, 0);
    assert_eq!(numbers(&book, &all, &request), (10_000, 0));
}

#[test]
fn names_that_used_nothing_make_room_for_what_was_used() {
    for budget in [of_one_model(Metric::Tokens), each_model_apart(Metric::Cost)] {
        let book = Arc::new(Book::default());
        for n in 0..200 {
            settle(&book, 2, &format!("made-up-{n}"), 0);
        }
        settle(&book, 2, MODELS[0], 70);
        settle(&book, 2, MODELS[1], 30);
        let expected = amount(&budget, 70);
        let request = ask(2, MODELS[0], 50, 0);
        assert_eq!(numbers(&book, &budget, &request).0, expected, "{budget:?}");
    }
}

#[test]
fn what_has_no_place_of_its_own_counts_against_every_model() {
    for budget in [of_one_model(Metric::Tokens), each_model_apart(Metric::Cost)] {
        let book = Arc::new(Book::default());
        for n in 0..64 {
            settle(&book, 2, &format!("made-up-{n}"), 1);
        }
        for tokens in [70, 30] {
            settle(&book, 2, MODELS[0], tokens);
        }
        settle(&book, 4, MODELS[0], 5);
        let expected = |key| numbers(&book, &budget, &ask(key, MODELS[0], 50, 0)).0;
        assert_eq!(expected(2), amount(&budget, 100), "{budget:?}");
        assert_eq!(expected(4), amount(&budget, 5), "{budget:?}");
    }
}

#[test]
fn a_restart_loses_no_model_behind_names_that_sort_before_it() {
    let book = Arc::new(Book::default());
    let day = (Window::Day, Window::Day.index(at(0)));
    let names: Vec<_> = (0..200).map(|n| format!("a{n:03}")).collect();
    let nothing = Amounts {
        requests: 1,
        ..Amounts::default()
    };
    let made_up = names
        .iter()
        .map(|name| (holder(2), name.as_str(), day, nothing));
    let real = (holder(2), MODELS[0], day, used(2, MODELS[0], 70, 0).amounts);
    book.add_settled(made_up.chain([real]));
    let request = ask(2, MODELS[0], 50, 0);
    let budget = of_one_model(Metric::Tokens);
    assert_eq!(numbers(&book, &budget, &request), (70, 0));
    // All of them were requests.
    let all = super::budget(Metric::Requests, Window::Day, u64::MAX, Scope::Key);
    assert_eq!(numbers(&book, &all, &request), (201, 0));
}

#[test]
fn of_a_long_name_so_much_is_kept_as_a_row_has() {
    let book = Arc::new(Book::default());
    let long = |end: &str| format!("{}{end}", "ä".repeat(255));
    settle(&book, 2, &long("x"), 70);
    settle(&book, 2, &long("yy-latest"), 30);
    let kept: Vec<_> = {
        let state = book.lock();
        let accounts = state.ledger.accounts(OrgId(Uuid::nil()), Of::All);
        accounts
            .flat_map(|(_, account)| account.used(Window::Day, Window::Day.index(at(0))))
            .map(|(name, _)| name.to_owned())
            .collect()
    };
    assert_eq!(kept, [long("")]);
    let asked = long("z");
    let request = Ask {
        model: &asked,
        ..ask(2, MODELS[0], 50, 0)
    };
    let budget = each_model_apart(Metric::Tokens);
    assert_eq!(numbers(&book, &budget, &request), (100, 0));
}

#[test]
fn upper_and_lower_case_are_one_model() {
    let book = Arc::new(Book::default());
    for name in ["Claude-Opus-5", "claude-opus-5", "CLAUDE-OPUS-5-LATEST"] {
        settle(&book, 2, name, 10);
    }
    let budget = each_model_apart(Metric::Tokens);
    let request = ask(2, "claude-OPUS-5-20260101", 50, 0);
    assert_eq!(numbers(&book, &budget, &request), (30, 0));
}

#[test]
fn a_name_that_is_made_up_is_looked_for_where_it_may_be_only() {
    let book = Arc::new(Book::default());
    for key in 0..5 {
        settle(&book, key, MODELS[0], 10);
    }
    let looked_at = |model| {
        let state = book.lock();
        let accounts = state.ledger.accounts(OrgId(Uuid::nil()), Of::Model(model));
        accounts.count()
    };
    let check = |known, made_up| {
        assert_eq!(looked_at("claude-opus-5-20260101"), known);
        assert_eq!(looked_at("made-up-1000"), made_up);
    };
    check(5, 0);
    for n in 0..100 {
        settle(&book, 2, &format!("made-up-{n}"), 0);
    }
    check(5, 1);
    book.sweep(at(0), &FxHashSet::default());
    check(5, 1);
    book.sweep(at(40 * 86_400), &FxHashSet::default());
    check(0, 0);
}

fn amount(budget: &Budget, tokens: u64) -> u64 {
    match budget.limit.metric {
        Metric::Cost => tokens * PRICE_PER_TOKEN,
        Metric::Requests => 1,
        Metric::Tokens | Metric::InputTokens | Metric::OutputTokens => tokens,
    }
}
