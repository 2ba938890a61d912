//! Limits of usage: of policies, of a project's quotas, of a subscription.

use serde_json::Value;

use super::Faults;
use super::amount::read_dollars;
use super::policy::Owner;
use super::reader::{Item, Reader};
use crate::limit::{Limit, Metric, Per, Scope, UsageAction, Window};

/// The highest limit of a count; sums of two of them are far from what a counter holds.
const MOST: u64 = 1_000_000_000_000_000;
/// The highest limit of requests.
const MOST_REQUESTS: u64 = 1_000_000_000;
/// From where on `warn` warns.
const WARN_AT_PERCENT: u8 = 80;

const METRICS: [Metric; 5] = [
    Metric::Tokens,
    Metric::InputTokens,
    Metric::OutputTokens,
    Metric::Requests,
    Metric::Cost,
];

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
        let windows = Window::ALL.into_iter();
        let kinds = METRICS.into_iter();
        let every = kinds.flat_map(|metric| windows.clone().map(move |window| (metric, window)));
        let limits = read_limits(&mut reader, every);
        let per = reader.optional("per", |item, faults| read_per(item, owner, faults));
        let action = reader.optional("action", read_action);
        let action = action.unwrap_or(UsageAction::HardLimit);
        let percent = reader.optional("warn_at_percent", read_percent);
        let warns = (action == UsageAction::Warn).then_some(WARN_AT_PERCENT);
        let allow_unpriced = reader.optional("allow_unpriced", Item::boolean);
        reader.finish();
        if limits.is_empty() && faults.len() == before {
            let item = Item::new("$.rules", value);
            item.fault::<()>(
                faults,
                "must have a limit, such as max_tokens_per_day or max_cost_per_month_usd",
            );
        }
        Self {
            limits,
            per: per.unwrap_or(owner.per()),
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
            per: owner.per(),
            action: UsageAction::HardLimit,
            warn_at_percent: None,
            allow_unpriced: false,
        };
        if !item.value.is_null() {
            rule.limits = read_limits(&mut Reader::new(item, faults), limits);
        }
        rule
    }
}

impl Owner {
    /// Whose counter it is where a policy doesn't say.
    fn per(self) -> Per {
        let scope = match self {
            Self::Organization => Scope::Organization,
            Self::Project => Scope::Project,
        };
        Per {
            scope,
            model: false,
        }
    }
}

fn read_limits(
    reader: &mut Reader<'_, '_>,
    limits: impl IntoIterator<Item = (Metric, Window)>,
) -> Vec<Limit> {
    let limit = |(metric, window)| {
        let most = reader.optional(&name(metric, window), |item, faults| match metric {
            Metric::Cost => read_dollars(item, faults),
            Metric::Requests => item.whole(0..=MOST_REQUESTS, faults),
            Metric::Tokens | Metric::InputTokens | Metric::OutputTokens => {
                item.whole(0..=MOST, faults)
            }
        })?;
        Some(Limit {
            metric,
            window,
            most,
        })
    };
    limits.into_iter().filter_map(limit).collect()
}

fn name(metric: Metric, window: Window) -> String {
    let unit = if metric == Metric::Cost { "_usd" } else { "" };
    format!("max_{}_per_{}{unit}", metric.as_str(), window.as_str())
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

/// A scope, or a list of one scope and perhaps `model`.
fn read_per(item: &Item<'_>, owner: Owner, faults: &mut Faults) -> Option<Per> {
    let words = match item.value.as_str() {
        Some(word) => vec![word],
        None => item.texts(faults)?,
    };
    let is_list = item.value.is_array();
    let (models, scopes): (Vec<&str>, _) = words
        .into_iter()
        .partition(|word| is_list && *word == "model");
    let scope = match scopes.as_slice() {
        ["organization"] if owner == Owner::Organization => Some(Scope::Organization),
        ["project"] => Some(Scope::Project),
        ["user"] => Some(Scope::User),
        ["key"] => Some(Scope::Key),
        _ => None,
    };
    let Some(scope) = scope else {
        let scopes = match owner {
            Owner::Organization => "key, user, project or organization",
            Owner::Project => "key, user or project",
        };
        return item.fault(
            faults,
            format!("must be {scopes}, or a list of one of them and model"),
        );
    };
    Some(Per {
        scope,
        model: !models.is_empty(),
    })
}

#[cfg(test)]
mod tests;
