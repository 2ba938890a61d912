//! Limits: usage policies, projects' quotas, plans.

use serde_json::Value;

use super::money::dollars;
use super::reader::{Faults, Reader, boolean, text, whole, word};
use super::{Owner, reader};
use crate::limit::{Limit, Metric, Per, Scope, UsageAction, Window};

/// What a usage policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsageRule {
    pub(crate) limits: Vec<Limit>,
    pub(crate) per: Per,
    pub(crate) action: UsageAction,
    pub(crate) warn_at_percent: Option<u8>,
    pub(crate) allow_unpriced: bool,
}

/// Names of limits, with what they limit.
const LIMITS: [(&str, Metric, Window); 25] = [
    ("max_tokens_per_minute", Metric::Tokens, Window::Minute),
    ("max_tokens_per_hour", Metric::Tokens, Window::Hour),
    ("max_tokens_per_day", Metric::Tokens, Window::Day),
    ("max_tokens_per_week", Metric::Tokens, Window::Week),
    ("max_tokens_per_month", Metric::Tokens, Window::Month),
    (
        "max_input_tokens_per_minute",
        Metric::InputTokens,
        Window::Minute,
    ),
    (
        "max_input_tokens_per_hour",
        Metric::InputTokens,
        Window::Hour,
    ),
    ("max_input_tokens_per_day", Metric::InputTokens, Window::Day),
    (
        "max_input_tokens_per_week",
        Metric::InputTokens,
        Window::Week,
    ),
    (
        "max_input_tokens_per_month",
        Metric::InputTokens,
        Window::Month,
    ),
    (
        "max_output_tokens_per_minute",
        Metric::OutputTokens,
        Window::Minute,
    ),
    (
        "max_output_tokens_per_hour",
        Metric::OutputTokens,
        Window::Hour,
    ),
    (
        "max_output_tokens_per_day",
        Metric::OutputTokens,
        Window::Day,
    ),
    (
        "max_output_tokens_per_week",
        Metric::OutputTokens,
        Window::Week,
    ),
    (
        "max_output_tokens_per_month",
        Metric::OutputTokens,
        Window::Month,
    ),
    ("max_requests_per_minute", Metric::Requests, Window::Minute),
    ("max_requests_per_hour", Metric::Requests, Window::Hour),
    ("max_requests_per_day", Metric::Requests, Window::Day),
    ("max_requests_per_week", Metric::Requests, Window::Week),
    ("max_requests_per_month", Metric::Requests, Window::Month),
    ("max_cost_per_minute_usd", Metric::Cost, Window::Minute),
    ("max_cost_per_hour_usd", Metric::Cost, Window::Hour),
    ("max_cost_per_day_usd", Metric::Cost, Window::Day),
    ("max_cost_per_week_usd", Metric::Cost, Window::Week),
    ("max_cost_per_month_usd", Metric::Cost, Window::Month),
];

const ACTIONS: [(&str, UsageAction); 4] = [
    ("hard_limit", UsageAction::HardLimit),
    ("soft_limit", UsageAction::SoftLimit),
    ("warn", UsageAction::Warn),
    ("log", UsageAction::Log),
];

const WARN_AT_PERCENT: u8 = 80;

impl UsageRule {
    pub(crate) fn parse(value: &Value, owner: Owner, faults: &mut Faults) -> Self {
        let mut reader = Reader::new("$.rules", value, faults);
        let limits: Vec<_> = LIMITS
            .iter()
            .filter_map(|named| limit(&mut reader, named))
            .collect();
        let action = reader.optional("action", word(&ACTIONS));
        let action = action.unwrap_or(UsageAction::HardLimit);
        let warn_at_percent = reader.optional("warn_at_percent", whole(1..=100));
        let warn_at_percent = warn_at_percent.and_then(|percent| u8::try_from(percent).ok());
        let default = (action == UsageAction::Warn).then_some(WARN_AT_PERCENT);
        let rule = Self {
            limits,
            per: per(&mut reader, owner),
            action,
            warn_at_percent: warn_at_percent.or(default),
            allow_unpriced: reader.optional("allow_unpriced", boolean).unwrap_or(false),
        };
        let has_one = |value: &Value| {
            let fields = value.as_object();
            fields.is_some_and(|fields| fields.keys().any(|name| name.starts_with("max_")))
        };
        if !has_one(value) {
            reader.fault("", "must have a limit, such as max_tokens_per_day");
        }
        reader.finish();
        rule
    }

    /// `projects.quotas`. Other fields there are somebody else's.
    pub(crate) fn quotas(value: &Value, faults: &mut Faults) -> Self {
        let mut reader = Reader::new("$.quotas", value, faults);
        let names = [
            "max_tokens_per_day",
            "max_cost_per_day_usd",
            "max_requests_per_minute",
        ];
        Self::plain(Scope::Project, limits_named(&mut reader, &names))
    }

    /// `subscriptions.limits`. Other fields there limit something else.
    pub(crate) fn plan(value: &Value, faults: &mut Faults) -> Self {
        let mut reader = Reader::new("$.limits", value, faults);
        let limits = limits_named(&mut reader, &["max_tokens_per_month"]);
        Self::plain(Scope::Organization, limits)
    }

    fn plain(scope: Scope, limits: Vec<Limit>) -> Self {
        Self {
            limits,
            per: Per {
                scope,
                model: false,
            },
            action: UsageAction::HardLimit,
            warn_at_percent: None,
            allow_unpriced: false,
        }
    }
}

fn limits_named(reader: &mut Reader<'_>, names: &[&str]) -> Vec<Limit> {
    LIMITS
        .iter()
        .filter(|(name, ..)| names.contains(name))
        .filter_map(|named| limit(reader, named))
        .collect()
}

fn limit(
    reader: &mut Reader<'_>,
    (name, metric, window): &(&'static str, Metric, Window),
) -> Option<Limit> {
    let most = match metric {
        Metric::Cost => reader.optional(name, dollars)?.0,
        Metric::Tokens | Metric::InputTokens | Metric::OutputTokens | Metric::Requests => {
            reader.optional(name, whole(0..=u64::MAX))?
        }
    };
    Some(Limit {
        metric: *metric,
        window: *window,
        most,
    })
}

/// One word, or a list of up to two of which one is `model`.
fn per(reader: &mut Reader<'_>, owner: Owner) -> Per {
    let widest = match owner {
        Owner::Organization => Scope::Organization,
        Owner::Project => Scope::Project,
    };
    let read = reader.optional("per", |value| {
        let words: Vec<&str> = match value {
            Value::Array(words) => words.iter().map(text).collect::<Result<_, _>>()?,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => vec![reader::text(value)?],
        };
        per_words(&words, owner, widest)
    });
    read.unwrap_or(Per {
        scope: widest,
        model: false,
    })
}

fn per_words(words: &[&str], owner: Owner, widest: Scope) -> Result<Per, String> {
    const WRONG: &str = "must be key, user, project, organization or model, or a list of model and one of the others";
    let (mut scope, mut model) = (None, false);
    for word in words {
        let named = match *word {
            "key" => Scope::Key,
            "user" => Scope::User,
            "project" => Scope::Project,
            "organization" if owner == Owner::Organization => Scope::Organization,
            "organization" => {
                return Err("a project's policy can't count by organization".to_owned());
            }
            "model" if !model => {
                model = true;
                continue;
            }
            _ => return Err(WRONG.to_owned()),
        };
        if scope.replace(named).is_some() {
            return Err(WRONG.to_owned());
        }
    }
    if words.is_empty() {
        return Err(WRONG.to_owned());
    }
    Ok(Per {
        scope: scope.unwrap_or(widest),
        model,
    })
}
