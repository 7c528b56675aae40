//! A message and all that it points to, with a count of references.
//!
//! A released message is poisoned and never freed: who reads it afterwards reads 0xDD, not what was there.

use super::layout::{Events, Exec, File, Message, Process, StringToken};
use super::scenario::{self, Kind};
use crate::bsm::AuditToken;
use crate::libsystem::{Stat, monotonic};
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Messages that were made and not yet released.
static ALIVE: AtomicU64 = AtomicU64::new(0);

/// How many messages are not yet released.
pub(super) fn alive() -> u64 {
    ALIVE.load(Ordering::SeqCst)
}

/// The message lies first: its address, and its event's, lead here.
#[repr(C)]
pub(super) struct Owned {
    message: Message,
    references: AtomicI64,
    pub(super) args: Vec<StringToken>,
    texts: Vec<Box<[u8]>>,
    files: Vec<*mut File>,
    processes: Vec<*mut Process>,
    thread: Box<u64>,
}

impl Owned {
    /// Lays out a message with one reference.
    pub(super) fn lay_out(told: &scenario::Message, seq_num: u64, global_seq_num: u64) -> *const Message {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mach_time = monotonic();
        let thread = Box::new(4242);
        let message = Message {
            version: told.version,
            time: [now.as_secs() as i64, now.subsec_nanos().into()],
            mach_time,
            deadline: mach_time + 60_000_000_000,
            process: ptr::null(),
            seq_num,
            action_type: 1,
            action: [0; 9],
            event_type: told.event.number(),
            event: Events { words: [0; 13] },
            thread: &raw const *thread,
            global_seq_num,
        };
        let references = AtomicI64::new(1);
        let (args, texts, files, processes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut owned = Box::new(Self { message, references, args, texts, files, processes, thread });
        owned.message.process = owned.process(&told.process);
        owned.message.event = owned.event(told);
        ALIVE.fetch_add(1, Ordering::SeqCst);
        Box::into_raw(owned).cast_const().cast()
    }

    fn event(&mut self, told: &scenario::Message) -> Events {
        let target = told.target.as_ref().map_or(self.message.process, |target| self.process(target));
        match told.event {
            scenario::Event::Named(Kind::Exec) => {
                for argument in &told.args {
                    let token = self.text(argument.as_bytes());
                    self.args.push(token);
                }
                if told.long_argument > 0 {
                    let token = self.text(&vec![b'a'; told.long_argument]);
                    self.args.push(token);
                }
                let path = told.target.as_ref().map_or("", |target| &target.path);
                let (dyld_exec_path, cwd) = (self.text(path.as_bytes()), self.file("/", false));
                let script = told.script.as_ref().map_or(ptr::null(), |path| self.file(path, false));
                let reserved = [0; 36];
                let (last_fd, image_cputype, image_cpusubtype) = (2, 0x0100_0007, 3);
                let exec = Exec {
                    target,
                    dyld_exec_path,
                    script,
                    cwd,
                    last_fd,
                    image_cputype,
                    image_cpusubtype,
                    reserved,
                };
                Events { exec }
            }
            scenario::Event::Named(Kind::Fork) => Events { fork: target },
            scenario::Event::Named(Kind::Exit) => Events { exit: told.status },
            // An event that the client does not know: nothing in it may be read.
            scenario::Event::Number(_) => Events { words: [0xdddd_dddd_dddd_dddd; 13] },
        }
    }

    fn text(&mut self, text: &[u8]) -> StringToken {
        let text: Box<[u8]> = [text, b"\0"].concat().into();
        let token = StringToken { length: text.len() - 1, data: text.as_ptr() };
        self.texts.push(text);
        token
    }

    fn file(&mut self, path: &str, path_truncated: bool) -> *const File {
        let file = File { path: self.text(path.as_bytes()), path_truncated, stat: Stat::default() };
        self.files.push(Box::into_raw(Box::new(file)));
        *self.files.last().expect("just pushed")
    }

    fn process(&mut self, told: &scenario::Process) -> *const Process {
        const AUDIT_SESSION: u32 = 100_003;
        let uid = told.uid;
        let token = |pid, pidversion| AuditToken([uid, uid, 20, uid, 20, pid, AUDIT_SESSION, pidversion]);
        let responsible = told.responsible_pid.unwrap_or(told.pid);
        let responsible_version = if responsible == told.pid { told.pidversion } else { 1 };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let process = Process {
            audit_token: token(told.pid, told.pidversion),
            ppid: told.ppid as i32,
            original_ppid: told.ppid as i32,
            group_id: told.pid as i32,
            session_id: 1,
            // CS_VALID, CS_KILL, CS_SIGNED and, of Apple's own, CS_PLATFORM_BINARY.
            codesigning_flags: 0x2000_0201 | if told.platform { 0x0400_0000 } else { 0 },
            is_platform_binary: told.platform,
            is_es_client: false,
            cdhash: [told.pid as u8; 20],
            signing_id: self.text(told.signing_id.as_bytes()),
            team_id: self.text(told.team_id.as_bytes()),
            executable: self.file(&told.path, told.path_truncated),
            tty: ptr::null(),
            start_time: [now.as_secs() as i64, now.subsec_micros().into()],
            responsible_audit_token: token(responsible, responsible_version),
            parent_audit_token: token(told.ppid, told.parent_pidversion),
        };
        self.processes.push(Box::into_raw(Box::new(process)));
        *self.processes.last().expect("just pushed")
    }

    /// The message that an exec event is part of.
    pub(super) unsafe fn of_exec<'a>(event: *const Exec) -> &'a Self {
        &*event.byte_sub(std::mem::offset_of!(Message, event)).cast::<Self>()
    }
}

pub(super) unsafe extern "C" fn retain(message: *const Message) {
    let before = (*message.cast::<Owned>()).references.fetch_add(1, Ordering::SeqCst);
    assert!(before > 0, "es_retain_message: the message is released already");
}

pub(super) unsafe extern "C" fn release(message: *const Message) {
    const POISON: u8 = 0xdd;
    let owned = message.cast_mut().cast::<Owned>();
    let before = (*owned).references.fetch_sub(1, Ordering::SeqCst);
    assert!(before > 0, "es_release_message: released more often than retained");
    if before > 1 {
        return;
    }
    let Owned { texts, files, processes, thread, .. } = &mut *owned;
    for text in texts {
        text.fill(POISON);
    }
    for file in files {
        ptr::write_bytes(*file, POISON, 1);
    }
    for process in processes {
        ptr::write_bytes(*process, POISON, 1);
    }
    **thread = u64::from_ne_bytes([POISON; 8]);
    ptr::write_bytes(&raw mut (*owned).message, POISON, 1);
    ALIVE.fetch_sub(1, Ordering::SeqCst);
}
