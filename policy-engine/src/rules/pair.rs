//! What is allowed, and what is denied.

use super::Faults;
use super::reader::{Item, Reader};

/// Two sets: with the first nothing outside it passes, with the second nothing inside it. Most pairs of a rule aren't set, and take
/// up no room in it: a request goes through many rules.
#[derive(Debug, Clone)]
pub(crate) struct Pair<T>(Option<Box<Sides<T>>>);

#[derive(Debug, Clone)]
struct Sides<T> {
    allowed: Option<T>,
    denied: Option<T>,
}

/// Everything is allowed.
impl<T> Default for Pair<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Pair<T> {
    /// From two fields.
    pub(crate) fn read<'a>(
        reader: &mut Reader<'a, '_>,
        [allowed, denied]: [&str; 2],
        read: impl Fn(&Item<'a>, &mut Faults) -> Option<T>,
    ) -> Self {
        let allowed = reader.optional(allowed, &read);
        let denied = reader.optional(denied, &read);
        let is_set = allowed.is_some() || denied.is_some();
        Self(is_set.then(|| Box::new(Sides { allowed, denied })))
    }

    /// Nothing outside of it passes.
    pub(crate) fn allowing(allowed: T) -> Self {
        let allowed = Some(allowed);
        Self(Some(Box::new(Sides {
            allowed,
            denied: None,
        })))
    }

    /// Whether it can object at all.
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn allowed(&self) -> Option<&T> {
        self.0.as_ref()?.allowed.as_ref()
    }

    pub(crate) fn denied(&self) -> Option<&T> {
        self.0.as_ref()?.denied.as_ref()
    }

    /// What is wrong with something, to be said after its name.
    pub(crate) fn objects(&self, covers: impl Fn(&T) -> bool) -> Option<&'static str> {
        let sides = self.0.as_ref()?;
        if sides.denied.as_ref().is_some_and(&covers) {
            return Some("is denied");
        }
        let allowed = sides.allowed.as_ref().is_none_or(covers);
        (!allowed).then_some("is not among those allowed")
    }
}
