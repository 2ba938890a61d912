//! Looks through a parsed expression: which variables it uses, and whether its work is bounded.

mod names;

use cel::IdedExpr;
use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr};

use super::variables::Variable;

/// How deep an expression may be; a chain of operators is as deep as it is long.
const MOST_DEPTH: usize = 64;
/// How many operations may stand in macros, which repeat them for every entry of a list.
const MOST_REPEATED: usize = 128;

/// How often lists of the request may be mentioned, each time to be copied.
const MOST_MENTIONS: usize = 16;

/// The variables that are used, or everything wrong.
pub(super) fn inspect(expr: &IdedExpr) -> Result<Vec<&'static Variable>, Vec<String>> {
    let mut inspection = Inspection::default();
    inspection.visit(expr, 0);
    inspection.check_bounds();
    if inspection.faults.is_empty() {
        return Ok(inspection.used);
    }
    Err(inspection.faults)
}

#[derive(Default)]
struct Inspection<'e> {
    faults: Vec<String>,
    used: Vec<&'static Variable>,
    /// Names that a macro gives to the entries of its list.
    locals: Vec<&'e str>,
    in_macro: bool,
    in_list_of_macro: bool,
    repeated: usize,
    mentions: usize,
}

impl<'e> Inspection<'e> {
    fn check_bounds(&mut self) {
        if self.repeated > MOST_REPEATED {
            self.fault(format!(
                "must have no more than {MOST_REPEATED} operations in macros"
            ));
        }
        if self.mentions > MOST_MENTIONS {
            self.fault(format!(
                "must mention lists of the request no more than {MOST_MENTIONS} times"
            ));
        }
    }

    fn fault(&mut self, message: impl Into<String>) {
        let message = message.into();
        if !self.faults.contains(&message) {
            self.faults.push(message);
        }
    }

    fn visit(&mut self, expr: &'e IdedExpr, depth: usize) {
        self.repeated += usize::from(self.in_macro);
        if depth > MOST_DEPTH {
            return self.fault(format!("must be no more than {MOST_DEPTH} operations deep"));
        }
        let deeper = depth + 1;
        match &expr.expr {
            Expr::Call(call) => {
                self.check_function(&call.func_name);
                let target = call.target.iter().map(AsRef::as_ref);
                target
                    .chain(&call.args)
                    .for_each(|it| self.visit(it, deeper));
            }
            Expr::Comprehension(comprehension) => self.visit_macro(comprehension, deeper),
            Expr::Ident(name) => self.check_name(name),
            Expr::List(list) => list.elements.iter().for_each(|it| self.visit(it, deeper)),
            Expr::Map(map) => map
                .entries
                .iter()
                .for_each(|it| self.visit_entry(it, deeper)),
            Expr::Select(select) => self.visit_select(select, deeper),
            Expr::Struct(strct) => self.fault(format!("there is no type {}", strct.type_name)),
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn visit_entry(&mut self, entry: &'e IdedEntryExpr, depth: usize) {
        match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key, depth);
                self.visit(&entry.value, depth);
            }
            EntryExpr::StructField(field) => self.visit(&field.value, depth),
        }
    }

    /// The list is worked out once, the rest for each of its entries. A list that a macro made could be longer than any that a
    /// request has, and those made of it longer still.
    fn visit_macro(&mut self, comprehension: &'e ComprehensionExpr, depth: usize) {
        if self.in_macro || self.in_list_of_macro {
            self.fault("macros must not stand within each other, nor follow each other");
        }
        let outside = self.in_list_of_macro;
        self.in_list_of_macro = true;
        self.visit(&comprehension.iter_range, depth);
        self.in_list_of_macro = outside;
        self.visit(&comprehension.accu_init, depth);
        self.visit_repeated(comprehension, depth);
    }

    fn visit_repeated(&mut self, comprehension: &'e ComprehensionExpr, depth: usize) {
        let (outside, locals) = (self.in_macro, self.locals.len());
        self.in_macro = true;
        self.locals.push(&comprehension.iter_var);
        self.locals.push(&comprehension.accu_var);
        self.locals.extend(comprehension.iter_var2.as_deref());
        self.visit(&comprehension.loop_cond, depth);
        self.visit(&comprehension.loop_step, depth);
        self.visit(&comprehension.result, depth);
        self.locals.truncate(locals);
        self.in_macro = outside;
    }
}
