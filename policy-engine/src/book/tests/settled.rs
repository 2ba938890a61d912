//! What is known of later: from before the start, or at another price.

use super::*;

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
    let Holder {
        key_id, project_id, ..
    } = holder(2);
    let corrections = [
        (key_id, project_id, MODELS[0], at(0), 5),
        (key_id, project_id, MODELS[0], at(3_600), -1),
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
        project_id,
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
