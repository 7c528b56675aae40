//! What the normaliser reads from a recorded ECS document.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use eql::{FieldId, Scalar, Value};

use crate::event::{
    ArgsParts, CodeSignature, DescriptionParts, EntityId, InvocationParts, KeptArgs, Package, Reader, User,
};
use crate::observation::{Selection, Values};
use crate::process_table::{
    Change, DescribedProcess, Identity, Lineage, MAX_ARGS_BYTES, MAX_COMMAND_LINE_BYTES, MAX_TEXT_BYTES,
    Readers, Recorded, cut, file_name,
};
use crate::{package, schema, timestamp};

/// Names the fields that are read, and lists them for the source.
macro_rules! reads {
    ($($name:ident: $path:literal,)*) => {
        $(pub(super) const $name: FieldId = schema::id($path);)*
        /// The fields that are read here.
        pub(super) const READ: &[FieldId] = &[$($name),*];
    };
}

reads! {
    EVENT_KIND: "event.kind",
    EVENT_CATEGORY: "event.category",
    EVENT_TYPE: "event.type",
    EVENT_ACTION: "event.action",
    HOST_ID: "host.id",
    OS_TYPE: "host.os.type",
    OS_FAMILY: "host.os.family",
    OS_PLATFORM: "host.os.platform",
    OS_NAME: "host.os.name",
    USER_ID: "user.id",
    USER_NAME: "user.name",
    USER_REAL_ID: "user.Ext.real.id",
    USER_REAL_NAME: "user.Ext.real.name",
    GROUP_ID: "group.id",
    GROUP_NAME: "group.name",
    GROUP_REAL_ID: "group.Ext.real.id",
    GROUP_REAL_NAME: "group.Ext.real.name",
    PID: "process.pid",
    ENTITY_ID: "process.entity_id",
    NAME: "process.name",
    EXECUTABLE: "process.executable",
    ARGS: "process.args",
    ARGS_COUNT: "process.args_count",
    COMMAND_LINE: "process.command_line",
    WORKING_DIRECTORY: "process.working_directory",
    START: "process.start",
    GROUP_LEADER: "process.group_leader.pid",
    SESSION_LEADER: "process.session_leader.pid",
    PREVIOUS_EXECUTABLE: "process.previous.executable",
    ANCESTRY: "process.Ext.ancestry",
    SCRIPT: "process.Ext.script.path",
    SIGNED: "process.code_signature.exists",
    TRUSTED: "process.code_signature.trusted",
    SIGNING_ID: "process.code_signature.signing_id",
    TEAM_ID: "process.code_signature.team_id",
    PARENT_PID: "process.parent.pid",
    PARENT_ENTITY_ID: "process.parent.entity_id",
    PARENT_NAME: "process.parent.name",
    PARENT_EXECUTABLE: "process.parent.executable",
    PARENT_ARGS: "process.parent.args",
    PARENT_COMMAND_LINE: "process.parent.command_line",
    PARENT_SIGNED: "process.parent.code_signature.exists",
    PARENT_TRUSTED: "process.parent.code_signature.trusted",
    PARENT_SIGNING_ID: "process.parent.code_signature.signing_id",
    PARENT_TEAM_ID: "process.parent.code_signature.team_id",
    EFFECTIVE_PID: "process.Ext.effective_parent.pid",
    EFFECTIVE_ENTITY_ID: "process.Ext.effective_parent.entity_id",
    EFFECTIVE_NAME: "process.Ext.effective_parent.name",
    EFFECTIVE_EXECUTABLE: "process.Ext.effective_parent.executable",
    PIDVERSION: "vedette.pidversion",
    TTY: "vedette.tty",
    CDHASH: "vedette.cdhash",
    FLAGS: "vedette.codesigning_flags",
    PLATFORM_BINARY: "vedette.platform_binary",
    PACKAGE_HOST: "vedette.package.host",
    PACKAGE_HOST_ENTITY_ID: "vedette.package.host_entity_id",
    PACKAGE_SESSION: "vedette.package.session",
    PACKAGE_IDENTIFIER: "vedette.package.identifier",
    PACKAGE_SCRIPT: "vedette.package.script",
    PACKAGE_PATH: "vedette.package.path",
    PACKAGE_CLAIMED: "vedette.package.claimed",
    LOSS: "vedette.loss.missing",
}

/// What a document is about, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Category {
    Process,
    Network,
    /// Messages were lost, as this sensor told it.
    Loss,
    Other,
}

/// How a document names its process.
pub(super) struct NamedProcess<'a> {
    pub(super) pid: Option<u32>,
    pub(super) entity_id: Option<&'a str>,
    pub(super) executable: Option<&'a str>,
    pub(super) name: Option<&'a str>,
}

/// Returns whether a document is an alert, or one of those that follow an alert of this sensor.
pub(super) fn is_alert(document: &Values) -> bool {
    let kind = document.get(EVENT_KIND);
    kind != Value::Str("event") && (is(kind, "alert") || is(kind, "enrichment"))
}

pub(super) fn category(document: &Values) -> Category {
    match document.plain(EVENT_CATEGORY) {
        // Nearly all documents are of one category, written as text.
        Some("process") => Category::Process,
        Some("network") => Category::Network,
        _ => {
            let category = document.get(EVENT_CATEGORY);
            match () {
                () if is(category, "process") => Category::Process,
                () if is(category, "network") => Category::Network,
                () if is(category, "host") && document.has(LOSS) => Category::Loss,
                () => Category::Other,
            }
        }
    }
}

pub(super) fn host_id(document: &Values) -> Option<&str> {
    borrowed(document, HOST_ID)
}

/// Returns whether a document says which operating system it comes from.
pub(super) fn names_os(document: &Values) -> bool {
    [OS_TYPE, OS_FAMILY, OS_PLATFORM, OS_NAME].iter().any(|id| document.has(*id))
}

pub(super) fn named_process(document: &Values) -> NamedProcess<'_> {
    NamedProcess {
        pid: number(document, PID),
        entity_id: borrowed(document, ENTITY_ID),
        executable: borrowed(document, EXECUTABLE),
        name: borrowed(document, NAME),
    }
}

/// Returns what a process document says for the process table; `None` if it names no pid.
///
/// `known` is what happened to the process, where that is known already.
pub(super) fn recorded(document: &Values, known: Option<Change>) -> Option<Recorded<'_>> {
    Some(Recorded {
        change: known.unwrap_or_else(|| change(document)),
        process: DescribedProcess {
            pid: number(document, PID)?,
            entity_id: kept(document, ENTITY_ID),
            executable: kept(document, EXECUTABLE),
            name: name(document, NAME, EXECUTABLE),
            values: document,
            reader: &PROCESS,
            is_host,
        },
        readers: &READERS,
        identity: OnceCell::new(),
    })
}

static READERS: Readers = Readers {
    identity: |document| Identity {
        pidversion: number(document, PIDVERSION),
        start: borrowed(document, START).and_then(|text| timestamp::parse(text).ok()),
        parent_pid: number(document, PARENT_PID),
    },
    lineage,
    parent: |document| another(document, PARENT_PID, PARENT_ENTITY_ID, &PARENT, parent_is_host),
    effective_parent: |document| another(document, EFFECTIVE_PID, EFFECTIVE_ENTITY_ID, &EFFECTIVE, |_| false),
};

fn lineage(document: &Values) -> Lineage {
    Lineage {
        parent_entity_id: kept(document, PARENT_ENTITY_ID).as_deref().map(EntityId::from),
        ancestry: ancestry(document),
        package: session(document),
        previous_executable: text(document, PREVIOUS_EXECUTABLE),
        has_args: document.has(ARGS),
    }
}

/// The process that a document is about.
static PROCESS: Reader = Reader {
    fields: Selection::new(0, schema::among(&[AS_WRITTEN, JUDGED])),
    describe: describe_process,
    executable: EXECUTABLE,
    name: NAME,
    copied: &COPIED,
};

/// For each of the sensor's fields, whether [`describe_process`] takes it as it stands there.
pub(crate) static COPIED: [bool; schema::FIELDS.len()] = schema::among(&[AS_WRITTEN]);

const AS_WRITTEN: &[FieldId] = &[
    EXECUTABLE,
    ARGS,
    COMMAND_LINE,
    WORKING_DIRECTORY,
    SCRIPT,
    TTY,
    GROUP_LEADER,
    SESSION_LEADER,
    SIGNATURE_STATUS,
    SIGNING_ID,
    TEAM_ID,
    CDHASH,
    USER_ID,
    USER_NAME,
    USER_REAL_ID,
    USER_REAL_NAME,
    GROUP_ID,
    GROUP_NAME,
    GROUP_REAL_ID,
    GROUP_REAL_NAME,
];

/// What it makes a description of along with others: a process may have one of these though its document has not.
const JUDGED: &[FieldId] = &[NAME, ARGS_COUNT, SIGNED, TRUSTED, FLAGS, PLATFORM_BINARY];

/// A description has none: the status stays in the document.
const SIGNATURE_STATUS: FieldId = schema::id("process.code_signature.status");

/// Its parent.
static PARENT: Reader = Reader {
    fields: Selection::new(
        1,
        schema::among(&[&[
            PARENT_EXECUTABLE,
            PARENT_NAME,
            PARENT_ARGS,
            PARENT_COMMAND_LINE,
            PARENT_SIGNED,
            PARENT_TRUSTED,
            PARENT_SIGNING_ID,
            PARENT_TEAM_ID,
        ]]),
    ),
    describe: describe_parent,
    executable: PARENT_EXECUTABLE,
    name: PARENT_NAME,
    copied: &[],
};

/// The process that is responsible for it.
static EFFECTIVE: Reader = Reader {
    fields: Selection::new(2, schema::among(&[&[EFFECTIVE_EXECUTABLE, EFFECTIVE_NAME]])),
    describe: |document| DescriptionParts {
        name: kept(document, EFFECTIVE_NAME),
        executable: kept(document, EFFECTIVE_EXECUTABLE),
        ..DescriptionParts::default()
    },
    executable: EFFECTIVE_EXECUTABLE,
    name: EFFECTIVE_NAME,
    copied: &[],
};

/// Another process than the one that a document is about, if it says anything of it.
fn another<'d>(
    values: &'d Values,
    pid: FieldId,
    entity_id: FieldId,
    reader: &'static Reader,
    is_host: fn(&Values) -> bool,
) -> Option<DescribedProcess<'d>> {
    let (pid, entity_id) = (number(values, pid).unwrap_or_default(), kept(values, entity_id));
    let (executable, name) = (kept(values, reader.executable), kept(values, reader.name));
    let is_known = pid != 0 || entity_id.is_some() || name.is_some() || executable.is_some();
    is_known.then_some(DescribedProcess { pid, entity_id, executable, name, values, reader, is_host })
}

fn describe_process(document: &Values) -> DescriptionParts<'_> {
    let (args, truncated) = list(document, ARGS, MAX_ARGS_BYTES);
    let line = borrowed(document, COMMAND_LINE);
    let args = KeptArgs {
        args,
        count: integer(document, ARGS_COUNT),
        truncated,
        command_line: line.map(|line| cut(line, MAX_COMMAND_LINE_BYTES).into()),
        command_line_truncated: line.is_some_and(|line| line.len() > MAX_COMMAND_LINE_BYTES),
    };
    let signature = signature(document, [SIGNED, TRUSTED, SIGNING_ID, TEAM_ID]);
    DescriptionParts {
        executable: kept(document, EXECUTABLE),
        name: name(document, NAME, EXECUTABLE),
        tty: kept(document, TTY),
        group_leader_pid: number(document, GROUP_LEADER),
        session_leader_pid: number(document, SESSION_LEADER),
        cdhash: signature.and_then(|_| kept(document, CDHASH)),
        code_signature: signature.map(|signature| CodeSignature {
            platform_binary: boolean(document, PLATFORM_BINARY).unwrap_or_default(),
            flags: number(document, FLAGS).unwrap_or_default(),
            ..signature
        }),
        signing_id: kept(document, SIGNING_ID),
        team_id: kept(document, TEAM_ID),
        user: user(document).map(Arc::new),
        invocation: Some(InvocationParts {
            args: ArgsParts::Kept(args),
            working_directory: kept(document, WORKING_DIRECTORY),
            script: kept(document, SCRIPT),
            ..InvocationParts::default()
        }),
        ..DescriptionParts::default()
    }
}

fn describe_parent(document: &Values) -> DescriptionParts<'_> {
    let (args, truncated) = list(document, PARENT_ARGS, MAX_ARGS_BYTES);
    let line = borrowed(document, PARENT_COMMAND_LINE);
    let command_line = line.map(|line| cut(line, MAX_COMMAND_LINE_BYTES).into());
    let args = KeptArgs { args, truncated, command_line, ..KeptArgs::default() };
    DescriptionParts {
        executable: kept(document, PARENT_EXECUTABLE),
        name: kept(document, PARENT_NAME),
        code_signature: signature(
            document,
            [PARENT_SIGNED, PARENT_TRUSTED, PARENT_SIGNING_ID, PARENT_TEAM_ID],
        ),
        signing_id: kept(document, PARENT_SIGNING_ID),
        team_id: kept(document, PARENT_TEAM_ID),
        invocation: Some(InvocationParts { args: ArgsParts::Kept(args), ..InvocationParts::default() }),
        ..DescriptionParts::default()
    }
}

fn is_host(document: &Values) -> bool {
    let fields = [EXECUTABLE, TRUSTED, SIGNING_ID, TEAM_ID];
    is_recorded_host(document, fields, boolean(document, PLATFORM_BINARY))
}

fn parent_is_host(document: &Values) -> bool {
    let fields = [PARENT_EXECUTABLE, PARENT_TRUSTED, PARENT_SIGNING_ID, PARENT_TEAM_ID];
    is_recorded_host(document, fields, None)
}

/// See [`package::is_recorded_host`]; of what cannot be Apple's, no more than that is read.
fn is_recorded_host(document: &Values, fields: [FieldId; 4], flag: Option<bool>) -> bool {
    let [_, _, signing_id, _] = fields;
    flag.unwrap_or_else(|| kept(document, signing_id).is_some_and(|id| package::is_signing_id_of_apple(&id)))
        && package::is_recorded_host(&identity(document, fields), flag)
}

fn identity(
    document: &Values,
    [executable, trusted, signing_id, team_id]: [FieldId; 4],
) -> package::Identity<'_> {
    package::Identity {
        executable: kept(document, executable),
        trusted: boolean(document, trusted).unwrap_or_default(),
        signing_id: kept(document, signing_id),
        has_team: kept(document, team_id).is_some(),
    }
}

/// A name, else what an executable's path ends with.
fn name(document: &Values, name: FieldId, executable: FieldId) -> Option<Cow<'_, str>> {
    kept(document, name).or_else(|| match kept(document, executable)? {
        Cow::Borrowed(path) => file_name(path).map(Cow::Borrowed),
        Cow::Owned(path) => file_name(&path).map(|name| Cow::Owned(name.to_owned())),
    })
}

fn ancestry(document: &Values) -> Option<Arc<[Scalar]>> {
    document.has(ANCESTRY).then(|| list(document, ANCESTRY, MAX_ARGS_BYTES).0.into())
}

/// Returns whether a process document is of a new image, which nothing else describes.
pub(super) fn is_exec(document: &Values) -> bool {
    category(document) == Category::Process && names_pid(document) && change(document) == Change::Exec
}

/// Returns whether a document says which pid its process has.
pub(super) fn names_pid(document: &Values) -> bool {
    document.has(PID)
}

/// What a document is about: by Elastic's actions, else by ECS's types.
pub(super) fn change(document: &Values) -> Change {
    match document.plain(EVENT_ACTION) {
        // Nearly all documents say it so.
        Some("exec") => Change::Exec,
        Some("fork") => Change::Fork,
        Some("end") => Change::End,
        _ => {
            let (action, kind) = (document.get(EVENT_ACTION), document.get(EVENT_TYPE));
            match () {
                () if is(action, "exec") => Change::Exec,
                () if is(action, "fork") => Change::Fork,
                () if is(action, "end") || is(kind, "end") => Change::End,
                () if is(kind, "start") => Change::Exec,
                () => Change::None,
            }
        }
    }
}

/// What is said of a signature by `[exists, trusted, signing_id, team_id]`. Its status stays in the document.
fn signature(
    document: &Values,
    [exists, trusted, signing_id, team_id]: [FieldId; 4],
) -> Option<CodeSignature> {
    let (exists, trusted) = (boolean(document, exists), boolean(document, trusted));
    let [is_identified, is_of_team] = [signing_id, team_id].map(|id| kept(document, id).is_some());
    let known = exists.is_some() || trusted.is_some() || is_identified || is_of_team;
    known.then(|| CodeSignature {
        exists: exists.unwrap_or(is_identified || trusted == Some(true)),
        trusted: trusted.unwrap_or_default(),
        ..CodeSignature::default()
    })
}

fn user(document: &Values) -> Option<User> {
    let user = User {
        id: text(document, USER_ID).unwrap_or_default(),
        name: text(document, USER_NAME),
        real_id: text(document, USER_REAL_ID),
        real_name: text(document, USER_REAL_NAME),
        group_id: text(document, GROUP_ID),
        group_name: text(document, GROUP_NAME),
        real_group_id: text(document, GROUP_REAL_ID),
        real_group_name: text(document, GROUP_REAL_NAME),
        audit_id: None,
    };
    (user != User::default()).then_some(user)
}

fn session(document: &Values) -> Option<Arc<Package>> {
    Some(Arc::new(Package {
        session: text(document, PACKAGE_SESSION)?,
        host: text(document, PACKAGE_HOST).unwrap_or_default(),
        host_entity_id: text(document, PACKAGE_HOST_ENTITY_ID).unwrap_or_default(),
        identifier: text(document, PACKAGE_IDENTIFIER),
        script: text(document, PACKAGE_SCRIPT),
        path: text(document, PACKAGE_PATH),
        claimed: list(document, PACKAGE_CLAIMED, MAX_TEXT_BYTES).0,
    }))
}

/// Returns whether a field's value, or one of its values, is `text`.
#[inline]
fn is(value: Value<'_>, text: &str) -> bool {
    match value {
        Value::Str(own) => own == text,
        list => list.any(|value| value == Value::Str(text)),
    }
}

/// The first value, if the document has several.
#[inline]
fn first(document: &Values, field: FieldId) -> Value<'_> {
    match document.get(field) {
        Value::List(values) => values.first().map_or(Value::Missing, Value::from),
        single => single,
    }
}

fn borrowed(document: &Values, field: FieldId) -> Option<&str> {
    match document.plain(field) {
        None if document.has(field) => first(document, field).as_str(),
        plain => plain,
    }
    .filter(|text| !text.is_empty())
}

/// Text as it is kept; an id that a document writes as a number is text as well.
#[inline]
fn kept(document: &Values, field: FieldId) -> Option<Cow<'_, str>> {
    match document.plain(field) {
        Some(text) if (1..=MAX_TEXT_BYTES).contains(&text.len()) => Some(Cow::Borrowed(text)),
        None if !document.has(field) => None,
        _ => kept_otherwise(document, field),
    }
}

/// The same, of what is no single text that is written as it is kept.
#[cold]
#[inline(never)]
fn kept_otherwise(document: &Values, field: FieldId) -> Option<Cow<'_, str>> {
    match first(document, field) {
        Value::Str(text) if !text.is_empty() => Some(Cow::Borrowed(cut(text, MAX_TEXT_BYTES))),
        Value::Int(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

fn text(document: &Values, field: FieldId) -> Option<Arc<str>> {
    kept(document, field).map(Arc::from)
}

fn integer(document: &Values, field: FieldId) -> Option<i64> {
    match document.whole(field) {
        None if document.has(field) => integer_otherwise(document, field),
        known => known,
    }
}

/// The same, of what is no single number that is written as one is.
#[cold]
fn integer_otherwise(document: &Values, field: FieldId) -> Option<i64> {
    match first(document, field) {
        Value::Int(number) => Some(number),
        Value::Str(text) => text.parse().ok(),
        _ => None,
    }
}

fn number(document: &Values, field: FieldId) -> Option<u32> {
    u32::try_from(integer(document, field)?).ok()
}

fn boolean(document: &Values, field: FieldId) -> Option<bool> {
    match first(document, field) {
        Value::Bool(value) => Some(value),
        _ => None,
    }
}

/// As many values as fit into `room` bytes, and whether some did not. The values are the document's own.
fn list(document: &Values, field: FieldId, room: usize) -> (Box<[Scalar]>, bool) {
    let single;
    let values = match document.get(field) {
        Value::List(values) => values,
        value => {
            single = value.to_scalar();
            single.as_slice()
        }
    };
    let mut left = room;
    let kept = values.iter().take_while(|value| {
        let size = size_of::<Scalar>() + value.heap_size();
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    });
    let kept: Box<[Scalar]> = kept.cloned().collect();
    let truncated = kept.len() < values.len();
    (kept, truncated)
}
