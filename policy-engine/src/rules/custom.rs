//! Expressions in CEL that say whether an action is taken.
//!
//! What the work of one can come to is bounded: by its length, by how deeply it is nested, by what its macros hold, and by how much
//! of a request it can look at. One that fails, for whatever reason, takes its action.

mod compile;
mod inspect;
mod plain;
mod scope;
mod variables;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::{Program, Value as CelValue};
use serde_json::Value;

use self::plain::Plain;
pub(crate) use self::scope::Scope;
use self::variables::Variable;
use super::reader::{Item, Reader};
use super::{Action, Context, Faults, Objection};

/// The longest message, in bytes.
const MOST_MESSAGE_BYTES: usize = 1_000;

/// What a custom policy says.
#[derive(Debug, Clone)]
pub(crate) struct CustomRule {
    pub(crate) action: Action,
    /// None only of a rule with faults, which isn't meant to be used.
    expression: Option<Arc<Expression>>,
    message: String,
}

/// An expression, and which variables it looks at.
#[derive(Debug)]
struct Expression {
    code: Code,
    variables: Vec<&'static Variable>,
}

/// Who evaluates it.
#[derive(Debug)]
enum Code {
    Plain(Plain),
    Interpreted(Program),
}

impl CustomRule {
    /// From `rules`. One with faults isn't meant to be used.
    pub(crate) fn parse(value: &Value, faults: &mut Faults) -> Self {
        let mut reader = Reader::new(&Item::new("$.rules", value), faults);
        let action = reader.optional("action", Action::read);
        let expression = reader.required("expression", read_expression);
        let message = reader.optional("message", |item, faults| match item.text(faults)? {
            long if long.len() > MOST_MESSAGE_BYTES => item.fault(
                faults,
                format!("must have no more than {MOST_MESSAGE_BYTES} bytes"),
            ),
            message => Some(message),
        });
        reader.finish();
        Self {
            action: action.unwrap_or_default(),
            expression: expression.map(Arc::new),
            message: message
                .unwrap_or("a custom rule refuses the request")
                .to_owned(),
        }
    }

    /// Objects unless the expression is false.
    pub(crate) fn check(&self, ctx: &Context<'_>) -> Option<Objection> {
        let passes = self.expression.as_ref().is_some_and(|it| it.is_false(ctx));
        (!passes).then(|| Objection::denied(self.message.as_str()))
    }
}

impl Expression {
    fn is_false(&self, ctx: &Context<'_>) -> bool {
        match &self.code {
            Code::Plain(plain) => plain.is_true(ctx) == Ok(false),
            Code::Interpreted(program) => is_false(program, &self.variables, ctx),
        }
    }
}

/// A panic of the interpreter is a failure as any other.
fn is_false(program: &Program, variables: &[&'static Variable], ctx: &Context<'_>) -> bool {
    let evaluate = || ctx.expressions.execute(program, variables, ctx);
    let value = catch_unwind(AssertUnwindSafe(evaluate));
    matches!(value, Ok(Some(CelValue::Bool(false))))
}

/// The variables an expression looks at that nobody knows once a request is over; none of one that can't be understood.
pub(crate) fn untold_by_expression(rules: &Value) -> Vec<String> {
    let rule = CustomRule::parse(rules, &mut Faults::new());
    let expression = rule.expression.iter();
    let variables = expression.flat_map(|expression| &expression.variables);
    let untold = variables.filter(|variable| !variable.is_kept());
    untold.map(|variable| variable.name()).collect()
}

fn read_expression(item: &Item<'_>, faults: &mut Faults) -> Option<Expression> {
    match compile::compile(item.text(faults)?) {
        Ok(expression) => Some(expression),
        Err(messages) => {
            for message in messages {
                item.fault::<()>(faults, message);
            }
            None
        }
    }
}

#[cfg(test)]
mod tests;
