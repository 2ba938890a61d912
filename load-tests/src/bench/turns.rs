//! Everybody has a turn in each round, each time in another order: who follows whom is in nobody's favour.

use std::sync::Arc;
use std::time::Duration;

use rand::seq::SliceRandom as _;

use super::asker::Target;
use super::contestants::{Contestant, Contestants};
use super::generator::{self, Asking};
use super::keys::{self, Keys};
use super::question::Questions;
use super::results::{Figures, Measured, Of};
use super::scenario::Scenario;
use super::told::Told;
use super::who::Who;
use crate::kernel::Processes;

/// How often the kernel is asked for memory.
const LOOK: Duration = Duration::from_millis(20);

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    pub(super) rounds: usize,
    pub(super) turn: Duration,
    /// A round before, whose figures count for nothing.
    pub(super) warm_up: Option<Duration>,
}

/// A scenario, ready to be asked.
struct Turns<'a> {
    scenario: &'a Scenario,
    contestants: &'a Contestants,
    asking: Asking,
    keys: Keys,
}

pub(super) async fn measure(
    scenario: &Scenario,
    per_second: Option<u32>,
    contestants: &Contestants,
    effort: Effort,
) -> Measured {
    let turns = Turns {
        scenario,
        contestants,
        asking: Asking {
            questions: Arc::new(Questions::of(scenario)),
            connections: scenario.connections,
            per_second,
            at_most: scenario.requests_per_turn,
        },
        keys: if scenario.unknown_keys {
            Keys::Unknown
        } else {
            contestants.keys(scenario.keys)
        },
    };
    let asked = |who: Who| who.is_gateway() || !scenario.unknown_keys;
    let mut all: Vec<(&Contestant, Of)> = contestants
        .all
        .iter()
        .filter(|contestant| asked(contestant.who))
        .map(|contestant| (contestant, Of::nothing(contestant.who)))
        .collect();
    if let Some(long) = effort.warm_up {
        turns.round(&mut all, long, false).await;
    }
    let rounds = scenario.rounds.unwrap_or(effort.rounds).min(effort.rounds);
    for _ in 0..rounds {
        turns.round(&mut all, effort.turn, true).await;
    }
    all.sort_by_key(|(contestant, _)| contestant.who);
    Measured {
        name: scenario.name.clone(),
        title: scenario.title.clone(),
        about: scenario.about.clone(),
        connections: scenario.connections,
        per_second,
        events: scenario.events(),
        is_paced: scenario.is_paced(),
        contestants: all.into_iter().map(|(_, of)| of).collect(),
    }
}

impl Turns<'_> {
    async fn round(&self, all: &mut [(&Contestant, Of)], long: Duration, counts: bool) {
        all.shuffle(&mut rand::rng());
        for (contestant, of) in all {
            if of.not_measured.is_some() {
                continue;
            }
            match self.turn(contestant, long).await {
                Ok((figures, told)) => {
                    of.bad += told.bad;
                    of.complaint = of.complaint.take().or(told.complaint);
                    if counts {
                        of.rounds.push(figures);
                    }
                }
                Err(why) => of.not_measured = Some(why),
            }
        }
    }

    /// From the first request until all that they caused is done: what the gateway still has to store is its own.
    async fn turn(
        &self,
        contestant: &Contestant,
        long: Duration,
    ) -> Result<(Figures, Told), String> {
        let processes = contestant.processes();
        let before = processes.as_ref().map(Processes::cpu);
        let mut most = None;
        let told = tokio::select! {
            told = self.ask(contestant, long) => told?,
            () = watch(processes.as_ref(), &mut most) => return Err("nobody looks any more".to_owned()),
            () = self.change_keys(contestant) => return Err("nobody changes keys any more".to_owned()),
        };
        contestant.settle().await?;
        let after = processes.as_ref().map(Processes::cpu);
        let spent = after
            .zip(before)
            .map(|(after, before)| after.since(&before));
        most = most.max(processes.as_ref().map(Processes::resident));
        if told.answers == 0 {
            let complaint = told.complaint.unwrap_or_default();
            return Err(format!("not one answer: {complaint}"));
        }
        Ok((Figures::of(&told, spent, most), told))
    }

    async fn ask(&self, contestant: &Contestant, long: Duration) -> Result<Told, String> {
        let target = Target {
            address: contestant.address,
            keys: self.keys.clone(),
        };
        generator::ask(&self.asking, &target, long).await
    }

    /// If that is part of it.
    async fn change_keys(&self, contestant: &Contestant) {
        match (&self.contestants.scene, self.scenario.new_keys_per_second) {
            (Some(scene), rate) if rate > 0 && contestant.who.is_gateway() => {
                keys::churn(scene, rate).await;
            }
            _ => std::future::pending().await,
        }
    }
}

/// Remembers the most memory that there was, in bytes.
async fn watch(processes: Option<&Processes>, most: &mut Option<u64>) {
    let Some(processes) = processes else {
        return std::future::pending().await;
    };
    let mut beat = tokio::time::interval(LOOK);
    loop {
        beat.tick().await;
        *most = (*most).max(Some(processes.resident()));
    }
}

impl Of {
    fn nothing(who: Who) -> Self {
        Self {
            who,
            not_measured: None,
            bad: 0,
            complaint: None,
            rounds: Vec::new(),
        }
    }
}

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "for reading")]
    fn of(told: &Told, spent: Option<Duration>, resident: Option<u64>) -> Self {
        let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        let answers = told.answers as f64;
        Self {
            cpu_us: spent.map(|spent| spent.as_secs_f64() * 1e6 / answers),
            per_second: answers / told.during.as_secs_f64(),
            p50_ms: milliseconds(told.took.value_at_quantile(0.5)),
            p99_ms: milliseconds(told.took.value_at_quantile(0.99)),
            first_p50_ms: milliseconds(told.first.value_at_quantile(0.5)),
            first_p99_ms: milliseconds(told.first.value_at_quantile(0.99)),
            resident_mib: resident.map(|bytes| bytes as f64 / 1_048_576.0),
        }
    }
}
