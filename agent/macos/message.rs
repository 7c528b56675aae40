//! Reads Endpoint Security's messages as what a source saw.
//!
//! Nothing is copied but what is not valid UTF-8. The kernel bounds a process's arguments and environment together to
//! 1 MiB (`ARG_MAX`); the process table cuts what it keeps of them.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;
use std::time::UNIX_EPOCH;

use endpoint_sec::{AuditToken, Event, EventExec, File, Message, Process};

use super::clock::Timebase;
use crate::observation::{self, Exec, Image, MessageEvent, Token};

/// Reads a message. Environment variables are read only if `environment` is set.
pub(super) fn read(message: &Message, timebase: Timebase, environment: bool) -> observation::Message<'_> {
    let time = message.raw_time();
    observation::Message {
        time: time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec),
        tick: Some(timebase.nanoseconds(message.raw_mach_time())),
        version: message.version(),
        event_type: message.event_type().0,
        seq_num: message.seq_num(),
        global_seq_num: message.global_seq_num(),
        process: image(&message.process()),
        event: match message.event() {
            Some(Event::NotifyExec(event)) => MessageEvent::Exec(Box::new(exec(&event, environment))),
            Some(Event::NotifyFork(event)) => MessageEvent::Fork { child: image(&event.child()) },
            Some(Event::NotifyExit(event)) => MessageEvent::Exit { status: event.stat() },
            _ => MessageEvent::Other(format!("event type {}", message.event_type().0).into()),
        },
    }
}

/// Reads an audit token. The order of its numbers is the kernel's: `cred_to_audit_token` in xnu's
/// bsd/kern/kern_credential.c.
pub(super) fn token(token: &AuditToken) -> Token {
    let [auid, euid, egid, ruid, rgid, pid, asid, pidversion] = token.raw_token().val;
    Token { auid, euid, egid, ruid, rgid, pid, asid, pidversion }
}

/// Writes bytes in hexadecimal, as eslogger writes a cdhash.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn exec<'a>(event: &EventExec<'a>, environment: bool) -> Exec<'a> {
    Exec {
        target: image(&event.target()),
        args: event.args().map(OsStr::to_string_lossy).collect(),
        env: if environment { event.envs().map(OsStr::to_string_lossy).collect() } else { Vec::new() },
        cwd: event.cwd().map(|file| path(&file)),
        script: event.script().map(|file| path(&file)),
        dyld_exec_path: event.dyld_exec_path().and_then(present),
        cpu_type: event.image_cputype(),
    }
}

fn image<'a>(process: &Process<'a>) -> Image<'a> {
    let executable = process.executable();
    Image {
        token: token(&process.audit_token()),
        parent_token: process.parent_audit_token().as_ref().map(token),
        responsible_token: process.responsible_audit_token().as_ref().map(token),
        ppid: pid(process.ppid()),
        original_ppid: pid(process.original_ppid()),
        group_id: pid(process.group_id()),
        session_id: pid(process.session_id()),
        codesigning_flags: process.codesigning_flags(),
        is_platform_binary: process.is_platform_binary(),
        is_es_client: process.is_es_client(),
        cdhash: Some(hexadecimal(&process.cdhash()).into()),
        signing_id: present(process.signing_id()),
        team_id: present(process.team_id()),
        // In messages of version 10 on, which the binding does not read.
        cs_validation_category: None,
        executable: path(&executable),
        executable_truncated: executable.path_truncated(),
        tty: process.tty().map(|file| path(&file)),
        start: process.start_time().map(|start| {
            let since = start.duration_since(UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
        }),
    }
}

fn path<'a>(file: &File<'a>) -> Cow<'a, str> {
    file.path().to_string_lossy()
}

/// Empty counts as absent: Endpoint Security has no other way to say it.
fn present(text: &OsStr) -> Option<Cow<'_, str>> {
    (!text.is_empty()).then(|| text.to_string_lossy())
}

/// A number that cannot be a process id, as the session of a process that has none is -1, is none.
fn pid(number: i32) -> Option<u32> {
    u32::try_from(number).ok()
}
