//! Clocks step back.

use super::*;

#[test]
fn what_is_admitted_after_the_clock_stepped_back_counts_in_the_window_that_runs() {
    let book = Arc::new(Book::default());
    let people = People::default();
    let budgets = [budget(Metric::Tokens, Window::Hour, 1_000, Scope::Key)];
    let later = ask(2, MODELS[0], 50, 3_600);
    drop(hold(&book, &later, &budgets).unwrap());
    let stepped = hold(&book, &ask(2, MODELS[0], 50, 3_599), &budgets).unwrap();
    assert_eq!(numbers(&book, &budgets[0], &later), (0, 150));
    stepped.settle(&used(2, MODELS[0], 10, 3_599), budgets.iter(), &people);
    assert_eq!(numbers(&book, &budgets[0], &later), (10, 0));
    // The ledger has it in that window, too.
    let late = budget(Metric::Tokens, Window::Hour, 1_000, Scope::Organization);
    assert_eq!(numbers(&book, &late, &later), (10, 0));
}

#[test]
fn a_clock_that_is_behind_what_the_database_has_counts_in_its_windows() {
    let book = Arc::new(Book::default());
    let people = People::default();
    let budgets = [budget(Metric::Tokens, Window::Hour, 1_000, Scope::Key)];
    let hour = (Window::Hour, Window::Hour.index(at(3_600)));
    let before = used(2, MODELS[0], 7, 0).amounts;
    book.add_settled([(holder(2), MODELS[0], hour, before)].into_iter());
    let request = ask(2, MODELS[0], 50, 0);
    let running = hold(&book, &request, &budgets).unwrap();
    running.settle(&used(2, MODELS[0], 10, 0), budgets.iter(), &people);
    assert_eq!(numbers(&book, &budgets[0], &request), (17, 0));
}
