//! The items of a batch: each is held to what the caller's requests of `messages` are held to.
//!
//! Guarantees: all items of a batch are held to the rules that were in force when it was admitted; a policy that only warns or logs
//! does so once a batch.

use std::fmt;
use std::sync::Arc;

use domain::Timestamp;

use super::Engine;
use crate::budget::Holder;
use crate::denial::{Denial, DeniedItem};
use crate::facts::{Caller, Request};
use crate::notes::{Note, Notes};
use crate::project::ProjectRules;
use crate::rules::Action;
use crate::walk::decide_item;

/// Longer ones are cut where they are shown; the API takes none.
const MOST_OF_A_CUSTOM_ID: usize = 64;

/// The rules that could have something against an item of a batch.
#[derive(Debug)]
pub struct ItemRules {
    rules: Arc<ProjectRules>,
    caller: Caller,
    at: Timestamp,
    refuse: bool,
    /// What was said of the batch and of items before, which isn't said again.
    known: Vec<Note>,
    notes: Notes,
}

/// An item of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    /// Its place in `requests`, from 0 on.
    pub index: u64,
    /// None if it has none that can be read.
    pub custom_id: Option<&'a str>,
    /// The request of `messages` that it is.
    pub request: Request<'a>,
}

impl Engine {
    /// What the items of a caller's batch have to be shown to; none if no rule could have anything against one.
    #[must_use]
    pub fn item_rules(&self, caller: &Caller, now: Timestamp) -> Option<ItemRules> {
        item_rules(self.rules(caller.project_id)?, caller, now)
    }
}

/// The same of the rules of a project.
pub(super) fn item_rules(
    rules: Arc<ProjectRules>,
    caller: &Caller,
    now: Timestamp,
) -> Option<ItemRules> {
    let holder = Holder {
        org_id: caller.org_id,
        project_id: caller.project_id,
        user_id: caller.user_id,
        key_id: caller.key_id,
    };
    let policies = rules.of_organization.iter().chain(&rules.of_project);
    let concerned = policies.filter(|policy| policy.concerns_key(&holder, &rules.people));
    let actions: Vec<_> = concerned
        .filter_map(|policy| policy.rule.action())
        .collect();
    let refuse =
        actions.contains(&Action::Block) || rules.models.is_some() || !rules.registry.is_idle();
    (refuse || !actions.is_empty()).then(|| ItemRules {
        rules,
        caller: *caller,
        at: now,
        refuse,
        known: Vec::new(),
        notes: Notes::default(),
    })
}

impl ItemRules {
    /// Whether one of them could refuse an item; else they only warn and log.
    #[must_use]
    pub fn can_refuse(&self) -> bool {
        self.refuse
    }

    /// What the caller has been told of the whole batch.
    pub fn are_told(&mut self, notes: &Notes) {
        let told = notes.warnings.iter().chain(&notes.logged);
        self.known.extend(told.cloned());
    }

    /// Decides about an item.
    ///
    /// # Errors
    /// If it may not pass, and the batch with it. The denial says which item it was.
    pub fn check(&mut self, item: &Item<'_>) -> Result<(), Box<Denial>> {
        let mut notes = Notes::default();
        let decided = decide_item(
            &self.rules,
            &self.caller,
            &item.request,
            self.at,
            &mut notes,
        );
        for (new, all) in [
            (notes.warnings, &mut self.notes.warnings),
            (notes.logged, &mut self.notes.logged),
        ] {
            for note in new {
                if self.known.iter().any(|known| is_the_same(known, &note)) {
                    continue;
                }
                all.push(Note {
                    message: format!("requests[{}]: {}", item.index, note.message),
                    policy: note.policy.clone(),
                });
                self.known.push(note);
            }
        }
        decided.map_err(|mut denial| {
            let refused = DeniedItem {
                index: item.index,
                custom_id: item.custom_id.map(shown),
            };
            denial.message = format!("{refused}: {}", denial.message);
            denial.item = Some(refused);
            denial
        })
    }

    /// Items can't be read, and nothing refuses for it: the log is told.
    pub fn cannot_read(&mut self, why: &str) {
        let message = format!("items of the batch were not looked at: {why}");
        self.notes.log(None, message);
    }

    /// What is to be told of the items.
    #[must_use]
    pub fn into_notes(self) -> Notes {
        self.notes
    }
}

impl fmt::Display for DeniedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "requests[{}]", self.index)?;
        match &self.custom_id {
            Some(custom_id) => write!(f, " (custom_id \"{custom_id}\")"),
            None => Ok(()),
        }
    }
}

/// A policy speaks once.
fn is_the_same(known: &Note, note: &Note) -> bool {
    match (&known.policy, &note.policy) {
        (Some((known, _)), Some((id, _))) => known == id,
        (None, None) => known.message == note.message,
        _ => false,
    }
}

fn shown(custom_id: &str) -> String {
    let visible = |c: char| {
        if c.is_ascii_graphic() && c != '"' {
            c
        } else {
            '?'
        }
    };
    let mut shown: String = custom_id
        .chars()
        .take(MOST_OF_A_CUSTOM_ID)
        .map(visible)
        .collect();
    if custom_id.chars().nth(MOST_OF_A_CUSTOM_ID).is_some() {
        shown.push_str("...");
    }
    shown
}
