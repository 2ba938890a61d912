//! Events on their way into a database that is away, cut off in the middle, or dead: none lost, none doubled.

mod batches;
mod cuts;
mod kills;
mod outage;
mod room;
