//! What a decision has to tell beside yes or no: warnings, what is left, and every step for those who ask why.

use std::sync::Arc;

use domain::{PolicyId, Timestamp};

use crate::book::Standing;
use crate::budget::{Budget, Origin};
use crate::limit::{Metric, UsageAction};
use crate::rate::Taken;
use crate::rules::Policy;

/// Of an admitted request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// For the answer's `x-mindweave-warning`.
    pub warnings: Vec<Note>,
    /// For the log.
    pub logged: Vec<Note>,
    /// Of the tightest limit of each kind.
    pub left: Left,
}

/// A remark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The policy, if it is one's.
    pub policy: Option<(PolicyId, Arc<str>)>,
    /// For a person.
    pub message: String,
}

/// What is left, for the rate-limit headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// `anthropic-ratelimit-requests-*`
    pub requests: Option<Remaining>,
    /// `anthropic-ratelimit-tokens-*`
    pub tokens: Option<Remaining>,
    /// `anthropic-ratelimit-input-tokens-*`
    pub input_tokens: Option<Remaining>,
    /// `anthropic-ratelimit-output-tokens-*`
    pub output_tokens: Option<Remaining>,
}

/// Of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// How much there may be.
    pub limit: u64,
    /// How much there still may be, this request taken off.
    pub remaining: u64,
    /// When all of it is there again.
    pub resets_at: Timestamp,
}

impl Notes {
    pub(crate) fn warn(
        &mut self,
        policy: Option<(PolicyId, Arc<str>)>,
        message: impl Into<String>,
    ) {
        let message = message.into();
        self.warnings.push(Note { policy, message });
    }

    pub(crate) fn log(&mut self, policy: Option<(PolicyId, Arc<str>)>, message: impl Into<String>) {
        let message = message.into();
        self.logged.push(Note { policy, message });
    }

    /// Looks at a budget, as it is before the request is counted.
    pub(crate) fn budget(&mut self, budget: &Budget, standing: &Standing) {
        let Standing {
            spent,
            held,
            estimate,
            resets_at,
        } = *standing;
        let most = budget.limit.most;
        let taken = spent.saturating_add(held).saturating_add(estimate);
        if taken > most {
            self.beyond(budget);
        } else {
            self.share_used(budget, taken);
        }
        if budget.action == UsageAction::HardLimit {
            self.left(
                budget.limit.metric,
                Remaining {
                    limit: most,
                    remaining: most.saturating_sub(taken),
                    resets_at,
                },
            );
        }
    }

    /// Warns where so much of a limit is used that somebody wants to know.
    fn share_used(&mut self, budget: &Budget, taken: u64) {
        let most = u128::from(budget.limit.most);
        if let Some(percent) = budget.warn_at_percent
            && u128::from(taken) * 100 >= most * u128::from(percent)
        {
            let part = format!("{percent} % of {} are used", budget.show());
            self.warn(budget.policy(), part);
        }
    }

    /// A limit that doesn't refuse is passed.
    pub(crate) fn beyond(&mut self, budget: &Budget) {
        let message = || format!("{} are used up", budget.show());
        match budget.action {
            UsageAction::HardLimit => {}
            UsageAction::SoftLimit | UsageAction::Warn => self.warn(budget.policy(), message()),
            UsageAction::Log => self.log(budget.policy(), message()),
        }
    }

    /// What a rate has left.
    pub(crate) fn left_of_rate(&mut self, budget: &Budget, left: u32, now: Timestamp) {
        const MINUTE_MICROS: u64 = 60_000_000;
        let limit = budget.limit.most;
        let missing = limit.saturating_sub(u64::from(left));
        self.share_used(budget, missing);
        if budget.action != UsageAction::HardLimit {
            return;
        }
        let micros = MINUTE_MICROS.saturating_mul(missing) / limit.max(1);
        self.left(
            Metric::Requests,
            Remaining {
                limit,
                remaining: u64::from(left),
                resets_at: Timestamp {
                    unix_micros: now.unix_micros.saturating_add_unsigned(micros),
                },
            },
        );
    }

    /// The tightest one counts.
    fn left(&mut self, metric: Metric, remaining: Remaining) {
        let place = match metric {
            Metric::Requests => &mut self.left.requests,
            Metric::Tokens => &mut self.left.tokens,
            Metric::InputTokens => &mut self.left.input_tokens,
            Metric::OutputTokens => &mut self.left.output_tokens,
            Metric::Cost => return,
        };
        if place.is_none_or(|known| remaining.remaining < known.remaining) {
            *place = Some(remaining);
        }
    }
}

/// Told of each step of a decision.
pub(crate) trait Trace {
    fn step(&mut self, step: impl FnOnce() -> Step);
}

/// Nobody asks.
pub(crate) struct Untraced;

impl Trace for Untraced {
    fn step(&mut self, _: impl FnOnce() -> Step) {}
}

impl Trace for Vec<Step> {
    fn step(&mut self, step: impl FnOnce() -> Step) {
        self.push(step());
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// Which rule: `policy "team budget"`, `allowed_models`.
    pub rule: String,
    /// What came of it, with the numbers of the moment.
    pub outcome: String,
}

impl Step {
    pub(crate) fn passed(rule: &str) -> Self {
        Self {
            rule: rule.to_owned(),
            outcome: "has nothing against it".to_owned(),
        }
    }

    pub(crate) fn refused(rule: &str, why: &str) -> Self {
        Self {
            rule: rule.to_owned(),
            outcome: format!("block: {why}"),
        }
    }

    pub(crate) fn of(policy: &Policy, outcome: &str) -> Self {
        Self {
            rule: format!("policy \"{}\"", policy.name),
            outcome: outcome.to_owned(),
        }
    }

    pub(crate) fn budget(budget: &Budget, standing: &Standing) -> Self {
        let show = |amount| budget.limit.metric.show(amount);
        Self {
            rule: budget.rule(),
            outcome: format!(
                "{}: {} spent, {} held, {} expected",
                budget.show(),
                show(standing.spent),
                show(standing.held),
                show(standing.estimate)
            ),
        }
    }

    pub(crate) fn unpriced(budget: &Budget) -> Self {
        Self {
            rule: budget.rule(),
            outcome: format!("{}: the model has no price", budget.show()),
        }
    }

    pub(crate) fn server(name: &str, per_minute: u64, found: Taken) -> Self {
        Self {
            rule: format!("MCP server {name}"),
            outcome: format!("{per_minute} requests per minute: {found}"),
        }
    }

    pub(crate) fn rate(budget: &Budget, found: Taken) -> Self {
        Self {
            rule: budget.rule(),
            outcome: format!("{}: {found}", budget.show()),
        }
    }
}

impl Budget {
    /// `25 usd per day`
    pub(crate) fn show(&self) -> String {
        let limit = &self.limit;
        let (amount, unit) = (limit.metric.show(limit.most), limit.metric.unit());
        format!("{amount} {unit} per {}", limit.window.as_str())
    }

    pub(crate) fn policy(&self) -> Option<(PolicyId, Arc<str>)> {
        match &self.origin {
            Origin::Policy(id, name) => Some((*id, Arc::clone(name))),
            Origin::Subscription | Origin::Quota => None,
        }
    }

    fn rule(&self) -> String {
        match &self.origin {
            Origin::Policy(_, name) => format!("policy \"{name}\""),
            Origin::Subscription => "subscription".to_owned(),
            Origin::Quota => "quotas".to_owned(),
        }
    }
}
