//! Looks through a parsed expression: which variables it uses, and whether its work is bounded.

use cel::IdedExpr;
use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, SelectExpr};

use super::variables::{self, Variable};

/// How deep an expression may be; a chain of operators is as deep as it is long.
const MOST_DEPTH: usize = 64;
/// How many operations may stand in macros, which repeat them for every entry of a list.
const MOST_REPEATED: usize = 128;

const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];
const TYPES: &[&str] = &[
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "type",
    "uint",
];

/// The variables that are used, or everything wrong.
pub(super) fn inspect(expr: &IdedExpr) -> Result<Vec<&'static Variable>, Vec<String>> {
    let mut inspection = Inspection::default();
    inspection.visit(expr, 0);
    if inspection.repeated > MOST_REPEATED {
        inspection.fault(format!(
            "must have no more than {MOST_REPEATED} operations in macros"
        ));
    }
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
    repeated: usize,
}

impl<'e> Inspection<'e> {
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

    /// The list is worked out once, the rest for each of its entries.
    fn visit_macro(&mut self, comprehension: &'e ComprehensionExpr, depth: usize) {
        if self.in_macro {
            self.fault("macros must not stand within each other");
        }
        self.visit(&comprehension.iter_range, depth);
        self.visit(&comprehension.accu_init, depth);
        let outside = self.in_macro;
        let locals = self.locals.len();
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

    fn visit_select(&mut self, select: &'e SelectExpr, depth: usize) {
        let Expr::Ident(root) = &select.operand.expr else {
            return self.visit(&select.operand, depth);
        };
        let name = root.trim_start_matches('.');
        if self.locals.contains(&name) || !variables::is_root(name) {
            return self.check_name(root);
        }
        let Some(variable) = variables::find(name, &select.field) else {
            let fields = variables::fields(name);
            return self.fault(format!(
                "there is no {name}.{}; there are {fields}",
                select.field
            ));
        };
        if variable.is_large && self.in_macro {
            self.fault(format!(
                "{name}.{} must not stand within a macro",
                select.field
            ));
        }
        if !self.used.iter().any(|used| std::ptr::eq(*used, variable)) {
            self.used.push(variable);
        }
    }

    /// Of a name that stands alone.
    fn check_name(&mut self, name: &'e str) {
        let name = name.trim_start_matches('.');
        if self.locals.contains(&name) || TYPES.contains(&name) {
            return;
        }
        self.fault(if variables::is_root(name) {
            let fields = variables::fields(name);
            format!("{name} must be followed by one of its fields: {fields}")
        } else {
            format!(
                "there is no variable {name}; there are {}",
                variables::roots()
            )
        });
    }

    /// Operators are functions whose names aren't words.
    fn check_function(&mut self, name: &str) {
        let is_word = name.starts_with(|first: char| first.is_ascii_alphabetic());
        if is_word && !FUNCTIONS.contains(&name) {
            let functions = FUNCTIONS.join(", ");
            self.fault(format!(
                "there is no function {name}; there are {functions}"
            ));
        }
    }
}
