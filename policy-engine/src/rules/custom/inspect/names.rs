//! Names of variables, their fields, functions and types: all have to be known.

use cel::common::ast::{Expr, SelectExpr};

use super::Inspection;
use crate::rules::custom::variables;

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

impl<'e> Inspection<'e> {
    pub(super) fn visit_select(&mut self, select: &'e SelectExpr, depth: usize) {
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
        self.mentions += usize::from(variable.is_large());
        if variable.is_large() && self.in_macro {
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
    pub(super) fn check_name(&mut self, name: &'e str) {
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
    pub(super) fn check_function(&mut self, name: &str) {
        let is_word = name.starts_with(|first: char| first.is_ascii_alphabetic());
        if is_word && !FUNCTIONS.contains(&name) {
            let functions = FUNCTIONS.join(", ");
            self.fault(format!(
                "there is no function {name}; there are {functions}"
            ));
        }
    }
}
