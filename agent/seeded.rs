//! Maps whose hash is quick, and seeded so that nobody can choose keys that collide.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use rustc_hash::FxSeededState;

/// A map for keys of a few numbers, or digests of our own. A seed that nobody knows is protection enough where the keys
/// are short and the map is bounded; a strong hash would be a large part of what an event costs.
pub(crate) type SeededMap<K, V> = HashMap<K, V, FxSeededState>;

/// Makes an empty map.
pub(crate) fn map<K, V>() -> SeededMap<K, V> {
    HashMap::with_hasher(state(seed()))
}

/// Returns a seed that nobody knows.
pub(crate) fn seed() -> usize {
    RandomState::new().hash_one(0) as usize
}

/// Returns the hash of a seed.
pub(crate) fn state(seed: usize) -> FxSeededState {
    FxSeededState::with_seed(seed)
}
