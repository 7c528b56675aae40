//! Endpoint Security's structures, from `<EndpointSecurity/ESMessage.h>` and not from any binding, so that a mistake on
//! either side shows. Message versions 6 to 9 of macOS 13 to 15: later fields are appended behind these.

use crate::bsm::AuditToken;
use crate::libsystem::Stat;
use std::mem::{offset_of, size_of};

/// `es_string_token_t`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct StringToken {
    pub(super) length: usize,
    pub(super) data: *const u8,
}

/// `es_file_t`
#[repr(C)]
pub(super) struct File {
    pub(super) path: StringToken,
    pub(super) path_truncated: bool,
    pub(super) stat: Stat,
}

/// `es_process_t`
#[repr(C)]
pub(super) struct Process {
    pub(super) audit_token: AuditToken,
    pub(super) ppid: i32,
    pub(super) original_ppid: i32,
    pub(super) group_id: i32,
    pub(super) session_id: i32,
    pub(super) codesigning_flags: u32,
    pub(super) is_platform_binary: bool,
    pub(super) is_es_client: bool,
    pub(super) cdhash: [u8; 20],
    pub(super) signing_id: StringToken,
    pub(super) team_id: StringToken,
    pub(super) executable: *const File,
    pub(super) tty: *const File,
    /// `struct timeval`
    pub(super) start_time: [i64; 2],
    pub(super) responsible_audit_token: AuditToken,
    pub(super) parent_audit_token: AuditToken,
}

/// `es_event_exec_t`
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Exec {
    pub(super) target: *const Process,
    /// Version 7 and up.
    pub(super) dyld_exec_path: StringToken,
    pub(super) script: *const File,
    pub(super) cwd: *const File,
    pub(super) last_fd: i32,
    /// Version 6 and up.
    pub(super) image_cputype: i32,
    pub(super) image_cpusubtype: i32,
    pub(super) reserved: [u8; 36],
}

/// `es_events_t`, as large as its largest member.
#[repr(C)]
pub(super) union Events {
    pub(super) exec: Exec,
    /// `es_event_fork_t`: the child.
    pub(super) fork: *const Process,
    /// `es_event_exit_t`: the status as wait(2) gives it.
    pub(super) exit: i32,
    /// Event 154: the first word is a pointer.
    pub(super) connect: *const Connect,
    pub(super) words: [u64; 13],
}

/// One end of event 154's payload.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct End {
    /// 2 or 30.
    pub(super) family: u32,
    pub(super) address: [u8; 16],
    pub(super) port: u16,
}

/// The payload of event 154, as the messages have it that Objective-See printed; no header describes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Connect {
    pub(super) local: End,
    pub(super) remote: End,
    /// 0 for TCP, 1 for UDP.
    pub(super) socket: u32,
    pub(super) protocol: u32,
    /// 1: outbound.
    pub(super) direction: u32,
    pub(super) name: StringToken,
}

/// `es_message_t`
#[repr(C)]
pub(super) struct Message {
    pub(super) version: u32,
    /// `struct timespec`
    pub(super) time: [i64; 2],
    pub(super) mach_time: u64,
    pub(super) deadline: u64,
    pub(super) process: *const Process,
    pub(super) seq_num: u64,
    /// 1: ES_ACTION_TYPE_NOTIFY
    pub(super) action_type: u32,
    pub(super) action: [u32; 9],
    pub(super) event_type: u32,
    pub(super) event: Events,
    pub(super) thread: *const u64,
    pub(super) global_seq_num: u64,
}

const _: () = {
    assert!(size_of::<File>() == 168 && offset_of!(File, stat) == 24);
    assert!(size_of::<Process>() == 208 && offset_of!(Process, signing_id) == 80);
    assert!(offset_of!(Process, executable) == 112 && offset_of!(Process, start_time) == 128);
    assert!(size_of::<Exec>() == 88);
    assert!(size_of::<Connect>() == 0x50 && offset_of!(Connect, protocol) == 0x34);
    assert!(offset_of!(Connect, remote) == 0x18 && offset_of!(Connect, name) == 0x40);
    assert!(offset_of!(Message, process) == 40 && offset_of!(Message, event_type) == 96);
    assert!(
        offset_of!(Message, event) == 104
            && offset_of!(Message, thread) == 208
            && size_of::<Message>() == 224
    );
};
