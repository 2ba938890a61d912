//! Many callers of the admin API beside a steady load of requests.
//!
//! Measured: how long the load's requests take, each from the moment at which it was due, as ratios to the same load alone; and how
//! long the admin API takes meanwhile. All of it, PostgreSQL included, shares the machine: callers without pauses take what it has
//! left, and what they then compete for is mostly the database's time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::KeyHash;
use http::{Method, StatusCode};
use serde_json::json;
use testkit::{Client, Gateway};
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;

use crate::callers::{Callers, Until};
use crate::figures::{Latencies, median, rate, unanswered};
use crate::plan::Plan;
use crate::report::Report;
use crate::site::Site;
use crate::upstream::Pace;

/// Of requests.
const CALLERS: u32 = 64;
/// Of the admin API.
const ADMINS: usize = 50;
/// Of each hundred of their requests.
const WRITES: u64 = 20;

/// How callers of the admin API ask.
#[derive(Debug, Clone, Copy)]
struct Manner {
    /// So often at the most.
    every: Duration,
    /// Also for what was used, of which on PostgreSQL alone the open day is added up for each.
    usage: bool,
}

/// What the load was told.
struct Load {
    latencies: Latencies,
    per_second: f64,
}

/// What the callers of the admin API were told.
#[derive(Default)]
struct Told {
    reads: Vec<Duration>,
    writes: Vec<Duration>,
    /// That it takes too long, or that others have their turn first, in the API's own words.
    put_off: usize,
    /// Any other that is no success.
    bad: BTreeMap<StatusCode, usize>,
}

pub(crate) async fn run(plan: &Plan, mut report: Report) -> Report {
    let rounds: usize = plan.pick(1, 7);
    let each = plan.pick(Duration::from_secs(1), Duration::from_secs(8));
    let per_second: u32 = plan.pick(200, 5_000);
    report.say(format_args!(
        "{per_second} requests a second, alone and beside {ADMINS} callers of the admin API ({WRITES} % writes), {each:?} each, \
         {rounds} rounds in turns; medians"
    ));
    let second = plan.pick(Duration::from_millis(100), Duration::from_secs(1));
    for (name, manner) in [
        (
            "records, each caller once a second",
            Manner {
                every: second,
                usage: false,
            },
        ),
        (
            "records, without pauses",
            Manner {
                every: Duration::ZERO,
                usage: false,
            },
        ),
        (
            "usage as well, each caller once a second",
            Manner {
                every: second,
                usage: true,
            },
        ),
    ] {
        report.say(name);
        let site = Site::new(plan, Pace::AtOnce).await;
        let gateway = site.gateway().env("MINDWEAVE_SPOOL_DURABILITY", "process");
        let gateway = gateway.start().await;
        let admin = Administrator::of(&site, &gateway).await;
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        let mut told = Told::default();
        let mut bad = 0;
        let mut busy = Duration::ZERO;
        // The first round warms up.
        for round in 0..=rounds {
            let quiet = load(&site, &gateway, per_second, each, &mut bad).await;
            let began = Instant::now();
            let admins = Admins::start(&admin, manner);
            let beset = load(&site, &gateway, per_second, each, &mut bad).await;
            let more = admins.stop().await;
            if round > 0 {
                busy += began.elapsed();
                alone.push(quiet);
                beside.push(beset);
                told.add(more);
            }
        }
        compare(&mut report, &alone, &beside);
        told.say(&mut report, busy);
        report.check(format_args!("requests not answered: {bad}"), bad == 0);
        report.check(
            format_args!(
                "answers of the admin API that say no for no good reason, by status: {:?}",
                told.bad
            ),
            told.bad.is_empty(),
        );
        report.check(
            "the gateway ends in good order",
            gateway.stop().await.success(),
        );
    }
    report
}

/// A caller of the admin API, and what it asks about.
#[derive(Clone)]
struct Administrator {
    client: Client,
    org_id: Uuid,
    project_id: Uuid,
    user_id: Uuid,
    /// A week ago.
    since: String,
}

impl Administrator {
    /// With a key of the whole installation.
    async fn of(site: &Site, gateway: &Gateway) -> Self {
        let key = format!("mw_ak_{}", Uuid::now_v7().simple());
        let hash = KeyHash::of(key.as_bytes()).to_hex();
        let sql = "INSERT INTO admin_keys (role, name, key_hash) VALUES ('owner', 'load', $1)
            RETURNING to_char(now() AT TIME ZONE 'UTC' - interval '7 days', 'YYYY-MM-DD\"T00:00:00Z\"')";
        let row = site.sql().await.query_one(sql, &[&hash]).await.unwrap();
        let tenant = &site.scene.tenant;
        Self {
            client: Client::new(gateway.ready_text("admin_url"), &key),
            org_id: tenant.org_id,
            project_id: tenant.project_id,
            user_id: tenant.user_id,
            since: row.get(0),
        }
    }
}

async fn load(
    site: &Site,
    gateway: &Gateway,
    per_second: u32,
    each: Duration,
    bad: &mut usize,
) -> Load {
    let mut asking = site.asking(CALLERS, Until::Stopped);
    asking.per_second = Some(per_second);
    asking.lateness_counts = true;
    let began = Instant::now();
    let callers = Callers::start(&site.client(gateway), &asking);
    tokio::time::sleep(each).await;
    let calls = callers.stop().await;
    *bad += unanswered(&calls);
    Load {
        latencies: Latencies::of(&calls),
        per_second: rate(calls.len(), began.elapsed()),
    }
}

/// Callers of the admin API at work.
struct Admins {
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Told>,
}

impl Admins {
    fn start(admin: &Administrator, manner: Manner) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let tasks = (0..ADMINS)
            .map(|_| {
                let (stop, admin) = (Arc::clone(&stop), admin.clone());
                async move {
                    let mut told = Told::default();
                    let mut next =
                        Instant::now() + manner.every.mul_f64(rand::random_range(0.0..1.0));
                    while !stop.load(Ordering::Relaxed) {
                        tokio::time::sleep_until(next).await;
                        told.ask(&admin, manner.usage).await;
                        next = Instant::now().max(next + manner.every);
                    }
                    told
                }
            })
            .collect();
        Self { stop, tasks }
    }

    async fn stop(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        let mut told = Told::default();
        for more in self.tasks.join_all().await {
            told.add(more);
        }
        told
    }
}

impl Told {
    /// One request of any kind.
    async fn ask(&mut self, admin: &Administrator, usage: bool) {
        let dice = rand::random_range(0..100);
        let (client, project) = (&admin.client, admin.project_id);
        let began = Instant::now();
        let answer = if dice < WRITES / 2 {
            let key = json!({"project_id": project, "name": "load", "created_by": admin.user_id});
            client.post("/admin/v1/api-keys", &key).await
        } else if dice < WRITES {
            let change = json!({"description": format!("changed {dice}")});
            let path = format!("/admin/v1/projects/{project}");
            client.post(&path, &change).await
        } else {
            let path = match dice % if usage { 4 } else { 3 } {
                0 => format!("/admin/v1/organizations/{}", admin.org_id),
                1 => "/admin/v1/projects".to_owned(),
                2 => format!("/admin/v1/api-keys?project_id={project}&limit=20"),
                _ => format!(
                    "/admin/v1/usage?since={}&bucket=day&group_by=model",
                    admin.since
                ),
            };
            client.send(Method::GET, &path, "").await
        };
        let took = began.elapsed();
        let is_good = matches!(answer.status, StatusCode::OK | StatusCode::CREATED);
        let is_put_off = matches!(
            answer.status,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
        );
        self.put_off += usize::from(is_put_off);
        if is_put_off {
            return;
        }
        if !is_good {
            *self.bad.entry(answer.status).or_default() += 1;
        }
        if dice < WRITES {
            self.writes.push(took);
        } else {
            self.reads.push(took);
        }
    }

    fn add(&mut self, more: Self) {
        self.reads.extend(more.reads);
        self.writes.extend(more.writes);
        self.put_off += more.put_off;
        for (status, count) in more.bad {
            *self.bad.entry(status).or_default() += count;
        }
    }

    fn say(&self, report: &mut Report, busy: Duration) {
        for (name, took) in [("reads", &self.reads), ("writes", &self.writes)] {
            let latencies = Latencies::new(took.clone());
            report.say(format_args!(
                "  admin API, {name}: {:.0} a second, p50 {:.1} ms, p99 {:.1} ms",
                rate(took.len(), busy),
                latencies.percentile(50).as_secs_f64() * 1e3,
                latencies.percentile(99).as_secs_f64() * 1e3
            ));
        }
        report.say(format_args!(
            "  admin API: {} were put off (429, 503)",
            self.put_off
        ));
    }
}

fn compare(report: &mut Report, alone: &[Load], beside: &[Load]) {
    let figure = |loads: &[Load], of: &dyn Fn(&Load) -> f64| {
        median(&loads.iter().map(of).collect::<Vec<_>>())
    };
    for percent in [50, 99] {
        let of = |load: &Load| load.latencies.percentile(percent).as_secs_f64() * 1e3;
        let pairs = alone.iter().zip(beside);
        let ratios: Vec<_> = pairs
            .map(|(alone, beside)| of(beside) / of(alone))
            .collect();
        report.say(format_args!(
            "  requests, p{percent}: {:.2} ms alone, {:.2} ms beside: x{:.2}",
            figure(alone, &of),
            figure(beside, &of),
            median(&ratios)
        ));
    }
    report.say(format_args!(
        "  requests a second: {:.0} alone, {:.0} beside",
        figure(alone, &|load| load.per_second),
        figure(beside, &|load| load.per_second)
    ));
}
