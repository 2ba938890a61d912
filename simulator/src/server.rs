//! The listener: accepts connections, serves each on its own task, and winds down gracefully.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::options::Options;
use crate::service::Service;

/// A Claude API without a model. Clones share batches, files and fault counters.
#[derive(Clone, Debug)]
pub struct Simulator {
    service: Arc<Service>,
}

impl Simulator {
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            service: Arc::new(Service::new(options)),
        }
    }

    /// Serves HTTP/1.1 and h2c (prior knowledge) until `shutdown` resolves, then lets running answers
    /// finish. Silenced requests are hung up on.
    ///
    /// # Errors
    ///
    /// When the listener fails for good. Aborted connections and a shortage of file descriptors are waited
    /// out.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let outcome = tokio::select! {
            () = shutdown => Ok(()),
            error = self.accept(&listener, &tasks, &stop) => Err(error),
        };
        drop(listener);
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        outcome
    }

    /// Accepts until the listener fails.
    async fn accept(
        &self,
        listener: &TcpListener,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> io::Error {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = self.clone().converse(stream, tasks.clone(), stop.clone());
                    tasks.spawn(connection);
                }
                Err(error) if is_passing(&error) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => return error,
            }
        }
    }

    async fn converse(self, stream: TcpStream, tasks: TaskTracker, stop: CancellationToken) {
        if stream.set_nodelay(true).is_err() {
            return; // The peer has left already.
        }
        let service = service_fn(|request| {
            let (service, stop) = (Arc::clone(&self.service), stop.clone());
            async move { service.answer(request, stop).await }
        });
        let protocol = protocol(tasks);
        let mut connection = Box::pin(protocol.serve_connection(TokioIo::new(stream), service));
        // A connection's failure is the client's leaving or a cut that was asked for: nothing to report.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await.ok();
            }
        }
    }
}

fn protocol(tasks: TaskTracker) -> auto::Builder<Tracked> {
    let mut protocol = auto::Builder::new(Tracked(tasks));
    protocol
        .http1()
        .timer(TokioTimer::new())
        // Idle connections belong to the client's pool; closing them here would race with its next request.
        .header_read_timeout(None);
    protocol
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(4096);
    protocol
}

/// Runs the tasks of HTTP/2 streams where shutdown can wait for them.
#[derive(Clone, Debug)]
struct Tracked(TaskTracker);

impl<F> Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

fn is_passing(error: &io::Error) -> bool {
    const TOO_MANY_FILES: [i32; 2] = [23, 24]; // ENFILE, EMFILE
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    ) || error
        .raw_os_error()
        .is_some_and(|code| TOO_MANY_FILES.contains(&code))
}
