//! Waits until a moment more exactly than the runtime does, whose clock ticks in milliseconds: a tick would be in every latency.
//!
//! The kernel's timer wakes the thread that waits for sockets, so nobody spins: a processor that spins is none that serves.

use std::io;
use std::os::fd::OwnedFd;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// One waits on it at a time.
#[derive(Debug)]
pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    #[expect(
        deprecated,
        reason = "what took its place is unsafe for descriptors that may change, and an owned one doesn't"
    )]
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self(AsyncFd::with_interest(timer, Interest::READABLE)?))
    }

    pub(super) async fn until(&self, due: Instant) -> io::Result<()> {
        // A second look: what wakes it may be left from an earlier time.
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            if left.is_zero() {
                break;
            }
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: left.try_into().map_err(io::Error::other)?,
            };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            let mut rung = self.0.readable().await?;
            let mut times = [0; 8];
            // That nothing is to be read means to look again, too.
            let _ = rustix::io::read(self.0.get_ref(), &mut times);
            rung.clear_ready();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Timer;

    #[tokio::test]
    async fn nobody_is_woken_before_it_is_due() {
        let timer = Timer::new().unwrap();
        for microseconds in [0, 1, 50, 700, 3_000] {
            let due = Instant::now() + Duration::from_micros(microseconds);
            timer.until(due).await.unwrap();
            assert!(Instant::now() >= due);
        }
    }

    #[tokio::test]
    async fn what_is_over_is_not_waited_for() {
        let timer = Timer::new().unwrap();
        timer.until(Instant::now()).await.unwrap();
    }
}
