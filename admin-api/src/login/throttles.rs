//! How often somebody may try.
//!
//! - Of logins, each address has so many, whoever it tries to be; and each user, whoever tries to be them. Somebody who keeps
//!   a user's attempts used up keeps out nobody who comes from where the user has logged in last: from there they are
//!   counted by themselves. Attempts come back with time, whether any succeeded or not.
//! - Of keys and session tokens that there aren't, each address has so many. Those that there are count nothing, and one that
//!   was good lately is let through however many were guessed: whoever works is not hindered by others at the same address.
//!
//! An address is an IPv4 address or an IPv6 network of 64 bits, of which anybody has all addresses. Memory is bounded.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Clock, KeyHash};
use policy_engine::Throttle;

use crate::error::{ApiError, Result};

const LOGINS_OF_ADDRESS: NonZeroU32 = NonZeroU32::new(60).unwrap();
const LOGIN_OF_ADDRESS_EVERY: Duration = Duration::from_secs(5);
const LOGINS_OF_USER: NonZeroU32 = NonZeroU32::new(20).unwrap();
const LOGIN_OF_USER_EVERY: Duration = Duration::from_secs(60);
const UNKNOWN_KEYS: NonZeroU32 = NonZeroU32::new(60).unwrap();
const UNKNOWN_KEY_EVERY: Duration = Duration::from_secs(1);
/// So many credentials are remembered to be good, and as many of the time before.
const MOST_GOOD: usize = 4_096;
const LATELY: Duration = Duration::from_secs(15 * 60);

/// All of them.
#[derive(Debug)]
pub(crate) struct Throttles {
    addresses: Throttle,
    users: Throttle,
    at_home: Throttle,
    unknown_keys: Throttle,
    good: Mutex<Good>,
    clock: Arc<dyn Clock>,
}

/// Credentials that were good lately, by their hashes.
#[derive(Debug, Default)]
struct Good {
    now: HashSet<[u8; 32]>,
    before: HashSet<[u8; 32]>,
    since: Duration,
}

impl Throttles {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let throttle = |burst, every| Throttle::new(Arc::clone(&clock), burst, every);
        Self {
            addresses: throttle(LOGINS_OF_ADDRESS, LOGIN_OF_ADDRESS_EVERY),
            users: throttle(LOGINS_OF_USER, LOGIN_OF_USER_EVERY),
            at_home: throttle(LOGINS_OF_USER, LOGIN_OF_USER_EVERY),
            unknown_keys: throttle(UNKNOWN_KEYS, UNKNOWN_KEY_EVERY),
            good: Mutex::default(),
            clock,
        }
    }

    /// Somebody at an address wants to prove who they are.
    pub(super) fn at_address(&self, address: IpAddr) -> Result<()> {
        let attempted = self.addresses.attempt(net(address));
        attempted.map_err(login_throttled)
    }

    /// They want to be the user with this e-mail address, whose home is where they logged in last.
    pub(super) fn of_user(&self, email: &str, address: IpAddr, home: Option<IpAddr>) -> Result<()> {
        let address = net(address);
        let attempted = if home.map(net) == Some(address) {
            self.at_home.attempt((email, address))
        } else {
            self.users.attempt(email)
        };
        attempted.map_err(login_throttled)
    }

    /// Somebody sends a key or a session's token: whether it is counted as a guess, until it is known to be none.
    pub(crate) fn credential(&self, key: &KeyHash, address: IpAddr) -> Result<bool> {
        if self.good().has(&key.0) {
            return Ok(false);
        }
        let attempted = self.unknown_keys.attempt(net(address));
        attempted.map_err(|wait| {
            let message = "too many unknown keys came from this address";
            ApiError::throttled("key_throttled", message, wait)
        })?;
        Ok(true)
    }

    /// It was one, or that couldn't be found out.
    pub(crate) fn not_a_guess(&self, address: IpAddr) {
        self.unknown_keys.give_back(net(address));
    }

    /// It was one.
    pub(crate) fn was_good(&self, key: &KeyHash) {
        let now = self.clock.monotonic();
        self.good().add(key.0, now);
    }

    fn good(&self) -> std::sync::MutexGuard<'_, Good> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Good {
    fn has(&self, key: &[u8; 32]) -> bool {
        self.now.contains(key) || self.before.contains(key)
    }

    fn add(&mut self, key: [u8; 32], now: Duration) {
        if self.now.len() >= MOST_GOOD || now.saturating_sub(self.since) > LATELY {
            self.before = std::mem::take(&mut self.now);
            self.since = now;
        }
        self.now.insert(key);
    }
}

fn login_throttled(wait: Duration) -> ApiError {
    ApiError::throttled("login_throttled", "there were too many attempts", wait)
}

/// What is one caller's, as far as an address tells.
fn net(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    #[derive(Debug)]
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp { unix_micros: 0 }
        }

        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_whatever_one_caller_has() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("2001:db8::1", "2001:db8::ffff:0:0:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(net(ip(one)) == net(ip(other)), same, "{one} {other}");
        }
    }

    #[test]
    fn who_uses_up_a_users_attempts_keeps_nobody_out_who_comes_from_home() {
        let throttles = Throttles::new(Arc::new(Still));
        let home = Some(ip("192.0.2.1"));
        let attempt = |from: &str| throttles.of_user("a@acme.example", ip(from), home).is_ok();
        let passed = (0..100).filter(|_| attempt("198.51.100.1")).count();
        assert_eq!(passed, 20);
        assert!(!attempt("203.0.113.1"), "whoever else is a stranger");
        let passed = (0..100).filter(|_| attempt("192.0.2.1")).count();
        assert_eq!(passed, 20, "who is at home may not guess for ever either");
    }

    #[test]
    fn a_key_that_was_good_is_not_counted() {
        let throttles = Throttles::new(Arc::new(Still));
        let (good, from) = (KeyHash([1; 32]), ip("192.0.2.1"));
        assert!(throttles.credential(&good, from).is_ok());
        throttles.was_good(&good);
        let unknown = (0..100_u8).map(|byte| KeyHash([byte + 2; 32]));
        let passed = unknown
            .filter(|key| throttles.credential(key, from).is_ok())
            .count();
        assert_eq!(passed, 59);
        throttles.not_a_guess(from);
        assert!(throttles.credential(&KeyHash([200; 32]), from).is_ok());
        assert!(throttles.credential(&good, from).is_ok());
    }

    #[test]
    fn what_was_good_is_forgotten_in_time_and_for_lack_of_room() {
        let mut good = Good::default();
        good.add([1; 32], Duration::ZERO);
        good.add([2; 32], LATELY + Duration::from_secs(1));
        assert!(good.has(&[1; 32]) && good.has(&[2; 32]));
        good.add([3; 32], LATELY * 3);
        assert!(!good.has(&[1; 32]) && good.has(&[2; 32]));
        for number in 0..100_000_u32 {
            let mut key = [0; 32];
            key.iter_mut()
                .zip(number.to_be_bytes())
                .for_each(|(to, from)| *to = from);
            good.add(key, LATELY * 3);
        }
        assert!(good.now.len() + good.before.len() <= 2 * MOST_GOOD);
    }
}
