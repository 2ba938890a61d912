//! What is left of limits: the counters of those whom somebody asks about.
//!
//! Guarantees: nothing is held, taken or given back; an organization's book is locked once, for one look-up a limit, and for one
//! walk through its ledger where counters have to be made that the next request would have had to make. Rules are read without a
//! lock.

use std::collections::HashSet;
use std::sync::Arc;

use domain::{OrgId, PolicyId, ProjectId, Timestamp};
use uuid::Uuid;

use super::Engine;
use crate::book::Wanted;
use crate::budget::{Account, Budget, Holder, Origin, Whom};
use crate::limit::{Limit, Metric, Per, Scope, UsageAction, Window};
use crate::project::ProjectRules;
use crate::rate::{Buckets, Taken};

const MINUTE_MICROS: u64 = 60_000_000;

/// Whose limits.
#[derive(Debug, Clone, Copy)]
pub struct LimitsOf<'a> {
    /// In which organization.
    pub org_id: OrgId,
    /// Which keys of it.
    pub whom: Whom,
    /// A key for tests: it has no budgets, and rates all the same.
    pub test: bool,
    /// For limits that count each model apart.
    pub model: Option<&'a str>,
    /// So many at the most.
    pub most: usize,
}

/// Limits in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// In the order of projects, and of each as its rules are asked.
    pub limits: Vec<LimitOf>,
    /// Whether there are more than were asked for.
    pub has_more: bool,
}

/// One limit, and what its counter says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitOf {
    /// Where it comes from.
    pub origin: LimitOrigin,
    /// Whose requests one counter counts.
    pub scope: Scope,
    /// Whether each model has a counter of its own.
    pub per_model: bool,
    /// The project, user, key or organization whose counter it is; none where nobody said whose to read.
    pub holder: Option<Uuid>,
    /// What becomes of a request beyond it.
    pub action: UsageAction,
    /// From which share on callers are warned.
    pub warn_at_percent: Option<u8>,
    /// How much there may be.
    pub limit: Limit,
    /// What the counter says; none where each of several has one.
    pub standing: Option<Standing>,
}

/// Where a limit comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitOrigin {
    /// A policy.
    Policy {
        /// Its id.
        id: PolicyId,
        /// Its name.
        name: Arc<str>,
    },
    /// `projects.quotas`
    Quota(ProjectId),
    /// `subscriptions.limits`
    Subscription,
    /// `mcp_servers.policy.rate_limit_per_minute`, of the server of this name.
    McpServer(ProjectId, String),
}

/// What was used of a limit, in its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// By requests that have ended.
    pub spent: u64,
    /// What those that run are expected to use.
    pub held: u64,
    /// When the window is over; of a rate, when its bucket is full again.
    pub resets_at: Timestamp,
}

impl Engine {
    /// The limits that count requests of some keys, as they stand at a moment.
    #[must_use]
    pub fn limits(&self, of: &LimitsOf<'_>, now: Timestamp) -> Limits {
        let Some(organization) = self.organizations.get(&of.org_id) else {
            return Limits::default();
        };
        let mut projects: Vec<_> = organization.projects.iter().map(|it| it.id).collect();
        drop(organization);
        projects.retain(|id| of.whom.project_id.is_none_or(|only| only == *id));
        projects.sort_unstable();
        let rules: Vec<_> = projects
            .into_iter()
            .filter_map(|id| self.rules_in(of.org_id, id))
            .collect();
        // Nobody may have asked a rate for long: what is left is told as of now.
        self.rates.pass();
        let mut found = Found::default();
        for rules in &rules {
            if !found.add(of, rules, now) {
                break;
            }
        }
        found.finish(rules.first(), now)
    }
}

/// What was found so far.
#[derive(Default)]
struct Found<'a> {
    limits: Vec<LimitOf>,
    /// Counters to read, with the places of their limits.
    wanted: Vec<(usize, Wanted<'a>)>,
    /// An organization's limits are rules of each of its projects.
    known: HashSet<Account>,
    has_more: bool,
}

impl<'a> Found<'a> {
    /// Adds those of a project. Answers whether there is room for more.
    fn add(&mut self, of: &LimitsOf<'a>, rules: &'a ProjectRules, now: Timestamp) -> bool {
        let whom = Whom {
            project_id: Some(rules.project_id),
            ..of.whom
        };
        let rates = rules
            .rates
            .iter()
            .map(|rate| (&rate.budget, Some(&rate.buckets)));
        let budgets = rules.budgets.iter().filter(|_| !of.test);
        let budgets = budgets.map(|budget| (budget, None));
        for (budget, buckets) in budgets.chain(rates) {
            if !budget.may_count(&whom, &rules.people) {
                continue;
            }
            let holder = holder(of, rules);
            let account = budget.account(&holder, of.model.unwrap_or_default());
            if !self.known.insert(account) {
                continue;
            }
            if self.limits.len() >= of.most {
                self.has_more = true;
                return false;
            }
            let is_told = is_told(budget.per, of);
            let mut limit = LimitOf::new(budget, rules.project_id);
            limit.holder = is_told.then_some(account.holder);
            match buckets {
                Some(buckets) if is_told => {
                    limit.standing = Some(standing(buckets, &account, budget.limit.most, now));
                }
                None if is_told => self.wanted.push((
                    self.limits.len(),
                    Wanted {
                        budget,
                        account,
                        holder,
                        model: of.model.unwrap_or_default(),
                    },
                )),
                Some(_) | None => {}
            }
            self.limits.push(limit);
        }
        self.add_servers(of, rules, now)
    }

    fn add_servers(&mut self, of: &LimitsOf<'_>, rules: &ProjectRules, now: Timestamp) -> bool {
        for (name, rate) in rules.registry.rates() {
            if self.limits.len() >= of.most {
                self.has_more = true;
                return false;
            }
            let limit = Limit {
                metric: Metric::Requests,
                window: Window::Minute,
                most: rate.per_minute,
            };
            self.limits.push(LimitOf {
                origin: LimitOrigin::McpServer(rules.project_id, name.to_owned()),
                scope: Scope::Project,
                per_model: false,
                holder: Some(rules.project_id.0),
                action: UsageAction::HardLimit,
                warn_at_percent: None,
                standing: Some(standing(&rate.buckets, &rate.account, limit.most, now)),
                limit,
            });
        }
        true
    }

    /// Reads the counters, all at one moment.
    fn finish(mut self, rules: Option<&Arc<ProjectRules>>, now: Timestamp) -> Limits {
        if let Some(rules) = rules.filter(|_| !self.wanted.is_empty()) {
            let (places, wanted): (Vec<_>, Vec<_>) = self.wanted.into_iter().unzip();
            let looked = rules.book.look(&wanted, &rules.people, now);
            for (place, looked) in places.into_iter().zip(looked) {
                if let Some(limit) = self.limits.get_mut(place) {
                    limit.standing = Some(Standing {
                        spent: looked.spent,
                        held: looked.held,
                        resets_at: looked.resets_at,
                    });
                }
            }
        }
        Limits {
            limits: self.limits,
            has_more: self.has_more,
        }
    }
}

impl LimitOf {
    fn new(budget: &Budget, project_id: ProjectId) -> Self {
        Self {
            origin: match &budget.origin {
                Origin::Policy(id, name) => LimitOrigin::Policy {
                    id: *id,
                    name: Arc::clone(name),
                },
                Origin::Quota => LimitOrigin::Quota(project_id),
                Origin::Subscription => LimitOrigin::Subscription,
            },
            scope: budget.per.scope,
            per_model: budget.per.model,
            holder: None,
            action: budget.action,
            warn_at_percent: budget.warn_at_percent,
            limit: budget.limit.clone(),
            standing: None,
        }
    }
}

/// As whom to ask; what nobody said is nil, and isn't read.
fn holder(of: &LimitsOf<'_>, rules: &ProjectRules) -> Holder {
    Holder {
        org_id: of.org_id,
        project_id: rules.project_id,
        user_id: of.whom.user_id,
        key_id: of.whom.key_id.unwrap_or(domain::ApiKeyId(Uuid::nil())),
    }
}

/// Whether it was said whose counter to read. A key that is nobody's counts as nobody's, with all others of them.
fn is_told(per: Per, of: &LimitsOf<'_>) -> bool {
    let whose = match per.scope {
        Scope::Organization | Scope::Project => true,
        Scope::User => of.whom.user_id.is_some() || of.whom.key_id.is_some(),
        Scope::Key => of.whom.key_id.is_some(),
    };
    whose && (!per.model || of.model.is_some())
}

/// What a bucket says. There is one less after a request than before.
fn standing(buckets: &Buckets, account: &Account, most: u64, now: Timestamp) -> Standing {
    let left = match buckets.look(account) {
        Taken::One { left } => u64::from(left).saturating_add(1),
        Taken::None { .. } => 0,
    };
    let spent = most.saturating_sub(left);
    let micros = MINUTE_MICROS.saturating_mul(spent) / most.max(1);
    Standing {
        spent,
        held: 0,
        resets_at: Timestamp {
            unix_micros: now.unix_micros.saturating_add_unsigned(micros),
        },
    }
}
