//! Budgets of cost that many clients use up at the same time, and the gateway killed in the middle of it.
//!
//! Holds: a budget ends above its limit by no more than what requests that ran together used beyond their estimates; nobody
//! is refused while there is room for what is expected of it; a refusal tells the sum of the rows to the picodollar, also after a
//! `kill -9` with rows in the database and in the spool.

mod audit;
mod clients;
mod house;
mod money;
mod restarts;
mod rows;
mod upstream;

use std::time::Duration;

use tempfile::TempDir;
use testkit::gateway::Builder;
use testkit::{Database, Gateway, Link, Upstream};
use tokio::time::Instant;
use tokio_postgres::Client as Sql;

use self::audit::Audit;
use self::clients::{Clients, Told};
use self::house::{Budget, House, Per};
use self::money::MODELS;
use self::rows::Rows;
use crate::plan::Plan;
use crate::report::Report;

const CENT: u64 = 10_000_000_000;
const DOLLAR: u64 = 100 * CENT;
/// With clients of some keys faster than others, some of each kind are used up.
const AT_ONCE: [Budget; 4] = [
    Budget {
        per: Per::Key,
        limit: 12 * CENT,
    },
    Budget {
        per: Per::User,
        limit: 20 * CENT,
    },
    Budget {
        per: Per::Project,
        limit: 42 * CENT,
    },
    Budget {
        per: Per::Organization,
        limit: 76 * CENT,
    },
];
const OF_ALL: Budget = Budget {
    per: Per::Organization,
    limit: DOLLAR,
};

/// What waits for the database is stored sooner.
const STORING: Duration = Duration::from_secs(10);

/// Where it takes place.
struct Site {
    database: Database,
    sql: Sql,
    link: Link,
    upstream: Upstream,
    folder: TempDir,
    binary: String,
}

impl Site {
    async fn new(plan: &Plan) -> Self {
        let database = Database::migrated().await;
        let folder = tempfile::tempdir().unwrap();
        let book = money::price_book().to_string();
        std::fs::write(folder.path().join("prices.json"), book).unwrap();
        Self {
            sql: database.connect().await,
            link: Link::to(database.address()).await,
            database,
            upstream: upstream::start().await,
            folder,
            binary: plan.binary.clone(),
        }
    }

    /// A gateway whose files outlive it.
    fn gateway(&self) -> Builder {
        let prices = self.folder.path().join("prices.json");
        Builder::serve(&self.binary, &self.database.url_at(&self.link.address()))
            .upstream(&self.upstream.url())
            .data_dir(&self.folder.path().join("data"))
            .env("MINDWEAVE_PRICES_FILE", &prices.to_string_lossy())
            .env("MINDWEAVE_LOG_LEVEL", "info")
    }

    /// The rows, once there is one for each answer; what is missing shows in them.
    async fn rows(&self, house: &House, told: &Told) -> Rows {
        let until = Instant::now() + STORING;
        loop {
            let rows = Rows::read(&self.sql, house, told).await;
            if rows.of_answers() == told.passed.len() || Instant::now() > until {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub(crate) async fn run(plan: &Plan, mut report: Report) -> Report {
    let site = Site::new(plan).await;
    let gateway = site.gateway().start().await;
    let clients = house::KEYS * MODELS;
    let rounds = plan.pick(1, 20);
    report.say(format_args!(
        "{rounds} times {clients} clients, {} keys, until a budget of a dollar refuses everybody",
        house::KEYS
    ));
    use_up(&site, &gateway, &[OF_ALL], rounds, &mut report).await;
    let rounds = plan.pick(1, 20);
    report.say(format_args!(
        "{rounds} times the same with budgets per key, user, project and organization at once"
    ));
    use_up(&site, &gateway, &AT_ONCE, rounds, &mut report).await;
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
    restarts::run(&site, plan, &mut report).await;
    report
}

async fn use_up(
    site: &Site,
    gateway: &Gateway,
    budgets: &[Budget],
    rounds: usize,
    report: &mut Report,
) {
    let mut audits: Vec<_> = budgets.iter().map(|_| Audit::default()).collect();
    let (mut answers, mut refusals, mut bad, mut unstored) = (0, 0, 0, 0);
    for _ in 0..rounds {
        house::not_at_midnight(&site.sql).await;
        let house = House::create(&site.sql, budgets).await;
        let seats = house.seats(gateway);
        house.until_in_force(&site.sql, &seats).await;
        let told = Clients::start(&seats).ended().await;
        let rows = site.rows(&house, &told).await;
        audit(site, &house, gateway, &rows, &told, &mut audits).await;
        answers += told.passed.len();
        refusals += told.refused.len();
        bad += told.unrefused + told.strange.len() + told.broken;
        unstored += told.passed.len().abs_diff(rows.requests.len());
    }
    report.say(format_args!("  {answers} answers, {refusals} refusals"));
    report.check(
        format_args!("answers without a row, and rows without an answer: {unstored}"),
        unstored == 0,
    );
    report.check(
        format_args!("clients that weren't refused in the end, or told something else: {bad}"),
        bad == 0,
    );
    for (budget, audit) in budgets.iter().zip(&audits) {
        audit.check(&format!("per {}", budget.name()), report);
    }
}

/// Every counter, which nobody uses any more.
async fn audit(
    site: &Site,
    house: &House,
    gateway: &Gateway,
    rows: &Rows,
    told: &Told,
    audits: &mut [Audit],
) {
    let seats = house.seats(gateway);
    for (budget, audit) in house.budgets.iter().zip(audits) {
        for counter in 0..budget.per.count() {
            let key = (0..house::KEYS).find(|key| budget.per.of_key(*key) == counter);
            let seat = &seats[key.unwrap() * MODELS];
            let last = house.told(&site.sql, seat, budget).await;
            audit.add(budget, counter, rows, told, Some(&last));
        }
    }
}
