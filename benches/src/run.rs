//! How a benchmark was called.

/// Whether every body is to run but once, with as little as will do, so that it is seen to work: without `--bench`, which
/// `cargo bench` gives, or with `--test`.
#[must_use]
pub fn is_trial() -> bool {
    let is_given = |flag: &str| std::env::args().any(|argument| argument == flag);
    is_given("--test") || !is_given("--bench")
}

/// How much to take: what the environment says, else this much; in a trial always as little as will do.
///
/// # Panics
/// If the environment's is no number.
#[must_use]
#[allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark has no configuration but this, and says so if it can't run"
)]
pub fn amount(name: &str, default: usize, in_trial: usize) -> usize {
    if is_trial() {
        return in_trial;
    }
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
