//! Measurements, to the file that `MACOS_ABI_MEASURE` names: how long callbacks take, when messages were delivered that a
//! scenario marks, when files were synced, how much memory is resident. Nothing is measured without it.

use crate::libsystem::monotonic;
use serde_json::{Value, json};
use std::ffi::c_int;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Measurements {
    /// Resident memory before the program began: the loader's own. In KiB.
    loader_kib: u64,
    /// How long the program's callback took for each message, in nanoseconds.
    callback: Vec<u64>,
    /// How long a callback took that does nothing, called beside each of the program's.
    empty: Vec<u64>,
    /// When each marked message was delivered, on the monotonic clock in nanoseconds.
    timed: Vec<u64>,
    syncs: Vec<Value>,
}

static PATH: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os("MACOS_ABI_MEASURE").map(PathBuf::from));

static MEASURED: Mutex<Option<Measurements>> = Mutex::new(None);

/// Whether anything is measured.
pub(crate) fn wanted() -> bool {
    PATH.is_some()
}

/// Notes what is resident before the program begins, and has all of it written when the process ends.
pub(crate) fn begin() {
    if wanted() {
        measured().get_or_insert_default().loader_kib = memory("VmRSS:");
        // SAFETY: a function that stays.
        unsafe { libc::atexit(write) };
    }
}

/// Notes a message's callback, and one that does nothing.
pub(crate) fn callback(began: u64, took: u64, empty: u64, timed: bool) {
    if let Some(measured) = &mut *measured() {
        measured.callback.push(took);
        measured.empty.push(empty);
        if timed {
            measured.timed.push(began);
        }
    }
}

/// Syncs a file, and notes which, how long it was, and when that began and ended.
pub(crate) fn sync(file: c_int) -> c_int {
    // SAFETY: the host's own calls, on a descriptor that may be invalid.
    let sync = || unsafe { libc::fsync(file) };
    if !wanted() {
        return sync();
    }
    let path = std::fs::read_link(format!("/proc/self/fd/{file}")).unwrap_or_default();
    let size = path.metadata().map_or(0, |metadata| metadata.len());
    let began = monotonic();
    let result = sync();
    let ended = monotonic();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if let Some(measured) = &mut *measured() {
        measured.syncs.push(json!({ "file": name, "size": size, "began": began, "ended": ended }));
    }
    result
}

fn measured() -> MutexGuard<'static, Option<Measurements>> {
    MEASURED.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn write() {
    let Some((path, mut all)) = PATH.as_ref().zip(measured().take()) else { return };
    let report = json!({
        "callback_ns": quantiles(&mut all.callback),
        "empty_callback_ns": quantiles(&mut all.empty),
        "timed": all.timed,
        "syncs": all.syncs,
        "loader_kib": all.loader_kib,
        "peak_kib": memory("VmHWM:"),
        "resident_kib": memory("VmRSS:"),
    });
    if let Err(error) = std::fs::write(path, report.to_string()) {
        eprintln!("macos-abi: cannot write {}: {error}", path.display());
    }
}

fn quantiles(values: &mut [u64]) -> Value {
    values.sort_unstable();
    let at =
        |per_mille: usize| values.get((values.len() * per_mille / 1000).min(values.len().saturating_sub(1)));
    json!({ "count": values.len(), "p50": at(500), "p99": at(990), "p999": at(999), "max": at(1000) })
}

/// A line of /proc/self/status that gives KiB.
fn memory(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
