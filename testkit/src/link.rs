//! A TCP link that can be cut and restored: a forwarder between the gateway and something it depends on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, split};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use crate::postgres::ServerAddress;
use crate::spawn;

/// Forwards connections while it is up.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    shared: Shared,
}

/// What the link and its connections share.
#[derive(Debug, Clone)]
struct Shared {
    up: watch::Sender<bool>,
    /// While it isn't up: whether connections are taken and held, or closed at once.
    muted: Arc<AtomicBool>,
    /// How often the connections of the time were struck dumb.
    silences: watch::Sender<usize>,
    trap: Arc<Mutex<Option<Trap>>>,
}

/// What cuts the link.
#[derive(Debug)]
struct Trap {
    /// Has to have been said on the same connection before.
    first: Vec<u8>,
    mark: Vec<u8>,
}

impl Link {
    /// A link to a server, up.
    pub async fn to(server: ServerAddress) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared {
            up: watch::Sender::new(true),
            muted: Arc::default(),
            silences: watch::Sender::new(0),
            trap: Arc::default(),
        };
        let forwarding = shared.clone();
        spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                if *forwarding.up.borrow() {
                    spawn(forward(stream, server.clone(), forwarding.clone()));
                } else if forwarding.muted.load(Ordering::SeqCst) {
                    spawn(hold_back(stream, forwarding.clone()));
                }
            }
        });
        Self { address, shared }
    }

    /// Where to connect.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Closes every connection, and every new one at once.
    pub fn cut(&self) {
        self.shared.up.send_replace(false);
    }

    /// Closes every connection; new ones are taken, and nobody answers until the link is restored.
    pub fn mute(&self) {
        self.shared.muted.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Cuts as soon as these bytes have gone to the server, before it can answer. They must leave the
    /// client in one piece. The server does what it was told, and finds nobody there after that: one whose answer
    /// meets a closed connection may take back what it was about to commit.
    pub fn cut_after(&self, mark: impl Into<Vec<u8>>) {
        self.cut_after_both("", mark);
    }

    /// The same, on a connection that has said something else before: not at somebody else's `COMMIT`.
    pub fn cut_after_both(&self, first: impl Into<Vec<u8>>, mark: impl Into<Vec<u8>>) {
        *self.shared.trap.lock().unwrap() = Some(Trap {
            first: first.into(),
            mark: mark.into(),
        });
    }

    /// Waits until it is cut.
    pub async fn is_cut(&self) {
        let mut state = self.shared.up.subscribe();
        let cut = tokio::time::timeout(crate::PATIENCE, state.wait_for(|up| !up)).await;
        drop(cut.expect("the link is cut").unwrap());
    }

    /// Leaves the connections that there are open, but nothing passes them any more; new ones are sound.
    pub fn fall_silent(&self) {
        self.shared.silences.send_modify(|times| *times += 1);
    }

    /// Lets new connections through.
    pub fn restore(&self) {
        self.shared.muted.store(false, Ordering::SeqCst);
        self.shared.up.send_replace(true);
    }
}

/// Keeps a connection open that leads nowhere.
async fn hold_back(stream: TcpStream, shared: Shared) {
    drop(shared.up.subscribe().wait_for(|up| *up).await);
    drop(stream);
}

async fn forward(stream: TcpStream, server: ServerAddress, shared: Shared) {
    // A server that is away closes the connection, as a cut does.
    match server {
        ServerAddress::Unix(path) => {
            if let Ok(server) = UnixStream::connect(path).await {
                hold(stream, server, shared).await;
            }
        }
        ServerAddress::Tcp(address) => {
            if let Ok(server) = TcpStream::connect(address).await {
                server.set_nodelay(true).unwrap();
                hold(stream, server, shared).await;
            }
        }
    }
}

/// Keeps both ends open until one closes or the link is cut.
async fn hold(mut client: TcpStream, server: impl AsyncRead + AsyncWrite, shared: Shared) {
    let (mut up, mut silences) = (shared.up.subscribe(), shared.silences.subscribe());
    let (mut from_server, mut to_server) = split(server);
    let (mut from_client, mut to_client) = client.split();
    let passing = async {
        tokio::select! {
            biased;
            end = pass_up(&mut from_client, &mut to_server, &shared) => end,
            _ = copy(&mut from_server, &mut to_client) => End::Closed,
        }
    };
    let end = tokio::select! {
        biased;
        _ = up.wait_for(|up| !up) => End::Closed,
        _ = silences.changed() => End::Silent,
        end = passing => end,
    };
    match end {
        End::Closed => {}
        End::Silent => drop(up.wait_for(|up| !up).await),
        End::Trapped => {
            drop(client);
            drop(to_server.shutdown().await);
            drop(copy(&mut from_server, &mut tokio::io::sink()).await);
        }
    }
}

/// Why nothing more is carried.
enum End {
    Closed,
    /// Both ends stay open.
    Silent,
    /// The mark was said that cuts the link.
    Trapped,
}

/// Carries what the client says to the server, up to the mark that cuts the link.
async fn pass_up(
    from_client: &mut (impl AsyncRead + Unpin),
    to_server: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
) -> End {
    let mut buffer = vec![0; 64 << 10];
    let mut has_said_first = false;
    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
        let said = &buffer[..length];
        let end = shared.end_of_mark(said, &mut has_said_first);
        let sent = to_server.write_all(&said[..end.unwrap_or(length)]).await;
        if end.is_some() {
            shared.up.send_replace(false);
            return End::Trapped;
        }
        if sent.is_err() {
            break;
        }
    }
    End::Closed
}

impl Shared {
    /// Where the mark ends that is waited for; it cuts once.
    fn end_of_mark(&self, said: &[u8], has_said_first: &mut bool) -> Option<usize> {
        let mut trap = self.trap.lock().unwrap();
        let Trap { first, mark } = trap.as_ref()?;
        *has_said_first = *has_said_first || find(said, first).is_some();
        let at = find(said, mark).filter(|_| *has_said_first)?;
        let end = at + mark.len();
        *trap = None;
        Some(end)
    }
}

fn find(said: &[u8], wanted: &[u8]) -> Option<usize> {
    if wanted.is_empty() {
        return Some(0);
    }
    said.windows(wanted.len()).position(|part| part == wanted)
}
