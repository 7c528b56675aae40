//! When missing terms were seen.

use std::collections::VecDeque;

use crate::key::{Key, KeyMap};

/// When a missing term was seen, by key.
#[derive(Debug, Default)]
pub(crate) struct Sightings {
    times: KeyMap<VecDeque<i64>>,
    order: VecDeque<(i64, Key)>,
    bytes: usize,
}

impl Sightings {
    /// Returns whether older sightings had to go.
    pub(crate) fn add(&mut self, key: Key, time: i64) -> bool {
        let times = self.times.entry(key.clone()).or_default();
        let at = times.partition_point(|own| *own <= time);
        times.insert(at, time);
        self.bytes += Self::weight(&key);
        self.order.push_back((time, key));
        let full = self.bytes > SIGHTING_BYTES;
        while self.bytes > SIGHTING_BYTES {
            self.drop_oldest();
        }
        full
    }

    /// About how many bytes one sighting takes, in both of its places.
    fn weight(key: &Key) -> usize {
        key.size() + 128
    }

    fn drop_oldest(&mut self) {
        let Some((time, key)) = self.order.pop_front() else { return };
        self.bytes -= Self::weight(&key);
        if let Some(times) = self.times.get_mut(&key) {
            if let Ok(at) = times.binary_search(&time) {
                times.remove(at);
            }
            if times.is_empty() {
                self.times.remove(&key);
            }
        }
    }

    /// Returns the time of the one that goes first.
    pub(crate) fn first(&self) -> Option<i64> {
        self.order.front().map(|(time, _)| *time)
    }

    pub(crate) fn expire(&mut self, before: i64) {
        while self.order.front().is_some_and(|(time, _)| *time < before) {
            self.drop_oldest();
        }
    }

    pub(crate) fn latest_before(&self, key: &Key, time: i64) -> Option<i64> {
        let times = self.times.get(key)?;
        let at = times.partition_point(|own| *own < time);
        at.checked_sub(1).map(|at| times[at])
    }

    pub(crate) fn earliest_after(&self, key: &Key, time: i64) -> Option<i64> {
        let times = self.times.get(key)?;
        times.get(times.partition_point(|own| *own <= time)).copied()
    }
}

/// How many bytes of sightings of a missing term are kept.
const SIGHTING_BYTES: usize = 4 << 20;
