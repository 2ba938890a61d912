//! Benchmarks, one file a subject in `benches/`: `inspect` of what a request meets; `copy` and `reports` of what storing
//! usage costs and rollups and indexes gain, which need a server: `scripts/with-postgres.sh cargo bench --bench copy`.

pub mod policies;
