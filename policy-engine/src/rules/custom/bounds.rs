//! Keeps expressions small: what they take grows with the lists they look at, and no faster.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};

/// In bytes.
const LONGEST: usize = 4_096;
/// Brackets within brackets, before anybody parses it.
const DEEPEST: usize = 32;
/// Parts within parts: whoever works out an expression calls itself for each.
const DEEPEST_PARTS: usize = 64;

/// What can be said before anybody parses it.
pub(super) fn check_text(text: &str) -> Result<(), String> {
    if text.trim().is_empty() || text.len() > LONGEST {
        return Err(format!("must have 1 to {LONGEST} bytes"));
    }
    let (mut depth, mut run, mut deepest) = (0_usize, 0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        // Signs and conditions nest without brackets.
        run = match byte {
            b'!' | b'-' | b'?' => run + 1,
            _ => run,
        };
        deepest = deepest.max(depth);
    }
    if deepest > DEEPEST || run > 8 * DEEPEST {
        return Err("is nested too deeply".to_owned());
    }
    Ok(())
}

/// It isn't too deep, and no macro stands within another or works on what another made.
pub(super) fn check(expression: &IdedExpr) -> Result<(), String> {
    if depth(expression) > DEEPEST_PARTS {
        return Err(format!(
            "has more than {DEEPEST_PARTS} operations within each other"
        ));
    }
    if walk(expression, false) {
        return Ok(());
    }
    Err("has a macro (all, exists, map, filter) within another".to_owned())
}

/// Every part of an expression.
pub(super) fn parts(expression: &IdedExpr) -> Vec<&IdedExpr> {
    match &expression.expr {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call
            .target
            .iter()
            .map(AsRef::as_ref)
            .chain(&call.args)
            .collect(),
        Expr::Comprehension(it) => vec![
            &it.iter_range,
            &it.accu_init,
            &it.loop_cond,
            &it.loop_step,
            &it.result,
        ],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|it| entry(&it.expr)).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Struct(it) => it.entries.iter().flat_map(|it| entry(&it.expr)).collect(),
    }
}

fn entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

fn depth(expression: &IdedExpr) -> usize {
    let deepest = parts(expression).into_iter().map(depth).max();
    1 + deepest.unwrap_or_default()
}

fn walk(expression: &IdedExpr, in_macro: bool) -> bool {
    let is_macro = matches!(expression.expr, Expr::Comprehension(_));
    if is_macro && in_macro {
        return false;
    }
    parts(expression)
        .into_iter()
        .all(|part| walk(part, in_macro || is_macro))
}
