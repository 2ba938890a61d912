//! What is told and held of an overload.

use std::time::Duration;

use super::refusals::Refusals;
use super::watch::Watched;
use crate::figures::rate;
use crate::offered::{Outcome, Told};
use crate::plan::Plan;
use crate::report::Report;

/// Of what is answered at the most, while there are twice as many requests.
const GOODPUT: f64 = 0.9;
const RECOVERY: Duration = Duration::from_secs(1);

/// What was answered at the most.
pub(super) struct Peak {
    pub(super) per_second: f64,
    /// Of a core, by all threads of the gateway.
    pub(super) cpu_share: f64,
}

/// What became of twice as many: how many were answered, as a share of before.
pub(super) fn compare(report: &mut Report, peak: &Peak, each: Duration, over: &Told) -> f64 {
    let end = over.began + each;
    let in_time = over.answers.iter().filter(|answer| answer.ended <= end);
    let good = in_time.filter(|answer| matches!(answer.outcome, Outcome::Whole));
    let share = rate(good.count(), each) / peak.per_second;
    let refusals = Refusals::of(over);
    report.say(format_args!(
        "  asked {:.2} times as often: x{share:.2} answered, refused: {:?}",
        rate(over.answers.len(), each) / peak.per_second,
        refusals.by_kind
    ));
    report.check(
        format_args!(
            "answers that are neither whole nor the API's word for it: {}{}",
            refusals.strange, refusals.example
        ),
        refusals.strange == 0,
    );
    share
}

/// What a refusal costs, as what the gateway had beside the answers.
#[expect(clippy::cast_precision_loss, reason = "for reading")]
pub(super) fn costs(report: &Report, peak: &Peak, over: &Told, cpu: Duration) {
    let answer = peak.cpu_share / peak.per_second;
    let (whole, refused) = (over.whole(), Refusals::of(over).count());
    if refused > 0 {
        let refusal = (cpu.as_secs_f64() - whole as f64 * answer).max(0.0) / refused as f64;
        report.say(format_args!(
            "  CPU: {:.0} us for an answer at the peak, what is left of it {:.0} us for a refusal",
            answer * 1e6,
            refusal * 1e6
        ));
    }
}

pub(super) fn judge(report: &mut Report, goodput: f64) {
    report.check(
        format_args!("answers are x{GOODPUT} of before at the least"),
        goodput >= GOODPUT,
    );
}

pub(super) fn refused(report: &mut Report, over: &Told) {
    report.check("some are refused", Refusals::of(over).count() > 0);
}

/// How long until everything was as usual for good.
pub(super) fn recovered(plan: &Plan, report: &mut Report, patience: Duration, after: &Told) {
    let unusual = after.answers.iter().filter(|answer| {
        let is_whole = matches!(answer.outcome, Outcome::Whole);
        !is_whole || answer.ended - answer.due > patience
    });
    let last = unusual.map(|answer| answer.due - after.began).max();
    let took = last.unwrap_or_default();
    report.say(format_args!(
        "  the last request that was refused, or took longer than {patience:?}, was due {took:?} after the end of it"
    ));
    if plan.pick(false, true) {
        report.check("it recovers within a second", took <= RECOVERY);
    }
}

pub(super) fn remember(plan: &Plan, report: &mut Report, memory: &Watched) {
    let (middle, end) = memory.thirds();
    report.say(format_args!(
        "  anonymous memory: {middle:.1} MB in the middle third, {end:.1} MB in the last, {:.1} MB at the most",
        memory.most()
    ));
    let bound = middle * 1.1 + plan.pick(64.0, 8.0);
    report.check(
        format_args!("it doesn't grow (bound: {bound:.1} MB)"),
        end <= bound,
    );
}
