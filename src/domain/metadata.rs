//! Metadata of a hold.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Metadata of a hold: a small map of strings that its holder chose. An empty map takes no memory. Shared, because views and
/// snapshots copy holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metadata(Option<Arc<BTreeMap<Box<str>, Box<str>>>>);

impl Metadata {
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|map| map.iter()).map(|(key, value)| (&**key, &**value))
    }

    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |map| map.len())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Metadata {
        let map: BTreeMap<_, _> = pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Metadata((!map.is_empty()).then(|| Arc::new(map)))
    }
}
