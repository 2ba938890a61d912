//! A snapshot that goes on step by step, and an organization with a row in every table.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use domain::OrgId;
use policy_engine::Engine;
use serde_json::Value;
use testkit::{Database, PATIENCE, Tenant};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::super::{Whose, load};
use crate::snapshot::change::Change;
use crate::snapshot::load::Scope;
use crate::snapshot::saved::SavedOrganization;
use crate::snapshot::{CHANGES_WAITING, Memory, Snapshot, Targets, receiver};
use crate::{clock, tls};

/// Names of the rows, in [`Bench::sql`]'s statements.
pub(super) const NAMES: [&str; 9] = [
    "org",
    "user",
    "project",
    "org_policy",
    "project_policy",
    "server",
    "tool",
    "subscription",
    "member",
];

pub(super) struct Bench {
    pub(super) snapshot: Snapshot,
    /// The snapshot's.
    pub(super) client: Client,
    waiting: mpsc::Receiver<Change>,
    /// The test's own.
    pub(super) own: Client,
    ids: [Uuid; NAMES.len()],
    _data_dir: tempfile::TempDir,
    _database: Database,
}

impl Bench {
    /// With an organization that has nothing but a project, loaded.
    pub(super) async fn new() -> Self {
        let database = Database::migrated().await;
        let own = database.connect().await;
        let tenant = Tenant::create(&own).await;
        let mut ids: [Uuid; NAMES.len()] = std::array::from_fn(|_| Uuid::now_v7());
        ids[..3].copy_from_slice(&[tenant.org_id, tenant.user_id, tenant.project_id]);
        let data_dir = tempfile::tempdir().unwrap();
        let tasks = TaskTracker::new();
        let connecting = ingest::Database::new(&database.url(), tls::client()).unwrap();
        let (changes, waiting) = mpsc::channel(CHANGES_WAITING);
        let receiver = receiver(changes, Arc::<AtomicBool>::default());
        let (client, driver) = connecting.connect_listening(receiver).await.unwrap();
        tasks.spawn(driver);
        client.batch_execute("LISTEN mindweave").await.unwrap();
        let memory = Memory::new(
            Arc::default(),
            Arc::default(),
            Arc::default(),
            Arc::new(Engine::new(crate::clock::system())),
        );
        let (snapshot, _) = Snapshot::new(
            connecting,
            memory,
            Arc::default(),
            targets(),
            data_dir.path(),
            clock::system(),
            tasks,
        );
        let mut bench = Self {
            snapshot,
            client,
            waiting,
            own,
            ids,
            _data_dir: data_dir,
            _database: database,
        };
        let loading = bench.snapshot.load_rules(&bench.client, Whose::Everybody);
        loading.await.unwrap();
        bench.reload_keys().await;
        bench
    }

    pub(super) async fn reload_keys(&mut self) {
        let loading = self.snapshot.reload(&self.client, &Scope::All);
        loading.await.unwrap();
    }

    pub(super) fn id(&self, name: &str) -> Uuid {
        let at = NAMES.iter().position(|known| *known == name).unwrap();
        self.ids[at]
    }

    /// Runs statements, in which `{org}` and the like stand for ids.
    pub(super) async fn sql(&self, statements: &str) {
        let mut text = statements.to_owned();
        for (name, id) in NAMES.iter().zip(self.ids) {
            text = text.replace(&format!("{{{name}}}"), &format!("'{id}'"));
        }
        let done = self.own.batch_execute(&text).await;
        done.unwrap_or_else(|error| panic!("{text}: {error:?}"));
    }

    /// What has been notified of and has not been followed; at least one change.
    pub(super) async fn changes(&mut self) -> Vec<Change> {
        // Notifications come in the order of their transactions.
        let mark = r#"NOTIFY mindweave, '{"table": "mark", "operation": "", "id": null}'"#;
        self.sql(mark).await;
        let mut changes = Vec::new();
        while !Change::concern(&changes, "mark") {
            let change = timeout(PATIENCE, self.waiting.recv()).await;
            changes.push(change.expect("a notification").unwrap());
        }
        assert!(changes.len() > 1, "nothing was notified of");
        changes
    }

    /// Follows what has been notified of.
    pub(super) async fn follow(&mut self) {
        let changes = self.changes().await;
        let following = self.snapshot.follow_changes(&self.client, &changes, false);
        following.await.unwrap();
    }

    /// Looks by itself, and expects that nothing was notified of.
    pub(super) async fn poll(&mut self) {
        assert!(self.waiting.try_recv().is_err(), "a notification");
        self.snapshot.next_comparison = Duration::ZERO;
        self.snapshot.poll(&self.client).await.unwrap();
    }

    /// Nobody is told of anything any more.
    pub(super) async fn silence(&mut self) {
        let silence = "DO $$ DECLARE relation REGCLASS; BEGIN
            FOR relation IN SELECT tgrelid FROM pg_trigger WHERE tgname = 'notify_truncate' LOOP
                EXECUTE format('ALTER TABLE %s DISABLE TRIGGER notify_change', relation);
                EXECUTE format('ALTER TABLE %s DISABLE TRIGGER notify_truncate', relation);
            END LOOP; END $$";
        self.sql(silence).await;
    }

    /// What is in memory of the organization.
    pub(super) fn held(&self) -> Option<SavedOrganization> {
        let held = self.snapshot.memory.contents().organizations;
        held.into_iter()
            .find(|held| held.org.id.0 == self.id("org"))
    }

    /// The same, as JSON.
    pub(super) fn shown(&self) -> Value {
        serde_json::to_value(self.held()).unwrap()
    }

    /// What is in memory is what a fresh load would bring, to the fingerprint.
    pub(super) async fn is_like_the_database(&self) {
        let loaded = load::organizations(&self.client, &Whose::Everybody).await;
        let loaded = loaded.unwrap();
        let rules = self.snapshot.memory.rules();
        assert!(rules.leaving.is_empty(), "{:?}", rules.leaving);
        let ids: Vec<OrgId> = loaded.keys().copied().collect();
        assert_eq!(rules.held.keys().copied().collect::<Vec<_>>(), ids);
        for (held, loaded) in rules.held.values().zip(loaded.values()) {
            assert!(held.says(loaded), "{held:?} is not {loaded:?}");
        }
        let owned = loaded.values().flat_map(|rules| &rules.projects);
        assert_eq!(rules.owners.len(), owned.count());
        let fingerprint = load::fingerprint(&self.client).await.unwrap();
        assert_eq!(rules.fingerprint(), fingerprint);
        let each = load::fingerprints(&self.client).await.unwrap();
        assert!(rules.unlike(&each).is_empty());
    }
}

fn targets() -> Targets {
    let target = proxy::Target::new("http://127.0.0.1:1", Some("key")).unwrap();
    Targets {
        live: Arc::new(target.clone()),
        by_org: std::collections::BTreeMap::new(),
        test: Arc::new(target),
    }
}
