//! What happens in a run: as much as can be answered, half of that, twice of that, half of that again.

use std::time::Duration;

use testkit::gateway::Builder;
use testkit::{Database, Gateway, Scene, client};

use super::answers::{Answering, Answers};
use super::verdict::{self, Peak};
use super::watch::Watched;
use crate::figures::{Latencies, rate};
use crate::kernel::Processes;
use crate::many_keys;
use crate::offered::{Crowd, Told};
use crate::plan::Plan;
use crate::question::Question;
use crate::report::Report;

/// An answer is as usual if it takes twice what nearly all of them take, and so much more.
const GRACE: Duration = Duration::from_millis(50);

/// Of a core: a worker that has less to do waits for others.
const BUSY: f64 = 0.85;

pub(super) struct Stages {
    gateway: Gateway,
    _scene: Scene,
    _upstream: Answering,
    /// Requests under way at the most.
    places: usize,
    question: Question,
    /// Answers a second for which there are places, if it is the upstream that takes time.
    most: Option<f64>,
    /// Whether as many as at the peak shall be answered.
    is_promised: bool,
}

/// Connections for each place: so many are needed that there are always requests which wait for none.
const CROWD: usize = 6;

impl Stages {
    /// A gateway with one worker and so many places.
    pub(super) async fn with(plan: &Plan, answers: Answers, places: usize) -> Self {
        let (pause, streamed) = (answers.pause(), answers.streamed());
        let is_promised = pause.is_some() || streamed;
        let upstream = answers.start().await;
        let scene = Scene::on(Database::migrated().await).await;
        many_keys::insert(&scene, 0..1).await;
        let gateway = Builder::serve(&plan.binary, &scene.database.url())
            .upstream(&upstream.url)
            .env("MINDWEAVE_LOG_LEVEL", "info")
            .env("MINDWEAVE_PROXY_THREADS", "1")
            .env("MINDWEAVE_SPOOL_DURABILITY", "process")
            .env("MINDWEAVE_INGEST_MAX_PENDING_EVENTS", &places.to_string())
            .start()
            .await;
        let body = client::question(streamed).to_string();
        Self {
            question: Question::of(&gateway, 1, body),
            gateway,
            _scene: scene,
            _upstream: upstream,
            places,
            most: pause.map(|pause| rate(places, pause)),
            is_promised,
        }
    }

    pub(super) async fn run(self, plan: &Plan, report: &mut Report) {
        let each = plan.pick(Duration::from_millis(700), Duration::from_secs(8));
        let peak = self.saturate(report, each).await;
        let mut few = self.crowd(self.places / 2).await;
        let half = whole(peak.per_second * 0.5);
        // Warms them up: connections upstream are made when they are first needed.
        few.ask(Some(half), each / 4).await;
        let usual = few.ask(Some(half), each / 2).await;
        let (bad, first) = usual.bad();
        report.check(
            format_args!("not answered at half of that: {bad}{first}"),
            bad == 0,
        );
        let patience = 2 * latencies(&usual).percentile(99) + GRACE;

        let mut many = self.crowd(CROWD * self.places).await;
        // Beside other tests the peak may be that of a machine which had no time just then.
        let least = plan.pick(self.most.unwrap_or_default(), 0.0);
        let twice = whole(peak.per_second.max(least) * 2.0);
        let over = async {
            let before = self.processes().cpu();
            let asked = many.ask(Some(twice), each);
            let (told, memory) = Watched::during(&self.gateway, asked).await;
            (told, memory, self.processes().cpu().since(&before))
        };
        let after = async {
            tokio::time::sleep(each).await;
            few.ask(Some(half), each / 2).await
        };
        let ((over, memory, cpu), after) = tokio::join!(over, after);
        let goodput = verdict::compare(report, &peak, each, &over);
        verdict::costs(report, &peak, &over, cpu);
        if self.is_promised && plan.pick(false, true) {
            verdict::judge(report, goodput);
        }
        if plan.pick(self.most.is_some(), self.is_promised) {
            verdict::refused(report, &over);
        }
        verdict::recovered(plan, report, patience, &after);
        verdict::remember(plan, report, &memory);
        report.check(
            "the gateway ends in good order",
            self.gateway.stop().await.success(),
        );
    }

    async fn crowd(&self, connections: usize) -> Crowd {
        Crowd::connect(self.question.clone(), connections).await
    }

    fn processes(&self) -> Processes {
        Processes(vec![self.gateway.pid()])
    }

    /// As many as are answered a second when each place is taken again as soon as it is free.
    async fn saturate(&self, report: &mut Report, each: Duration) -> Peak {
        let mut callers = self.crowd(self.places).await;
        callers.ask(None, each / 2).await;
        let before = self.processes().cpu();
        let told = callers.ask(None, each).await;
        let cpu = self.processes().cpu().since(&before);
        let peak = Peak {
            per_second: rate(told.whole(), told.during),
            cpu_share: cpu.as_secs_f64() / told.during.as_secs_f64(),
        };
        report.say(format_args!(
            "  {} at once: {:.0} answers a second, all threads of the gateway together {:.0} % of a core",
            self.places,
            peak.per_second,
            peak.cpu_share * 100.0
        ));
        if self.most.is_none() && peak.cpu_share < BUSY {
            report.say("  the worker had time left: callers and upstream have no more");
        }
        peak
    }
}

fn latencies(told: &Told) -> Latencies {
    let took = told.answers.iter().map(|answer| answer.ended - answer.due);
    Latencies::new(took.collect())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is positive, and no machine answers so many"
)]
fn whole(per_second: f64) -> u32 {
    (per_second as u32).max(1)
}
