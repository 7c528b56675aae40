//! When each of the Mac's processes was forked: the same over exec, another when a pid is used again.

use crate::libsystem::wall;
use crate::scenario::scenario;
use std::collections::HashMap;
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

fn timeval(nanoseconds: i64) -> [i64; 2] {
    [nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000) / 1000]
}
