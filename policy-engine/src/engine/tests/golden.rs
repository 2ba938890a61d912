//! Golden tables: what is decided about requests under some policies, and what was looked at on the way.
//!
//! Every rule, action, scope and precedence of `docs/POLICIES.md` has its rows. A row is what is in force, and the requests that are
//! then made one after the other; each is explained, made, and settled with what is expected of it, unless it is refused.

mod access;
mod compliance;
mod custom;
mod everything;
mod order;
mod registry;
mod scopes;
mod settings;
mod usage;

use std::fmt::{self, Display};

use super::*;
use crate::denial::Exhausted;
use crate::notes::{Left, Note, Step};

/// What is in force.
struct World {
    org: OrgSource,
    projects: Vec<ProjectSource>,
}

impl World {
    fn new() -> Self {
        Self {
            org: org(Vec::new()),
            projects: vec![project(Vec::new())],
        }
    }

    /// Numbers policies through.
    fn next(&self, kind: &str, rules: Value) -> PolicySource {
        let of_projects = self.projects.iter().map(|it| it.policies.len());
        let count = self.org.policies.len() + of_projects.sum::<usize>();
        policy(u128::try_from(count).unwrap() + 1, kind, rules)
    }

    /// With one more policy of the organization.
    fn org(mut self, kind: &str, rules: Value, change: impl FnOnce(&mut PolicySource)) -> Self {
        let mut policy = self.next(kind, rules);
        change(&mut policy);
        self.org.policies.push(policy);
        self
    }

    /// With one more policy of the project.
    fn project(mut self, kind: &str, rules: Value, change: impl FnOnce(&mut PolicySource)) -> Self {
        let mut policy = self.next(kind, rules);
        change(&mut policy);
        self.projects[0].policies.push(policy);
        self
    }

    fn engine(self) -> Engine {
        let (engine, faults) = self.engine_and_faults();
        assert_eq!(faults, []);
        engine
    }

    fn engine_and_faults(self) -> (Engine, Vec<PolicyFaults>) {
        let engine = engine();
        let projects: Vec<_> = self.projects.into_iter().map(Arc::new).collect();
        let faults = engine.replace(&Arc::new(self.org), &projects);
        (engine, faults)
    }
}

/// As a policy is without saying more.
fn plain(_: &mut PolicySource) {}

/// A request, and who makes it.
struct Asked {
    who: &'static str,
    caller: Caller,
    endpoint: Endpoint,
    reads: bool,
    betas: &'static [&'static str],
    approved: &'static [&'static str],
    /// Beside a model and `max_tokens`.
    body: Value,
}

/// An owner's message.
fn asked(body: Value) -> Asked {
    Asked {
        who: "owner",
        caller: caller(OWNER),
        endpoint: Endpoint::Messages,
        reads: false,
        betas: &[],
        approved: &[],
        body,
    }
}

/// A message of somebody.
fn asked_by(who: &'static str, user: UserId, body: Value) -> Asked {
    Asked {
        who,
        caller: caller(user),
        ..asked(body)
    }
}

impl Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.who)?;
        if self.reads || self.endpoint != Endpoint::Messages {
            let method = if self.reads { "GET" } else { "POST" };
            write!(f, " {method} {}", self.endpoint.label())?;
        }
        if !self.betas.is_empty() {
            write!(f, " betas {}", self.betas.join(","))?;
        }
        if !self.approved.is_empty() {
            write!(f, " approves {}", self.approved.join(","))?;
        }
        if self.caller.address != caller(OWNER).address {
            write!(f, " from {}", self.caller.address)?;
        }
        write!(f, " {}", self.body)
    }
}

impl Asked {
    fn run<R>(&self, run: impl FnOnce(&Request<'_>, &PriceBook) -> R) -> R {
        let prices = PriceBook::embedded().unwrap();
        let with = |request: &Request<'_>| {
            let request = Request {
                endpoint: self.endpoint,
                reads: self.reads,
                betas: self.betas,
                approved_mcp: self.approved,
                ..*request
            };
            run(&request, &prices)
        };
        if self.reads {
            return with(&Request::of(self.endpoint));
        }
        with_request(&self.body, with)
    }

    fn explain(&self, engine: &Engine) -> Vec<Step> {
        let explained = self.run(|request, prices| {
            let explained = engine.explain(&self.caller, request, prices, now());
            explained.unwrap()
        });
        explained.steps
    }

    fn admit(&self, engine: &Engine) -> Result<Admitted, Box<Denial>> {
        let admitted =
            self.run(|request, prices| engine.admit(&self.caller, request, prices, now()));
        admitted.map_err(|refused| match refused {
            Refused::Denied(denial) => denial,
            Refused::Unknown(project) => panic!("no rules of {project}"),
        })
    }
}

/// What 300 bytes and an answer of 500 tokens come to.
const EXPECTED: Amounts = Amounts {
    input_tokens: 100,
    output_tokens: 500,
    requests: 1,
    cost: 13_000_000_000,
};

/// Makes requests one after the other, each using what is given. Answers every step, and what the callers are told.
fn play(engine: &Engine, requests: &[Asked], used: Amounts) -> String {
    let mut text = String::new();
    for asked in requests {
        writeln!(text, "  {asked}").unwrap();
        for step in asked.explain(engine) {
            writeln!(text, "    {}: {}", step.rule, step.outcome).unwrap();
        }
        let admitted = asked.admit(engine);
        writeln!(text, "    -> {}", told(&admitted)).unwrap();
        if let Ok(admitted) = admitted {
            let spend = Spend {
                model: "claude-opus-5",
                amounts: used,
                good: false,
            };
            engine.settle(admitted, &spend);
        }
    }
    text
}

/// One policy of the project in each row, and one request.
fn rows(kind: &str, rows: Vec<(Value, Asked)>) -> String {
    let mut text = String::new();
    for (rules, asked) in rows {
        writeln!(text, "{rules}").unwrap();
        let engine = World::new().project(kind, rules, plain).engine();
        text.push_str(&play(&engine, &[asked], EXPECTED));
    }
    text
}

fn told(admitted: &Result<Admitted, Box<Denial>>) -> String {
    let mut text = String::new();
    match admitted {
        Ok(Admitted { notes, .. }) => {
            text.push_str("admitted");
            for note in &notes.warnings {
                write!(text, "\n       warning: {}", of_note(note)).unwrap();
            }
            for note in &notes.logged {
                write!(text, "\n       log: {}", of_note(note)).unwrap();
            }
            text.push_str(&of_left(&notes.left));
        }
        Err(denial) => {
            write!(text, "{}: {}", denial.reason.as_str(), denial.message).unwrap();
            if let Some(exhausted) = &denial.exhausted {
                let Exhausted {
                    limit,
                    spent,
                    unit,
                    resets_at,
                } = exhausted;
                let until = resets_at.rfc3339();
                write!(text, "\n       {spent} of {limit} {unit} until {until}").unwrap();
            }
            if let Some((_, name)) = &denial.policy {
                write!(text, "\n       by {name}").unwrap();
            }
        }
    }
    text
}

fn of_note(note: &Note) -> String {
    let by = note.policy.as_ref();
    let by = by.map_or_else(String::new, |(_, name)| format!(", by {name}"));
    format!("{}{by}", note.message)
}

fn of_left(left: &Left) -> String {
    let mut text = String::new();
    for (unit, left) in [
        ("requests", left.requests),
        ("tokens", left.tokens),
        ("input_tokens", left.input_tokens),
        ("output_tokens", left.output_tokens),
    ] {
        if let Some(left) = left {
            let (remaining, limit) = (left.remaining, left.limit);
            let until = left.resets_at.rfc3339();
            write!(
                text,
                "\n       {remaining} of {limit} {unit} left until {until}"
            )
            .unwrap();
        }
    }
    text
}
