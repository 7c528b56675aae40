//! Measurements, to the file that `MACOS_ABI_MEASURE` names: how long callbacks take, when messages were delivered that a
//! scenario marks, when files were synced, how much memory is resident. Nothing is measured without it.

use crate::endpoint_security::alive_bytes;
use crate::libsystem::monotonic;
use crate::memory::{self, Resident};
use serde_json::{Value, json};
use std::ffi::c_int;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often it is looked what is resident.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Measurements {
    memory: Memory,
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

/// What was resident, in KiB.
#[derive(Default)]
struct Memory {
    /// How often it was looked.
    looks: u64,
    /// The most that was the program's at once: its image, heap and stacks, and its messages.
    most: u64,
    /// Its parts then.
    parts: Resident,
    /// How many KiB the messages had then that it had not released; they lie in the harness's memory.
    messages: u64,
}

/// Has measurements begin, and all of it written when the process ends. `image` is where the program lies.
pub(crate) fn begin(image: Range<usize>) {
    if wanted() {
        // Addresses only, until they are written to; a vector that grows would copy all between two callbacks.
        let room = || Vec::with_capacity(1 << 20);
        let none = Measurements { callback: room(), empty: room(), ..Measurements::default() };
        measured().get_or_insert(none);
        // SAFETY: a function that stays.
        unsafe { libc::atexit(write) };
        std::thread::spawn(move || {
            while look(&image) {
                std::thread::sleep(LOOK_AGAIN);
            }
        });
    }
}

/// Looks what is resident; false once all is written.
fn look(image: &Range<usize>) -> bool {
    let (parts, messages) = (memory::resident(image), alive_bytes() as u64 / 1024);
    let mut measured = measured();
    let Some(Measurements { memory, .. }) = &mut *measured else { return false };
    memory.looks += 1;
    let now = parts.image + parts.heap + messages;
    if now > memory.most {
        (memory.most, memory.parts, memory.messages) = (now, parts, messages);
    }
    true
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
    // Before what follows takes more.
    let peak_of_all = peak_of_all();
    let Memory { looks, most, parts, messages } = all.memory;
    let report = json!({
        "callback_ns": quantiles(&mut all.callback),
        "empty_callback_ns": quantiles(&mut all.empty),
        "timed": all.timed,
        "syncs": all.syncs,
        "memory_kib": {
            "looks": looks,
            "most": most,
            "image": parts.image,
            "heap": parts.heap,
            "messages": messages,
            "harness": parts.harness,
            "loader": parts.loader,
            "peak_of_all": peak_of_all,
        },
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

/// The most that was resident of the whole process, the harness included, as the kernel counts it; in KiB.
fn peak_of_all() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
