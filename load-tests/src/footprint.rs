//! What memory the gateway takes: idle, with many keys, for each open stream; and how long many keys take to load.
//!
//! Everything runs with the defaults of the configuration. A megabyte is a million bytes.

mod loading;
mod streams;

use std::time::Duration;

use testkit::gateway::Builder;
use testkit::{Database, Gateway, Scene};

use crate::descriptors;
use crate::kernel::{Memory, Processes};
use crate::many_keys;
use crate::plan::Plan;
use crate::report::Report;
use crate::simulator::Simulator;

const MEGABYTE: f64 = 1e6;
const IDLE_MEGABYTES: f64 = 60.0;

/// Where it takes place.
struct Ground {
    scene: Scene,
    simulator: Simulator,
    binary: String,
    /// How many may be open in a process.
    files: u64,
    /// How long until what a start has begun is over: the first poll, the copy on disk, and what the allocator gives back.
    settling: Duration,
}

pub(crate) async fn run(plan: &Plan, mut report: Report) -> Report {
    let keys: u32 = plan.pick(1_000, 10_000);
    // Before anybody starts who shall have it, too.
    let files = descriptors::allow(streams::files(plan));
    let ground = Ground {
        scene: Scene::on(Database::migrated().await).await,
        simulator: Simulator::start(plan),
        binary: plan.binary.clone(),
        files,
        settling: plan.pick(Duration::from_secs(1), Duration::from_secs(15)),
    };
    let few = loading::starts(plan, &ground).await;

    many_keys::insert(&ground.scene, 0..keys).await;
    let gateway = ground.gateway().start().await;
    tokio::time::sleep(ground.settling).await;
    let idle = memory(&gateway);
    report.say(format_args!("idle with {keys} keys: {}", told(idle)));
    // What a debug build takes says nothing, but a gateway that takes ten times as much has a fault.
    let bound = plan.pick(10.0, 1.0) * IDLE_MEGABYTES;
    report.check(
        format_args!("all that is resident is {bound} MB at the most"),
        megabytes(idle.resident) <= bound,
    );
    streams::run(plan, &ground, &gateway, &mut report).await;
    report.check(
        "the gateway ends in good order",
        gateway.stop().await.success(),
    );

    loading::run(plan, &ground, few, keys, &mut report).await;
    report
}

impl Ground {
    /// A gateway with files of its own, that log less than tests do.
    fn gateway(&self) -> Builder {
        Builder::serve(&self.binary, &self.scene.database.url())
            .upstream(&self.simulator.url())
            .env("MINDWEAVE_LOG_LEVEL", "info")
    }
}

fn memory(gateway: &Gateway) -> Memory {
    Processes(vec![gateway.pid()]).memory()
}

#[expect(clippy::cast_precision_loss, reason = "for reading")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / MEGABYTE
}

fn told(memory: Memory) -> String {
    format!(
        "{:.1} MB of anonymous memory, {:.1} MB of all that is resident, {:.1} MB at the most so far",
        megabytes(memory.anonymous),
        megabytes(memory.resident),
        megabytes(memory.peak)
    )
}
