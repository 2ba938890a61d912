//! Sessions of agents, and dreams: what they have consumed so far, wherever an answer says it.
//!
//! A session says it of itself (alone, or in a list), and in the events `session.usage` of its stream or list of events,
//! which name neither the session nor its model. A dream is run by a session: its total is taken for that session's, so that
//! what is seen of both counts once.

use domain::{Picodollars, RunningTotal, UsageQuality, whole_ms};
use serde_json::{Map, Value, json};

use super::fields::{Fields, Figures, Kind, Object};
use super::find::Finder;
use super::finding::{Finding, FoundIn};
use super::shape::{OBJECTS, SESSION_EVENT};
use super::sse::{Events, Piece};
use super::tally::Tally;

/// The reader of one answer.
#[derive(Debug)]
pub(super) struct Totals {
    /// The session that the path leads to.
    session_id: Option<String>,
    form: Form,
    finder: Finder,
    fields: Fields,
    read: Vec<Finding>,
    object_id: Option<String>,
}

#[derive(Debug)]
enum Form {
    Json,
    Stream(Events),
}

impl Totals {
    pub(super) fn new(session_id: Option<String>, is_stream: bool) -> Self {
        let (form, shape) = if is_stream {
            (Form::Stream(Events::default()), SESSION_EVENT)
        } else {
            (Form::Json, OBJECTS)
        };
        Self {
            session_id,
            form,
            finder: Finder::new(shape),
            fields: Fields::default(),
            read: Vec::new(),
            object_id: None,
        }
    }

    pub(super) fn read(&mut self, mut bytes: &[u8]) {
        match &mut self.form {
            Form::Json => self.read_json(bytes),
            Form::Stream(events) => {
                while let Some(piece) = events.next(&mut bytes) {
                    match piece {
                        Piece::Data(data) => self.finder.feed(data, &mut self.fields),
                        Piece::End(_) => {
                            self.finder.restart();
                            self.fields.end_object();
                        }
                    }
                }
            }
        }
        for object in std::mem::take(&mut self.fields.objects) {
            self.read.extend(found(object, self.session_id.as_deref()));
        }
    }

    fn read_json(&mut self, bytes: &[u8]) {
        let was_ended = self.finder.is_ended();
        self.finder.feed(bytes, &mut self.fields);
        if self.finder.is_ended() && !was_ended {
            self.object_id.clone_from(&self.fields.object_id);
            self.fields.end_object();
        }
    }

    /// The totals read since the last time.
    pub(super) fn take(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.read)
    }

    /// The id of the object that the answer is, once it is all there.
    pub(super) fn object_id(&mut self) -> Option<String> {
        self.object_id.take()
    }
}

fn found(object: Object, of_path: Option<&str>) -> Option<Finding> {
    let shown_by = match object.kind? {
        Kind::Session | Kind::Dream => object.id?,
        Kind::SessionUsage => of_path?.to_owned(),
        Kind::Message
        | Kind::Error
        | Kind::MessageStart
        | Kind::MessageDelta
        | Kind::MessageStop
        | Kind::ContentBlockStart
        | Kind::ContentBlockDelta
        | Kind::Other => return None,
    };
    let runs_in = object
        .session_id
        .filter(|_| object.kind == Some(Kind::Dream));
    let figures = match object.usage {
        Figures::Object(figures) => figures.into_tree(),
        Figures::None => Map::new(),
        Figures::Unreadable => {
            tracing::warn!("the usage of a session can't be read and isn't metered");
            return None;
        }
    };
    let total = RunningTotal {
        id: runs_in.unwrap_or_else(|| shown_by.clone()),
        shown_by,
        mixed_models: object.is_multiagent,
        active_ms: figures
            .get("active_seconds")
            .and_then(Value::as_f64)
            .map_or(0, whole_ms),
        list_cost: figures.get("list_cost").and_then(list_cost),
        raw: figures.clone().into(),
    };
    // It doesn't say for how long: the price of one of the two is a guess.
    let is_unsplit = !figures.contains_key("cache_creation")
        && count(&figures, "cache_creation_input_tokens") > 0;
    let is_empty = figures.is_empty();
    let mut tally = Tally::of_many_requests();
    tally.lay(Figures::Object(figures.into()));
    // Nothing is said of a session that has just been made.
    let quality = if is_empty {
        UsageQuality::Exact
    } else if is_unsplit {
        UsageQuality::Partial
    } else {
        tally.quality()
    };
    let mut usage = tally.into_usage();
    let words = [
        ("speed", object.speed),
        ("inference_geo", object.inference_geo),
    ];
    let words = words.map(|(key, word)| (key.to_owned(), json!(word)));
    usage.raw = Map::from_iter(words).into();
    Some(Finding {
        of: FoundIn::Total(total),
        model: object.model,
        usage,
        quality,
        calls: Vec::new(),
        more_calls: 0,
        is_refused_before_output: false,
    })
}

fn count(figures: &Map<String, Value>, key: &str) -> u64 {
    figures.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// `{"amount": "2500", "currency": "USD"}` are 25 dollars.
fn list_cost(value: &Value) -> Option<Picodollars> {
    let cents: u64 = value.get("amount")?.as_str()?.parse().ok()?;
    let is_dollars = value.get("currency")?.as_str()? == "USD";
    let amount = cents.checked_mul(Picodollars::CENT.0).map(Picodollars);
    amount.filter(|_| is_dollars)
}
