//! Plots beside `PERFORMANCE.md`: bars in groups, one group a scenario, one bar a contestant.

use std::fs;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::results::{Figures, Measured, Results};
use super::who::Who;

const WIDTH: u32 = 900;
const BAR: i32 = 11;
const GAP: i32 = 14;
/// Left of the bars, for the names of scenarios; right of them, for the figures.
const LEFT: i32 = 320;
const RIGHT: i32 = 70;
const TOP: i32 = 64;

/// What a plot shows.
struct Plot {
    file: &'static str,
    title: &'static str,
    /// Whose bars would all be of length one, if it is a ratio.
    base: Option<Who>,
    belongs: fn(&Measured) -> bool,
    figure: fn(&Figures) -> Option<f64>,
}

const PLOTS: [Plot; 4] = [
    Plot {
        file: "cpu.svg",
        title: "CPU of an answer, as a ratio to bare hyper (less is better)",
        base: Some(Who::BareHyper),
        belongs: |_| true,
        figure: |of| of.cpu_us,
    },
    Plot {
        file: "rates.svg",
        title: "Answers a second, as a ratio to bare hyper (more is better)",
        base: Some(Who::BareHyper),
        belongs: |measured| measured.per_second.is_none(),
        figure: |of| Some(of.per_second),
    },
    Plot {
        file: "latency.svg",
        title: "p99 from the moment a request was due, in ms (less is better)",
        base: None,
        belongs: |measured| measured.per_second.is_some() && !measured.is_paced,
        figure: |of| Some(of.p99_ms),
    },
    Plot {
        file: "memory.svg",
        title: "The most memory of a turn, in MiB (less is better)",
        base: None,
        belongs: |_| true,
        figure: |of| of.resident_mib,
    },
];

/// Bars of one scenario.
struct Group<'a> {
    title: &'a str,
    bars: Vec<(Who, f64)>,
}

pub(super) fn write(results: &Results, folder: &Path) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(|error| told(&error))?;
    for plot in &PLOTS {
        let groups = groups(results, plot);
        let drawn = draw(plot, &groups, &folder.join(plot.file));
        drawn.map_err(|error| told(&error))?;
    }
    Ok(())
}

fn groups<'a>(results: &'a Results, plot: &Plot) -> Vec<Group<'a>> {
    let value = |measured: &Measured, who: Who| match plot.base {
        Some(base) if who == base => None,
        Some(base) => measured.ratio(who, base, plot.figure),
        None => measured.middle(who, plot.figure),
    };
    let group = |measured: &'a Measured| {
        let bars = Who::ALL.into_iter();
        Group {
            title: &measured.title,
            bars: bars
                .filter_map(|who| Some((who, value(measured, who)?)))
                .collect(),
        }
    };
    let belongs = |measured: &&Measured| (plot.belongs)(measured);
    let all = results.scenarios.iter().filter(belongs).map(group);
    all.filter(|group| !group.bars.is_empty()).collect()
}

fn draw(plot: &Plot, groups: &[Group<'_>], path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let count: i32 = groups.iter().map(|group| length(&group.bars)).sum();
    let height = (TOP + count * BAR + length(groups) * GAP + GAP).unsigned_abs();
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    root.draw(&Text::new(plot.title, (GAP, GAP), font(19)))?;
    legend(&root, groups)?;
    let values = groups.iter().flat_map(|group| &group.bars).map(|bar| bar.1);
    let scale = Scale(values.fold(f64::MIN_POSITIVE, f64::max));
    if plot.base.is_some() {
        let one = scale.place(1.0);
        let line = vec![(one, TOP - GAP), (one, height.cast_signed() - GAP)];
        root.draw(&PathElement::new(line, color(Who::Direct)))?;
    }
    let mut y = TOP;
    for group in groups {
        let middle = y + length(&group.bars) * BAR / 2;
        let name = font(15).pos(Pos::new(HPos::Right, VPos::Center));
        root.draw(&Text::new(group.title, (LEFT - GAP, middle), name))?;
        for (who, value) in &group.bars {
            let end = scale.place(*value);
            let corners = [(LEFT, y), (end, y + BAR - 1)];
            root.draw(&Rectangle::new(corners, color(*who).filled()))?;
            let figure = font(11).pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(
                format!("{value:.2}"),
                (end + 4, y + BAR / 2),
                figure,
            ))?;
            y += BAR;
        }
        y += GAP;
    }
    root.present()?;
    Ok(())
}

fn legend(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    groups: &[Group<'_>],
) -> Result<(), Box<dyn std::error::Error>> {
    let is_here = |who: &Who| {
        groups
            .iter()
            .any(|group| group.bars.iter().any(|bar| bar.0 == *who))
    };
    let mut x = GAP;
    for who in Who::ALL.into_iter().filter(is_here) {
        let corners = [(x, 40), (x + BAR, 40 + BAR)];
        root.draw(&Rectangle::new(corners, color(who).filled()))?;
        root.draw(&Text::new(who.title(), (x + BAR + 4, 38), font(15)))?;
        x += 140;
    }
    Ok(())
}

/// How long the longest bar is.
struct Scale(f64);

impl Scale {
    #[expect(clippy::cast_possible_truncation, reason = "a pixel of the width")]
    fn place(&self, value: f64) -> i32 {
        let room = WIDTH.cast_signed() - LEFT - RIGHT;
        // Where there is nothing longer, one still has its place.
        LEFT + (value / self.0.max(1.0) * f64::from(room)) as i32
    }
}

fn length<T>(of: &[T]) -> i32 {
    i32::try_from(of.len()).unwrap_or(i32::MAX)
}

fn font(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&BLACK)
}

fn color(who: Who) -> RGBColor {
    match who {
        Who::Direct => RGBColor(170, 170, 170),
        Who::Nginx => RGBColor(0, 150, 57),
        Who::BareHyper => RGBColor(120, 94, 240),
        Who::Pingora => RGBColor(254, 176, 0),
        Who::GatewayProcess => RGBColor(0, 114, 178),
        Who::GatewayFsync => RGBColor(213, 94, 0),
    }
}
