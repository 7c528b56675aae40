//! When each of the Mac's processes was forked: the same over exec, another when a pid is used again.

use crate::libsystem::wall;
use crate::scenario::scenario;
use std::collections::{BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex, PoisonError};

/// How long what runs already has run, in nanoseconds.
const BEFORE: i64 = 900_000_000_000;

/// `struct timeval`, by pid. Of what runs already, each is a microsecond younger than the one listed before it.
static STARTED: LazyLock<Mutex<HashMap<u32, [i64; 2]>>> = LazyLock::new(|| {
    let running = scenario().running.iter().zip(0..);
    let since = wall() - BEFORE;
    Mutex::new(running.map(|(running, index)| (running.process.pid, timeval(since + index * 1000))).collect())
});

/// The start of a process that is forked now, or of one that is mentioned for the first time.
pub(crate) fn started(pid: u32, forked: bool) -> [i64; 2] {
    let mut all = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if forked {
        all.remove(&pid);
    }
    *all.entry(pid).or_insert_with(|| timeval(wall()))
}

/// Processes that have ended, by pid.
static ENDED: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Notes that a process has ended, or that another has its pid.
pub(crate) fn note_end(pid: u32, ended: bool) {
    let mut all = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
    if ended {
        all.insert(pid)
    } else {
        all.remove(&pid)
    };
}

/// Whether a process that was mentioned still runs.
pub(crate) fn runs(pid: u32) -> bool {
    let ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner).contains(&pid);
    !ended && STARTED.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&pid)
}

/// `p_uniqueid`: another for each process, also of one pid.
pub(crate) fn unique(pid: u32) -> u64 {
    let [seconds, microseconds] = started(pid, false);
    u64::from(pid) << 40 | (seconds * 1_000_000 + microseconds) as u64 & 0xff_ffff_ffff
}

fn timeval(nanoseconds: i64) -> [i64; 2] {
    [nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000) / 1000]
}
