//! What operators see: metrics that mean what they say, and a log that keeps secrets.

mod logs;
mod metrics;
mod prometheus;
