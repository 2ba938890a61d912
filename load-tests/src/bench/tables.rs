//! What was measured, as tables in Markdown.

use std::fmt::Write as _;

use super::console::number;
use super::results::{Figures, Measured, Results};
use super::who::Who;

/// A figure of a turn.
type Figure = fn(&Figures) -> Option<f64>;

fn is_saturated(measured: &Measured) -> bool {
    measured.per_second.is_none()
}

pub(super) fn machine(results: &Results) -> String {
    let mut table = head(&["", ""]);
    for (name, value) in results.machine.lines() {
        row(&mut table, &[name.to_owned(), value]);
    }
    let measured = format!("{} rounds, turns of {} ms", results.rounds, results.turn_ms);
    row(&mut table, &["measured".to_owned(), measured]);
    table
}

pub(super) fn scenarios(results: &Results) -> String {
    let mut table = head(&[
        "scenario",
        "file",
        "connections",
        "a second",
        "what it stands for",
    ]);
    for measured in &results.scenarios {
        let rate = measured
            .per_second
            .map_or("as many as are answered".to_owned(), |rate| {
                rate.to_string()
            });
        let cells = [
            measured.title.clone(),
            format!("`{}`", measured.name),
            measured.connections.to_string(),
            rate,
            measured.about.clone(),
        ];
        row(&mut table, &cells);
    }
    table
}

pub(super) fn cpu(results: &Results) -> String {
    let proxies = proxies(results);
    let mut table = head_of(&["scenario", "CPU µs of"], &proxies);
    for measured in &results.scenarios {
        let unit = if measured.events.is_some() {
            "an event"
        } else {
            "a request"
        };
        let mut cells = vec![measured.title.clone(), unit.to_owned()];
        cells.extend(proxies.iter().map(|who| number(measured.cpu_us(*who), 2)));
        row(&mut table, &cells);
    }
    table
}

pub(super) fn ratios(results: &Results) -> String {
    let bases = [Who::Nginx, Who::BareHyper, Who::Pingora];
    let gateways: Vec<Who> = results
        .contestants()
        .into_iter()
        .filter(|who| who.is_gateway())
        .collect();
    let pairs = gateways
        .iter()
        .flat_map(|who| bases.map(|base| (*who, base)));
    let pairs: Vec<(Who, Who)> = pairs.collect();
    let titles = pairs
        .iter()
        .map(|(who, base)| format!("{} ÷ {}", who.title(), base.title()));
    let titles: Vec<String> = std::iter::once("scenario".to_owned())
        .chain(titles)
        .collect();
    let mut table = head(&titles.iter().map(String::as_str).collect::<Vec<_>>());
    for measured in &results.scenarios {
        let ratio =
            |(who, base): &(Who, Who)| number(measured.ratio(*who, *base, |of| of.cpu_us), 2);
        let mut cells = vec![measured.title.clone()];
        cells.extend(pairs.iter().map(ratio));
        row(&mut table, &cells);
    }
    table
}

/// Where there is a rate: elsewhere it says how long the queue is.
pub(super) fn latency(results: &Results) -> String {
    let contestants = results.contestants();
    let figures: [(&str, Figure); 4] = [
        ("p50", |of| Some(of.p50_ms)),
        ("p99", |of| Some(of.p99_ms)),
        ("p50 to the first piece", |of| Some(of.first_p50_ms)),
        ("p99 to the first piece", |of| Some(of.first_p99_ms)),
    ];
    let mut table = head_of(&["scenario", "ms"], &contestants);
    for measured in results
        .scenarios
        .iter()
        .filter(|measured| !is_saturated(measured))
    {
        for (name, figure) in figures {
            let mut cells = vec![measured.title.clone(), name.to_owned()];
            let of = |who: &Who| number(measured.middle(*who, figure), 3);
            cells.extend(contestants.iter().map(of));
            row(&mut table, &cells);
        }
    }
    table
}

pub(super) fn rates(results: &Results) -> String {
    by_contestant(results, is_saturated, 0, |of| Some(of.per_second))
}

pub(super) fn memory(results: &Results) -> String {
    by_contestant(results, |_| true, 1, |of| of.resident_mib)
}

fn by_contestant(
    results: &Results,
    belongs: fn(&Measured) -> bool,
    digits: usize,
    figure: Figure,
) -> String {
    let has_it = |who: &Who| {
        let mut all = results.scenarios.iter();
        all.any(|measured| measured.middle(*who, figure).is_some())
    };
    let contestants: Vec<Who> = results.contestants().into_iter().filter(has_it).collect();
    let mut table = head_of(&["scenario"], &contestants);
    for measured in results
        .scenarios
        .iter()
        .filter(|measured| belongs(measured))
    {
        let mut cells = vec![measured.title.clone()];
        let of = |who: &Who| number(measured.middle(*who, figure), digits);
        cells.extend(contestants.iter().map(of));
        row(&mut table, &cells);
    }
    table
}

pub(super) fn missing(results: &Results) -> String {
    let mut list = String::new();
    for (who, why) in &results.missing {
        let _ = writeln!(list, "- {}: not measured: {why}", who.title());
    }
    for measured in &results.scenarios {
        for of in &measured.contestants {
            if let Some(why) = &of.not_measured {
                let _ = writeln!(
                    list,
                    "- {}, {}: not measured: {why}",
                    measured.title,
                    of.who.title()
                );
            }
            if of.bad > 0 {
                let complaint = of.complaint.as_deref().unwrap_or_default();
                let _ = writeln!(
                    list,
                    "- {}, {}: {} bad answers: {complaint}",
                    measured.title,
                    of.who.title(),
                    of.bad
                );
            }
        }
    }
    if list.is_empty() {
        list.push_str("Whoever was to be measured was, and every answer was as it should be.\n");
    }
    list
}

fn proxies(results: &Results) -> Vec<Who> {
    let mut all = results.contestants();
    all.retain(|who| *who != Who::Direct);
    all
}

fn head_of(first: &[&str], contestants: &[Who]) -> String {
    let titles = contestants.iter().map(|who| who.title());
    head(&first.iter().copied().chain(titles).collect::<Vec<_>>())
}

fn head(titles: &[&str]) -> String {
    let mut table = String::new();
    row(
        &mut table,
        &titles.iter().map(ToString::to_string).collect::<Vec<_>>(),
    );
    table.push_str(&"|---".repeat(titles.len()));
    table.push_str("|\n");
    table
}

fn row(table: &mut String, cells: &[String]) {
    let _ = writeln!(table, "| {} |", cells.join(" | "));
}
