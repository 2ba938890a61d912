//! Micro-benchmarks of what a request meets, one file a subject in `benches/`: `cargo bench -p benches`.
