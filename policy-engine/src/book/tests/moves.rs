//! Keys that become another project's or another user's.

use super::*;

#[test]
fn what_a_key_used_counts_for_whom_it_was_then() {
    let book = Arc::new(Book::default());
    let people = People::default();
    let none: [Budget; 0] = [];
    let moved = Holder {
        project_id: ProjectId(Uuid::from_u128(77)),
        user_id: Some(UserId(Uuid::from_u128(78))),
        ..holder(2)
    };
    book.settle(&used(2, MODELS[0], 70, 0), none.iter(), &people);
    let after = Used {
        holder: moved,
        ..used(2, MODELS[0], 30, 0)
    };
    book.settle(&after, none.iter(), &people);
    let now = Ask {
        holder: moved,
        ..ask(2, MODELS[0], 50, 0)
    };
    // A project counts what was used in it, whoever's counter it is.
    for scope in [Scope::Key, Scope::User] {
        let of_project = |project_id: ProjectId| Budget {
            id: BudgetId::of((project_id.0, scope)),
            project_id: Some(project_id),
            ..budget(Metric::Tokens, Window::Day, u64::MAX, scope)
        };
        let before = of_project(holder(2).project_id);
        assert_eq!(numbers(&book, &before, &ask(2, MODELS[0], 50, 0)).0, 70);
        let after = of_project(moved.project_id);
        assert_eq!(numbers(&book, &after, &now).0, 30, "{scope:?}");
    }
    for (scope, before_it, after_it) in [
        (Scope::Key, 100, 100),
        (Scope::User, 70, 30),
        (Scope::Project, 70, 30),
        (Scope::Organization, 100, 100),
    ] {
        let budget = budget(Metric::Tokens, Window::Day, u64::MAX, scope);
        let before = numbers(&book, &budget, &ask(2, MODELS[0], 50, 0)).0;
        assert_eq!(before, before_it, "{scope:?}");
        assert_eq!(numbers(&book, &budget, &now).0, after_it, "{scope:?}");
    }
    // A correction is of the project that it was used in.
    book.correct([(moved.key_id, moved.project_id, MODELS[0], at(0), 5)].into_iter());
    let cost = budget(Metric::Cost, Window::Day, u64::MAX, Scope::Project);
    let spent = 30 * PRICE_PER_TOKEN + 5;
    assert_eq!(numbers(&book, &cost, &now).0, spent);
}
