//! One counter of a budget: what rows say, compared with what refusals told.

use super::clients::{Refusal, Told};
use super::house::Budget;
use super::money::cents;
use super::rows::{Request, Rows};
use crate::report::Report;

/// What was seen of some counters, added up.
#[derive(Debug, Default)]
pub(super) struct Audit {
    counters: usize,
    limit: u64,
    spent: u64,
    /// Counters that ended above their limit.
    overspent: usize,
    overspend: u64,
    most_overspend: u64,
    /// What requests that ran with the last one used beyond their estimates.
    bound: u64,
    beyond_bound: usize,
    refusals: usize,
    /// Refused for what was held by others: what was spent alone would have let them pass.
    for_what_is_held: usize,
    /// Refused though it fit, by what the refusal says itself.
    false_by_own_words: usize,
    /// Refused though it fit, by rows and by what was held at the most.
    false_by_rows: usize,
    /// Told more or less than rows allow at that moment.
    wrong_sums: usize,
    /// Quiet counters, and those of them that say what rows say.
    last_words: (usize, usize),
}

impl Audit {
    /// Adds one counter: `member` says which keys it counts, `last` is what it says when nobody asks any more.
    pub(super) fn add(
        &mut self,
        budget: &Budget,
        counter: usize,
        rows: &Rows,
        told: &Told,
        last: Option<&Refusal>,
    ) {
        let counts = |key| budget.per.of_key(key) == counter;
        let requests: Vec<_> = rows
            .requests
            .iter()
            .filter(|request| counts(request.key))
            .collect();
        let spent: u64 = requests.iter().map(|request| request.cost).sum();
        self.counters += 1;
        self.limit += budget.limit;
        self.spent += spent;
        self.overspending(budget.limit, spent, &requests);
        let of_counter = |refusal: &&Refusal| {
            refusal.policy == budget.name() && counts(refusal.pair / super::money::MODELS)
        };
        for refusal in told.refused.iter().filter(of_counter) {
            self.refusal(refusal, budget.limit, &requests);
        }
        if let Some(last) = last {
            self.last_words.0 += 1;
            let says = (last.limit, last.spent, last.held);
            self.last_words.1 += usize::from(says == (budget.limit, spent, 0));
        }
    }

    fn overspending(&mut self, limit: u64, spent: u64, requests: &[&Request]) {
        let overspend = spent.saturating_sub(limit);
        // When the last one was admitted, what was spent and held was within the limit.
        let last = requests.iter().map(|request| request.admitted).max();
        let runs =
            |request: &&&Request| request.settled.is_none_or(|settled| Some(settled) >= last);
        let running = requests.iter().filter(runs);
        let bound: u64 = running
            .map(|request| request.cost.saturating_sub(request.held.0))
            .sum();
        self.overspent += usize::from(overspend > 0);
        self.overspend += overspend;
        self.most_overspend = self.most_overspend.max(overspend);
        if overspend > 0 {
            self.bound += bound;
        }
        self.beyond_bound += usize::from(overspend > bound);
    }

    fn refusal(&mut self, refusal: &Refusal, limit: u64, requests: &[&Request]) {
        self.refusals += 1;
        let Refusal {
            spent,
            held,
            expected,
            ..
        } = *refusal;
        self.for_what_is_held += usize::from(spent + expected <= limit);
        self.false_by_own_words += usize::from(spent + held + expected <= limit);
        let (mut least, mut most, mut taken) = (0, 0, 0_u64);
        for request in requests {
            match moment(refusal, request) {
                Moment::Before => {
                    least += request.cost;
                    most += request.cost;
                    taken = taken.saturating_add(request.cost);
                }
                Moment::Meanwhile => {
                    most += request.cost;
                    taken = taken.saturating_add(request.cost.max(request.held.1));
                }
                Moment::After => {}
            }
        }
        self.false_by_rows += usize::from(taken.saturating_add(expected) <= limit);
        self.wrong_sums += usize::from(!(least..=most).contains(&spent));
    }

    pub(super) fn check(&self, what: &str, report: &mut Report) {
        report.say(format_args!(
            "  {what}: {} counters, limits {} cents, spent {} cents",
            self.counters,
            cents(self.limit),
            cents(self.spent)
        ));
        report.say(format_args!(
            "    overspent: {} counters by {} cents in all, {} at the most; bound for them {} cents",
            self.overspent,
            cents(self.overspend),
            cents(self.most_overspend),
            cents(self.bound)
        ));
        report.say(format_args!(
            "    refusals: {}, {} of them for what running requests held",
            self.refusals, self.for_what_is_held
        ));
        report.check(
            format_args!("overspent beyond the bound: {}", self.beyond_bound),
            self.beyond_bound == 0,
        );
        let (told, counted) = (self.false_by_own_words, self.false_by_rows);
        report.check(
            format_args!("refused though it fit: {told} by what they say, {counted} by rows"),
            told + counted == 0,
        );
        report.check(
            format_args!(
                "told a sum that rows don't allow: {} of {}",
                self.wrong_sums, self.refusals
            ),
            self.wrong_sums == 0,
        );
        let (asked, right) = self.last_words;
        report.check(
            format_args!("say in the end what rows say, to the picodollar: {right} of {asked}"),
            right == asked,
        );
    }
}

/// When a request ended, seen from a refusal.
enum Moment {
    /// Its end was there before the refused one was sent.
    Before,
    Meanwhile,
    /// It was sent after the refusal had come.
    After,
}

fn moment(refusal: &Refusal, request: &Request) -> Moment {
    let Some(passed) = &request.passed else {
        // It broke off: nobody knows more than when it was admitted.
        return if request.admitted > refusal.got {
            Moment::After
        } else {
            Moment::Meanwhile
        };
    };
    if passed.sent > refusal.got {
        Moment::After
    } else if passed.ended < refusal.sent && !passed.abandoned {
        Moment::Before
    } else {
        Moment::Meanwhile
    }
}
