//! Reads Endpoint Security's messages as what a source saw.
//!
//! Nothing is copied but what is not valid UTF-8. The kernel bounds a process's arguments and environment together to
//! 1 MiB (`ARG_MAX`); the process table cuts what it keeps of them.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;
use std::ptr::NonNull;
use std::time::UNIX_EPOCH;

use endpoint_sec::sys::es_message_t;
use endpoint_sec::{AuditToken, Event, EventExec, File, Message, Process};

use super::clock::Timebase;
use crate::network::es::{self, Payload};
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

const _: () = assert!(size_of::<Message>() == size_of::<NonNull<es_message_t>>());

/// Returns the payload of event 154, [`es::PAYLOAD`] bytes of it; `None` of another message, and where there is none.
pub(super) fn connection(message: &Message) -> Option<[u8; es::PAYLOAD]> {
    if message.event_type().0 != es::EVENT {
        return None;
    }
    // SAFETY: a `Message` is a pointer to an `es_message_t`, transparent over `NonNull`, and keeps it alive.
    let raw: NonNull<es_message_t> = unsafe { std::mem::transmute_copy(message) };
    // SAFETY: `event` lies within the message. As a pointer to it, no union's member is read.
    let event = unsafe { &raw const (*raw.as_ptr()).event };
    // SAFETY: the union is at least a pointer large, and of this event it begins with one; see `network::es`.
    let payload = unsafe { event.cast::<*const [u8; es::PAYLOAD]>().read() };
    if payload.is_null() || !payload.addr().is_multiple_of(align_of::<u64>()) {
        return None;
    }
    // SAFETY: as far as anybody knows the payload is that long, and Endpoint Security lays a message and all that it
    // points to into one piece of memory. Where that is another, the note before its first use keeps it from happening
    // twice.
    Some(unsafe { payload.read() })
}

/// Returns the name that a payload announces. To be called only where a probe has shown the layout, and only with a
/// payload of `message`.
pub(super) fn name<'a>(_message: &'a Message, payload: &Payload) -> Option<&'a [u8]> {
    let (length, pointer) = payload.name?;
    // SAFETY: an `es_string_token_t` of a layout that is proven: so many bytes, as long as the message lives.
    Some(unsafe { std::slice::from_raw_parts(usize::try_from(pointer).ok()? as *const u8, length) })
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
        parent: process.parent_audit_token().as_ref().map(|parent| token(parent).image()),
        responsible: process.responsible_audit_token().as_ref().map(|other| token(other).image()),
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
