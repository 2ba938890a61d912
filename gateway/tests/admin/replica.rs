//! What only reads is read from a replica, and nobody is shown less than they have seen made.

use serde_json::{Value, json};
use testkit::{Client, Database, Link, Scene, eventually};

use crate::stage::{Stage, get, post};

struct Site {
    stage: Stage,
    standby: testkit::postgres::Server,
    /// From the gateway to the standby.
    link: Link,
    /// Lets the standby follow.
    _replication: Link,
    replaying: tokio_postgres::Client,
}

impl Site {
    async fn new() -> Self {
        let database = Database::on_its_own_server();
        migrations::up(&mut database.connect().await).await.unwrap();
        let scene = Scene::on(database).await;
        let replication = Link::to(scene.database.address()).await;
        let standby = scene.database.server().unwrap().standby(&replication).await;
        let link = Link::to(standby.address()).await;
        let replaying = connect(&scene.database.url_at(&link.address())).await;
        let url = scene.database.url_at(&link.address());
        let stage = Stage::with(scene, |gateway| {
            gateway.env("MINDWEAVE_DATABASE_READ_URL", &url)
        })
        .await;
        Self {
            stage,
            standby,
            link,
            _replication: replication,
            replaying,
        }
    }

    /// Behind the gateway's back.
    async fn rename(&self, name: &str) {
        let sql = "UPDATE organizations SET name = $1 WHERE id = $2";
        let org = &self.stage.scene.tenant.org_id;
        self.stage
            .scene
            .sql
            .execute(sql, &[&name, org])
            .await
            .unwrap();
    }

    fn path(&self) -> String {
        format!("organizations/{}", self.stage.scene.tenant.org_id)
    }

    async fn name(&self, caller: &Client) -> String {
        name(&get(caller, &self.path()).await)
    }

    /// Waits until a read is answered by the standby, which is given this name and halted.
    async fn is_read_again(&self, caller: &Client, given: &str) {
        self.rename(given).await;
        eventually("the standby has it", || async {
            let sql = "SELECT name FROM organizations WHERE id = $1";
            let org = &self.stage.scene.tenant.org_id;
            let row = self.replaying.query_one(sql, &[org]).await.unwrap();
            (row.get::<_, String>(0) == given).then_some(())
        })
        .await;
        self.replay("pause").await;
        self.rename("not there yet").await;
        eventually("the standby is read from", || async {
            (self.name(caller).await == given).then_some(())
        })
        .await;
    }

    async fn replay(&self, word: &str) {
        let sql = format!("SELECT pg_wal_replay_{word}()");
        self.replaying.execute(&sql, &[]).await.unwrap();
    }
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .unwrap();
    testkit::spawn(async {
        drop(connection.await);
    });
    client
}

fn name(of: &Value) -> String {
    of["name"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_to_the_replica_unless_it_lacks_what_was_changed() {
    let site = Site::new().await;
    let owner = site.stage.of_tenant("owner").await;
    site.is_read_again(&owner, "first").await;
    // Lists too.
    let listed = get(&owner, "organizations").await;
    assert_eq!(name(&listed["data"][0]), "first");

    // What was changed here is seen at once, and by everybody.
    let changed = post(&owner, &site.path(), json!({"name": "second"})).await;
    assert_eq!(name(&changed), "second");
    assert_eq!(site.name(&owner).await, "second");
    assert_eq!(site.name(&site.stage.installation).await, "second");

    // A replica that has caught up is read from again.
    site.replay("resume").await;
    site.is_read_again(&owner, "third").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_away_is_done_without() {
    let mut site = Site::new().await;
    let owner = site.stage.of_tenant("owner").await;
    site.is_read_again(&owner, "first").await;
    site.link.cut();
    assert_eq!(site.name(&owner).await, "not there yet");
    site.link.restore();
    site.replaying = connect(&site.stage.scene.database.url_at(&site.link.address())).await;
    site.replay("resume").await;
    site.is_read_again(&owner, "second").await;

    // The process, not only the way to it.
    site.standby.stop();
    assert_eq!(site.name(&owner).await, "not there yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_promoted_is_no_replica_any_more() {
    let site = Site::new().await;
    let owner = site.stage.of_tenant("owner").await;
    site.is_read_again(&owner, "first").await;
    site.replay("resume").await;
    site.standby.promote();
    site.rename("second").await;
    assert_eq!(site.name(&owner).await, "second");
}
