//! Owners of objects upstream, as pairs. There may be millions, so they are written from where they are, and read to where they
//! belong.

use std::fmt;
use std::sync::Arc;

use domain::ProjectId;
use proxy::UpstreamObjects;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserializer, Serializer};

pub(super) fn serialize<S: Serializer>(
    objects: &UpstreamObjects,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(objects.iter())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<UpstreamObjects>, D::Error> {
    deserializer.deserialize_seq(Owners)
}

struct Owners;

impl<'de> Visitor<'de> for Owners {
    type Value = Arc<UpstreamObjects>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pairs of an object's id and a project's")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
        let objects = UpstreamObjects::default();
        while let Some((id, owner)) = pairs.next_element::<(String, ProjectId)>()? {
            objects.insert(id, owner);
        }
        Ok(Arc::new(objects))
    }
}
