//! How often somebody may try.
//!
//! - Of logins, each address has so many, whoever it tries to be; and each user, whoever tries to be them. Somebody who keeps
//!   a user's attempts used up keeps out nobody who comes from where the user has logged in last: from there they are
//!   counted by themselves, and so is the user with a session. Attempts come back with time, whether any succeeded or not;
//!   those of which that couldn't be found out are not counted.
//! - Of wrong codes by whoever has the password, each user has so many. Codes are short, and a password may have been guessed
//!   elsewhere: without this, the second factor would be no more than a matter of time.
//! - Of keys and session tokens that there aren't, each address has so many. Those that there are count nothing, and one that
//!   was good lately is let through however many were guessed: whoever works is not hindered by others at the same address.
//!
//! An address is an IPv4 address or an IPv6 network of 64 bits, of which anybody has all addresses; the networks of one of 48
//! bits have so many together. Memory is bounded.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::{Clock, KeyHash};
use policy_engine::Throttle;
use uuid::Uuid;

use crate::error::{ApiError, Result};

const LOGINS_OF_ADDRESS: NonZeroU32 = NonZeroU32::new(60).unwrap();
const LOGIN_OF_ADDRESS_EVERY: Duration = Duration::from_secs(5);
const LOGINS_OF_USER: NonZeroU32 = NonZeroU32::new(20).unwrap();
const LOGIN_OF_USER_EVERY: Duration = Duration::from_secs(60);
const CODES_OF_USER: NonZeroU32 = NonZeroU32::new(10).unwrap();
const CODE_OF_USER_EVERY: Duration = Duration::from_secs(10 * 60);
const UNKNOWN_KEYS: NonZeroU32 = NonZeroU32::new(60).unwrap();
const UNKNOWN_KEY_EVERY: Duration = Duration::from_secs(1);
/// What an IPv6 network of 48 bits has, as a multiple of what each of its 65,536 networks of 64 bits has: a customer of most
/// providers gets one.
const NETS_OF_SITE: NonZeroU32 = NonZeroU32::new(20).unwrap();
/// So many credentials are remembered to be good, and as many of the time before.
const MOST_GOOD: usize = 4_096;
const LATELY: Duration = Duration::from_secs(15 * 60);

/// All of them.
#[derive(Debug)]
pub(crate) struct Throttles {
    addresses: Nets,
    users: Throttle,
    at_home: Throttle,
    with_session: Throttle,
    codes: Throttle,
    unknown_keys: Nets,
    good: Mutex<Good>,
    clock: Arc<dyn Clock>,
}

/// Of addresses.
#[derive(Debug)]
struct Nets {
    each: Throttle,
    sites: Throttle,
}

/// Whose attempts at a password are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who<'a> {
    /// All who say, from wherever, that they are the user with this e-mail address.
    Anybody(&'a str),
    /// The same, from the address where that user has logged in last.
    AtHome(&'a str, IpAddr),
    /// The user, by a session. No stranger's attempts are among them.
    WithSession(Uuid),
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
            addresses: Nets::new(throttle, LOGINS_OF_ADDRESS, LOGIN_OF_ADDRESS_EVERY),
            users: throttle(LOGINS_OF_USER, LOGIN_OF_USER_EVERY),
            at_home: throttle(LOGINS_OF_USER, LOGIN_OF_USER_EVERY),
            with_session: throttle(LOGINS_OF_USER, LOGIN_OF_USER_EVERY),
            codes: throttle(CODES_OF_USER, CODE_OF_USER_EVERY),
            unknown_keys: Nets::new(throttle, UNKNOWN_KEYS, UNKNOWN_KEY_EVERY),
            good: Mutex::default(),
            clock,
        }
    }

    /// Somebody at an address wants to prove who they are.
    pub(crate) fn at_address(&self, address: IpAddr) -> Result<()> {
        self.addresses.attempt(address).map_err(login_throttled)
    }

    /// Whether they did couldn't be found out.
    pub(crate) fn not_at_address(&self, address: IpAddr) {
        self.addresses.give_back(address);
    }

    /// They want to be this user.
    pub(super) fn as_user(&self, who: Who<'_>) -> Result<()> {
        let attempted = match who {
            Who::Anybody(email) => self.users.attempt(email),
            Who::AtHome(email, address) => self.at_home.attempt((email, net(address))),
            Who::WithSession(user_id) => self.with_session.attempt(user_id),
        };
        attempted.map_err(login_throttled)
    }

    /// Whether they are couldn't be found out.
    pub(super) fn not_as_user(&self, who: Who<'_>) {
        match who {
            Who::Anybody(email) => self.users.give_back(email),
            Who::AtHome(email, address) => self.at_home.give_back((email, net(address))),
            Who::WithSession(user_id) => self.with_session.give_back(user_id),
        }
    }

    /// Somebody who has a user's password, or session, gives a code.
    pub(super) fn code(&self, user_id: Uuid) -> Result<()> {
        self.codes.attempt(user_id).map_err(login_throttled)
    }

    /// It was right, or whether it was couldn't be found out.
    pub(super) fn not_a_wrong_code(&self, user_id: Uuid) {
        self.codes.give_back(user_id);
    }

    /// Somebody sends a key or a session's token: whether it is counted as a guess, until it is known to be none.
    pub(crate) fn credential(&self, key: &KeyHash, address: IpAddr) -> Result<bool> {
        if self.good().has(&key.0) {
            return Ok(false);
        }
        let attempted = self.unknown_keys.attempt(address);
        attempted.map_err(|wait| {
            let message = "too many unknown keys came from this address";
            ApiError::throttled("key_throttled", message, wait)
        })?;
        Ok(true)
    }

    /// It was one, or that couldn't be found out.
    pub(crate) fn not_a_guess(&self, address: IpAddr) {
        self.unknown_keys.give_back(address);
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

impl Nets {
    fn new(
        throttle: impl Fn(NonZeroU32, Duration) -> Throttle,
        burst: NonZeroU32,
        every: Duration,
    ) -> Self {
        Self {
            each: throttle(burst, every),
            sites: throttle(
                burst.saturating_mul(NETS_OF_SITE),
                every / NETS_OF_SITE.get(),
            ),
        }
    }

    fn attempt(&self, address: IpAddr) -> std::result::Result<(), Duration> {
        self.each.attempt(net(address))?;
        let Some(site) = site(address) else {
            return Ok(());
        };
        let attempted = self.sites.attempt(site);
        if attempted.is_err() {
            self.each.give_back(net(address));
        }
        attempted
    }

    fn give_back(&self, address: IpAddr) {
        self.each.give_back(net(address));
        if let Some(site) = site(address) {
            self.sites.give_back(site);
        }
    }
}

impl<'a> Who<'a> {
    /// Somebody without a session, as the user with this e-mail address, who has logged in last at `home`.
    pub(super) fn stranger(email: &'a str, address: IpAddr, home: Option<IpAddr>) -> Self {
        if home.map(net) == Some(net(address)) {
            Self::AtHome(email, address)
        } else {
            Self::Anybody(email)
        }
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

/// What one customer of a provider has: of IPv6 alone.
fn site(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Some(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into())
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use domain::Timestamp;

    use super::*;

    /// A clock on which nothing comes back.
    #[derive(Debug)]
    pub(in crate::login) struct Still;

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
        let attempt = |from: &str| {
            let who = Who::stranger("a@acme.example", ip(from), home);
            throttles.as_user(who).is_ok()
        };
        let passed = (0..100).filter(|_| attempt("198.51.100.1")).count();
        assert_eq!(passed, 20);
        assert!(!attempt("203.0.113.1"), "whoever else is a stranger");
        let passed = (0..100).filter(|_| attempt("192.0.2.1")).count();
        assert_eq!(passed, 20, "who is at home may not guess for ever either");
        let user = Who::WithSession(Uuid::from_u128(1));
        let passed = (0..100).filter(|_| throttles.as_user(user).is_ok()).count();
        assert_eq!(passed, 20, "nor with a session");
        throttles.not_as_user(user);
        assert!(throttles.as_user(user).is_ok());
    }

    #[test]
    fn the_networks_of_one_site_have_no_more_than_twenty_together() {
        let throttles = Throttles::new(Arc::new(Still));
        let at = |site: usize, net: usize| ip(&format!("2001:db8:{site:x}:{net:x}::1"));
        let passed = (0..10_000).filter(|number| throttles.at_address(at(1, *number)).is_ok());
        assert_eq!(passed.count(), 1_200);
        // What the site was refused is not counted for the network either, and what is given back is given back to both.
        throttles.not_at_address(at(1, 0));
        assert!(throttles.at_address(at(1, 20_000)).is_ok());
        assert!(throttles.at_address(at(1, 20_000)).is_err());
        assert!(throttles.at_address(at(2, 0)).is_ok());
        let passed = (0..2_000).filter(|_| throttles.at_address(ip("192.0.2.1")).is_ok());
        assert_eq!(passed.count(), 60);
    }

    #[test]
    fn only_wrong_codes_are_counted() {
        let (throttles, user) = (Throttles::new(Arc::new(Still)), Uuid::from_u128(1));
        for _ in 0..100 {
            throttles.code(user).unwrap();
            throttles.not_a_wrong_code(user);
        }
        let passed = (0..100).filter(|_| throttles.code(user).is_ok()).count();
        assert_eq!(passed, 10);
        assert!(throttles.code(Uuid::from_u128(2)).is_ok());
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
