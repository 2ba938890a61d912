//! Models that a request names: its own, those it falls back to, and those of its tools.

use crate::denial::Reason;
use crate::rules::models::ModelSet;
use crate::rules::pair::Pair;
use crate::rules::{Context, Objection, Shown};

/// Looks at all models that a request names.
pub(crate) fn check(models: &Pair<ModelSet>, ctx: &Context<'_>) -> Option<Objection> {
    if !models.is_set() {
        return None;
    }
    check_name(models, ctx.request.model).or_else(|| check_others(models, ctx))
}

/// The empty name is none.
fn check_name(models: &Pair<ModelSet>, model: &str) -> Option<Objection> {
    if model.is_empty() {
        return None;
    }
    let wrong = models.objects(|set| set.covers(model))?;
    let message = format!("the model {} {wrong}", Shown(model));
    Some(Objection::new(Reason::ModelNotAllowed, message))
}

fn check_others(models: &Pair<ModelSet>, ctx: &Context<'_>) -> Option<Objection> {
    let named = match ctx.named() {
        Ok(named) => named,
        Err(objection) => return Some(objection.clone()),
    };
    let mut names = named.models.iter();
    names
        .find_map(|model| check_name(models, model))
        .or_else(|| (named.leaves_the_choice && !allow_every(models)).then(any_model))
}

/// Whether there is no model that the API could choose and that isn't allowed.
fn allow_every(models: &Pair<ModelSet>) -> bool {
    models.allowed().is_none_or(ModelSet::is_everything)
        && models.denied().is_none_or(ModelSet::is_nothing)
}

fn any_model() -> Objection {
    let message = "the fallback default leaves the choice of a model to the API, and not every model is allowed";
    Objection::new(Reason::ModelNotAllowed, message)
}
