//! What most of these tests share: a gateway with an upstream that counts, and a link to its database.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Response;
use testkit::gateway::Builder;
use testkit::upstream::{Body, whole};
use testkit::{Client, Database, Gateway, Link, Scene, Upstream, eventually};
use uuid::Uuid;

use crate::MINDWEAVE;

/// A gateway between its callers, its upstream and its database.
pub(crate) struct Stage {
    pub(crate) scene: Scene,
    pub(crate) link: Link,
    pub(crate) gateway: Gateway,
    upstream: Upstream,
    requests: Arc<AtomicUsize>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::configured(|builder| builder).await
    }

    pub(crate) async fn configured(configure: impl FnOnce(Builder) -> Builder) -> Self {
        Self::on(Scene::new().await, configure).await
    }

    pub(crate) async fn on(scene: Scene, configure: impl FnOnce(Builder) -> Builder) -> Self {
        let set = Self::set(scene).await;
        let gateway = configure(set.builder()).start().await;
        set.raise(gateway)
    }

    /// All but the gateway.
    pub(crate) async fn set(scene: Scene) -> Set {
        let link = Link::to(scene.database.address()).await;
        let (upstream, requests) = counting(|| Response::new(whole(MESSAGE))).await;
        Set {
            scene,
            link,
            upstream,
            requests,
        }
    }

    /// A client with the tenant's key.
    pub(crate) fn client(&self) -> Client {
        self.gateway.client(&self.scene.key)
    }

    /// How many requests the upstream has got.
    pub(crate) fn upstream_requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// How many connections the upstream has got.
    pub(crate) fn upstream_connections(&self) -> usize {
        self.upstream.connections()
    }

    /// Waits until the books are closed over so many events, and checks that the table has each once.
    pub(crate) async fn stored_once(&self, requests: &BTreeSet<Uuid>) {
        self.books_balance(requests.len()).await;
        stored_once(&self.scene.database, requests).await;
    }

    /// Waits until admitted, closed and stored events are equal and so many.
    pub(crate) async fn books_balance(&self, events: usize) {
        let expected = [events as f64; 3];
        eventually("the books balance", || async {
            let books = self.books().await;
            assert!(
                books[2] <= expected[2],
                "{books:?}: more than {events} events were stored"
            );
            (books == expected).then_some(())
        })
        .await;
    }

    /// Events admitted, closed, stored.
    pub(crate) async fn books(&self) -> [f64; 3] {
        let mut books = [0.0; 3];
        for (count, name) in books.iter_mut().zip(["admitted", "closed", "stored"]) {
            let name = format!("mindweave_events_{name}_total");
            *count = self.gateway.metric(&name).await;
        }
        books
    }
}

/// A stage whose gateway is still to be started.
pub(crate) struct Set {
    pub(crate) scene: Scene,
    pub(crate) link: Link,
    upstream: Upstream,
    requests: Arc<AtomicUsize>,
}

impl Set {
    /// `serve`, with the database behind the link.
    pub(crate) fn builder(&self) -> Builder {
        let url = self.scene.database.url_at(&self.link.address());
        Builder::serve(MINDWEAVE, &url).upstream(&self.upstream.url())
    }

    /// How many requests the upstream has got.
    pub(crate) fn upstream_requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn raise(self, gateway: Gateway) -> Stage {
        Stage {
            scene: self.scene,
            link: self.link,
            gateway,
            upstream: self.upstream,
            requests: self.requests,
        }
    }
}

/// Checks that exactly these requests are in the table, each once.
pub(crate) async fn stored_once(database: &Database, requests: &BTreeSet<Uuid>) {
    let sql = database.connect().await;
    let rows = sql
        .query("SELECT request_id FROM usage_events", &[])
        .await
        .unwrap();
    let stored: BTreeSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(rows.len(), stored.len(), "a row is there twice");
    let lost: Vec<_> = requests.difference(&stored).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let strange: Vec<_> = stored.difference(requests).collect();
    assert!(strange.is_empty(), "nobody was answered: {strange:?}");
}

/// An upstream that answers all alike, and counts.
pub(crate) async fn counting(
    answer: impl Fn() -> Response<Body> + Send + Sync + 'static,
) -> (Upstream, Arc<AtomicUsize>) {
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let upstream = Upstream::start(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let mut answer = answer();
        let headers = answer.headers_mut();
        headers
            .entry("content-type")
            .or_insert("application/json".parse().unwrap());
        async { answer }
    })
    .await;
    (upstream, requests)
}

/// A small message, as the API answers it.
const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-5","content":[{"type":"text","text":"Hello"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":22}}"#;
