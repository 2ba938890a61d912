//! Reading counters costs no more, and leaves no more behind, than it has to.

use super::*;
use crate::book::ledger::Of;
use crate::book::look::walks;

/// One whose ids are all different, as they are in life.
fn holder(key: u8) -> Holder {
    Holder {
        user_id: Some(UserId(Uuid::from_u128(100 + u128::from(key)))),
        project_id: ProjectId(Uuid::from_u128(200)),
        ..super::holder(key)
    }
}

fn each_model(scope: Scope) -> Budget {
    let mut budget = budget(Metric::Tokens, Window::Day, u64::MAX, scope);
    budget.per.model = true;
    budget
}

fn wanted<'a>(budget: &'a Budget, model: &'a str) -> Wanted<'a> {
    let holder = holder(2);
    Wanted {
        budget,
        account: budget.account(&holder, model),
        holder,
        model,
    }
}

fn spent(book: &Book, wanted: &[Wanted<'_>]) -> Vec<u64> {
    let looked = book.look(wanted, &People::default(), at(0));
    looked.iter().map(|looked| looked.spent).collect()
}

/// As many tokens of a model.
fn settle(book: &Book, key: u8, model: &str, tokens: u64) {
    let used = Used {
        model,
        holder: holder(key),
        ..used(key, MODELS[0], tokens, 0)
    };
    book.settle(&used, [].into_iter(), &People::default());
}

#[test]
fn a_minute_that_nobody_counted_is_looked_up_nowhere() {
    let book = Book::default();
    settle(&book, 2, MODELS[0], 10);
    let minute = budget(
        Metric::Tokens,
        Window::Minute,
        u64::MAX,
        Scope::Organization,
    );
    let asked = [wanted(&minute, MODELS[0])];
    let people = People::default();
    assert!(book.lock().missing(&asked, &people, at(0)).is_empty());
    assert_eq!(spent(&book, &asked), [0]);
    assert_eq!(book.size().1, 0);
}

#[test]
fn a_made_up_model_gets_no_counter_by_being_asked_for() {
    let book = Book::default();
    settle(&book, 2, MODELS[0], 10);
    for scope in [Scope::Organization, Scope::User, Scope::Key] {
        let budget = each_model(scope);
        for n in 0..100 {
            let model = format!("made-up-{n}");
            assert_eq!(spent(&book, &[wanted(&budget, &model)]), [0]);
        }
    }
    assert_eq!(book.size().1, 0);
    let budget = each_model(Scope::Organization);
    assert_eq!(spent(&book, &[wanted(&budget, MODELS[0])]), [10]);
    assert_eq!(book.size().1, 1, "the next request needs it");
}

#[test]
fn what_a_model_without_a_place_may_have_used_is_told_without_a_counter() {
    let book = Book::default();
    for n in 0..65 {
        settle(&book, 2, &format!("made-up-{n}"), 1);
    }
    let budget = each_model(Scope::Organization);
    assert_eq!(spent(&book, &[wanted(&budget, "made-up-99")]), [1]);
    assert_eq!(book.size().1, 0);
}

#[test]
fn a_model_is_looked_for_where_the_data_plane_would() {
    let key = budget(Metric::Tokens, Window::Day, u64::MAX, Scope::Key);
    let all = budget(Metric::Tokens, Window::Day, u64::MAX, Scope::Project);
    let model = each_model(Scope::Organization);
    let of = |budgets: &[&'static Budget]| {
        let wanted: Vec<_> = budgets.iter().map(|it| wanted(it, "made-up")).collect();
        walks(wanted.iter()).to_vec()
    };
    let [key, all, model] = [key, all, model].map(|it| &*Box::leak(Box::new(it)));
    let by_key = Of::Key(holder(2).key_id);
    assert_eq!(of(&[model]), [Of::Model("made-up")]);
    assert_eq!(
        of(&[model, key, model]),
        [Of::Model("made-up"), by_key],
        "each once"
    );
    assert_eq!(of(&[model, all, key]), [Of::All], "all in one go");
}

#[test]
fn counters_of_keys_models_and_all_are_right_when_they_are_read_together() {
    let book = Book::default();
    for (key, model, tokens) in [(2, MODELS[0], 10), (2, MODELS[1], 5), (4, MODELS[0], 3)] {
        settle(&book, key, model, tokens);
    }
    let key = budget(Metric::Tokens, Window::Day, u64::MAX, Scope::Key);
    let all = budget(Metric::Tokens, Window::Day, u64::MAX, Scope::Organization);
    let model = each_model(Scope::Organization);
    let two = [wanted(&key, MODELS[0]), wanted(&model, MODELS[0])];
    assert_eq!(spent(&book, &two), [15, 13]);
    let book = Book::default();
    settle(&book, 2, MODELS[0], 10);
    settle(&book, 4, MODELS[1], 3);
    let three = [two[0], two[1], wanted(&all, MODELS[0])];
    assert_eq!(spent(&book, &three), [10, 10, 13]);
}
