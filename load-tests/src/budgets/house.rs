//! An organization with keys of several users and projects, and the budgets that they are under.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Gateway, Tenant};
use tokio_postgres::Client as Sql;
use uuid::Uuid;

use super::clients::{Refusal, Seat, probe};
use super::money::{MODELS, cents};

pub(super) const KEYS: usize = 8;
const USERS: usize = 4;
const PROJECTS: usize = 2;
/// Of tokens, for each pair of key and model. Never used up.
pub(super) const MOST_TOKENS: u64 = 1_000_000_000_000;

/// Whom there is a counter for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Per {
    Organization,
    Project,
    User,
    Key,
}

impl Per {
    fn name(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Project => "project",
            Self::User => "user",
            Self::Key => "key",
        }
    }

    /// How many counters there are.
    pub(super) fn count(self) -> usize {
        match self {
            Self::Organization => 1,
            Self::Project => PROJECTS,
            Self::User => USERS,
            Self::Key => KEYS,
        }
    }

    /// Which of them counts a key. Users are in both projects.
    pub(super) fn of_key(self, key: usize) -> usize {
        match self {
            Self::Organization => 0,
            Self::Project => key * PROJECTS / KEYS,
            Self::User => key % USERS,
            Self::Key => key,
        }
    }
}

/// A policy with one limit of cost a day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) per: Per,
    /// In picodollars.
    pub(super) limit: u64,
}

impl Budget {
    /// The policy's name.
    pub(super) fn name(&self) -> &'static str {
        self.per.name()
    }
}

#[derive(Debug)]
pub(super) struct House {
    pub(super) org_id: Uuid,
    pub(super) keys: Vec<(Uuid, String)>,
    pub(super) budgets: Vec<Budget>,
}

impl House {
    pub(super) async fn create(sql: &Sql, budgets: &[Budget]) -> Self {
        let first = Tenant::create(sql).await;
        let second = first.with_another_project(sql).await;
        let mut people = Vec::new();
        for _ in 0..USERS {
            people.push(first.with_another_user(sql).await.user_id);
        }
        let mut texts = Vec::new();
        for key in 0..KEYS {
            let tenant = Tenant {
                user_id: people[Per::User.of_key(key)],
                project_id: [first.project_id, second.project_id][Per::Project.of_key(key)],
                org_id: first.org_id,
            };
            texts.push(tenant.live_key(sql).await);
        }
        let made = "SELECT key.id FROM api_keys AS key JOIN projects ON projects.id = key.project_id \
                    WHERE org_id = $1 ORDER BY key.created_at";
        let ids = sql.query(made, &[&first.org_id]).await.unwrap();
        let house = Self {
            org_id: first.org_id,
            keys: ids.iter().map(|row| row.get(0)).zip(texts).collect(),
            budgets: budgets.to_vec(),
        };
        let measure = json!({
            "max_input_tokens_per_day": MOST_TOKENS,
            "max_output_tokens_per_day": MOST_TOKENS,
            "per": ["key", "model"],
        });
        house
            .put_policy(sql, first.user_id, "measure", &measure)
            .await;
        for budget in budgets {
            let rules = json!({
                "max_cost_per_day_usd": format!("{}.{:012}", budget.limit / 1_000_000_000_000, budget.limit % 1_000_000_000_000),
                "per": budget.per.name(),
            });
            house
                .put_policy(sql, first.user_id, budget.name(), &rules)
                .await;
        }
        house
    }

    async fn put_policy(&self, sql: &Sql, user_id: Uuid, name: &str, rules: &Value) {
        let insert = "INSERT INTO policies (org_id, created_by, name, type, rules) VALUES ($1, $2, $3, 'usage', $4)";
        let values = [&self.org_id as _, &user_id as _, &name as _, rules as _];
        sql.execute(insert, &values).await.unwrap();
    }

    /// One client for each pair of key and model.
    pub(super) fn seats(&self, gateway: &Gateway) -> Vec<Seat> {
        let of_key = |(key, (_, text)): (usize, &(Uuid, String))| {
            let client = gateway.client(text);
            (0..MODELS).map(move |model| Seat {
                client: client.clone(),
                key,
                model,
            })
        };
        self.keys.iter().enumerate().flat_map(of_key).collect()
    }

    /// What the counter of a key in a budget says now, nobody else asking.
    pub(super) async fn told(&self, sql: &Sql, seat: &Seat, budget: &Budget) -> Refusal {
        // Looked at first, it is the one that refuses.
        let first = "UPDATE policies SET priority = CASE WHEN name = $2 THEN 500 ELSE 100 END \
                     WHERE org_id = $1 AND (priority = 500) <> (name = $2)";
        sql.execute(first, &[&self.org_id, &budget.name()])
            .await
            .unwrap();
        let wanted = format!("{} cents of the {}", cents(budget.limit), budget.name());
        testkit::eventually(&format!("a refusal for {wanted}"), || async {
            let refusal = probe(seat).await?;
            (refusal.policy == budget.name()).then_some(refusal)
        })
        .await
    }

    /// Waits until every budget is in force for every key.
    pub(super) async fn until_in_force(&self, sql: &Sql, seats: &[Seat]) {
        for budget in &self.budgets {
            for key in 0..KEYS {
                drop(self.told(sql, &seats[key * MODELS], budget).await);
            }
        }
    }
}

/// A day that ends in the middle gives back what was spent in it.
pub(super) async fn not_at_midnight(sql: &Sql) {
    const MARGIN: Duration = Duration::from_secs(60);
    let left = "SELECT extract(epoch FROM date_trunc('day', now(), 'UTC') + INTERVAL '1 day' - now())::FLOAT8";
    let left: f64 = sql.query_one(left, &[]).await.unwrap().get(0);
    let left = Duration::from_secs_f64(left.max(0.0));
    if left < MARGIN {
        tokio::time::sleep(left + Duration::from_secs(1)).await;
    }
}
