//! eslogger's keys, and what becomes of each.

/// A key of eslogger's JSON.
#[derive(Debug)]
pub struct EsloggerKey {
    /// The object that has it: `envelope`, `process`, `file`, `stat`, `audit_token`, `exec`, `fork`, `exit`.
    pub object: &'static str,
    /// The key, dotted within the object.
    pub key: &'static str,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of a key.
#[derive(Debug)]
pub enum Fate {
    /// It supplies these fields.
    Field(&'static [&'static str]),
    /// It is used, but is no field itself.
    Used(&'static str),
    /// It is not read, and why.
    Dropped(&'static str),
}

use Fate::{Dropped, Field, Used};

const AUTH_ONLY: &str = "of authorisation events; the sensor sees notifications only";
const FILE_STATE: &str = "the file's state at the time; no rule asks for it, and a path that was swapped is told \
                          by the cdhash";
const TICKS: &str = "ticks of a unit that the recording does not tell: it differs between Macs";
const DESCRIPTORS: &str = "which descriptors are open says little without what they lead to";

/// The keys of the message's envelope and of exec, fork and exit, on macOS 13 to 27. Other event kinds are
/// counted by name and not read.
pub const KEYS: &[EsloggerKey] = &[
    key("envelope", "time", Field(&["@timestamp"])),
    key("envelope", "mach_time", Dropped(TICKS)),
    key("envelope", "global_seq_num", Field(&["event.sequence", "vedette.gap"])),
    key("envelope", "seq_num", Field(&["vedette.gap"])),
    key("envelope", "event_type", Used("which counter `seq_num` belongs to")),
    key("envelope", "event", Field(&["event.action", "event.category", "event.type"])),
    key("envelope", "process", Used("see process: in an exec the old image, in a fork the parent")),
    key("envelope", "version", Used("which keys can be expected: 6 to 11")),
    key("envelope", "schema_version", Dropped("1 in every version so far")),
    key("envelope", "action", Dropped(AUTH_ONLY)),
    key("envelope", "action.result", Dropped(AUTH_ONLY)),
    key("envelope", "action.result.result", Dropped(AUTH_ONLY)),
    key("envelope", "action.result.result.auth", Dropped(AUTH_ONLY)),
    key("envelope", "action.result.result.flags", Dropped(AUTH_ONLY)),
    key("envelope", "action.result.result_type", Dropped(AUTH_ONLY)),
    key("envelope", "action_type", Dropped(AUTH_ONLY)),
    key("envelope", "thread", Dropped("which thread of a process acted is not kept")),
    key("envelope", "thread.thread_id", Dropped("which thread of a process acted is not kept")),
    key("process", "audit_token", Used("see audit_token; pid and pidversion name the image")),
    key(
        "process",
        "parent_audit_token",
        Field(&["process.parent.pid", "process.parent.name", "process.parent.executable"]),
    ),
    key(
        "process",
        "responsible_audit_token",
        Field(&["process.Ext.effective_parent.pid", "Effective_process.pid"]),
    ),
    key("process", "ppid", Field(&["process.parent.pid"])),
    key("process", "original_ppid", Used("who forked a process whose fork was not seen: ancestry, package")),
    key("process", "group_id", Field(&["process.group_leader.pid"])),
    key("process", "session_id", Field(&["process.session_leader.pid"])),
    key(
        "process",
        "codesigning_flags",
        Field(&[
            "process.code_signature.exists",
            "process.code_signature.trusted",
            "process.code_signature.status",
            "vedette.codesigning_flags",
        ]),
    ),
    key("process", "is_platform_binary", Field(&["vedette.platform_binary", "vedette.package.host"])),
    key("process", "is_es_client", Field(&["vedette.es_client"])),
    key("process", "cdhash", Field(&["vedette.cdhash"])),
    key("process", "signing_id", Field(&["process.code_signature.signing_id"])),
    key("process", "team_id", Field(&["process.code_signature.team_id"])),
    key("process", "cs_validation_category", Field(&["vedette.cs_validation_category"])),
    key("process", "executable", Field(&["process.executable", "process.name"])),
    key("process", "tty", Field(&["vedette.tty"])),
    key("process", "start_time", Field(&["process.start", "process.entity_id"])),
    key("file", "path", Used("the file that the key holding it names")),
    key("file", "path_truncated", Field(&["vedette.executable_truncated"])),
    key("file", "stat", Dropped(FILE_STATE)),
    key("stat", "st_atimespec", Dropped(FILE_STATE)),
    key("stat", "st_birthtimespec", Dropped(FILE_STATE)),
    key("stat", "st_blksize", Dropped(FILE_STATE)),
    key("stat", "st_blocks", Dropped(FILE_STATE)),
    key("stat", "st_ctimespec", Dropped(FILE_STATE)),
    key("stat", "st_dev", Dropped(FILE_STATE)),
    key("stat", "st_flags", Dropped(FILE_STATE)),
    key("stat", "st_gen", Dropped(FILE_STATE)),
    key("stat", "st_gid", Dropped(FILE_STATE)),
    key("stat", "st_ino", Dropped(FILE_STATE)),
    key("stat", "st_mode", Dropped(FILE_STATE)),
    key("stat", "st_mtimespec", Dropped(FILE_STATE)),
    key("stat", "st_nlink", Dropped(FILE_STATE)),
    key("stat", "st_rdev", Dropped(FILE_STATE)),
    key("stat", "st_size", Dropped(FILE_STATE)),
    key("stat", "st_uid", Dropped(FILE_STATE)),
    key("audit_token", "pid", Field(&["process.pid", "process.entity_id"])),
    key("audit_token", "pidversion", Field(&["vedette.pidversion"])),
    key("audit_token", "euid", Field(&["user.id"])),
    key("audit_token", "ruid", Field(&["user.Ext.real.id"])),
    key("audit_token", "egid", Field(&["group.id"])),
    key("audit_token", "rgid", Field(&["group.Ext.real.id"])),
    key("audit_token", "auid", Field(&["vedette.audit_user_id"])),
    key("audit_token", "asid", Dropped("the audit session: `session_id` and `auid` tell logins apart")),
    key("exec", "target", Used("see process: the new image, the event's `process`")),
    key("exec", "args", Field(&["process.args", "process.args_count", "process.command_line"])),
    key("exec", "env", Field(&["process.env_vars"])),
    key("exec", "cwd", Field(&["process.working_directory"])),
    key("exec", "script", Field(&["process.Ext.script.path", "vedette.package.script"])),
    key("exec", "dyld_exec_path", Field(&["vedette.dyld_exec_path"])),
    key("exec", "image_cputype", Field(&["vedette.architecture"])),
    key("exec", "image_cpusubtype", Dropped("finer than `vedette.architecture`; no rule asks for it")),
    key("exec", "entitlements", Dropped("message version 11 on; large, and other versions do not have them")),
    key("exec", "fds", Dropped(DESCRIPTORS)),
    key("exec", "fds[]", Dropped(DESCRIPTORS)),
    key("exec", "fds[].fd", Dropped(DESCRIPTORS)),
    key("exec", "fds[].fdtype", Dropped(DESCRIPTORS)),
    key("exec", "fds[].pipe", Dropped(DESCRIPTORS)),
    key("exec", "fds[].pipe.pipe_id", Dropped(DESCRIPTORS)),
    key("exec", "last_fd", Dropped(DESCRIPTORS)),
    key("fork", "child", Used("see process: the event's `process`")),
    key("exit", "stat", Field(&["process.exit_code"])),
];

const fn key(object: &'static str, key: &'static str, fate: Fate) -> EsloggerKey {
    EsloggerKey { object, key, fate }
}
