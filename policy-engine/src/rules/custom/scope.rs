//! What the expressions of one request see that the interpreter evaluates. Nothing is worked out before one of them looks at it, and
//! then once for all of those.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::objects::Key;
use cel::{Env, Program, Value};

use super::variables::Variable;
use crate::rules::Context;

/// The standard functions, shared by all expressions.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// Empty until the first expression.
#[derive(Default)]
pub(crate) struct Scope(RefCell<Option<Box<Seen>>>);

struct Seen {
    context: cel::Context<'static, 'static>,
    /// The fields of each root that were looked at.
    roots: BTreeMap<&'static str, HashMap<Key, Value>>,
    /// What was looked at, and whether there is anything to see.
    variables: Vec<(&'static Variable, bool)>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

impl Scope {
    /// What a program makes of some variables, and of nothing else; none if it fails, or one of them can't be seen.
    pub(super) fn execute(
        &self,
        program: &Program,
        variables: &[&'static Variable],
        ctx: &Context<'_>,
    ) -> Option<Value> {
        let mut seen = self.0.borrow_mut();
        let seen = seen.get_or_insert_with(Box::default);
        seen.look_at(variables, ctx)
            .then(|| program.execute(&seen.context).ok())
            .flatten()
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            context: cel::Context::with_env(Arc::clone(&ENV)),
            roots: BTreeMap::new(),
            variables: Vec::new(),
        }
    }
}

impl Seen {
    /// Answers whether all of them can be seen.
    fn look_at(&mut self, variables: &[&'static Variable], ctx: &Context<'_>) -> bool {
        let mut changed: Vec<&'static str> = Vec::new();
        let mut all = true;
        for variable in variables {
            let mut known = self.variables.iter();
            let known = known.find(|(known, _)| std::ptr::eq(*known, *variable));
            if let Some((_, is_seen)) = known {
                all &= is_seen;
                continue;
            }
            let value = variable.value(ctx);
            self.variables.push((variable, value.is_ok()));
            match value {
                Ok(value) => {
                    let fields = self.roots.entry(variable.root).or_default();
                    fields.insert(Key::from(variable.field), value);
                    changed.push(variable.root);
                }
                Err(_unseen) => all = false,
            }
        }
        for (root, fields) in &self.roots {
            if changed.contains(root) {
                self.context.add_variable_from_value(*root, fields.clone());
            }
        }
        all
    }
}
