//! From text to an expression that is safe to evaluate.

use std::thread;

use cel::{ParseErrors, Program};

use super::inspect;
use super::{Code, Expression, Plain};

/// The longest expression, in bytes.
const MOST_BYTES: usize = 4_096;
/// How many brackets may be open at once, counted in strings too.
const MOST_BRACKETS: usize = 64;
/// Of the parser's complaints, the first ones say most.
const MOST_ERRORS: usize = 5;
/// What the parser says where it gives up, among much else.
const RECURSION: &str = "Recursion limit";
/// The parser goes deeper into a chain of operators the longer it is; this is enough for the longest text there is.
const STACK_BYTES: usize = 64 << 20;

/// Everything wrong with it, or an expression.
pub(super) fn compile(text: &str) -> Result<Expression, Vec<String>> {
    if text.len() > MOST_BYTES {
        return Err(vec![format!("must have no more than {MOST_BYTES} bytes")]);
    }
    if open_brackets(text) > MOST_BRACKETS {
        return Err(vec![format!(
            "must have no more than {MOST_BRACKETS} brackets within each other"
        )]);
    }
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        let parsed = thread
            .spawn_scoped(scope, || parse(text))
            .map(|thread| thread.join());
        match parsed {
            Ok(Ok(parsed)) => parsed,
            Ok(Err(_)) => Err(vec!["can't be parsed".to_owned()]),
            Err(_) => Err(vec![
                "can't be parsed now: there is no thread for it".to_owned(),
            ]),
        }
    })
}

fn parse(text: &str) -> Result<Expression, Vec<String>> {
    let program = Program::compile(text).map_err(|errors| said(&errors))?;
    let variables = inspect::inspect(program.expression())?;
    let plain = Plain::of(&program.expression().expr);
    Ok(Expression {
        code: plain.map_or_else(|| Code::Interpreted(program), Code::Plain),
        variables,
    })
}

fn said(errors: &ParseErrors) -> Vec<String> {
    let errors = &errors.errors;
    if errors.iter().any(|error| error.msg.contains(RECURSION)) {
        return vec!["is nested too deeply to be parsed".to_owned()];
    }
    let errors = errors.iter().take(MOST_ERRORS);
    let one = |error: &cel::ParseError| {
        let (line, column) = error.pos;
        let message = error.msg.lines().next().unwrap_or_default();
        format!("line {line}, column {column}: {message}")
    };
    errors.map(one).collect()
}

fn open_brackets(text: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}
