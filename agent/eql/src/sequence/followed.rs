//! What follows a match: later events that satisfy its last term, for the same key and within maxspan.

use std::collections::VecDeque;

use super::{Complete, SequenceState, Verdicts};
use crate::key::{Key, KeyMap, keys};
use crate::predicate::Context;
use crate::record::Record;

/// How many matches are watched at once, and how many bytes of events they may gather together.
const MAX_FOLLOWED: usize = 1 << 10;
const RELATED_BYTES: usize = 4 << 20;
/// How many matches of one key are watched at once: an event is looked at for each.
const MAX_WINDOWS: usize = 16;
/// How many events are gathered for one match.
const MAX_RELATED: usize = 64;

/// Later events that satisfy the last term of a match.
#[derive(Debug)]
pub(crate) struct Related<R> {
    pub(crate) serial: u64,
    pub(crate) events: Vec<R>,
    pub(crate) dropped: u64,
}

/// Matches that are watched for more events of their last term.
#[derive(Debug)]
pub(crate) struct Followed<R> {
    windows: KeyMap<Vec<Window<R>>>,
    order: VecDeque<(i64, Key, u64)>,
    /// What the gathered events hold.
    bytes: usize,
}

#[derive(Debug)]
struct Window<R> {
    bound: Vec<R>,
    close: i64,
    related: Related<R>,
}

impl<R> Default for Followed<R> {
    fn default() -> Self {
        Followed { windows: KeyMap::default(), order: VecDeque::new(), bytes: 0 }
    }
}

impl<R: Record> SequenceState<R> {
    /// Watches the key of a match for later events of the last term, until maxspan after it. Returns what was
    /// gathered for the match that was watched longest, if there are too many.
    pub(crate) fn watch(&mut self, complete: &Complete<R>, serial: u64) -> Option<Related<R>> {
        let (Some(followed), Some(maxspan)) = (&mut self.followed, self.plan.maxspan) else { return None };
        let close = complete.events.last()?.time().saturating_add(maxspan);
        let windows = followed.windows.entry(complete.key.clone()).or_default();
        if windows.len() >= MAX_WINDOWS {
            // What comes is gathered for the earlier matches of the key.
            return None;
        }
        let related = Related { serial, events: Vec::new(), dropped: 0 };
        windows.push(Window { bound: complete.events.clone(), close, related });
        followed.order.push_back((close, complete.key.clone(), serial));
        if followed.order.len() <= MAX_FOLLOWED {
            return None;
        }
        let (_, key, serial) = followed.order.pop_front()?;
        followed.close(&key, serial).filter(|related| related.dropped > 0 || !related.events.is_empty())
    }

    /// Gathers the event for the matches of its key that are watched. One that completes a match itself is
    /// gathered for those before it.
    pub(super) fn follow(&mut self, record: &R, verdicts: &mut Verdicts<'_, R>, keys_of: &mut Vec<Key>) {
        let Some(followed) = self.followed.as_mut().filter(|followed| !followed.windows.is_empty()) else {
            return;
        };
        let Some(index) = self.plan.steps.last() else { return };
        let term = &self.plan.terms[*index];
        if !term.reads_alias && !verdicts.holds(*index, term) {
            return;
        }
        keys(&term.keys, record, keys_of);
        for key in keys_of.drain(..) {
            let Followed { windows, bytes, .. } = &mut *followed;
            for window in windows.get_mut(&key).into_iter().flatten() {
                let since = window.bound.last().map_or(i64::MIN, R::time);
                let context = Context { record, bound: &window.bound, related: verdicts.shown.related };
                if record.time() < since
                    || record.time() > window.close
                    || (term.reads_alias && !term.filter.holds(&context))
                {
                    continue;
                }
                let room = *bytes + record.weight() <= RELATED_BYTES;
                if room && window.related.events.len() < MAX_RELATED {
                    *bytes += record.weight();
                    window.related.events.push(record.clone());
                } else {
                    window.related.dropped += 1;
                }
            }
        }
    }

    /// Returns what was gathered for all matches that are watched: nobody watches them any longer.
    pub(crate) fn close_all_windows(&mut self) -> Vec<Related<R>> {
        self.close_windows(i64::MAX)
    }

    /// Returns what was gathered for matches whose window `now`, which has passed, closes.
    pub(crate) fn close_windows(&mut self, now: i64) -> Vec<Related<R>> {
        let mut closed = Vec::new();
        let Some(followed) = &mut self.followed else { return closed };
        while let Some((close, _, _)) = followed.order.front()
            && (*close < now || now == i64::MAX)
        {
            if let Some((_, key, serial)) = followed.order.pop_front() {
                closed.extend(
                    followed
                        .close(&key, serial)
                        .filter(|related| related.dropped > 0 || !related.events.is_empty()),
                );
            }
        }
        closed
    }

    /// Whether a match is watched.
    pub(crate) fn is_followed(&self) -> bool {
        self.followed.as_ref().is_some_and(|followed| !followed.order.is_empty())
    }
}

impl<R> Followed<R> {
    /// Returns when the first window closes that is still open.
    pub(super) fn closes(&self) -> Option<i64> {
        self.order.front().map(|(close, _, _)| *close)
    }
}

impl<R: Record> Followed<R> {
    fn close(&mut self, key: &Key, serial: u64) -> Option<Related<R>> {
        let windows = self.windows.get_mut(key)?;
        let at = windows.iter().position(|window| window.related.serial == serial)?;
        let related = windows.remove(at).related;
        self.bytes -= related.events.iter().map(R::weight).sum::<usize>();
        if windows.is_empty() {
            self.windows.remove(key);
        }
        Some(related)
    }
}
