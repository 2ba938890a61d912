//! May this request pass? Policies, rates and budgets, decided in memory.
//!
//! Guarantees: no I/O, no runtime, no clock but the one that is passed in; a decision waits for nobody but another decision about
//! the same organization. What is admitted holds its estimate on every budget that applies, all or none, and gives it back on
//! whatever path it ends.

mod book;
mod budget;
mod denial;
mod engine;
mod facts;
mod fault;
mod limit;
mod notes;
mod project;
mod rate;
mod registry;
mod rules;
mod source;
#[cfg(test)]
mod testing;
mod throttle;
mod walk;

pub use book::Amounts;
pub use budget::Whom;
pub use denial::{Denial, DeniedItem, Exhausted, Reason};
pub use engine::{
    Admitted, Correction, Engine, Explained, Item, ItemRules, LateUsage, LimitOf, LimitOrigin,
    Limits, LimitsOf, Past, PolicyChange, PolicyFaults, Refused, Rehearsal, Replay, Replayed,
    Settled, Size, Spend, Standing, Untold,
};
pub use facts::{Caller, Field, Request, Role, Unkept, UnknownRole};
pub use fault::Fault;
pub use limit::{Limit, Metric, Per, Scope, UsageAction, Window};
pub use notes::{Left, Note, Notes, Remaining, Step};
pub use source::{
    OrgSource, PolicySource, PolicyStatus, ProjectSource, ServerSource, SubscriptionSource,
    ToolSource,
};
pub use throttle::Throttle;
