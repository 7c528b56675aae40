//! What a source saw, before the process table has had its say.
//!
//! A source (an eslogger line, an ECS document, a live Endpoint Security message) becomes an
//! [`Observation`]; the [normaliser](crate::normaliser) turns it into an [`Event`](crate::event::Event).

mod excerpt;
mod place;
mod values;

use std::borrow::Cow;
use std::sync::Arc;

use eql::{FieldId, Value};

pub use excerpt::{Excerpt, Selection, Texts};
pub(crate) use place::{Form, Offset, Place, Spot};
pub use values::Values;
pub(crate) use values::{Layout, MAX_SPOTS, Reused};

use crate::event::Network;

/// One thing that a source saw.
#[derive(Debug)]
pub enum Observation<'a> {
    /// An Endpoint Security message.
    Message(Box<Message<'a>>),
    /// An ECS document.
    Document(Document),
}

impl Observation<'_> {
    /// Returns it with all that it borrowed copied.
    pub fn into_owned(self) -> Observation<'static> {
        match self {
            Observation::Message(message) => Observation::Message(Box::new(message.into_owned())),
            Observation::Document(document) => Observation::Document(document),
        }
    }

    /// Returns its wall clock time, nanoseconds since 1970.
    pub fn time(&self) -> i64 {
        match self {
            Observation::Message(message) => message.time,
            Observation::Document(document) => document.time,
        }
    }
}

/// An Endpoint Security message (`es_message_t`, ESMessage.h), reduced to what is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    /// `time`: wall clock, nanoseconds since 1970.
    pub time: i64,
    /// A monotonic clock in nanoseconds, where the source has one.
    pub tick: Option<i64>,
    /// `version`: the message version, 6 to 11 for macOS 13 to 27.
    pub version: u32,
    /// `event_type`: the number in `es_event_type_t`.
    pub event_type: u32,
    /// `seq_num`: counts messages of this event type for this client; a gap means lost messages.
    pub seq_num: Option<u64>,
    /// `global_seq_num`: counts all messages for this client.
    pub global_seq_num: Option<u64>,
    /// `process`: who did it. In an exec this is the old image.
    pub process: Image<'a>,
    /// `event`: what was done.
    pub event: MessageEvent<'a>,
}

impl Message<'_> {
    /// Returns it with all that it borrowed copied.
    pub fn into_owned(self) -> Message<'static> {
        Message {
            time: self.time,
            tick: self.tick,
            version: self.version,
            event_type: self.event_type,
            seq_num: self.seq_num,
            global_seq_num: self.global_seq_num,
            process: self.process.into_owned(),
            event: match self.event {
                MessageEvent::Exec(exec) => MessageEvent::Exec(Box::new(exec.into_owned())),
                MessageEvent::Fork { child } => MessageEvent::Fork { child: child.into_owned() },
                MessageEvent::Exit { status } => MessageEvent::Exit { status },
                MessageEvent::Connect(network) => MessageEvent::Connect(network),
                MessageEvent::Other(name) => MessageEvent::Other(owned(name)),
            },
        }
    }
}

impl Exec<'_> {
    fn into_owned(self) -> Exec<'static> {
        Exec {
            target: self.target.into_owned(),
            args: self.args.into_iter().map(owned).collect(),
            env: self.env.into_iter().map(owned).collect(),
            cwd: self.cwd.map(owned),
            script: self.script.map(owned),
            dyld_exec_path: self.dyld_exec_path.map(owned),
            cpu_type: self.cpu_type,
        }
    }
}

impl Image<'_> {
    fn into_owned(self) -> Image<'static> {
        Image {
            token: self.token,
            parent: self.parent,
            responsible: self.responsible,
            ppid: self.ppid,
            original_ppid: self.original_ppid,
            group_id: self.group_id,
            session_id: self.session_id,
            codesigning_flags: self.codesigning_flags,
            is_platform_binary: self.is_platform_binary,
            is_es_client: self.is_es_client,
            cdhash: self.cdhash.map(owned),
            signing_id: self.signing_id.map(owned),
            team_id: self.team_id.map(owned),
            cs_validation_category: self.cs_validation_category,
            executable: owned(self.executable),
            executable_truncated: self.executable_truncated,
            tty: self.tty.map(owned),
            start: self.start,
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// The event of a [`Message`].
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "messages are decoded one at a time and forks are frequent")]
pub enum MessageEvent<'a> {
    /// `ES_EVENT_TYPE_NOTIFY_EXEC` (9).
    Exec(Box<Exec<'a>>),
    /// `ES_EVENT_TYPE_NOTIFY_FORK` (11); the child is a copy of the process's image.
    Fork {
        /// `child`.
        child: Image<'a>,
    },
    /// `ES_EVENT_TYPE_NOTIFY_EXIT` (15).
    Exit {
        /// `stat`: the raw wait status (256 is exit code 1, 9 is death by SIGKILL).
        status: i32,
    },
    /// Event 154, a connection that the process attempted; undocumented, see [`network::es`](crate::network::es).
    Connect(Box<Network>),
    /// Any other event kind, by its name in eslogger's JSON; counted, not evaluated.
    Other(Cow<'a, str>),
}

/// `es_event_exec_t`.
#[derive(Clone, Debug, PartialEq)]
pub struct Exec<'a> {
    /// `target`: the new image.
    pub target: Image<'a>,
    /// `args`.
    pub args: Vec<Cow<'a, str>>,
    /// `env`, each `NAME=value`; empty unless environment variables are asked for.
    pub env: Vec<Cow<'a, str>>,
    /// `cwd.path`.
    pub cwd: Option<Cow<'a, str>>,
    /// `script.path`: set only where a `#!` line was run.
    pub script: Option<Cow<'a, str>>,
    /// `dyld_exec_path`, message version 7 on.
    pub dyld_exec_path: Option<Cow<'a, str>>,
    /// `image_cputype` (`CPU_TYPE_ARM64` is 16777228, `CPU_TYPE_X86_64` 16777223).
    pub cpu_type: Option<i32>,
}

/// `es_process_t`: a process's image at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image<'a> {
    /// `audit_token`.
    pub token: Token,
    /// The image that `parent_audit_token` names.
    pub parent: Option<ImageId>,
    /// The image that `responsible_audit_token` names.
    pub responsible: Option<ImageId>,
    /// `ppid`: 1 after the parent has gone.
    pub ppid: Option<u32>,
    /// `original_ppid`: the parent at fork.
    pub original_ppid: Option<u32>,
    /// `group_id`: the process group.
    pub group_id: Option<u32>,
    /// `session_id`.
    pub session_id: Option<u32>,
    /// `codesigning_flags`: `CS_*` of xnu's `cs_blobs.h`.
    pub codesigning_flags: u32,
    /// `is_platform_binary`: the kernel vouches that Apple shipped it with the system.
    pub is_platform_binary: bool,
    /// `is_es_client`.
    pub is_es_client: bool,
    /// `cdhash`, hexadecimal.
    pub cdhash: Option<Cow<'a, str>>,
    /// `signing_id`; empty counts as absent.
    pub signing_id: Option<Cow<'a, str>>,
    /// `team_id`; empty counts as absent.
    pub team_id: Option<Cow<'a, str>>,
    /// `cs_validation_category`, message version 10 on.
    pub cs_validation_category: Option<i64>,
    /// `executable.path`.
    pub executable: Cow<'a, str>,
    /// `executable.path_truncated`.
    pub executable_truncated: bool,
    /// `tty.path`.
    pub tty: Option<Cow<'a, str>>,
    /// `start_time`, nanoseconds since 1970; the same over exec, new at fork.
    pub start: Option<i64>,
}

/// An audit token (`audit_token_t`), in either form that eslogger writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Token {
    /// Audit user id; `u32::MAX` where unset.
    pub auid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Effective group id.
    pub egid: u32,
    /// Real user id.
    pub ruid: u32,
    /// Real group id.
    pub rgid: u32,
    /// Process id.
    pub pid: u32,
    /// Audit session id.
    pub asid: u32,
    /// Grows at each fork and exec, so that pid and pidversion name one image.
    pub pidversion: u32,
}

impl Token {
    /// Returns which image it is of.
    pub fn image(&self) -> ImageId {
        ImageId { pid: self.pid, pidversion: self.pidversion }
    }
}

/// What names one image, of all there are between two starts of a Mac.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ImageId {
    /// Process id.
    pub pid: u32,
    /// Grows at each fork and exec.
    pub pidversion: u32,
}

/// A connection that begins or ends, from a source whose messages are not Endpoint Security's.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Wall clock, nanoseconds since 1970.
    pub time: i64,
    /// A monotonic clock in nanoseconds, the one that Endpoint Security's messages are of.
    pub tick: Option<i64>,
    /// Whether it ends; else it begins.
    pub ended: bool,
    /// Its ends, and where it is known from.
    pub network: Network,
    /// Whose it is.
    pub owner: Owner,
}

/// Whose a [`Flow`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A process, named beyond doubt: when the flow was seen, the kernel gave its unique number to the process of this
    /// pid and start.
    Process {
        /// The process id.
        pid: u32,
        /// When it was forked, nanoseconds since 1970.
        start: i64,
    },
    /// Whoever had the pid when the flow began: by the time that the kernel was asked, the process was gone.
    Pid {
        /// The process id.
        pid: u32,
        /// When the flow began, on the clock that orders events, in nanoseconds.
        began: i64,
    },
}

/// An ECS document: its text, and the fields that the loaded rules and the process table read. A clone is a reference count.
#[derive(Clone, Debug)]
pub struct Document {
    /// `@timestamp`, nanoseconds since 1970.
    pub time: i64,
    /// `vedette.tick`, where a live sensor recorded it.
    pub tick: Option<i64>,
    /// Its line, and the values of those fields, as far as it has them.
    pub values: Arc<Values>,
}

impl Document {
    /// Returns the line as it was read, valid UTF-8, without its newline.
    pub fn line(&self) -> &str {
        self.values.line()
    }

    /// Returns whether the document itself holds something under `field`.
    #[inline]
    pub fn has(&self, field: FieldId) -> bool {
        self.values.has(field)
    }

    /// Returns what the document itself holds under `field`.
    #[inline]
    pub fn get(&self, field: FieldId) -> Value<'_> {
        self.values.get(field)
    }

    /// Returns whether a single value under `field` satisfies `test`; `None` if the document itself holds none.
    pub(crate) fn any(&self, field: FieldId, test: impl FnMut(Value<'_>) -> bool) -> Option<bool> {
        self.values.any(field, test)
    }
}
