//! Expressions that do without the interpreter, as most do: they compare strings and ints with each other and combine what comes
//! of it.
//!
//! Guarantees: such an expression comes to what the interpreter would make of it. Everything in it has a type that is known before
//! it is evaluated, so there is nothing that could fail but looking at a variable. All of them are looked at, whatever decides.

use std::borrow::Cow;

use cel::common::ast::{CallExpr, Expr, ListExpr, LiteralValue, SelectExpr, operators};

use super::variables::{self, Look, Unseen};
use crate::rules::Context;

/// What comes to true or false.
#[derive(Debug)]
pub(super) enum Plain {
    Bool(bool),
    Variable(fn(&Context<'_>) -> bool),
    Not(Box<Self>),
    And(Box<[Self; 2]>),
    Or(Box<[Self; 2]>),
    Ints(Int, fn(&i64, &i64) -> bool, Int),
    Texts(Text, fn(&str, &str) -> bool, Text),
    IntIn(Int, Box<[i64]>),
    TextIn(Text, Box<[Box<str>]>),
}

#[derive(Debug)]
pub(super) enum Int {
    Literal(i64),
    Variable(fn(&Context<'_>) -> i64),
}

#[derive(Debug)]
pub(super) enum Text {
    Literal(Box<str>),
    Variable(variables::Text),
}

/// What has a value of one of the types.
enum Typed {
    Bool(Plain),
    Int(Int),
    Text(Text),
}

impl Plain {
    /// None of an expression that needs the interpreter. It isn't deeper than expressions may be.
    pub(super) fn of(expr: &Expr) -> Option<Self> {
        match typed(expr)? {
            Typed::Bool(plain) => Some(plain),
            Typed::Int(_) | Typed::Text(_) => None,
        }
    }

    pub(super) fn is_true(&self, ctx: &Context<'_>) -> Result<bool, Unseen> {
        match self {
            Self::Bool(value) => Ok(*value),
            Self::Variable(look) => Ok(look(ctx)),
            Self::Not(plain) => plain.is_true(ctx).map(|value| !value),
            Self::And(both) => {
                let [left, right] = both.each_ref().map(|plain| plain.is_true(ctx));
                Ok(left? & right?)
            }
            Self::Or(both) => {
                let [left, right] = both.each_ref().map(|plain| plain.is_true(ctx));
                Ok(left? | right?)
            }
            Self::Ints(left, holds, right) => Ok(holds(&left.see(ctx), &right.see(ctx))),
            Self::Texts(left, holds, right) => {
                let (left, right) = (left.see(ctx), right.see(ctx));
                Ok(holds(&left?, &right?))
            }
            Self::IntIn(int, list) => Ok(list.contains(&int.see(ctx))),
            Self::TextIn(text, list) => {
                let text = text.see(ctx)?;
                Ok(list.iter().any(|entry| **entry == *text))
            }
        }
    }
}

impl Int {
    fn see(&self, ctx: &Context<'_>) -> i64 {
        match self {
            Self::Literal(value) => *value,
            Self::Variable(look) => look(ctx),
        }
    }
}

impl Text {
    fn see<'s, 'a: 's>(&'s self, ctx: &Context<'a>) -> Result<Cow<'s, str>, Unseen> {
        match self {
            Self::Literal(text) => Ok(Cow::Borrowed(text)),
            Self::Variable(text) => text.see(ctx),
        }
    }
}

fn typed(expr: &Expr) -> Option<Typed> {
    match expr {
        Expr::Literal(literal) => of_literal(literal),
        Expr::Select(select) => of_select(select),
        Expr::Call(CallExpr {
            func_name,
            target,
            args,
        }) => {
            let plain = match (target.as_deref(), args.as_slice()) {
                (None, [only]) => of_one(func_name, &only.expr),
                (None, [left, right]) => of_two(func_name, &left.expr, &right.expr),
                (Some(target), [part]) => of_text(func_name, &target.expr, &part.expr),
                _ => None,
            };
            plain.map(Typed::Bool)
        }
        Expr::Comprehension(_)
        | Expr::Ident(_)
        | Expr::List(_)
        | Expr::Map(_)
        | Expr::Struct(_)
        | Expr::Unspecified => None,
    }
}

fn of_literal(literal: &LiteralValue) -> Option<Typed> {
    match literal {
        LiteralValue::Boolean(value) => Some(Typed::Bool(Plain::Bool(*value.inner()))),
        LiteralValue::Int(value) => Some(Typed::Int(Int::Literal(*value.inner()))),
        LiteralValue::String(text) => Some(Typed::Text(Text::Literal(text.inner().into()))),
        LiteralValue::Bytes(_)
        | LiteralValue::Double(_)
        | LiteralValue::Null
        | LiteralValue::UInt(_) => None,
    }
}

fn of_select(select: &SelectExpr) -> Option<Typed> {
    let Expr::Ident(root) = &select.operand.expr else {
        return None;
    };
    if select.test {
        return None;
    }
    match variables::find(root, &select.field)?.look {
        Look::Bool(look) => Some(Typed::Bool(Plain::Variable(look))),
        Look::Int(look) => Some(Typed::Int(Int::Variable(look))),
        Look::Text(look) => Some(Typed::Text(Text::Variable(look))),
        Look::Many(_) => None,
    }
}

fn of_one(function: &str, of: &Expr) -> Option<Plain> {
    match function {
        operators::LOGICAL_NOT => Some(Plain::Not(Box::new(Plain::of(of)?))),
        _ => None,
    }
}

fn of_two(function: &str, left: &Expr, right: &Expr) -> Option<Plain> {
    if function == operators::IN {
        return of_list(left, right);
    }
    match (typed(left)?, typed(right)?) {
        (Typed::Bool(left), Typed::Bool(right)) => match function {
            operators::LOGICAL_AND => Some(Plain::And(Box::new([left, right]))),
            operators::LOGICAL_OR => Some(Plain::Or(Box::new([left, right]))),
            _ => None,
        },
        (Typed::Int(left), Typed::Int(right)) => {
            let holds = match function {
                operators::EQUALS => i64::eq,
                operators::NOT_EQUALS => i64::ne,
                operators::LESS => i64::lt,
                operators::LESS_EQUALS => i64::le,
                operators::GREATER => i64::gt,
                operators::GREATER_EQUALS => i64::ge,
                _ => return None,
            };
            Some(Plain::Ints(left, holds, right))
        }
        (Typed::Text(left), Typed::Text(right)) => {
            let holds = match function {
                operators::EQUALS => str::eq,
                operators::NOT_EQUALS => str::ne,
                _ => return None,
            };
            Some(Plain::Texts(left, holds, right))
        }
        _ => None,
    }
}

fn of_list(one: &Expr, list: &Expr) -> Option<Plain> {
    let Expr::List(ListExpr {
        elements,
        optional_indices,
    }) = list
    else {
        return None;
    };
    if !optional_indices.is_empty() {
        return None;
    }
    let entries = elements.iter().map(|entry| typed(&entry.expr));
    match typed(one)? {
        Typed::Bool(_) => None,
        Typed::Int(int) => {
            let entries = entries.map(|entry| match entry {
                Some(Typed::Int(Int::Literal(value))) => Some(value),
                _ => None,
            });
            Some(Plain::IntIn(int, entries.collect::<Option<_>>()?))
        }
        Typed::Text(text) => {
            let entries = entries.map(|entry| match entry {
                Some(Typed::Text(Text::Literal(text))) => Some(text),
                _ => None,
            });
            Some(Plain::TextIn(text, entries.collect::<Option<_>>()?))
        }
    }
}

/// A method of a string that takes another one.
fn of_text(function: &str, text: &Expr, part: &Expr) -> Option<Plain> {
    let (Typed::Text(text), Typed::Text(part)) = (typed(text)?, typed(part)?) else {
        return None;
    };
    let holds = match function {
        "contains" => |text: &str, part: &str| text.contains(part),
        "startsWith" => |text: &str, part: &str| text.starts_with(part),
        "endsWith" => |text: &str, part: &str| text.ends_with(part),
        _ => return None,
    };
    Some(Plain::Texts(text, holds, part))
}

#[cfg(test)]
mod tests;
