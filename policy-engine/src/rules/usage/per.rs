//! For whom there is a counter of its own.

use crate::limit::{Per, Scope};
use crate::rules::Faults;
use crate::rules::policy::Owner;
use crate::rules::reader::Item;

/// Where a policy doesn't say.
pub(super) fn default(owner: Owner) -> Per {
    let scope = match owner {
        Owner::Organization => Scope::Organization,
        Owner::Project => Scope::Project,
    };
    Per {
        scope,
        model: false,
    }
}

/// A scope, or a list of one scope and perhaps `model`.
pub(super) fn read(item: &Item<'_>, owner: Owner, faults: &mut Faults) -> Option<Per> {
    let words = match item.value.as_str() {
        Some(word) => vec![word],
        None => item.texts(faults)?,
    };
    let is_list = item.value.is_array();
    let (models, scopes): (Vec<&str>, _) = words
        .into_iter()
        .partition(|word| is_list && *word == "model");
    let scope = match scopes.as_slice() {
        _ if models.len() > 1 => None,
        ["organization"] if owner == Owner::Organization => Some(Scope::Organization),
        ["project"] => Some(Scope::Project),
        ["user"] => Some(Scope::User),
        ["key"] => Some(Scope::Key),
        _ => None,
    };
    let Some(scope) = scope else {
        let scopes = match owner {
            Owner::Organization => "key, user, project or organization",
            Owner::Project => "key, user or project",
        };
        return item.fault(
            faults,
            format!("must be {scopes}, or a list of one of them and model"),
        );
    };
    Some(Per {
        scope,
        model: !models.is_empty(),
    })
}
