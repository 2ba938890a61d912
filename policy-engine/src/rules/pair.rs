//! What is allowed, and what is denied.

use super::Faults;
use super::reader::{Item, Reader};

/// Two sets: with the first nothing outside it passes, with the second nothing inside it.
#[derive(Debug, Clone)]
pub(crate) struct Pair<T> {
    pub(crate) allowed: Option<T>,
    pub(crate) denied: Option<T>,
}

/// Everything is allowed.
impl<T> Default for Pair<T> {
    fn default() -> Self {
        Self {
            allowed: None,
            denied: None,
        }
    }
}

impl<T> Pair<T> {
    /// From two fields.
    pub(crate) fn read<'a>(
        reader: &mut Reader<'a, '_>,
        [allowed, denied]: [&str; 2],
        read: impl Fn(&Item<'a>, &mut Faults) -> Option<T>,
    ) -> Self {
        Self {
            allowed: reader.optional(allowed, &read),
            denied: reader.optional(denied, &read),
        }
    }

    /// Whether it can object at all.
    pub(crate) fn is_set(&self) -> bool {
        self.allowed.is_some() || self.denied.is_some()
    }

    /// What is wrong with something, to be said after its name.
    pub(crate) fn objects(&self, covers: impl Fn(&T) -> bool) -> Option<&'static str> {
        if self.denied.as_ref().is_some_and(&covers) {
            return Some("is denied");
        }
        let allowed = self.allowed.as_ref().is_none_or(covers);
        (!allowed).then_some("is not among those allowed")
    }
}
