//! Models that a request names beside its own: those it falls back to, and those of its tools.
//!
//! Nothing is parsed before a rule asks, and then once; most requests name none, which is seen without parsing.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde::Deserialize;

use super::json::{Bounded, Text};
use super::tools::MOST_TOOLS;
use super::{Context, Objection};

/// What a request names beside its own model.
#[derive(Debug, Default)]
pub(crate) struct Named<'a> {
    pub(crate) models: Vec<Cow<'a, str>>,
    /// Whether `"default"` is among its fallbacks, which leaves the choice to the API.
    pub(crate) leaves_the_choice: bool,
}

/// Looked for when somebody asks.
#[derive(Debug, Default)]
pub(crate) struct LazyNamed<'a>(OnceCell<Result<Named<'a>, Objection>>);

/// An entry of `fallbacks`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Fallback<'a> {
    Name(#[serde(borrow)] Text<'a>),
    Object {
        #[serde(borrow)]
        model: Option<Text<'a>>,
    },
}

impl<'a> Context<'a> {
    /// The models of the request beside its own. Where they can't be known, that is what a rule about them objects to.
    pub(crate) fn named(&self) -> Result<&Named<'a>, &Objection> {
        let find = || {
            let mut named = Named::default();
            self.add_fallbacks(&mut named)?;
            if self.tools_may_say("\"model\"") {
                named.models.extend(self.tools()?.models.iter().cloned());
            }
            Ok(named)
        };
        self.named.0.get_or_init(find).as_ref()
    }

    /// Whether the request names one of some models, anywhere; one whose models can't be known may name every model.
    pub(crate) fn names_one(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        is_meant(self.request.model)
            || match self.named() {
                Ok(named) => named.models.iter().any(|model| is_meant(model)),
                Err(_) => true,
            }
    }

    fn add_fallbacks(&self, named: &mut Named<'a>) -> Result<(), Objection> {
        let Some(json) = self.request.field("fallbacks") else {
            return Ok(());
        };
        let unreadable = || Objection::denied("the fallbacks of the request can't be read");
        if json.starts_with('"') {
            let word: Text<'_> = serde_json::from_str(json).map_err(|_| unreadable())?;
            named.leaves_the_choice = word.0 == DEFAULT;
            return if named.leaves_the_choice {
                Ok(())
            } else {
                Err(unreadable())
            };
        }
        let fallbacks: Result<Bounded<Fallback<'a>, MOST_TOOLS>, _> = serde_json::from_str(json);
        let Ok(Bounded {
            entries,
            more: false,
        }) = fallbacks
        else {
            return Err(unreadable());
        };
        for name in entries.into_iter().filter_map(Fallback::name) {
            if name == DEFAULT {
                named.leaves_the_choice = true;
            } else {
                named.models.push(name);
            }
        }
        Ok(())
    }
}

/// No model, but the API's choice of one.
const DEFAULT: &str = "default";

impl<'a> Fallback<'a> {
    fn name(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Name(name) => Some(name.0),
            Self::Object { model } => model.map(|model| model.0),
        }
    }
}
