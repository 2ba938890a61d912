//! How many files may be open at once, here and in processes that are started from here.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to so many, or as near to it as is permitted; what it is then.
pub(crate) fn allow(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let unbounded = u64::MAX;
    let (now, most) = (
        limit.current.unwrap_or(unbounded),
        limit.maximum.unwrap_or(unbounded),
    );
    if now >= wanted {
        return now;
    }
    // The second way needs no privilege.
    for maximum in [most.max(wanted), most] {
        let raised = Rlimit {
            current: Some(wanted.min(maximum)),
            maximum: Some(maximum),
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            return wanted.min(maximum);
        }
    }
    now
}
