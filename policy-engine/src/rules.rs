//! Policies turned from JSON into rules that decide.
//!
//! Guarantees: parsing answers every fault with its path and never stops at the first; a rule that is parsed can't fail; a check
//! allocates nothing as long as nothing objects, except an expression, and what it has to parse of a body's tools, metadata or
//! texts; and no message has a word of a prompt.

mod access;
mod acting;
mod action;
mod amount;
mod applies_to;
mod compliance;
mod context;
mod custom;
mod globs;
mod hours;
pub(crate) mod json;
mod models;
mod named;
mod pair;
mod policy;
mod reader;
mod shown;
mod texts;
mod tools;
mod usage;

#[cfg(test)]
mod testing;

pub(crate) use access::AccessRule;
pub(crate) use action::Action;
pub(crate) use context::{Context, Objection};
pub(crate) use custom::untold_by_expression;
pub(crate) use policy::{Owner, Policy, Rule};
pub(crate) use reader::{Faults, Item, Reader};
pub(crate) use shown::Shown;
pub(crate) use tools::{McpServer, Reached};
pub(crate) use usage::{MOST_REQUESTS, UsageRule};
