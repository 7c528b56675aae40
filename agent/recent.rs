//! The ids that came by last, so that nothing is told twice.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// A bounded set of ids; the oldest goes first.
#[derive(Debug)]
pub struct RecentIds {
    ids: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
    most: usize,
}

impl RecentIds {
    /// Makes an empty set that holds at most `most` ids.
    pub fn new(most: usize) -> Self {
        RecentIds { ids: HashSet::new(), order: VecDeque::new(), most }
    }

    /// Adds an id; returns whether it was new.
    pub fn insert(&mut self, id: Arc<str>) -> bool {
        let new = self.ids.insert(id.clone());
        if new {
            self.order.push_back(id);
            if self.order.len() > self.most
                && let Some(oldest) = self.order.pop_front()
            {
                self.ids.remove(&oldest);
            }
        }
        new
    }

    /// Returns whether an id is in it.
    pub fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Returns how many ids it holds.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Returns whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

impl Extend<Arc<str>> for RecentIds {
    fn extend<I: IntoIterator<Item = Arc<str>>>(&mut self, ids: I) {
        for id in ids {
            self.insert(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let mut recent = RecentIds::new(2);
        assert!(recent.is_empty() && recent.insert("a".into()) && recent.insert("b".into()));
        assert!(!recent.insert("a".into()) && recent.insert("c".into()));
        assert!(!recent.contains("a") && recent.contains("b") && recent.contains("c"));
        assert_eq!(recent.len(), 2);
    }
}
