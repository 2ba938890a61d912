//! What the benchmarks in `benches/` and the tests of what they cost are made of: requests, answers, events and the history of a
//! database. `README.md` tells what each benchmark measures, and beside what.

pub mod answers;
pub mod bodies;
pub mod clock;
pub mod events;
pub mod history;
pub mod keys;
pub mod policies;
pub mod run;
pub mod storing;
