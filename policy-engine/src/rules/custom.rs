//! Expressions in CEL.

mod bounds;
mod variables;

use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::Program;
use serde_json::Value;

use super::reader::{Faults, Reader, text};
use super::{Action, Context, Objection, action};
use crate::denial::Reason;

/// A custom policy.
pub(crate) struct Custom {
    pub(super) action: Action,
    program: Program,
    /// Which variables it looks at.
    variables: Vec<&'static str>,
    message: String,
}

impl std::fmt::Debug for Custom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Custom")
            .field("action", &self.action)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

const MOST_MESSAGE_BYTES: usize = 500;

impl Custom {
    pub(crate) fn parse(value: &Value, faults: &mut Faults) -> Option<Self> {
        let mut reader = Reader::new("$.rules", value, faults);
        let action = action(&mut reader);
        let message = reader.optional("message", |value| {
            let text = text(value)?;
            if text.len() > MOST_MESSAGE_BYTES {
                return Err(format!("must have {MOST_MESSAGE_BYTES} bytes at the most"));
            }
            Ok(text.to_owned())
        });
        let program = reader.required("expression", |value| compile(text(value)?));
        reader.finish();
        let (program, variables) = program?;
        Some(Self {
            action,
            program,
            variables,
            message: message.unwrap_or_else(|| "it is not allowed".to_owned()),
        })
    }

    pub(crate) fn check(&self, ctx: &Context<'_>) -> Option<Objection> {
        let context = variables::context(ctx, &self.variables);
        // Nothing of it is known to panic; a request shall not be lost to it if something does.
        let value = catch_unwind(AssertUnwindSafe(|| self.program.execute(&context)));
        if matches!(value, Ok(Ok(cel::Value::Bool(false)))) {
            return None;
        }
        Some(Objection::new(Reason::PolicyDenied, self.message.clone()))
    }
}

/// The parser, and whatever drops what it made, call themselves for each part of an expression within another.
const STACK_BYTES: usize = 64 << 20;

/// On a thread of its own: an expression that is too deep must not end the process.
fn compile(text: &str) -> Result<(Program, Vec<&'static str>), String> {
    const NOT_CEL: &str = "is no expression in CEL";
    bounds::check_text(text)?;
    let text = text.to_owned();
    let parsing = std::thread::Builder::new()
        .name("expression".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let program = Program::compile(&text).map_err(|error| {
                let why = error.to_string().replace('\n', "; ");
                format!("{NOT_CEL}: {why}")
            })?;
            bounds::check(program.expression())?;
            let used = variables::used(program.expression())?;
            Ok((program, used))
        });
    let parsed = parsing
        .map_err(|_| "can't be parsed now".to_owned())?
        .join();
    parsed.unwrap_or_else(|_| Err(NOT_CEL.to_owned()))
}
