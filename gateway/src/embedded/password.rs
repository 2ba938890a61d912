//! The superuser's password: random, made once, kept in the data directory for its owner only.

use std::fmt::{self, Write};

use rand::TryRngCore;
use rand::rngs::OsRng;

use super::error::EmbeddedError;
use super::files::{self, Readers};
use super::location::Location;
use super::paths::Paths;

/// Shown by no log: its `Debug` hides it.
#[derive(Clone)]
pub(super) struct Password(String);

impl Password {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// 48 hex digits of the operating system's randomness: nothing in them needs quoting anywhere.
    fn random() -> Result<Self, EmbeddedError> {
        let mut bytes = [0_u8; 24];
        OsRng
            .try_fill_bytes(&mut bytes)
            .map_err(|source| EmbeddedError::Random { source })?;
        Ok(Self(bytes.iter().fold(
            String::new(),
            |mut digits, byte| {
                // Writing to a string can't fail.
                let _infallible = write!(digits, "{byte:02x}");
                digits
            },
        )))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(..)")
    }
}

/// The password of a cluster, made where the cluster is still to be made.
pub(super) fn of(paths: &Paths, location: &Location) -> Result<Password, EmbeddedError> {
    let path = paths.password();
    match files::read(&path).map_err(EmbeddedError::io("read", &path))? {
        Some(kept) if !kept.is_empty() => Ok(Password(kept)),
        _ if location.exists() => Err(EmbeddedError::PasswordMissing {
            password: path,
            cluster: location.cluster().to_owned(),
        }),
        _ => {
            let password = Password::random()?;
            files::keep(&path, &format!("{}\n", password.as_str()), Readers::Owner)
                .map_err(EmbeddedError::io("write", &path))?;
            Ok(password)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Password;

    #[test]
    fn passwords_are_long_differ_and_stay_out_of_logs() {
        let [one, other] =
            [Password::random(), Password::random()].map(|made| made.expect("randomness"));
        assert_eq!(one.as_str().len(), 48);
        assert_ne!(one.as_str(), other.as_str());
        assert!(!format!("{one:?}").contains(one.as_str()));
    }
}
