//! Users who log in: by password and, where they have it, by a second factor; what they get is a session.
//!
//! Guarantees: whether an address has a user is not told by an answer, nor, as far as that is in our hands, by the time that
//! it takes; a one-time password and a backup code are good once, however many send them at once; a session that was made by
//! a password, or without a second factor, ends when that changes; nothing here is ever written in plain but what has to be
//! shown once. How often it may be tried is bounded by address and by user, see [`throttles`].

mod backup_codes;
mod enter;
mod mfa;
mod password;
mod passwords;
mod proof;
mod second_factor;
mod secret;
mod sessions;
mod throttles;
mod totp;
mod vault;

pub(crate) use self::password::{check as check_password, end_sessions};
pub(crate) use self::passwords::Passwords;
pub(crate) use self::proof::{Proven, hash_first, noting};
pub(crate) use self::second_factor::{forget as forget_second_factor, take as take_code};
pub(crate) use self::secret::Secret;
pub(crate) use self::throttles::Throttles;
pub(crate) use self::vault::Vault;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::server::Shared;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(enter::login))
        .routes(routes!(sessions::logout))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::delete))
        .routes(routes!(password::change))
        .routes(routes!(mfa::begin, mfa::remove))
        .routes(routes!(mfa::confirm))
        .routes(routes!(mfa::renew))
}
