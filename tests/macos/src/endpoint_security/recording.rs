//! What is delivered, as eslogger would have recorded it: a line of JSON for each message, to the file that
//! `MACOS_ABI_ESLOGGER` names.
//!
//! Models: the keys of eslogger's envelope and of exec, fork and exit, as far as a message here has them, in message
//! versions 6 to 9. It reads the very message that is delivered. Not: `stat`, descriptors, actions, environments.

use super::layout::{Events, File, Message, Process, StringToken};
use super::message::Owned;
use crate::scenario::Kind;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::LazyLock;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

static PATH: LazyLock<Option<PathBuf>> =
    LazyLock::new(|| std::env::var_os("MACOS_ABI_ESLOGGER").map(PathBuf::from));

/// Records a message before it is delivered, if that is wanted.
///
/// # Safety
/// The message is one that `Owned::lay_out` made and that is not released.
pub(super) unsafe fn record(message: *const Message) {
    let Some(path) = &*PATH else { return };
    let line = format!("{}\n", envelope(message));
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}

// SAFETY: of the functions below, as of `record`: what they are given is of such a message, and so are all pointers in it.

unsafe fn envelope(message: *const Message) -> Value {
    let told = &*message;
    json!({
        "schema_version": 1,
        "version": told.version,
        "time": instant(told.time[0], told.time[1]),
        "mach_time": told.mach_time,
        "seq_num": told.seq_num,
        "global_seq_num": told.global_seq_num,
        "action_type": told.action_type,
        "event_type": told.event_type,
        "event": event(message),
        "process": process(told.process),
        "thread": { "thread_id": *told.thread },
    })
}

unsafe fn event(message: *const Message) -> Value {
    let Message { event_type, event, version, .. } = &*message;
    match *event_type {
        kind if kind == Kind::Exec as u32 => json!({ "exec": exec(event, *version) }),
        kind if kind == Kind::Fork as u32 => json!({ "fork": { "child": process(event.fork) } }),
        kind if kind == Kind::Exit as u32 => json!({ "exit": { "stat": event.exit } }),
        kind => json!({ format!("event_{kind}"): {} }),
    }
}

unsafe fn exec(event: &Events, version: u32) -> Value {
    let exec = &event.exec;
    let args: Vec<String> = Owned::of_exec(exec).args.iter().map(|arg| text(*arg)).collect();
    let mut value = json!({
        "target": process(exec.target),
        "args": args,
        "env": [],
        "cwd": file(exec.cwd),
        "script": file(exec.script),
        "last_fd": exec.last_fd,
        "image_cputype": exec.image_cputype,
        "image_cpusubtype": exec.image_cpusubtype,
    });
    if version >= 7 {
        value["dyld_exec_path"] = text(exec.dyld_exec_path).into();
    }
    value
}

unsafe fn process(process: *const Process) -> Value {
    let process = &*process;
    let cdhash: String = process.cdhash.iter().map(|byte| format!("{byte:02X}")).collect();
    json!({
        "audit_token": process.audit_token.0,
        "ppid": process.ppid,
        "original_ppid": process.original_ppid,
        "group_id": process.group_id,
        "session_id": process.session_id,
        "codesigning_flags": process.codesigning_flags,
        "is_platform_binary": process.is_platform_binary,
        "is_es_client": process.is_es_client,
        "cdhash": cdhash,
        "signing_id": text(process.signing_id),
        "team_id": text(process.team_id),
        "executable": file(process.executable),
        "tty": file(process.tty),
        "start_time": instant(process.start_time[0], process.start_time[1] * 1000),
        "responsible_audit_token": process.responsible_audit_token.0,
        "parent_audit_token": process.parent_audit_token.0,
    })
}

unsafe fn file(file: *const File) -> Value {
    match file.as_ref() {
        Some(file) => json!({ "path": text(file.path), "path_truncated": file.path_truncated }),
        None => Value::Null,
    }
}

unsafe fn text(token: StringToken) -> String {
    String::from_utf8_lossy(std::slice::from_raw_parts(token.data, token.length)).into_owned()
}

/// RFC 3339, as eslogger writes times.
fn instant(seconds: i64, nanoseconds: i64) -> String {
    let nanoseconds = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).expect("a clock's time has a date");
    time.format(&Rfc3339).expect("a date of four-digit years can be written")
}
