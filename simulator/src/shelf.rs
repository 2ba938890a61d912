//! A bounded store: when it is full, the oldest thing makes room.

use std::collections::VecDeque;

/// Things by id, oldest first, within a bound on their number and on their weight in bytes.
#[derive(Debug)]
pub(crate) struct Shelf<T> {
    things: VecDeque<Slot<T>>,
    max_count: usize,
    max_bytes: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Slot<T> {
    id: String,
    bytes: usize,
    thing: T,
}

impl<T> Shelf<T> {
    pub(crate) fn new(max_count: usize, max_bytes: usize) -> Self {
        Self {
            things: VecDeque::new(),
            max_count,
            max_bytes,
            bytes: 0,
        }
    }

    /// Puts a new thing on the shelf. The newest always stays, even if it alone is over the bound.
    pub(crate) fn put(&mut self, id: String, bytes: usize, thing: T) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.things.push_back(Slot { id, bytes, thing });
        while self.things.len() > 1
            && (self.things.len() > self.max_count || self.bytes > self.max_bytes)
        {
            if let Some(oldest) = self.things.pop_front() {
                self.bytes = self.bytes.saturating_sub(oldest.bytes);
            }
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.position(id)
            .and_then(|index| self.things.get(index))
            .map(|slot| &slot.thing)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.position(id)
            .and_then(|index| self.things.get_mut(index))
            .map(|slot| &mut slot.thing)
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<T> {
        let slot = self.things.remove(self.position(id)?)?;
        self.bytes = self.bytes.saturating_sub(slot.bytes);
        Some(slot.thing)
    }

    /// Newest first, as the API lists.
    pub(crate) fn newest_first(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.things.iter().rev().map(|slot| &slot.thing)
    }

    fn position(&self, id: &str) -> Option<usize> {
        self.things.iter().rposition(|slot| slot.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::Shelf;

    fn check(max_count: usize, max_bytes: usize, sizes: &[usize], expected: &[usize]) {
        let mut shelf = Shelf::new(max_count, max_bytes);
        for &size in sizes {
            shelf.put(size.to_string(), size, size);
        }
        let kept: Vec<_> = shelf.newest_first().copied().collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn the_oldest_makes_room() {
        check(2, 100, &[1, 2, 3], &[3, 2]);
        check(9, 10, &[4, 5, 6], &[6]);
        check(9, 10, &[1, 11], &[11]);
        check(9, 10, &[11, 1], &[1]);
    }

    #[test]
    fn removing_frees_the_weight() {
        let mut shelf = Shelf::new(9, 10);
        shelf.put("a".into(), 6, 'a');
        assert_eq!(shelf.remove("a"), Some('a'));
        shelf.put("b".into(), 6, 'b');
        shelf.put("c".into(), 4, 'c');
        assert_eq!(shelf.get("b"), Some(&'b'));
        assert_eq!(shelf.get("a"), None);
    }
}
