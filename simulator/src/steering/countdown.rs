//! Failures that end: `x-simulator-error-times` lets the first n requests of a key fail, for retry tests.

use std::sync::{Mutex, PoisonError};

use crate::shelf::Shelf;

const MAX_KEYS: usize = 10_000;

/// How often each error key has failed.
#[derive(Debug)]
pub(crate) struct Countdown(Mutex<Shelf<u32>>);

impl Countdown {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Shelf::new(MAX_KEYS, usize::MAX)))
    }

    /// Whether this request of `key` is among the first `times`.
    pub(crate) fn fails(&self, key: &str, times: u32) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = seen.get_mut(key) {
            *count = count.saturating_add(1);
            return *count <= times;
        }
        seen.put(key.to_owned(), key.len(), 1);
        times > 0
    }
}

#[cfg(test)]
mod tests {
    use super::Countdown;

    #[test]
    fn only_the_first_requests_of_a_key_fail() {
        let countdown = Countdown::new();
        let fails: Vec<_> = (0..4).map(|_| countdown.fails("a", 2)).collect();
        assert_eq!(fails, [true, true, false, false]);
        assert!(countdown.fails("b", 1));
        assert!(!countdown.fails("c", 0));
    }
}
