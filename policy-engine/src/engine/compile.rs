//! An organization's rows turned into the rules of its projects.

use std::collections::HashMap;
use std::sync::Arc;

use domain::{OrgId, PolicyId, ProjectId};

use super::Organization;
use crate::budget::{Budget, BudgetId, Origin, People, Whose};
use crate::fault::Fault;
use crate::limit::{Metric, Window};
use crate::project::{Broken, Plan, ProjectRules, Rate};
use crate::rate::Open;
use crate::registry::Registry;
use crate::rules::{AccessRule, Faults, Owner, Policy, Rule, UsageRule};
use crate::source::{OrgSource, PolicySource, PolicyStatus, ProjectSource};

/// What can't be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyFaults {
    /// Which policy; none for settings of a project or an organization.
    pub policy_id: Option<PolicyId>,
    /// Whose.
    pub org_id: OrgId,
    /// Every fault in it.
    pub faults: Vec<Fault>,
}

/// An organization, compiled.
pub(super) struct Compiled {
    pub(super) rules: Vec<ProjectRules>,
    pub(super) policies: HashMap<PolicyId, Arc<Policy>>,
    pub(super) faults: Vec<PolicyFaults>,
}

/// Of the projects given; who there is in the organization is known already.
pub(super) fn among(
    people: Arc<People>,
    org: &OrgSource,
    projects: &[Arc<ProjectSource>],
    before: &Organization,
    rates: &dyn Open,
) -> Compiled {
    let mut compiler = Compiler {
        org,
        before,
        rates,
        people,
        policies: HashMap::new(),
        faults: Vec::new(),
    };
    let own = compiler.policies(&org.policies, Owner::Organization);
    let rules = projects
        .iter()
        .map(|project| compiler.project(project, &own))
        .collect();
    Compiled {
        rules,
        policies: compiler.policies,
        faults: compiler.faults,
    }
}

struct Compiler<'a> {
    org: &'a OrgSource,
    before: &'a Organization,
    rates: &'a dyn Open,
    people: Arc<People>,
    policies: HashMap<PolicyId, Arc<Policy>>,
    faults: Vec<PolicyFaults>,
}

/// Policies of one owner, in order.
#[derive(Default)]
struct Ordered {
    policies: Vec<Arc<Policy>>,
    broken: Option<Broken>,
}

impl Compiler<'_> {
    fn policies(&mut self, sources: &[PolicySource], owner: Owner) -> Ordered {
        let active = |source: &&PolicySource| source.status == PolicyStatus::Active;
        let mut sources: Vec<_> = sources.iter().filter(active).collect();
        sources.sort_by_key(|source| {
            (
                std::cmp::Reverse(source.priority),
                source.created_unix_micros,
                source.id,
            )
        });
        let mut ordered = Ordered::default();
        for source in sources {
            let parsed = Policy::parse(source, owner).map(Arc::new);
            match parsed.or_else(|faults| self.before(source, faults)) {
                Ok(policy) => {
                    self.policies.insert(policy.id, Arc::clone(&policy));
                    ordered.policies.push(policy);
                }
                Err(broken) => ordered.broken = ordered.broken.or(Some(broken)),
            }
        }
        ordered
    }

    /// What was in force of a policy that can't be understood any more.
    fn before(&mut self, source: &PolicySource, faults: Faults) -> Result<Arc<Policy>, Broken> {
        let fault = faults.first().map(ToString::to_string).unwrap_or_default();
        self.note(Some(source.id), faults);
        let before = self.before.policies.get(&source.id).map(Arc::clone);
        before.ok_or_else(|| Broken {
            policy: Some((source.id, source.name.as_str().into())),
            fault,
        })
    }

    fn note(&mut self, policy_id: Option<PolicyId>, faults: Faults) {
        if !faults.is_empty() {
            self.faults.push(PolicyFaults {
                policy_id,
                org_id: self.org.id,
                faults,
            });
        }
    }

    fn project(&mut self, project: &ProjectSource, own: &Ordered) -> ProjectRules {
        let of_project = self.policies(&project.policies, Owner::Project);
        let mut faults = Faults::new();
        let models = AccessRule::of_project(&project.settings, &mut faults);
        let registry = Registry::new(
            &self.org.settings,
            &project.mcp_servers,
            self.rates,
            &mut faults,
        );
        let quotas = UsageRule::quotas(&project.quotas, &mut faults);
        let subscription = self.org.subscription.as_ref();
        let plan = subscription.map(|it| UsageRule::subscription(&it.limits, &mut faults));
        let settings_fault = faults.first().map(ToString::to_string);
        self.note(None, faults);

        let mut bound = Bound {
            rates: self.rates,
            project_id: None,
            budgets: Vec::new(),
            limited: Vec::new(),
        };
        if let Some(plan) = &plan {
            bound.add(&Origin::Subscription, plan, None, (self.org.id.0, ""));
        }
        for policy in &own.policies {
            bound.add_policy(policy);
        }
        bound.project_id = Some(project.id);
        for policy in &of_project.policies {
            bound.add_policy(policy);
        }
        bound.add(&Origin::Quota, &quotas, None, (project.id.0, ""));
        let broken = own.broken.clone().or(of_project.broken).or_else(|| {
            settings_fault.map(|fault| Broken {
                policy: None,
                fault,
            })
        });
        ProjectRules {
            org_id: self.org.id,
            project_id: project.id,
            org_slug: self.org.slug.as_str().into(),
            people: Arc::clone(&self.people),
            book: Arc::clone(&self.before.book),
            plan: subscription.map_or(Plan::Good, |it| plan_state(&it.status)),
            of_organization: own.policies.clone(),
            models,
            registry,
            of_project: of_project.policies,
            budgets: bound.budgets,
            rates: bound.limited,
            broken,
        }
    }
}

/// Limits on their way to be budgets and rates.
struct Bound<'a> {
    rates: &'a dyn Open,
    /// Whose the limits are that come now; none of the organization's.
    project_id: Option<ProjectId>,
    budgets: Vec<Budget>,
    limited: Vec<Rate>,
}

impl Bound<'_> {
    fn add_policy(&mut self, policy: &Policy) {
        if let Rule::Usage(rule) = &policy.rule {
            let origin = Origin::Policy(policy.id, Arc::clone(&policy.name));
            let whose = policy.applies_to.as_ref();
            let whose = whose.map(|applies_to| Arc::clone(applies_to) as Arc<dyn Whose>);
            self.add(&origin, rule, whose.as_ref(), (policy.id.0, &policy.filter));
        }
    }

    fn add(
        &mut self,
        origin: &Origin,
        rule: &UsageRule,
        whose: Option<&Arc<dyn Whose>>,
        identity: (uuid::Uuid, &str),
    ) {
        for limit in &rule.limits {
            let counted = (self.project_id.map(|id| id.0), rule.per);
            let budget = Budget {
                id: BudgetId::of((identity, limit.metric, limit.window, counted)),
                origin: origin.clone(),
                limit: limit.clone(),
                per: rule.per,
                action: rule.action,
                warn_at_percent: rule.warn_at_percent,
                allow_unpriced: rule.allow_unpriced,
                project_id: self.project_id,
                whose: whose.map(Arc::clone),
            };
            if (limit.metric, limit.window) == (Metric::Requests, Window::Minute) {
                let buckets = self.rates.buckets(budget.id, limit.most);
                self.limited.push(Rate { budget, buckets });
            } else {
                self.budgets.push(budget);
            }
        }
    }
}

/// Who there is.
pub(super) fn people(org: &OrgSource, projects: &[Arc<ProjectSource>]) -> People {
    let roles = org.roles.iter();
    People {
        // Whoever has a role that nobody knows has none.
        roles: roles
            .filter_map(|(user, role)| Some((*user, role.parse().ok()?)))
            .collect(),
        projects: projects
            .iter()
            .map(|project| (project.id, project.slug.as_str().into()))
            .collect(),
    }
}

fn plan_state(status: &str) -> Plan {
    match status {
        "canceled" => Plan::Canceled,
        "past_due" => Plan::PastDue,
        _ => Plan::Good,
    }
}
