//! Requests that were made, decided about again: what would have been refused.
//!
//! Guarantees: the rules are those of an organization as they are or as they would be, compiled and asked as always, on counters
//! and buckets of their own that begin at nothing and go by the times of the requests. A request is expected to use what it used.
//! Rules about what nobody has kept of a request are taken out before, and named: none of them passes in silence.

mod told;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::{Clock, Endpoint, OrgId, PriceBook, ProjectId, Timestamp};

pub use told::Untold;

use super::rehearsal::without_roles;
use super::{Engine, LateUsage, PolicyChange, Refused, Spend};
use crate::book::Amounts;
use crate::denial::Denial;
use crate::facts::{Caller, Request};
use crate::notes::Notes;
use crate::source::ProjectSource;

/// An organization's requests, decided about again, one after the other.
#[derive(Debug)]
pub struct Replay {
    pub(super) engine: Engine,
    clock: Arc<Simulated>,
    untold: Vec<Untold>,
}

/// A request that was made.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    /// When it was admitted.
    pub at: Timestamp,
    /// Who made it.
    pub caller: Caller,
    /// Which part of the API.
    pub endpoint: Endpoint,
    /// The model; empty if there was none.
    pub model: &'a str,
    /// What it used.
    pub used: Amounts,
    /// Whether it is usage that nobody asked for at that moment, as a batch's is: that counts, and is not decided about.
    pub is_late: bool,
}

/// What would have come of it.
#[derive(Debug)]
pub enum Replayed {
    /// It would have been admitted.
    Admitted(Notes),
    /// It would have been refused.
    Denied(Box<Denial>),
    /// It only counts.
    Counted,
    /// Its project isn't there any more.
    Unknown,
}

/// The time of the request that is looked at.
#[derive(Debug, Default)]
struct Simulated(AtomicI64);

impl Clock for Simulated {
    fn now(&self) -> Timestamp {
        Timestamp {
            // Relaxed: whoever moves it also reads it.
            unix_micros: self.0.load(Ordering::Relaxed),
        }
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.now().unix_micros).unwrap_or(0))
    }
}

impl Replay {
    /// Of an organization as it is, or as it would be; none if its rules aren't known. Compiling them may take a while.
    #[must_use]
    pub fn new(
        live: &Engine,
        org_id: OrgId,
        projects: &HashSet<ProjectId>,
        change: Option<&PolicyChange>,
    ) -> Option<Self> {
        let (_, org, all) = live.sources(org_id)?;
        // Who there is is known already, and may be a million.
        let of_rules = |project: &Arc<ProjectSource>| live.rules_in(org_id, project.id);
        let people = all.iter().find_map(of_rules);
        let people = people.map(|rules| Arc::clone(&rules.people));
        let mut org = without_roles(&org);
        let of_events = all.iter().filter(|project| projects.contains(&project.id));
        let mut projects: Vec<ProjectSource> = of_events.map(|it| it.as_ref().clone()).collect();
        if let Some(change) = change {
            change.apply(&mut org, &mut projects);
        }
        let mut untold = told::leave(&mut org.policies);
        untold.extend(told::of_registry(&org, &projects));
        for project in &mut projects {
            untold.extend(told::leave(&mut project.policies));
        }
        let clock = Arc::new(Simulated::default());
        let engine = Engine::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let projects: Vec<_> = projects.into_iter().map(Arc::new).collect();
        engine.replace_among(people.unwrap_or_default(), &Arc::new(org), &projects);
        Some(Self {
            engine,
            clock,
            untold,
        })
    }

    /// Rules that nothing can be said about.
    #[must_use]
    pub fn untold(&self) -> &[Untold] {
        &self.untold
    }

    /// Decides about the next request, not earlier than the one before.
    pub fn next(&mut self, past: &Past<'_>, prices: &PriceBook) -> Replayed {
        self.clock
            .0
            .fetch_max(past.at.unix_micros, Ordering::Relaxed);
        if past.is_late {
            self.engine.add_late(&[late(past)]);
            return Replayed::Counted;
        }
        let request = Request {
            model: past.model,
            ..Request::of(past.endpoint)
        };
        let (caller, at) = (&past.caller, past.at);
        match self
            .engine
            .admit_known(caller, &request, past.used, prices, at)
        {
            Ok(mut admitted) => {
                let notes = std::mem::take(&mut admitted.notes);
                let spend = Spend {
                    model: past.model,
                    amounts: past.used,
                    good: false,
                };
                self.engine.settle(admitted, &spend);
                Replayed::Admitted(notes)
            }
            Err(Refused::Denied(denial)) => Replayed::Denied(denial),
            Err(Refused::Unknown(_)) => Replayed::Unknown,
        }
    }
}

fn late(past: &Past<'_>) -> LateUsage {
    let caller = &past.caller;
    LateUsage {
        org_id: caller.org_id,
        project_id: caller.project_id,
        key_id: Some(caller.key_id),
        user_id: caller.user_id,
        model: past.model.to_owned(),
        at: past.at,
        amounts: past.used,
    }
}
