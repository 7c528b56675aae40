//! A panic ends the process, whichever thread it is on, with its reason where people look.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{self, PanicHookInfo};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use super::{clock, unified_log};
use crate::alert::json_line;
use crate::event::Host;
use crate::health::Health;
use crate::readable::visible;
use crate::safe_mode::Panics;
use crate::sink::Trust;

/// The longest reason that is written, in bytes.
const MAX_REASON: usize = 1024;

/// Where a panic is written, once that is known.
pub(super) struct Record {
    /// What is known of earlier ones.
    pub(super) panics: Panics,
    /// Where that stands.
    pub(super) path: PathBuf,
    /// The health file.
    pub(super) health: PathBuf,
    /// The Mac.
    pub(super) host: Host,
}

static RECORD: Mutex<Option<Record>> = Mutex::new(None);

/// Whether one is being written: a second one only ends the process.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Makes every panic end the process: a sensor that lost a thread would look as if it ran, and the binding of Endpoint
/// Security swallows one in the callback.
pub(super) fn install() {
    panic::set_hook(Box::new(|info| {
        if !PANICKED.swap(true, SeqCst) {
            write(&reason(info));
        }
        // So that macOS keeps a crash report, with the stack.
        std::process::abort();
    }));
}

/// Says where a panic is to be written.
pub(super) fn remember(record: Record) {
    *RECORD.lock().unwrap_or_else(PoisonError::into_inner) = Some(record);
}

fn reason(info: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    let what = info.payload_as_str().unwrap_or("no reason given");
    let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
    let mut text = visible(&format!("panic on the thread {name}{place}: {what}"));
    text.truncate(text.floor_char_boundary(MAX_REASON));
    text
}

/// Writes what can be written; a panic has no one to tell what cannot.
fn write(reason: &str) {
    unified_log::write_now(reason);
    let _ = writeln!(io::stderr(), "vedette: {reason}");
    // If it is held, then by who panicked.
    let Ok(mut guard) = RECORD.try_lock() else { return };
    let Some(Record { panics, path, health, host }) = guard.as_mut() else { return };
    let now = clock::wall();
    panics.add(now, reason);
    let _ = panics.write(path, Trust::Own);
    // A folder of root's own holds it, so nobody else has put something in its place.
    let file = OpenOptions::new().append(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(health);
    let line = json_line(&Health::panic(reason).document(now, host)) + "\n";
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_data()));
}
