//! What each open stream takes.
//!
//! Compared is what is resident while all of them run, each with an event now and then, with what was resident before the
//! first. What the kernel has in its sockets' buffers isn't in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt as _;
use testkit::{Gateway, client, eventually_within};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Ground, memory};

use crate::plan::Plan;
use crate::question::{Caller, Question};
use crate::report::Report;

const KILOBYTES_EACH: f64 = 20.0;
/// Streams that begin at the same time.
const BEGINNING: usize = 64;
/// Files that a gateway has open beside one to the caller and one to the upstream for each stream.
const OTHER_FILES: u64 = 1_000;
/// More events than the run has time for.
const EVENTS: u32 = 100_000;

fn streams(plan: &Plan) -> u64 {
    plan.pick(200, 10_000)
}

/// As many open files as a gateway needs.
pub(super) fn files(plan: &Plan) -> u64 {
    2 * streams(plan) + OTHER_FILES
}

/// How far the streams are.
#[derive(Debug, Default)]
struct Progress {
    open: AtomicUsize,
    ended: AtomicUsize,
}

pub(super) async fn run(plan: &Plan, ground: &Ground, gateway: &Gateway, report: &mut Report) {
    let interval = plan.pick(Duration::from_millis(250), Duration::from_secs(4));
    let wanted = streams(plan);
    let possible = ground.files.saturating_sub(OTHER_FILES) / 2;
    let count = usize::try_from(wanted.min(possible)).unwrap();
    if possible < wanted {
        report.say(format_args!(
            "{} open files are allowed: {count} streams instead of {wanted}",
            ground.files
        ));
    }
    let question = Question::of(gateway, 1, client::question(true).to_string());
    let question = question
        .with("x-simulator-output-tokens", &EVENTS)
        .with("x-simulator-tokens-per-event", &1)
        .with("x-simulator-event-interval-ms", &interval.as_millis());
    let before = memory(gateway);
    let (running, progress) = open(question, count);
    eventually_within(Duration::from_mins(2), "all streams run", || async {
        let begun = progress.open.load(Ordering::Relaxed) + progress.ended.load(Ordering::Relaxed);
        (begun >= count).then_some(())
    })
    .await;
    // Each has had more than its beginning then.
    tokio::time::sleep(2 * interval).await;
    let during = memory(gateway);
    let metric = gateway.metric("mindweave_open_streams").await;
    let ended = progress.ended.load(Ordering::Relaxed);
    report.check(
        format_args!("{metric} of {count} streams run, {ended} have ended"),
        ended == 0 && metric >= f64::from(u32::try_from(count).unwrap()),
    );
    let each = |during: u64, before: u64| kilobytes(during.saturating_sub(before), count);
    let resident = each(during.resident, before.resident);
    report.say(format_args!(
        "{count} streams, an event each {interval:?}: {:.1} kB of anonymous memory each, {resident:.1} kB of all that is resident",
        each(during.anonymous, before.anonymous),
    ));
    let bound = KILOBYTES_EACH * plan.pick(50.0, 1.0);
    report.check(
        format_args!("each takes {bound} kB at the most"),
        resident <= bound,
    );
    drop(running);
    eventually_within(Duration::from_mins(1), "all streams have ended", || async {
        (gateway.metric("mindweave_open_streams").await == 0.0).then_some(())
    })
    .await;
}

/// Asks for so many streams, and reads them until they are dropped.
fn open(question: Question, count: usize) -> (JoinSet<()>, Arc<Progress>) {
    let (question, progress) = (Arc::new(question), Arc::<Progress>::default());
    let turns = Arc::new(Semaphore::new(BEGINNING));
    let streams = (0..count).map(|_| {
        let (question, progress) = (Arc::clone(&question), Arc::clone(&progress));
        let turns = Arc::clone(&turns);
        async move {
            let turn = turns.acquire_owned().await.unwrap();
            let mut caller = Caller::connect(&question).await;
            if let Ok(answer) = caller.begin().await
                && answer.status() == 200
            {
                let mut body = answer.into_body();
                // The head of a stream comes with its first events.
                progress.open.fetch_add(1, Ordering::Relaxed);
                drop(turn);
                while let Some(Ok(_)) = body.frame().await {}
                progress.open.fetch_sub(1, Ordering::Relaxed);
            }
            progress.ended.fetch_add(1, Ordering::Relaxed);
        }
    });
    (streams.collect(), progress)
}

#[expect(clippy::cast_precision_loss, reason = "for reading")]
fn kilobytes(bytes: u64, count: usize) -> f64 {
    bytes as f64 / 1_000.0 / count as f64
}
