//! Objects that live upstream, where one upstream key may serve many tenants.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// A kind of object, by the path below `/v1/` where such objects are made and listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ObjectKind(&'static str);

/// Below `/v1/`; batches are below `messages/`.
const COLLECTIONS: [&str; 11] = [
    "agents",
    "deployments",
    "dreams",
    "environments",
    "files",
    "memory_stores",
    "sessions",
    "skills",
    "tunnels",
    "user_profiles",
    "vaults",
];
const BATCHES: ObjectKind = ObjectKind("batches");

impl ObjectKind {
    /// The stored word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl<'de> Deserialize<'de> for ObjectKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let mut known = COLLECTIONS.into_iter().chain([BATCHES.0]);
        let kind = known.find(|name| *name == word).map(Self);
        kind.ok_or_else(|| D::Error::custom(format!("no kind of objects is named {word:?}")))
    }
}

/// What a path says of objects: all of a kind, one of them, or something below one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectPath<'a> {
    /// Their kind.
    pub kind: ObjectKind,
    /// The object that the path leads to or through; none of the collection itself.
    pub id: Option<&'a str>,
}

impl<'a> ObjectPath<'a> {
    /// Reads a path; none if it is about something else.
    #[must_use]
    pub fn of(path: &'a str) -> Option<Self> {
        let below = path.strip_prefix("/v1/")?;
        let mut segments = below.split('/').filter(|segment| !segment.is_empty());
        let kind = match segments.next()? {
            "messages" => (segments.next()? == BATCHES.0).then_some(BATCHES)?,
            first => ObjectKind(COLLECTIONS.into_iter().find(|name| *name == first)?),
        };
        let id = segments.next();
        Some(Self { kind, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_kinds_and_objects() {
        for (path, expected) in [
            ("/v1/files", Some(("files", None))),
            ("/v1/files/", Some(("files", None))),
            ("/v1/files/file_1", Some(("files", Some("file_1")))),
            ("/v1/files/file_1/content", Some(("files", Some("file_1")))),
            ("/v1/messages/batches", Some(("batches", None))),
            (
                "/v1/messages/batches/b/results",
                Some(("batches", Some("b"))),
            ),
            (
                "/v1/sessions/s/events/stream",
                Some(("sessions", Some("s"))),
            ),
            ("/v1/messages", None),
            ("/v1/messages/count_tokens", None),
            ("/v1/models/m", None),
            ("/v1/batches/b", None),
            ("/v1", None),
        ] {
            let found = ObjectPath::of(path);
            let found = found.map(|found| (found.kind.as_str(), found.id));
            assert_eq!(found, expected, "{path}");
        }
    }
}
