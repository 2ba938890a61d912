//! `mindweave migrate`

use std::path::Path;

use super::{Outcome, connect};
use crate::cli::{Common, Migrate};
use crate::{clock, out};

pub(super) async fn run(common: &Common, words: Migrate) -> Outcome {
    match words {
        Migrate::Create { name } => create(&name),
        Migrate::Up => {
            let applied = migrations::up(&mut connect(common).await?).await?;
            for migration in &applied {
                out::line(format!(
                    "applied {} {} ({} ms)",
                    migration.version, migration.name, migration.duration_ms
                ));
            }
            out::line(format!("{} migrations applied", applied.len()));
            Ok(())
        }
        Migrate::Down { steps } => {
            let reverted = migrations::down(&mut connect(common).await?, steps).await?;
            for migration in &reverted {
                out::line(format!("undid {} {}", migration.version, migration.name));
            }
            out::line(format!("{} migrations undone", reverted.len()));
            Ok(())
        }
        Migrate::Status => {
            for migration in migrations::status(&connect(common).await?).await? {
                let applied_at = migration
                    .applied_at
                    .map_or_else(String::new, |at| at.to_rfc3339());
                let state = migration.state.as_str();
                out::line(format!(
                    "{:<8} {} {:<28} {applied_at}",
                    state, migration.version, migration.name
                ));
            }
            Ok(())
        }
        Migrate::Version => {
            let version = migrations::version(&connect(common).await?).await?;
            out::line(version.map_or_else(|| "none".to_owned(), |version| version.to_string()));
            Ok(())
        }
    }
}

fn create(name: &str) -> Outcome {
    let version = version_of(clock::system().now());
    let files = migrations::create(Path::new("migrations"), name, version)?;
    for file in files {
        out::line(format!("created {}", file.display()));
    }
    Ok(())
}

/// `YYYYMMDDHHMMSS`, in UTC.
fn version_of(now: domain::Timestamp) -> i64 {
    let text = humantime::format_rfc3339_seconds(
        std::time::UNIX_EPOCH
            + std::time::Duration::from_micros(u64::try_from(now.unix_micros).unwrap_or(0)),
    )
    .to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_time_in_digits() {
        let now = domain::Timestamp {
            unix_micros: 1_795_464_001_000_000,
        };
        assert_eq!(version_of(now), 20_261_123_200_001);
    }
}
