//! What is asked of the server itself: whether it lets us in, and that the database is there.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error, NoTls};

use super::initdb::USER;
use super::password::Password;

/// The gateway's database, named as its owner.
const DATABASE: &str = USER;
/// The database that every cluster has.
const MAINTENANCE: &str = "postgres";
const CONNECT: Duration = Duration::from_secs(5);

/// How to get into the server.
#[derive(Debug)]
pub(super) struct Login {
    port: u16,
    password: Password,
}

impl Login {
    pub(super) fn new(port: u16, password: &Password) -> Self {
        Self {
            port,
            password: password.clone(),
        }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's way into the gateway's database, in libpq's form.
    pub(super) fn url(&self) -> String {
        format!(
            "postgres://{USER}:{}@{}:{}/{DATABASE}",
            self.password.as_str(),
            Ipv4Addr::LOCALHOST,
            self.port
        )
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config.host(Ipv4Addr::LOCALHOST.to_string()).port(self.port);
        config
            .user(USER)
            .password(self.password.as_str())
            .dbname(MAINTENANCE)
            .connect_timeout(CONNECT);
        config
    }
}

/// Connects and disconnects.
pub(super) async fn ping(login: &Login) -> Result<(), Error> {
    session(login, async |_| Ok(())).await
}

/// Makes the database unless it is there.
pub(super) async fn ensure(login: &Login) -> Result<(), Error> {
    session(login, async |client| {
        let found = client
            .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&DATABASE])
            .await?;
        if found.is_none() {
            client
                .batch_execute(&format!("CREATE DATABASE {DATABASE}"))
                .await?;
        }
        Ok(())
    })
    .await
}

pub(super) fn is_wrong_password(error: &Error) -> bool {
    error.code() == Some(&SqlState::INVALID_PASSWORD)
}

/// Drives a connection beside the work that uses it; the work's end drops the client, which ends the connection.
async fn session(
    login: &Login,
    work: impl AsyncFnOnce(Client) -> Result<(), Error>,
) -> Result<(), Error> {
    let (client, connection) = login.config().connect(NoTls).await?;
    tokio::try_join!(connection, work(client)).map(|_| ())
}
