//! Whether a connection has a session of its own, as LISTEN, advisory locks and prepared statements need.
//!
//! A pooler that gives out a server's session for one transaction at a time (`transaction` mode of `PgBouncer`)
//! breaks all three, and in silence: notifications don't arrive, a lock stays with whoever gets the session next.
//! What the pooler says about itself is no guide, so what it does is looked at.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, Config, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use super::DatabaseError;

/// In a pool that is used up a query waits for minutes.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Others who use the pool at the same moment may hide what it does, but hardly so often.
const LOOKS: usize = 3;

/// Marks the session, keeps a second one busy, and sees which of the two has the mark. Simple queries only:
/// others don't work everywhere where this has something to find. To be called by one at a time: two that look at once may
/// each get their own session back by chance.
pub(super) async fn verify(
    client: &Client,
    config: &Config,
    tls: MakeRustlsConnect,
) -> Result<(), DatabaseError> {
    let compared = async {
        let (other, connection) = config.connect(tls).await.map_err(DatabaseError::Connect)?;
        // It may end before its last answer is taken; that is for the queries to tell.
        let driven = async {
            drop(connection.await);
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            own = keeps_its_session(client, &other) => own.map_err(DatabaseError::Session),
            never = driven => match never {},
        }
    };
    match timeout(ANSWER_TIMEOUT, compared).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(DatabaseError::NoSession),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(DatabaseError::NoSecondConnection),
    }
}

async fn keeps_its_session(client: &Client, other: &Client) -> Result<bool, tokio_postgres::Error> {
    for _ in 0..LOOKS {
        if !has_own_session(client, other).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn has_own_session(client: &Client, other: &Client) -> Result<bool, tokio_postgres::Error> {
    let mark = Uuid::now_v7().to_string();
    let set = format!("SET mindweave.session = '{mark}'");
    client.batch_execute(&set).await?;
    // While the other one is in a transaction, nobody else gets the session that it has.
    other.batch_execute("BEGIN").await?;
    let strayed = mark_of(other).await? == mark;
    let kept = !strayed && mark_of(client).await? == mark;
    other.batch_execute("ROLLBACK").await?;
    Ok(kept)
}

async fn mark_of(client: &Client) -> Result<String, tokio_postgres::Error> {
    let messages = client
        .simple_query("SELECT current_setting('mindweave.session', true)")
        .await?;
    let mark = messages.iter().find_map(|message| {
        if let SimpleQueryMessage::Row(row) = message {
            row.get(0)
        } else {
            None
        }
    });
    Ok(mark.unwrap_or_default().to_owned())
}
