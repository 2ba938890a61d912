//! May this request pass? Policies, rates and budgets, decided in memory.
//!
//! Guarantees: no I/O, no runtime, no clock but the one that is passed in; a decision waits for nobody but another decision about
//! the same organization. What is admitted holds its estimate on every budget that applies, all or none, and gives it back on
//! whatever path it ends.

mod denial;
mod engine;
mod facts;
mod fault;
mod limit;
#[allow(dead_code, unused_imports, reason = "the walk that uses them follows")]
mod rules;
mod source;

pub use denial::{Denial, Exhausted, Reason};
pub use engine::{Engine, PolicyFaults, Settled};
pub use facts::{Caller, Field, Request, Role, UnknownRole};
pub use fault::Fault;
pub use limit::{Limit, Metric, Per, Scope, UsageAction, Window};
pub use source::{
    OrgSource, PolicySource, PolicyStatus, ProjectSource, ServerSource, SubscriptionSource,
    ToolSource,
};
