//! The data plane's threads: each a runtime of its own with its own listener, upstream connections and lane.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use domain::Clock;
use futures_util::FutureExt as _;
use ingest::Lane;
use policy_engine::Engine;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body_budget::BodyBudget;
use crate::collector::Errands;
use crate::connection::{self, Seat};
use crate::keys::KeyIndex;
use crate::listener;
use crate::mcp::McpRegistry;
use crate::metrics::Metrics;
use crate::objects::UpstreamObjects;
use crate::options::Options;
use crate::refusals::Refusals;
use crate::spending::Spending;
use crate::upstream::Upstream;
use crate::worker::Worker;
use domain::Prices;

/// Connections beyond the limit that still get an answer; the rest are closed at once.
const STANDING_ROOM: usize = 256;
/// After an accept that failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the data plane shares with others.
#[derive(Debug, Clone)]
pub struct Resources {
    /// Who may call.
    pub keys: Arc<KeyIndex>,
    /// What usage costs.
    pub prices: Arc<Prices>,
    /// What MCP servers there are.
    pub mcp_servers: Arc<McpRegistry>,
    /// Whose the objects upstream are.
    pub objects: Arc<UpstreamObjects>,
    /// What they may do.
    pub policies: Arc<Engine>,
    /// What was spent, for the metrics.
    pub spending: Arc<Spending>,
    /// The present.
    pub clock: Arc<dyn Clock>,
}

/// The running data plane.
#[derive(Debug)]
pub struct DataPlane {
    address: SocketAddr,
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

impl DataPlane {
    /// Opens the listeners and starts one thread a lane; the first one serves the gateway's own errands too.
    ///
    /// # Errors
    /// If the address can't be had, or a thread or its runtime can't be started.
    pub fn start(
        options: Options,
        resources: Resources,
        lanes: Vec<Lane>,
        errands: Errands,
    ) -> io::Result<Self> {
        let (mut plane, servers) = Self::prepare(options, resources, lanes, errands)?;
        for (index, server) in servers.into_iter().enumerate() {
            let thread = std::thread::Builder::new().name(format!("data-{index}"));
            plane.threads.push(thread.spawn(move || server.run())?);
        }
        Ok(plane)
    }

    /// The same for whoever has threads: one server is to be run on each.
    ///
    /// # Errors
    /// If the address can't be had, or a runtime can't be started.
    pub fn prepare(
        options: Options,
        resources: Resources,
        lanes: Vec<Lane>,
        errands: Errands,
    ) -> io::Result<(Self, Vec<Server>)> {
        let options = Arc::new(options);
        let listeners = listener::open(options.listen, lanes.len())?;
        let address = match listeners.first() {
            Some(listener) => listener.local_addr()?,
            None => options.listen,
        };
        let stop = CancellationToken::new();
        let shared = Shared {
            options,
            resources,
            bodies: Arc::new(BodyBudget::new(Options::MAX_HELD_BODY_BYTES)),
            refusals: Arc::default(),
            connections: Arc::default(),
            stop: stop.clone(),
        };
        let mut errands = Some(errands);
        let servers = listeners.into_iter().zip(lanes).map(|(listener, lane)| {
            Ok(Server {
                runtime: Builder::new_current_thread().enable_all().build()?,
                shared: shared.clone(),
                listener,
                lane,
                errands: errands.take(),
            })
        });
        let servers = servers.collect::<io::Result<_>>()?;
        let threads = Vec::new();
        let plane = Self {
            address,
            stop,
            threads,
        };
        Ok((plane, servers))
    }

    /// Where callers connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting; running answers go on, up to the drain deadline.
    pub fn begin_shutdown(&self) {
        self.stop.cancel();
    }

    /// Waits for the threads to end; blocks. Every exchange is settled then, and every lane dropped.
    pub fn join(self) {
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a data-plane thread had panicked");
            }
        }
    }
}

/// What all threads share.
#[derive(Debug, Clone)]
struct Shared {
    options: Arc<Options>,
    resources: Resources,
    bodies: Arc<BodyBudget>,
    refusals: Arc<Refusals>,
    connections: Arc<AtomicUsize>,
    stop: CancellationToken,
}

/// What one thread of the data plane does.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    shared: Shared,
    listener: StdListener,
    lane: Lane,
    errands: Option<Errands>,
}

impl Server {
    /// Serves until the data plane shuts down and its answers have ended; blocks.
    pub fn run(self) {
        let Self {
            runtime,
            shared,
            listener,
            lane,
            errands,
        } = self;
        let connections = Arc::clone(&shared.connections);
        let stop = shared.stop.clone();
        let metrics = Metrics::register();
        let worker = Rc::new(Worker {
            upstream: Upstream::new(&shared.options.upstream, metrics.upstream_connections()),
            options: shared.options,
            keys: shared.resources.keys,
            prices: shared.resources.prices,
            mcp_servers: shared.resources.mcp_servers,
            objects: shared.resources.objects,
            policies: shared.resources.policies,
            refusals: shared.refusals,
            spending: shared.resources.spending,
            clock: shared.resources.clock,
            bodies: shared.bodies,
            lane,
            metrics,
            tasks: TaskTracker::new(),
            drained: Cell::new(0),
            cut_off: Cell::new(false),
        });
        // What outlives the deadline is dropped with the set, and settled by being dropped.
        LocalSet::new().block_on(&runtime, async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    if let Some(errands) = errands {
                        let (worker, stopped) = (Rc::clone(&worker), stop.clone());
                        // Tracked: shutdown waits for it, and it for nothing but the answer that is coming in.
                        drop(worker.tasks.clone().spawn_local(async move {
                            tokio::select! {
                                () = errands.run(worker) => {}
                                () = stopped.cancelled() => {}
                            }
                        }));
                    }
                    let lane = worker.lane.clone();
                    // It goes with the set: whoever waits for it is waited for by shutdown.
                    tokio::task::spawn_local(async move { lane.acknowledge().await });
                    let tidied = Rc::clone(&worker);
                    tokio::task::spawn_local(async move { tidied.upstream.tidy().await });
                    serve(worker, listener, connections, stop).await;
                }
                Err(error) => tracing::error!(%error, "a listener could not be served"),
            }
        });
    }
}

async fn serve(
    worker: Rc<Worker>,
    listener: TcpListener,
    connections: Arc<AtomicUsize>,
    stop: CancellationToken,
) {
    let drain = worker.options.drain;
    let doorman = Doorman {
        worker,
        connections,
        stop: stop.clone(),
    };
    loop {
        tokio::select! {
            accepted = listener.accept() => doorman.admit(accepted).await,
            () = stop.cancelled() => break,
        }
    }
    doorman.admit_queued(listener).await;
    let tasks = &doorman.worker.tasks;
    tasks.close();
    if tokio::time::timeout(drain, tasks.wait()).await.is_err() {
        doorman.worker.cut_off.set(true);
        tracing::warn!(
            tasks = tasks.len(),
            "running answers were cut off at the drain deadline"
        );
    }
}

type Accepted = io::Result<(TcpStream, SocketAddr)>;

/// Lets connections in, up to the limit.
struct Doorman {
    worker: Rc<Worker>,
    connections: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl Doorman {
    /// Lets in whoever is in the queue: they have connected, the kernel said yes for us.
    async fn admit_queued(&self, listener: TcpListener) {
        // Asked without tokio in between, which may say "nobody" when it only wants a turn for others.
        let Ok(listener) = listener.into_std() else {
            return;
        };
        while let Ok((stream, address)) = listener.accept() {
            let stream = stream
                .set_nonblocking(true)
                .and_then(|()| TcpStream::from_std(stream));
            self.admit(stream.map(|stream| (stream, address))).await;
        }
    }

    async fn admit(&self, accepted: Accepted) {
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                return;
            }
        };
        let place = Place::take(&self.connections);
        let limit = self.worker.options.max_connections;
        if place.number > limit + STANDING_ROOM {
            return;
        }
        let seat = if place.number > limit {
            Seat::Taken
        } else {
            Seat::Free
        };
        let serving = connection::serve(
            Rc::clone(&self.worker),
            stream,
            address,
            seat,
            self.stop.clone(),
            self.worker.tasks.clone(),
        );
        // Tracked: shutdown waits for it. An `async` block would have room for it twice.
        let serving = serving.map(|()| drop(place));
        drop(self.worker.tasks.spawn_local(serving));
    }
}

/// A connection's place in the count.
struct Place {
    connections: Arc<AtomicUsize>,
    number: usize,
}

impl Place {
    fn take(connections: &Arc<AtomicUsize>) -> Self {
        // Relaxed: the count guards no other memory.
        let number = connections.fetch_add(1, Ordering::Relaxed) + 1;
        Self {
            connections: Arc::clone(connections),
            number,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
