//! Limits of usage: of policies, of a project's quotas, of a subscription.

mod limits;
mod per;

use serde_json::Value;

pub(crate) use self::limits::MOST_REQUESTS;

use super::Faults;
use super::policy::Owner;
use super::reader::{Item, Reader};
use crate::fault::Fault;
use crate::limit::{Limit, Metric, Per, UsageAction, Window};

/// From where on `warn` warns.
const WARN_AT_PERCENT: u8 = 80;
const NO_LIMIT: &str = "must have a limit, such as max_tokens_per_day or max_cost_per_month_usd";

/// What a usage policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsageRule {
    /// By what is counted, then by window, the shortest first.
    pub(crate) limits: Vec<Limit>,
    pub(crate) per: Per,
    pub(crate) action: UsageAction,
    /// From which share of a limit on there is a warning.
    pub(crate) warn_at_percent: Option<u8>,
    /// Whether models without a price may pass a limit of cost.
    pub(crate) allow_unpriced: bool,
}

impl UsageRule {
    /// From `rules`. One with faults isn't meant to be used.
    pub(crate) fn parse(value: &Value, owner: Owner, faults: &mut Faults) -> Self {
        let before = faults.len();
        let mut reader = Reader::new(&Item::new("$.rules", value), faults);
        let limits = limits::read(&mut reader, limits::every());
        let per = reader.optional("per", |item, faults| per::read(item, owner, faults));
        let action = reader.optional("action", read_action);
        let action = action.unwrap_or(UsageAction::HardLimit);
        let percent = reader.optional("warn_at_percent", read_percent);
        let warns = (action == UsageAction::Warn).then_some(WARN_AT_PERCENT);
        let allow_unpriced = reader.optional("allow_unpriced", Item::boolean);
        reader.finish();
        if limits.is_empty() && faults.len() == before {
            faults.push(Fault::new("$.rules", NO_LIMIT));
        }
        Self {
            limits,
            per: per.unwrap_or_else(|| per::default(owner)),
            action,
            warn_at_percent: percent.or(warns),
            allow_unpriced: allow_unpriced.unwrap_or(false),
        }
    }

    /// From `projects.quotas`, whose other fields are somebody else's; perhaps without limits.
    pub(crate) fn quotas(value: &Value, faults: &mut Faults) -> Self {
        let limits = [
            (Metric::Tokens, Window::Day),
            (Metric::Cost, Window::Day),
            (Metric::Requests, Window::Minute),
        ];
        Self::plain(
            &Item::new("$.quotas", value),
            limits,
            Owner::Project,
            faults,
        )
    }

    /// From `subscriptions.limits`, likewise.
    pub(crate) fn subscription(value: &Value, faults: &mut Faults) -> Self {
        let limits = [(Metric::Tokens, Window::Month)];
        let item = Item::new("$.limits", value);
        Self::plain(&item, limits, Owner::Organization, faults)
    }

    fn plain<const N: usize>(
        item: &Item<'_>,
        limits: [(Metric, Window); N],
        owner: Owner,
        faults: &mut Faults,
    ) -> Self {
        let mut rule = Self {
            limits: Vec::new(),
            per: per::default(owner),
            action: UsageAction::HardLimit,
            warn_at_percent: None,
            allow_unpriced: false,
        };
        if !item.value.is_null() {
            rule.limits = limits::read(&mut Reader::new(item, faults), limits);
        }
        rule
    }
}

fn read_action(item: &Item<'_>, faults: &mut Faults) -> Option<UsageAction> {
    match item.value.as_str() {
        Some("hard_limit") => Some(UsageAction::HardLimit),
        Some("soft_limit") => Some(UsageAction::SoftLimit),
        Some("warn") => Some(UsageAction::Warn),
        Some("log") => Some(UsageAction::Log),
        _ => item.fault(faults, "must be hard_limit, soft_limit, warn or log"),
    }
}

fn read_percent(item: &Item<'_>, faults: &mut Faults) -> Option<u8> {
    let percent = item.whole(1..=100, faults)?;
    u8::try_from(percent).ok()
}

#[cfg(test)]
mod tests;
