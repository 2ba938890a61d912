//! Keys, policies and quotas change one after the other, under a steady load of a key that they don't concern.
//!
//! Holds: each change decides requests soon after its commit, on every connection and for good; the load notices nothing.
//! Measured: from the answer to the COMMIT until the first answer that shows the change, to somebody who asks without a pause.

use std::time::Duration;

use http::StatusCode;
use testkit::{Client, Gateway};
use tokio::time::Instant;
use uuid::Uuid;

use crate::callers::{Call, Callers, Until};
use crate::figures::{Latencies, unanswered};
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::upstream::Pace;

const CALLERS: u32 = 8;
const PER_SECOND: u32 = 200;
/// Changes come at any moment.
const LONGEST_PAUSE_MS: u64 = 20;
const GOAL: Duration = Duration::from_millis(100);

/// A change of one row.
struct Kind {
    name: &'static str,
    /// Of `$1`, the project, and `$2`, the user who made its key.
    sql: &'static str,
    /// What the project's key is told from then on.
    tells: StatusCode,
}

/// Each begins where the one before ends, and the first where the last does.
const KINDS: [Kind; 8] = [
    Kind {
        name: "key revoked",
        sql: "UPDATE api_keys SET status = 'revoked', revoked_at = now(), revoked_by = $2 WHERE project_id = $1",
        tells: StatusCode::UNAUTHORIZED,
    },
    Kind {
        name: "key given back",
        sql: "UPDATE api_keys SET status = 'active', revoked_at = NULL, revoked_by = NULL \
              WHERE project_id = $1 AND created_by = $2",
        tells: StatusCode::OK,
    },
    Kind {
        name: "policy made",
        sql: "INSERT INTO policies (project_id, created_by, name, type, rules) \
              VALUES ($1, $2, 'closed', 'access', '{\"denied_endpoints\": [\"messages\"]}')",
        tells: StatusCode::FORBIDDEN,
    },
    Kind {
        name: "policy loosened",
        sql: "UPDATE policies SET rules = '{\"denied_endpoints\": [\"complete\"]}' WHERE project_id = $1 AND created_by = $2",
        tells: StatusCode::OK,
    },
    Kind {
        name: "policy tightened",
        sql: "UPDATE policies SET rules = '{\"denied_endpoints\": [\"messages\"]}' WHERE project_id = $1 AND created_by = $2",
        tells: StatusCode::FORBIDDEN,
    },
    Kind {
        name: "policy deleted",
        sql: "DELETE FROM policies WHERE project_id = $1 AND created_by = $2",
        tells: StatusCode::OK,
    },
    Kind {
        name: "quota set",
        sql: "UPDATE projects SET quotas = '{\"max_tokens_per_day\": 0}' WHERE id = $1 AND $2::UUID IS NOT NULL",
        tells: StatusCode::TOO_MANY_REQUESTS,
    },
    Kind {
        name: "quota lifted",
        sql: "UPDATE projects SET quotas = '{}' WHERE id = $1 AND $2::UUID IS NOT NULL",
        tells: StatusCode::OK,
    },
];

/// A project whose rules change, of the organization that the load is of.
struct Changing<'a> {
    sql: tokio_postgres::Client,
    gateway: &'a Gateway,
    key: String,
    /// Asks on a connection of its own.
    prober: Client,
    row: [Uuid; 2],
}

/// What came of the changes of one kind.
#[derive(Default)]
struct Delays {
    took: Vec<Duration>,
    /// Answers that were neither as before the change nor as after it.
    strange: usize,
    /// Answers as before the change to requests that were sent when it had shown.
    late: usize,
}

pub(crate) async fn run(plan: &Plan, mut report: Report) -> Report {
    let times: usize = plan.pick(10, 200);
    report.say(format_args!(
        "{times} changes of each of {} kinds, one after the other, {PER_SECOND} requests a second meanwhile",
        KINDS.len()
    ));
    let site = Site::new(plan, Pace::AtOnce).await;
    let sql = site.sql().await;
    let tenant = site.scene.tenant.with_another_project(&sql).await;
    let key = tenant.live_key(&sql).await;
    // What is measured is not how long the disk takes for the prober's own rows.
    let gateway = site.gateway().env("MINDWEAVE_SPOOL_DURABILITY", "process");
    let gateway = gateway.start().await;
    let changing = Changing {
        sql,
        prober: gateway.client(&key),
        gateway: &gateway,
        key,
        row: [tenant.project_id, tenant.user_id],
    };
    let before = under_load(&site, &gateway, changing.ask_for(plan)).await.0;
    let (during, delays) = under_load(&site, &gateway, changing.change(times)).await;
    for (kind, delays) in KINDS.iter().zip(&delays) {
        delays.check(kind, plan, &mut report);
    }
    compare(plan, &mut report, &before, &during);
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );
    report
}

async fn under_load<T>(
    site: &Site,
    gateway: &Gateway,
    meanwhile: impl Future<Output = T>,
) -> (Vec<Call>, T) {
    let mut asking = site.asking(CALLERS, Until::Stopped);
    asking.per_second = Some(PER_SECOND);
    let callers = Callers::start(&site.client(gateway), &asking);
    let done = meanwhile.await;
    (callers.stop().await, done)
}

impl Changing<'_> {
    /// Nothing changes, but the prober asks.
    async fn ask_for(&self, plan: &Plan) {
        let until = Instant::now() + plan.pick(Duration::from_secs(1), Duration::from_secs(10));
        while Instant::now() < until {
            drop(self.prober.ask().await);
        }
    }

    async fn change(&self, times: usize) -> Vec<Delays> {
        let mut delays: Vec<_> = KINDS.iter().map(|_| Delays::default()).collect();
        for _ in 0..times {
            let mut before = StatusCode::OK;
            for (kind, delays) in KINDS.iter().zip(&mut delays) {
                self.change_once(kind, before, delays).await;
                before = kind.tells;
            }
        }
        delays
    }

    async fn change_once(&self, kind: &Kind, before: StatusCode, delays: &mut Delays) {
        tokio::time::sleep(Duration::from_millis(rand::random_range(
            0..LONGEST_PAUSE_MS,
        )))
        .await;
        let commit = async {
            let row = [&self.row[0] as _, &self.row[1] as _];
            let changed = self.sql.execute(kind.sql, &row).await.unwrap();
            assert_eq!(changed, 1, "{}", kind.name);
            Instant::now()
        };
        let shown = async {
            let mut strange = 0;
            let until = Instant::now() + testkit::PATIENCE;
            loop {
                let status = self.prober.ask().await.status;
                if status == kind.tells || Instant::now() > until {
                    return (Instant::now(), strange);
                }
                strange += usize::from(status != before);
            }
        };
        let (committed, (shown, strange)) = tokio::join!(commit, shown);
        delays.took.push(shown.saturating_duration_since(committed));
        delays.strange += strange;
        // Whichever thread of the gateway takes a new connection.
        for _ in 0..2 {
            let status = self.gateway.client(&self.key).ask().await.status;
            delays.late += usize::from(status != kind.tells);
        }
    }
}

impl Delays {
    fn check(&self, kind: &Kind, plan: &Plan, report: &mut Report) {
        let latencies = Latencies::new(self.took.clone());
        let milliseconds = |percent| latencies.percentile(percent).as_secs_f64() * 1e3;
        report.say(format_args!(
            "  {}: p50 {:.1} ms, p99 {:.1} ms, at the most {:.1} ms",
            kind.name,
            milliseconds(50),
            milliseconds(99),
            milliseconds(100)
        ));
        // A run among others, as the short form may be, is a poor measure.
        let bound = plan.pick(20 * GOAL, GOAL);
        report.check(
            format_args!("p99 within {bound:?}"),
            latencies.percentile(99) <= bound,
        );
        report.check(
            format_args!(
                "neither as before nor as after: {}, as before once it had shown: {}",
                self.strange, self.late
            ),
            self.strange + self.late == 0,
        );
    }
}

fn compare(plan: &Plan, report: &mut Report, before: &[Call], during: &[Call]) {
    let bad = unanswered(before) + unanswered(during);
    let calls = before.len() + during.len();
    report.check(
        format_args!("of {calls} requests of the load, not answered: {bad}"),
        bad == 0,
    );
    let (before, during) = (Latencies::of(before), Latencies::of(during));
    let ratio = |percent| {
        let before = before.percentile(percent).as_secs_f64();
        during.percentile(percent).as_secs_f64() / before
    };
    report.say(format_args!(
        "  the load's latency meanwhile: p50 x{:.2}, p99 x{:.2} of before, which is {:.1} ms",
        ratio(50),
        ratio(99),
        during.percentile(99).as_secs_f64() * 1e3
    ));
    let grace = plan.pick(Duration::from_millis(200), Duration::from_millis(5));
    report.check(
        "the load notices nothing",
        during.percentile(99) <= 2 * before.percentile(99) + grace,
    );
}
