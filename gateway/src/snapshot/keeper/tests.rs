use std::path::PathBuf;
use std::sync::Mutex;

use proxy::McpServers;
use tempfile::TempDir;

use super::*;
use crate::snapshot::memory::Memory;

/// Seconds since the start, for both clocks.
#[derive(Debug, Default)]
struct SetClock(Mutex<u64>);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        at(*self.0.lock().unwrap())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(*self.0.lock().unwrap())
    }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp {
        unix_micros: i64::try_from(seconds).unwrap() * 1_000_000,
    }
}

/// A keeper with something to keep.
struct Bench {
    data_dir: TempDir,
    clock: Arc<SetClock>,
    memory: Memory,
    keeper: Keeper,
}

impl Bench {
    fn new() -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(SetClock::default());
        let keeper = Keeper::new(
            Disk::new(data_dir.path()),
            "db:5432/main".to_owned(),
            Arc::<SetClock>::clone(&clock),
            TaskTracker::new(),
        );
        let memory = Memory::new(
            Arc::default(),
            Arc::default(),
            Arc::default(),
            Arc::new(policy_engine::Engine::new(crate::clock::system())),
        );
        Self {
            data_dir,
            clock,
            memory,
            keeper,
        }
    }

    fn folder(&self) -> PathBuf {
        self.data_dir.path().join("snapshot")
    }

    /// Changes what is in memory.
    fn change(&mut self) {
        self.memory.replace_mcp_servers(McpServers::default());
    }

    /// Offers what is in memory, like the database at a second, and waits until what comes of it is over.
    async fn offer(&mut self, second: u64) {
        *self.clock.0.lock().unwrap() = second;
        let offer = self.on_offer(second);
        let memory = &self.memory;
        self.keeper.offer(offer, || memory.contents()).await;
        self.keeper.settle().await;
    }

    fn on_offer(&self, second: u64) -> Offer {
        Offer {
            edition: self.memory.edition(),
            verified_at: at(second),
        }
    }

    /// As of which second the file is.
    async fn kept(&self) -> Option<u64> {
        let saved = self.keeper.read().await?;
        Some(u64::try_from(saved.verified_at().unix_micros / 1_000_000).unwrap())
    }
}

#[tokio::test]
async fn the_first_state_is_written_and_one_that_is_the_same_is_not() {
    let mut bench = Bench::new();
    bench.offer(10).await;
    assert_eq!(bench.kept().await, Some(10));
    bench.offer(100).await;
    assert_eq!(bench.kept().await, Some(10));
}

#[tokio::test]
async fn a_change_is_written_but_not_at_the_heels_of_another() {
    let mut bench = Bench::new();
    bench.offer(10).await;
    bench.change();
    bench.offer(11).await;
    assert_eq!(bench.kept().await, Some(10));
    bench.offer(12).await;
    assert_eq!(bench.kept().await, Some(12));
}

#[tokio::test]
async fn a_state_that_lasts_is_written_again_so_that_its_file_does_not_look_old() {
    let mut bench = Bench::new();
    bench.offer(10).await;
    bench.offer(309).await;
    assert_eq!(bench.kept().await, Some(10));
    bench.offer(310).await;
    assert_eq!(bench.kept().await, Some(310));
}

#[tokio::test]
async fn the_last_state_is_written_without_any_pause() {
    let mut bench = Bench::new();
    bench.offer(10).await;
    bench.change();
    let (offer, memory) = (bench.on_offer(11), &bench.memory);
    bench.keeper.finish(offer, || memory.contents()).await;
    assert_eq!(bench.kept().await, Some(11));
}

#[tokio::test]
async fn what_can_not_be_written_is_tried_again_after_a_while() {
    let mut bench = Bench::new();
    std::fs::write(bench.folder(), "in the way").unwrap();
    bench.offer(10).await;
    assert!(bench.keeper.failing);
    std::fs::remove_file(bench.folder()).unwrap();
    bench.offer(39).await;
    assert_eq!(bench.kept().await, None);
    bench.offer(40).await;
    assert_eq!(bench.kept().await, Some(40));
    assert!(!bench.keeper.failing);
}

#[tokio::test]
async fn a_write_that_failed_leaves_the_file_as_it_was_and_no_other() {
    let mut bench = Bench::new();
    bench.offer(10).await;
    // A file can't take the place of a folder.
    std::fs::rename(bench.folder().join("state"), bench.folder().join("aside")).unwrap();
    std::fs::create_dir(bench.folder().join("state")).unwrap();
    bench.change();
    bench.offer(20).await;
    assert!(bench.keeper.failing);
    let names = std::fs::read_dir(bench.folder()).unwrap().flatten();
    let mut names: Vec<_> = names.map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["aside", "state"]);
}

#[tokio::test]
async fn what_killed_processes_left_half_written_is_removed() {
    let mut bench = Bench::new();
    std::fs::create_dir(bench.folder()).unwrap();
    std::fs::write(bench.folder().join("draft-1"), "half").unwrap();
    bench.offer(10).await;
    assert!(!bench.folder().join("draft-1").exists());
}
