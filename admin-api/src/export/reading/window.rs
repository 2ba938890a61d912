//! How much time is looked through at once.

use std::time;

use chrono::Duration;

/// So wide at first, and never wider than a day.
const FIRST: Duration = Duration::minutes(1);
const WIDEST: Duration = Duration::days(1);
const NARROWEST: Duration = Duration::milliseconds(1);
/// A page that takes less than this part of its window shows that the window holds too many.
const PART: i32 = 8;
/// What took so long takes too long when there is twice as much of it, or soon does.
const LONG: time::Duration = time::Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub(super) struct Window(Duration);

impl Default for Window {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Window {
    pub(super) fn width(self) -> Duration {
        self.0
    }

    /// There was a page in its first part.
    pub(super) fn was_filled(&mut self, part: Duration) {
        if part < self.0 / PART {
            self.0 = (self.0 / 2).max(NARROWEST);
        }
    }

    /// There was less than a page in all of it, which took so long to see.
    pub(super) fn was_passed(&mut self, took: time::Duration) {
        if took <= LONG {
            self.0 = (self.0 * 2).min(WIDEST);
        }
    }

    /// It took too long. Answers whether there is a narrower one.
    pub(super) fn narrow(&mut self) -> bool {
        let is_narrowest = self.0 <= NARROWEST;
        self.0 = (self.0 / 4).max(NARROWEST);
        !is_narrowest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes a span of so many days whose every hour takes so long to look through; what takes over ten seconds is given up.
    /// Answers how many queries it took, and how many of those were given up.
    fn pass(days: i64, of_hour: impl Fn(Duration) -> time::Duration) -> (usize, usize) {
        let (mut window, mut at) = (Window::default(), Duration::zero());
        let (mut tried, mut failed) = (0, 0);
        while at < Duration::days(days) {
            let share = window.width().as_seconds_f64() / 3_600.0;
            let took = of_hour(at).mul_f64(share);
            tried += 1;
            if took > time::Duration::from_secs(10) {
                failed += 1;
                assert!(window.narrow(), "it gave up at {at}");
            } else {
                at += window.width();
                window.was_passed(took);
            }
        }
        (tried, failed)
    }

    #[test]
    fn what_takes_long_gets_no_wider_window() {
        let (tried, failed) = pass(3, |_| time::Duration::from_secs(3));
        assert_eq!(failed, 0);
        assert!(tried < 300, "{tried}");
    }

    #[test]
    fn a_window_that_took_too_long_is_tried_again_narrower() {
        // Nothing for a week, then a ledger that is busy.
        let busy = |at| {
            let seconds = if at < Duration::days(7) { 0 } else { 100 };
            time::Duration::from_secs(seconds)
        };
        let (tried, failed) = pass(8, busy);
        assert!((1..10).contains(&failed), "{failed}");
        assert!(tried < 10_000, "{tried}");
    }

    #[test]
    fn nothing_is_tried_for_ever() {
        let mut window = Window::default();
        let narrower = std::iter::from_fn(|| window.narrow().then_some(()));
        assert!(narrower.take(100).count() < 20);
    }
}
