//! A connection that listens.

use std::future::poll_fn;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls};

/// More than any test causes without reading.
const CAPACITY: usize = 256;

/// Receives what is notified on one channel, in order.
#[derive(Debug)]
pub struct Listener {
    payloads: mpsc::Receiver<String>,
    /// The connection ends with it.
    _client: Client,
}

impl Listener {
    pub(crate) async fn start(config: &Config, channel: &str) -> Self {
        let (client, mut connection) = config.connect(NoTls).await.unwrap();
        let (sender, payloads) = mpsc::channel(CAPACITY);
        crate::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|ctx| connection.poll_message(ctx)).await {
                if let AsyncMessage::Notification(notification) = message {
                    sender.try_send(notification.payload().to_owned()).unwrap();
                }
            }
        });
        client
            .batch_execute(&format!("LISTEN {channel}"))
            .await
            .unwrap();
        Self {
            payloads,
            _client: client,
        }
    }

    /// The next notification's payload.
    pub async fn next(&mut self) -> Value {
        let payload = tokio::time::timeout(crate::PATIENCE, self.payloads.recv()).await;
        let payload = payload.expect("a notification arrives").unwrap();
        serde_json::from_str(&payload).unwrap()
    }
}
