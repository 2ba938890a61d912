//! A scenario's figures as lines.

use super::results::{Measured, Of};
use super::who::Who;
use crate::report::Report;

pub(super) fn say(measured: &Measured, report: &mut Report) {
    let unit = match measured.events {
        None => "CPU us a request",
        Some(_) => "CPU us an event",
    };
    let rate = measured
        .per_second
        .map(|rate| format!(", {rate} a second"))
        .unwrap_or_default();
    report.say(format_args!(
        "{}: {} connections{rate}\n  {:<18} {unit:>17} {:>8} {:>8} {:>10} {:>9} {:>9} {:>9} {:>9}",
        measured.title,
        measured.connections,
        "",
        "x nginx",
        "x hyper",
        "a second",
        "p50 ms",
        "p99 ms",
        "1st p99",
        "MiB"
    ));
    for of in &measured.contestants {
        let who = of.who;
        let ratio = |base| number(measured.ratio(who, base, |figures| figures.cpu_us), 2);
        report.say(format_args!(
            "  {:<18} {:>17} {:>8} {:>8} {:>10} {:>9} {:>9} {:>9} {:>9}",
            who.title(),
            number(measured.cpu_us(who), 2),
            ratio(Who::Nginx),
            ratio(Who::BareHyper),
            number(measured.middle(who, |figures| Some(figures.per_second)), 0),
            number(measured.middle(who, |figures| Some(figures.p50_ms)), 3),
            number(measured.middle(who, |figures| Some(figures.p99_ms)), 3),
            number(
                measured.middle(who, |figures| Some(figures.first_p99_ms)),
                3
            ),
            number(measured.middle(who, |figures| figures.resident_mib), 1),
        ));
        if let Some(why) = &of.not_measured {
            report.say(format_args!("  not measured: {}: {why}", who.title()));
            // Of the others, it says nothing about what is in this house.
            if who.is_gateway() {
                report.check(format_args!("{} is measured", who.title()), false);
            }
        }
    }
    // What a peer that is gone said at its end is its own affair.
    let is_here = |of: &&Of| of.who.is_gateway() || of.not_measured.is_none();
    let here = measured.contestants.iter().filter(is_here);
    let bad: u64 = here.clone().map(|of| of.bad).sum();
    let complaint = here.into_iter().find_map(|of| {
        let complaint = of.complaint.as_ref()?;
        Some(format!(": {} says {complaint}", of.who.title()))
    });
    let complaint = complaint.unwrap_or_default();
    report.check(
        format_args!("answers that are none, or say something else: {bad}{complaint}"),
        bad == 0,
    );
}

/// So many digits behind the point.
pub(super) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}
