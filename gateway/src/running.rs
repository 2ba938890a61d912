//! A running gateway: everything that `up` and `serve` have in common, from start to drained.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::Prices;
use ingest::{Database, Ingest, SpoolStartError, Unstored};
use policy_engine::Engine;
use proxy::{
    Collector, DataPlane, Errands, KeyIndex, McpRegistry, Resources, Target, Trials,
    UpstreamObjects, UpstreamOptions,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::{Admin, Judge};
use crate::config::Config;
use crate::operations::{self, Operations};
use crate::polling::Polling;
use crate::prices::PriceFile;
use crate::settled::{SettledState, Settling};
use crate::snapshot::{Memory, Snapshot, SnapshotState, Targets};
use crate::sweeping::sweep;
use crate::upkeep::Upkeep;
use crate::{clock, descriptors, logging, tls};

/// After the last request has ended, so long the database may take to store what is left.
/// More than one attempt takes that hangs.
const STORE_DEADLINE: Duration = Duration::from_secs(45);
/// Batches that may wait to be counted before writers do.
const DECIDED: usize = 16;
const TASKS_DEADLINE: Duration = Duration::from_secs(5);

/// Why a gateway doesn't start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("can't listen on {address} ({key})")]
    Listen {
        key: &'static str,
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("can't start the simulator")]
    Simulator(#[source] std::io::Error),
    #[error("the simulator's address is no URL")]
    SimulatorUrl(#[source] proxy::TargetError),
    #[error("can't set up metrics")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    #[error("can't start a thread")]
    Thread(#[source] std::io::Error),
    #[error(transparent)]
    Database(#[from] ingest::DatabaseError),
    #[error(transparent)]
    Spool(#[from] SpoolStartError),
}

/// A gateway that listens.
pub(crate) struct Running {
    data_plane: DataPlane,
    ingest: Ingest,
    snapshot: Arc<SnapshotState>,
    settled: Arc<SettledState>,
    metrics_address: SocketAddr,
    admin_address: SocketAddr,
    tls: bool,
    admin_tls: bool,
    /// Cancelled when shutdown begins.
    draining: CancellationToken,
    /// Cancelled when every event is stored: what helps the data plane outlives it.
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Running {
    /// Starts all of it. The database may be away; then the gateway isn't ready until it is back,
    /// unless an earlier one has left a snapshot in the data directory.
    pub(crate) async fn start(config: &Config, database: &Database) -> Result<Self, StartError> {
        descriptors::raise_limit();
        let registry = operations::install_recorder()?;
        Operations::describe();
        logging::describe_metrics();
        Upkeep::describe();
        PriceFile::describe();
        let clock = clock::system();
        let began = clock.now();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let metrics_listener = bind("metrics.listen", config.metrics_listen).await?;
        let metrics_address = metrics_listener.local_addr().map_err(StartError::Thread)?;
        let admin_listener = bind("admin.listen", config.admin_listen).await?;
        let admin_address = admin_listener.local_addr().map_err(StartError::Thread)?;

        let targets = targets(config, &stop, &tasks).await?;
        let keys = Arc::new(KeyIndex::default());
        let mcp_servers = Arc::new(McpRegistry::default());
        let objects = Arc::new(UpstreamObjects::default());
        let engine = Arc::new(Engine::new(Arc::clone(&clock)));
        let settled = Arc::<SettledState>::default();
        let (snapshot, state) = Snapshot::new(
            database.clone(),
            Memory::new(
                Arc::clone(&keys),
                Arc::clone(&mcp_servers),
                Arc::clone(&objects),
                Arc::clone(&engine),
            ),
            Arc::clone(&settled),
            targets.clone(),
            &config.data_dir,
            Arc::clone(&clock),
            tasks.clone(),
        );
        tasks.spawn(snapshot.run(stop.clone()));
        let upkeep = Upkeep {
            database: database.clone(),
            clock: Arc::clone(&clock),
            tasks: tasks.clone(),
        };
        tasks.spawn(upkeep.run(stop.clone()));

        let prices = Arc::new(Prices::from_pointee(config.prices.book.clone()));
        if let Some(path) = config.prices.file.clone() {
            let prices = Arc::clone(&prices);
            tasks.spawn(PriceFile { path, prices }.run(stop.clone()));
        }
        let (tell, decided) = mpsc::channel(DECIDED);
        let (ingest, lanes) = Ingest::start(&config.ingest, database, &clock, &prices, Some(tell))?;
        let settling = Settling {
            database: database.clone(),
            spooled: ingest.spooled(),
            engine: Arc::clone(&engine),
            state: Arc::clone(&settled),
            before: began,
            tasks: tasks.clone(),
        };
        tasks.spawn(settling.run(decided, stop.clone()));
        let sweeping = sweep(Arc::clone(&engine), Arc::clone(&clock), stop.clone());
        tasks.spawn(sweeping);
        let judge = Judge {
            keys: Arc::clone(&keys),
            trials: Trials {
                prices: Arc::clone(&prices),
                objects: Arc::clone(&objects),
                clock: Arc::clone(&clock),
                max_body_bytes: config.proxy.max_body_bytes,
            },
            settled: Arc::clone(&settled),
        };
        let in_force = judge.in_force(Arc::clone(&engine));
        let resources = Resources {
            keys,
            prices: Arc::clone(&prices),
            mcp_servers,
            objects,
            policies: engine,
            spending: Arc::default(),
            clock: Arc::clone(&clock),
        };

        let draining = CancellationToken::new();
        let operations = Operations {
            registry: registry.clone(),
            snapshot: Arc::clone(&state),
            settled: Arc::clone(&settled),
            room: ingest.room(),
            spending: Arc::clone(&resources.spending),
            draining: draining.clone(),
        };
        tasks.spawn(operations::upkeep(registry, stop.clone()));
        tasks.spawn(proxy::serve_ops(
            metrics_listener,
            Arc::new(operations),
            stop.clone(),
        ));
        let read_url = config.read_url.as_ref();
        let admin = Admin {
            database: database.clone(),
            replica: read_url
                .map(|url| Database::new(&url.0, tls::client()))
                .transpose()?,
            mcp: config.mcp.clone(),
            tls: config.admin_tls.clone(),
            trusted_proxies: config.admin_trusted_proxies.clone(),
            mfa_key: config.mfa_key.clone(),
            clock: Arc::clone(&clock),
            prices,
            tasks: tasks.clone(),
            in_force,
        };
        admin
            .start(admin_listener, draining.clone())
            .map_err(StartError::Thread)?;
        let (collector, errands) = Collector::new();
        if let Some(interval) = config.poll_interval {
            let polling = Polling {
                interval,
                database: database.clone(),
                targets,
                collector,
                tasks: tasks.clone(),
            };
            tasks.spawn(polling.run(stop.clone()));
        }
        let data_plane = start_data_plane(config, resources, lanes, errands)?;
        Ok(Self {
            data_plane,
            ingest,
            snapshot: state,
            settled,
            metrics_address,
            admin_address,
            tls: config.proxy.tls.is_some(),
            admin_tls: config.admin_tls.is_some(),
            draining,
            stop,
            tasks,
        })
    }

    /// Waits until the keys are in memory, and what was spent before, if the database is there to ask.
    pub(crate) async fn ready(&self) {
        while !(self.snapshot.is_loaded() && self.settled.is_known_or_delayed()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn proxy_url(&self) -> String {
        origin(scheme(self.tls), self.data_plane.address())
    }

    pub(crate) fn admin_url(&self) -> String {
        origin(scheme(self.admin_tls), self.admin_address)
    }

    pub(crate) fn metrics_url(&self) -> String {
        origin("http", self.metrics_address)
    }

    /// Lets running answers finish, up to the drain deadline, and stores every event, or leaves it in the spool where the database
    /// is away.
    ///
    /// # Errors
    /// If the spool took no more: how many events are lost.
    pub(crate) async fn drain(self) -> Result<(), Unstored> {
        let Self {
            data_plane,
            ingest,
            draining,
            stop,
            tasks,
            ..
        } = self;
        draining.cancel();
        data_plane.begin_shutdown();
        let joined = tokio::task::spawn_blocking(|| data_plane.join()).await;
        if let Err(error) = joined {
            tracing::error!(%error, "the data plane did not end in good order");
        }
        tracing::info!(
            events = ingest.pending(),
            "requests have ended; storing what is left"
        );
        let finished = ingest.finish(STORE_DEADLINE).await;
        if let Ok(waiting @ 1..) = finished {
            tracing::warn!(
                waiting,
                "usage events wait in the spool: the next start stores them"
            );
        }
        stop.cancel();
        tasks.close();
        if tokio::time::timeout(TASKS_DEADLINE, tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(tasks = tasks.len(), "background tasks did not end in time");
        }
        finished.map(|_| ())
    }
}

fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

fn origin(scheme: &str, address: SocketAddr) -> String {
    let mut address = address;
    // Reached from here by the loopback address; a URL with 0.0.0.0 is of no use to anybody.
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    format!("{scheme}://{address}")
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen {
            key,
            address,
            source,
        })
}

/// Live keys go to the upstream, test keys to a simulator of our own on the loopback interface.
async fn targets(
    config: &Config,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Result<Targets, StartError> {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .map_err(StartError::Simulator)?;
    let address = listener.local_addr().map_err(StartError::Simulator)?;
    let simulator = simulator::Simulator::new(simulator::Options::default());
    let stopped = stop.clone();
    tasks.spawn(async move {
        if let Err(error) = simulator.serve(listener, stopped.cancelled_owned()).await {
            tracing::error!(%error, "the simulator ended; test keys are not answered");
        }
    });
    // The simulator wants a credential, as the API does, and takes any.
    let test = Target::new(&origin("http", address), Some("simulator"))
        .map_err(StartError::SimulatorUrl)?;
    let by_org = config.upstream.by_org.iter();
    Ok(Targets {
        live: Arc::new(config.upstream.target.clone()),
        by_org: by_org
            .map(|(slug, target)| (slug.clone(), Arc::new(target.clone())))
            .collect(),
        test: Arc::new(test),
    })
}

fn start_data_plane(
    config: &Config,
    resources: Resources,
    lanes: Vec<ingest::Lane>,
    errands: Errands,
) -> Result<DataPlane, StartError> {
    let options = proxy::Options {
        listen: config.proxy.listen,
        threads: config.proxy.threads,
        max_connections: config.proxy.max_connections,
        max_body_bytes: config.proxy.max_body_bytes,
        trusted_proxies: config.proxy.trusted_proxies.clone(),
        drain: config.proxy.drain,
        on_client_disconnect: config.on_client_disconnect,
        tls: config.proxy.tls.clone(),
        upstream: UpstreamOptions {
            http2: config.upstream.http2,
            connect_timeout: config.upstream.connect_timeout,
            first_byte_timeout: config.upstream.first_byte_timeout,
            idle_timeout: config.upstream.idle_timeout,
            tls: tls::client(),
        },
    };
    DataPlane::start(options, resources, lanes, errands).map_err(|source| StartError::Listen {
        key: "proxy.listen",
        address: config.proxy.listen,
        source,
    })
}
