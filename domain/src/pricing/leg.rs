//! The parts of one request that are priced each by itself.

use serde_json::{Map, Value};

use crate::{Figure, TokenCounts, Usage};

/// A part of a request: all of it, or one of the `iterations` that its usage lists.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leg<'a> {
    /// What it did.
    pub kind: LegKind,
    /// The model that did it.
    pub model: &'a str,
    /// What it consumed.
    pub tokens: TokenCounts,
    /// `standard`, `batch` or another.
    pub service_tier: Option<&'a str>,
    /// Where it ran.
    pub inference_geo: Option<&'a str>,
    /// `standard` or `fast`.
    pub speed: Option<&'a str>,
    /// The model declined before it put anything out, and another one took over: reported, not billed.
    pub declined: bool,
}

/// What a leg did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegKind {
    /// A turn of the model, or something that isn't known yet.
    Message,
    /// The turn of a model that took over.
    Fallback,
    /// A question to an advising model.
    Advisor,
    /// A summary of what was said before.
    Compaction,
}

impl LegKind {
    fn named(name: &str) -> Self {
        match name {
            "fallback_message" => Self::Fallback,
            "advisor_message" => Self::Advisor,
            "compaction" => Self::Compaction,
            _ => Self::Message,
        }
    }

    /// The name it has in `iterations`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Fallback => "fallback_message",
            Self::Advisor => "advisor_message",
            Self::Compaction => "compaction",
        }
    }

    /// Whether it is part of what the top level of usage counts.
    fn is_executor(self) -> bool {
        matches!(self, Self::Message | Self::Fallback)
    }
}

/// An entry of `iterations`.
struct Iteration<'a> {
    kind: LegKind,
    fields: &'a Map<String, Value>,
    tokens: TokenCounts,
    /// Its cache writes are split by lifetime.
    is_split: bool,
}

impl Usage {
    /// What the request consumed, leg by leg; `model` is the one that answered. Without iterations, which are rare, nothing is
    /// allocated.
    pub(super) fn for_each_leg<'a>(&'a self, model: &'a str, mut take: impl FnMut(Leg<'a>)) {
        let whole = Leg {
            kind: LegKind::Message,
            model,
            tokens: self.tokens,
            service_tier: self.service_tier.as_deref(),
            inference_geo: self.raw.word("inference_geo"),
            speed: self.raw.word("speed"),
            declined: false,
        };
        let Some(iterations) = self.iterations() else {
            return take(whole);
        };
        let taken_over = iterations
            .iter()
            .any(|iteration| iteration.kind == LegKind::Fallback);
        for Iteration {
            kind,
            fields,
            tokens,
            ..
        } in iterations
        {
            // What the top level says of speed and place is said of the model that answers, not of its advisor.
            let own = |key, of_all| {
                text(fields, key)
                    .or(of_all)
                    .filter(|_| kind != LegKind::Advisor || fields.contains_key(key))
            };
            take(Leg {
                kind,
                model: text(fields, "model")
                    .filter(|name| !name.is_empty())
                    .unwrap_or(model),
                tokens,
                inference_geo: own("inference_geo", whole.inference_geo),
                speed: own("speed", whole.speed),
                declined: taken_over && kind == LegKind::Message && tokens.output == 0,
                ..whole
            });
        }
    }

    /// The sum of what the iterations consumed, if there are any: advisors and compaction are in no other figure.
    #[must_use]
    pub fn tokens_of_iterations(&self) -> Option<TokenCounts> {
        let iterations = self.iterations()?;
        let mut sum = TokenCounts::default();
        for Iteration { tokens, .. } in iterations {
            sum.input = sum.input.saturating_add(tokens.input);
            sum.output = sum.output.saturating_add(tokens.output);
            sum.cache_read = sum.cache_read.saturating_add(tokens.cache_read);
            sum.cache_write = sum.cache_write.saturating_add(tokens.cache_write);
            sum.cache_write_1h = sum.cache_write_1h.saturating_add(tokens.cache_write_1h);
        }
        Some(sum)
    }

    fn iterations(&self) -> Option<Vec<Iteration<'_>>> {
        let entries = self.raw.iterations()?.as_array()?;
        let mut iterations: Vec<_> = entries
            .iter()
            .filter_map(Value::as_object)
            .map(Iteration::read)
            .collect();
        self.split_the_only_unsplit(&mut iterations);
        Some(iterations).filter(|iterations| !iterations.is_empty())
    }

    /// The top level says how long cache writes live: if one turn alone leaves it open, it had the rest.
    fn split_the_only_unsplit(&self, iterations: &mut [Iteration<'_>]) {
        let of_all = self
            .raw
            .figure_in("cache_creation", "ephemeral_1h_input_tokens");
        let Figure::Is(of_all) = of_all else {
            return;
        };
        let executors = || {
            iterations
                .iter()
                .filter(|iteration| iteration.kind.is_executor())
        };
        let named: u64 = executors()
            .map(|iteration| iteration.tokens.cache_write_1h)
            .fold(0, u64::saturating_add);
        let mut open = iterations.iter_mut().filter(|iteration| {
            iteration.kind.is_executor() && !iteration.is_split && iteration.tokens.cache_write > 0
        });
        if let (Some(only), None) = (open.next(), open.next()) {
            let rest = of_all.saturating_sub(named);
            only.tokens.cache_write_1h = rest.min(only.tokens.cache_write);
        }
    }
}

impl<'a> Iteration<'a> {
    fn read(fields: &'a Map<String, Value>) -> Self {
        let split = fields.get("cache_creation").and_then(Value::as_object);
        let of_split = |key| split.and_then(|split| count(split, key)).unwrap_or(0);
        let (five_minutes, one_hour) = (
            of_split("ephemeral_5m_input_tokens"),
            of_split("ephemeral_1h_input_tokens"),
        );
        let own = |key| count(fields, key).unwrap_or(0);
        let cache_write = count(fields, "cache_creation_input_tokens")
            .unwrap_or(five_minutes.saturating_add(one_hour));
        Self {
            kind: LegKind::named(text(fields, "type").unwrap_or_default()),
            fields,
            tokens: TokenCounts {
                input: own("input_tokens"),
                output: own("output_tokens"),
                cache_read: own("cache_read_input_tokens"),
                cache_write,
                cache_write_1h: one_hour.min(cache_write),
            },
            is_split: split.is_some(),
        }
    }
}

fn text<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    fields.get(key)?.as_str()
}

fn count(fields: &Map<String, Value>, key: &str) -> Option<u64> {
    fields.get(key)?.as_u64()
}
