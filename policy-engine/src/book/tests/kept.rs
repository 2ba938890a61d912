//! Counters that are made again, kept, or let go.

use super::*;

#[test]
fn a_budget_that_goes_and_comes_keeps_what_is_held_and_what_was_used_meanwhile() {
    let book = Arc::new(Book::default());
    let people = People::default();
    let budget = budget(Metric::Tokens, Window::Day, 1_000, Scope::Key);
    let request = ask(2, MODELS[0], 50, 0);
    let running = hold(&book, &request, std::slice::from_ref(&budget)).unwrap();
    // It is gone, and others end.
    let none: [Budget; 0] = [];
    book.sweep(at(0), &FxHashSet::default());
    book.settle(&used(2, MODELS[0], 10, 0), none.iter(), &people);
    book.sweep(at(0), &FxHashSet::default());
    book.look_again(&[budget.id].into_iter().collect());
    assert_eq!(numbers(&book, &budget, &request), (10, 150));
    running.settle(&used(2, MODELS[0], 20, 0), [&budget].into_iter(), &people);
    assert_eq!(numbers(&book, &budget, &request), (30, 0));
}

#[test]
fn counters_that_nothing_was_spent_on_are_let_go_when_there_are_many() {
    let book = Arc::new(Book::default());
    let mut by_model = budget(Metric::Tokens, Window::Minute, 1_000, Scope::Organization);
    by_model.per.model = true;
    let budgets = [by_model];
    let running = hold(&book, &ask(2, MODELS[0], 50, 0), &budgets).unwrap();
    for n in 0..300_000 {
        let model = format!("made-up-{n}");
        let request = Ask {
            model: &model,
            ..ask(2, MODELS[0], 50, 0)
        };
        drop(hold(&book, &request, &budgets).unwrap());
    }
    assert!(book.size().1 <= 1 << 18, "{:?}", book.size());
    assert_eq!(
        numbers(&book, &budgets[0], &ask(2, MODELS[0], 50, 0)),
        (0, 150)
    );
    drop(running);
}

#[test]
fn what_was_spent_in_a_minute_is_never_looked_up() {
    let book = Arc::new(Book::default());
    let people = People::default();
    let budgets = [budget(Metric::Tokens, Window::Minute, 1_000, Scope::Key)];
    let request = ask(2, MODELS[0], 50, 0);
    let running = hold(&book, &request, &budgets).unwrap();
    running.settle(&used(2, MODELS[0], 10, 0), budgets.iter(), &people);
    book.add_used(&used(4, MODELS[0], 10, 0));
    assert_eq!(numbers(&book, &budgets[0], &request), (10, 0));
    let mut state = book.lock();
    assert!(
        state
            .counters
            .values_mut()
            .all(|counter| !counter.is_stale())
    );
}
