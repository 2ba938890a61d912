//! Which database a snapshot is of, told while nobody can ask it: by where it is and what it is called.
//!
//! Passwords and users are left out: both may change while the database stays the same.

use tokio_postgres::Config;
use tokio_postgres::config::Host;

const DEFAULT_PORT: u16 = 5_432;

/// Hosts, ports and name, as in `db.internal:5432/mindweave`.
pub(super) fn of(config: &Config) -> String {
    let host = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    };
    let names = config.get_hosts().iter().map(host);
    let addresses = config.get_hostaddrs().iter().map(ToString::to_string);
    let hosts: Vec<String> = names.chain(addresses).collect();
    let ports = match config.get_ports() {
        [] => &[DEFAULT_PORT],
        ports => ports,
    };
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    // Without a name it is the user's.
    let name = config.get_dbname().or(config.get_user());
    let place = format!(
        "{}:{}/{}",
        hosts.join(","),
        ports.join(","),
        name.unwrap_or_default()
    );
    // They may lead to other tables of the same database.
    match config.get_options() {
        Some(options) => format!("{place}?options={options}"),
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_known_by_its_place_and_name_and_not_by_who_asks() {
        for (url, expected) in [
            ("postgres://a:secret@db/main", "db:5432/main"),
            ("postgres://b@db:5432/main?sslmode=require", "db:5432/main"),
            ("host=db user=a dbname=main", "db:5432/main"),
            ("postgres://a@db/main?connect_timeout=3", "db:5432/main"),
            ("postgres://a@db", "db:5432/a"),
            ("postgres://a@one:1,two:2/main", "one,two:1,2/main"),
            ("postgres://a@%2Frun%2Fpg/main", "/run/pg:5432/main"),
            (
                "host=db hostaddr=10.0.0.1 user=a dbname=main",
                "db,10.0.0.1:5432/main",
            ),
            (
                "postgres://a@db/main?options=-csearch_path%3Dother",
                "db:5432/main?options=-csearch_path=other",
            ),
        ] {
            let config: Config = url.parse().unwrap();
            assert_eq!(of(&config), expected, "{url}");
        }
    }
}
