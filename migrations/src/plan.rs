//! What there is to do, given what is known and what was applied. Pure.
//!
//! Both lists are in ascending order of version.

use crate::error::Error;
use crate::history::Record;
use crate::migration::Migration;
use crate::status::{MigrationStatus, State};

/// What `up` has to apply, oldest first. Refuses drift, unknown versions and gaps.
pub(crate) fn pending<'m>(
    known: &'m [Migration],
    applied: &[Record],
) -> Result<Vec<&'m Migration>, Error> {
    verify(known, applied)?;
    let pending: Vec<_> = known
        .iter()
        .filter(|migration| find_record(applied, migration.version).is_none())
        .collect();
    match (pending.first(), applied.last()) {
        (Some(oldest), Some(newest)) if oldest.version < newest.version => Err(Error::Gap {
            version: oldest.version,
            file: oldest.up_file(),
            newest_applied: newest.version,
        }),
        _ => Ok(pending),
    }
}

/// What `down` has to undo, newest first. Refuses drift and unknown versions, but not gaps: it is the way out of one.
pub(crate) fn undoable<'m>(
    known: &'m [Migration],
    applied: &[Record],
    steps: usize,
) -> Result<Vec<&'m Migration>, Error> {
    verify(known, applied)?;
    let newest_first = known.iter().rev();
    Ok(newest_first
        .filter(|migration| find_record(applied, migration.version).is_some())
        .take(steps)
        .collect())
}

/// Every known or applied migration, oldest first.
pub(crate) fn status(known: &[Migration], applied: &[Record]) -> Vec<MigrationStatus> {
    let of_known = known.iter().map(|migration| {
        let record = find_record(applied, migration.version);
        MigrationStatus {
            version: migration.version,
            name: migration.name.to_owned(),
            applied_at: record.map(|record| record.applied_at),
            state: state(migration, record),
        }
    });
    let strangers = applied
        .iter()
        .filter(|record| find(known, record.version).is_none());
    let of_strangers = strangers.map(|record| MigrationStatus {
        version: record.version,
        name: record.name.clone(),
        applied_at: Some(record.applied_at),
        state: State::Unknown,
    });
    let mut all: Vec<_> = of_known.chain(of_strangers).collect();
    all.sort_by_key(|status| status.version);
    all
}

fn state(migration: &Migration, record: Option<&Record>) -> State {
    match record {
        None => State::Pending,
        Some(record) if record.checksum == migration.checksum() => State::Applied,
        Some(_) => State::Drifted,
    }
}

/// Is everything applied known, and as it was then?
fn verify(known: &[Migration], applied: &[Record]) -> Result<(), Error> {
    for record in applied {
        let migration = find(known, record.version).ok_or_else(|| Error::Unknown {
            version: record.version,
            file: record.file(),
        })?;
        let embedded = migration.checksum();
        if embedded != record.checksum {
            return Err(Error::Drifted {
                version: record.version,
                file: migration.up_file(),
                applied: record.checksum.clone(),
                embedded,
            });
        }
    }
    Ok(())
}

fn find(known: &[Migration], version: i64) -> Option<&Migration> {
    known.iter().find(|migration| migration.version == version)
}

fn find_record(applied: &[Record], version: i64) -> Option<&Record> {
    applied.iter().find(|record| record.version == version)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    const A: Migration = migration(20_260_101_000_001, "a");
    const B: Migration = migration(20_260_101_000_002, "b");
    const C: Migration = migration(20_260_101_000_003, "c");

    const fn migration(version: i64, name: &'static str) -> Migration {
        Migration {
            version,
            name,
            up: name,
            down: "",
        }
    }

    fn applied(migrations: &[Migration]) -> Vec<Record> {
        let record = |migration: &Migration| Record {
            version: migration.version,
            name: migration.name.to_owned(),
            checksum: migration.checksum(),
            applied_at: DateTime::UNIX_EPOCH,
        };
        migrations.iter().map(record).collect()
    }

    /// Names in the order they would be run, or the kind of error.
    fn outcome(plan: Result<Vec<&Migration>, Error>) -> Result<String, &'static str> {
        plan.map(|list| list.iter().map(|migration| migration.name).collect())
            .map_err(|error| error.kind())
    }

    #[track_caller]
    fn check_up(known: &[Migration], was: &[Migration], expected: Result<&str, &'static str>) {
        let plan = outcome(pending(known, &applied(was)));
        assert_eq!(plan, expected.map(str::to_owned));
    }

    #[track_caller]
    fn check_down(was: &[Migration], steps: usize, expected: Result<&str, &'static str>) {
        let plan = outcome(undoable(&[A, B, C], &applied(was), steps));
        assert_eq!(plan, expected.map(str::to_owned));
    }

    fn edited(migration: Migration) -> Migration {
        Migration {
            up: "edited",
            ..migration
        }
    }

    #[test]
    fn up_applies_what_is_missing_in_order() {
        check_up(&[A, B, C], &[], Ok("abc"));
        check_up(&[A, B, C], &[A], Ok("bc"));
        check_up(&[A, B, C], &[A, B, C], Ok(""));
        check_up(&[], &[], Ok(""));
    }

    #[test]
    fn up_refuses_a_history_it_cannot_vouch_for() {
        check_up(&[A, B], &[A, B, C], Err("unknown"));
        check_up(&[A, B], &[edited(A)], Err("drifted"));
        check_up(&[A, B, C], &[A, C], Err("gap"));
    }

    #[test]
    fn down_undoes_at_most_so_many_newest_first() {
        check_down(&[A, B, C], 2, Ok("cb"));
        check_down(&[A, B], 9, Ok("ba"));
        check_down(&[A], 0, Ok(""));
        check_down(&[], 1, Ok(""));
    }

    #[test]
    fn down_is_the_way_out_of_a_gap_but_not_of_drift() {
        check_down(&[A, C], 1, Ok("c"));
        check_down(&[A, edited(B)], 1, Err("drifted"));
    }

    #[test]
    fn status_tells_every_state() {
        let states: Vec<_> = status(&[A, B, C], &applied(&[A, edited(B), migration(1, "old")]))
            .into_iter()
            .map(|status| (status.name, status.state))
            .collect();
        let expected = [
            ("old", State::Unknown),
            ("a", State::Applied),
            ("b", State::Drifted),
            ("c", State::Pending),
        ];
        assert_eq!(
            states,
            expected.map(|(name, state)| (name.to_owned(), state))
        );
    }
}
