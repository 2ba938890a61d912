//! The names of headers that answers have, made once.
//!
//! An upstream says the same two dozen in every answer, most of them none that a library knows by a number: to make one anew takes
//! an allocation and a look at each of its letters.

use std::hash::BuildHasher as _;

use http::HeaderName;
use http::header::InvalidHeaderName;
use rustc_hash::FxBuildHasher;

use crate::headers;

/// So many are remembered; two that fall on the same place take it by turns.
const PLACES: usize = 256;

/// Names by the bytes that were sent of them.
#[derive(Debug)]
pub(super) struct Names {
    places: Vec<Option<Known>>,
    /// So many headers the last answer had that reach its caller.
    pub(super) usual: usize,
}

/// A name.
#[derive(Debug)]
pub(super) struct Known {
    bytes: Box<[u8]>,
    pub(super) name: HeaderName,
    /// No caller gets it, whatever it says.
    pub(super) stays_here: bool,
}

impl Default for Names {
    fn default() -> Self {
        let mut places = Vec::new();
        places.resize_with(PLACES, || None);
        Self { places, usual: 0 }
    }
}

impl Names {
    /// The name that these bytes are.
    pub(super) fn get(&mut self, bytes: &[u8]) -> Result<Option<&Known>, InvalidHeaderName> {
        let hash = FxBuildHasher.hash_one(bytes);
        let at = usize::try_from(hash % PLACES as u64).unwrap_or(0);
        let Some(place) = self.places.get_mut(at) else {
            return Ok(None);
        };
        if place.as_ref().is_none_or(|known| *known.bytes != *bytes) {
            let name = HeaderName::from_bytes(bytes)?;
            *place = Some(Known {
                bytes: bytes.into(),
                stays_here: headers::is_of_upstream(name.as_str()),
                name,
            });
        }
        Ok(place.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_its_bytes_say_however_many_there_are() {
        let mut names = Names::default();
        for round in 0..2 {
            for number in 0..2 * PLACES {
                let name = format!("X-Number-{number}");
                let known = names.get(name.as_bytes()).unwrap().unwrap();
                assert_eq!(known.name.as_str(), name.to_ascii_lowercase(), "{round}");
                assert!(!known.stays_here);
            }
        }
    }

    #[test]
    fn what_stays_here_is_told() {
        let mut names = Names::default();
        for name in ["Alt-Svc", "anthropic-ratelimit-tokens-reset"] {
            assert!(names.get(name.as_bytes()).unwrap().unwrap().stays_here);
        }
    }

    #[test]
    fn what_is_no_name_is_an_error() {
        assert!(Names::default().get(b"a b").is_err());
    }
}
