//! What a run has measured, as it is kept: every round as it was, so that tables and plots can be made of it later.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::who::Who;
use crate::figures::median;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) machine: Machine,
    pub(super) rounds: usize,
    /// Of one turn of one contestant.
    pub(super) turn_ms: u64,
    /// Who isn't here, and why.
    pub(super) missing: Vec<(Who, String)>,
    pub(super) scenarios: Vec<Measured>,
}

/// One scenario.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) about: String,
    pub(super) connections: u32,
    /// As fast as answers come without.
    pub(super) per_second: Option<u32>,
    /// Of each answer, if all are streams of the same length.
    pub(super) events: Option<u32>,
    /// The upstream pauses between events: how long an answer takes is its doing.
    pub(super) is_paced: bool,
    pub(super) contestants: Vec<Of>,
}

/// What is known of one contestant.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Of {
    pub(super) who: Who,
    /// Why it has no more rounds.
    pub(super) not_measured: Option<String>,
    /// Answers that are none, or don't say what they should.
    pub(super) bad: u64,
    /// What the first of them was.
    pub(super) complaint: Option<String>,
    pub(super) rounds: Vec<Figures>,
}

/// One turn of one contestant.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Microseconds an answer; none of the upstream itself.
    pub(super) cpu_us: Option<f64>,
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// To the first piece of the body.
    pub(super) first_p50_ms: f64,
    pub(super) first_p99_ms: f64,
    /// The most of a turn, without what is mapped from files.
    pub(super) resident_mib: Option<f64>,
}

impl Results {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        serde_json::from_str(&text).map_err(|error| told(&error))
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = serde_json::to_string_pretty(self).map_err(|error| told(&error))?;
        std::fs::write(path, text + "\n").map_err(|error| told(&error))
    }

    pub(super) fn of(&self, name: &str) -> Option<&Measured> {
        self.scenarios.iter().find(|measured| measured.name == name)
    }

    /// Those of whom there are figures anywhere.
    pub(super) fn contestants(&self) -> Vec<Who> {
        let is_here = |who: &Who| self.scenarios.iter().any(|measured| measured.has(*who));
        Who::ALL.into_iter().filter(is_here).collect()
    }
}

impl Measured {
    fn rounds(&self, who: Who) -> Option<&[Figures]> {
        let of = self.contestants.iter().find(|of| of.who == who)?;
        (!of.rounds.is_empty()).then_some(&of.rounds)
    }

    fn has(&self, who: Who) -> bool {
        self.rounds(who).is_some()
    }

    /// The median of all rounds.
    pub(super) fn middle(&self, who: Who, figure: fn(&Figures) -> Option<f64>) -> Option<f64> {
        let figures: Option<Vec<_>> = self.rounds(who)?.iter().map(figure).collect();
        Some(median(&figures?))
    }

    /// CPU of an answer, or of an event where all answers are streams.
    pub(super) fn cpu_us(&self, who: Who) -> Option<f64> {
        let cpu = self.middle(who, |figures| figures.cpu_us)?;
        Some(cpu / f64::from(self.events.unwrap_or(1)))
    }

    /// The median of what rounds say by themselves: what disturbs a round disturbs both.
    pub(super) fn ratio(
        &self,
        who: Who,
        base: Who,
        figure: fn(&Figures) -> Option<f64>,
    ) -> Option<f64> {
        let pairs = self.rounds(who)?.iter().zip(self.rounds(base)?);
        let ratios: Option<Vec<_>> = pairs
            .map(|(own, base)| Some(figure(own)? / figure(base)?))
            .collect();
        Some(median(&ratios?))
    }

    /// What the slowest answers a second.
    pub(super) fn slowest(&self) -> Option<f64> {
        let rates = self.contestants.iter();
        rates
            .filter_map(|of| self.middle(of.who, |figures| Some(figures.per_second)))
            .min_by(f64::total_cmp)
    }
}
