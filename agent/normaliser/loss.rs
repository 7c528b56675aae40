//! Losses as events: how many messages did not come, who was busiest, and which install session ran.
//!
//! A live sensor makes them, so that a rule can alert on a loss: whoever floods the sensor while a package installs may
//! want something unseen. A recording's gaps make none, as a recording may have been filtered; but the events
//! themselves are recorded, and a replay of them decides as the sensor did.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::event::{EntityId, Loss, Package};
use crate::process_table::At;

/// How long after a first gap it is told, in nanoseconds: a gap seldom comes alone.
const TOLD_AFTER: i64 = 1_000_000_000;

/// How long after one was told the next is, in nanoseconds, if losses go on.
const TOLD_EVERY: i64 = 60_000_000_000;

/// How often it is looked which install sessions run, while none was found and losses go on, in nanoseconds.
const LOOK_AGAIN: i64 = 1_000_000_000;

/// Messages are counted by who is responsible over this time and as much before, in nanoseconds.
const PERIOD: i64 = 10_000_000_000;

/// How many processes are counted apart in a period. Of more, all counts go down together, so that who has more than
/// one message in so many is still there, with a count that is too low (Misra and Gries).
const MAX_COUNTED: usize = 1024;

/// Follows what is lost.
#[derive(Debug, Default)]
pub(super) struct Losses {
    load: Load,
    open: Option<Open>,
    told: Option<i64>,
}

/// The install sessions that have a running process: how many, and the package of the one that began last.
pub(super) type Sessions = (usize, Option<Arc<Package>>);

/// Losses that are not told yet.
#[derive(Debug)]
struct Open {
    /// When the first message came after the first gap.
    since: At,
    missing: u64,
    sessions: Sessions,
    /// When it was looked for sessions.
    looked: i64,
}

impl Losses {
    /// Counts a message of a process for which the one with this entity id is responsible.
    pub(super) fn count(&mut self, responsible: &EntityId, order: i64) {
        self.load.count(responsible, order);
    }

    /// Takes it that messages did not come before the one at this time.
    pub(super) fn lost(&mut self, missing: u64, at: At, sessions: impl Fn() -> Sessions) {
        let open = self.open.get_or_insert_with(|| Open {
            since: at,
            missing: 0,
            sessions: sessions(),
            looked: at.order,
        });
        open.missing = open.missing.saturating_add(missing);
        if open.sessions.0 == 0 && at.order.saturating_sub(open.looked) >= LOOK_AGAIN {
            open.looked = at.order;
            open.sessions = sessions();
        }
    }

    /// Returns what is to be told by a time on the clock that orders events: its own time, the loss, and the entity id of
    /// the busiest responsible process.
    pub(super) fn due(&mut self, order: i64) -> Option<(At, Loss, Option<EntityId>)> {
        let open = self.open.as_ref()?;
        let first = open.since.order.saturating_add(TOLD_AFTER);
        let next = self.told.map_or(first, |told| told.saturating_add(TOLD_EVERY).max(first));
        if order < next {
            return None;
        }
        let open = self.open.take()?;
        self.told = Some(next);
        let at = At { time: open.since.time.saturating_add(next - open.since.order), order: next };
        let (messages, busiest) = self.load.busiest();
        let (busiest, of_busiest) = busiest.unzip();
        let (sessions, package) = open.sessions;
        let loss = Loss { missing: open.missing, messages, of_busiest, sessions, package };
        Some((at, loss, busiest))
    }
}

/// How many messages came, by who is responsible.
#[derive(Debug, Default)]
struct Load {
    current: Period,
    previous: Period,
}

#[derive(Debug, Default)]
struct Period {
    begun: i64,
    messages: u64,
    by: FxHashMap<EntityId, u64>,
}

impl Load {
    fn count(&mut self, responsible: &EntityId, order: i64) {
        let since = order.saturating_sub(self.current.begun);
        if since >= PERIOD {
            self.previous = std::mem::take(&mut self.current);
            self.current.begun = order;
            if since >= 2 * PERIOD {
                self.previous = Period::default();
            }
        }
        self.current.count(responsible);
    }

    /// How many messages came in both periods, and whose were most, and how many.
    fn busiest(&self) -> (u64, Option<(EntityId, u64)>) {
        let mut by = self.previous.by.clone();
        for (responsible, count) in &self.current.by {
            *by.entry(responsible.clone()).or_default() += count;
        }
        // Of as many, the same one each time.
        let busiest = by.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)));
        (self.previous.messages + self.current.messages, busiest)
    }
}

impl Period {
    fn count(&mut self, responsible: &EntityId) {
        self.messages += 1;
        if let Some(count) = self.by.get_mut(responsible) {
            *count += 1;
        } else if self.by.len() < MAX_COUNTED {
            self.by.insert(responsible.clone(), 1);
        } else {
            self.by.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn at(seconds: i64) -> At {
        // The wall clock is another one.
        At { time: (1000 + seconds) * SECOND, order: seconds * SECOND }
    }

    fn none() -> Sessions {
        (0, None)
    }

    fn one() -> Sessions {
        (1, Some(Arc::new(Package { session: "s".into(), ..Package::default() })))
    }

    #[test]
    fn losses_are_told_together_a_second_after_the_first_and_then_once_a_minute() {
        let mut losses = Losses::default();
        assert!(losses.due(i64::MAX).is_none());
        losses.lost(2, at(10), one);
        losses.lost(3, at(10), none);
        assert!(losses.due(11 * SECOND - 1).is_none());
        let (when, loss, _) = losses.due(15 * SECOND).expect("it is due");
        assert_eq!((when, loss.missing, loss.sessions), (at(11), 5, 1));
        assert_eq!(loss.package.expect("a session").session, "s".into());
        losses.lost(7, at(20), one);
        assert!(losses.due(70 * SECOND).is_none());
        let (when, loss, _) = losses.due(71 * SECOND).expect("it is due");
        assert_eq!((when, loss.missing), (at(71), 7));
        assert!(losses.due(i64::MAX).is_none());
    }

    #[test]
    fn a_session_that_begins_while_messages_are_lost_is_found() {
        let mut losses = Losses::default();
        losses.lost(1, at(10), none);
        losses.lost(1, At { order: at(10).order + 1, ..at(10) }, || panic!("not so soon"));
        losses.lost(1, at(11), one);
        losses.lost(1, at(12), none);
        assert_eq!(losses.due(12 * SECOND).map(|(_, loss, _)| loss.sessions), Some(1));
    }

    #[test]
    fn the_busiest_is_who_had_most_messages_lately() {
        let mut load = Load::default();
        let [early, busy, late] = ["early", "busy", "late"].map(EntityId::from);
        (0..100).for_each(|_| load.count(&early, 0));
        (0..7).for_each(|_| load.count(&busy, 15 * SECOND));
        (0..5).for_each(|_| load.count(&late, 26 * SECOND));
        assert_eq!(load.busiest(), (12, Some((busy.clone(), 7))));
        (0..2).for_each(|_| load.count(&late, 26 * SECOND));
        assert_eq!(load.busiest(), (14, Some((busy.clone(), 7))), "of as many always the same");
        load.count(&late, 60 * SECOND);
        assert_eq!(load.busiest(), (1, Some((late.clone(), 1))));
    }

    #[test]
    fn processes_without_end_hide_nobody_and_take_no_memory_without_end() {
        let mut load = Load::default();
        let busy: EntityId = "busy".into();
        for index in 0..100_000 {
            load.count(&EntityId::from(&*format!("{index}")), 0);
            if index % 100 == 0 {
                load.count(&busy, 0);
            }
        }
        assert!(load.current.by.len() <= MAX_COUNTED);
        let (messages, busiest) = load.busiest();
        assert_eq!((messages, busiest.map(|(who, _)| who)), (101_000, Some(busy)));
    }
}
