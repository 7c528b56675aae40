//! The table itself.

use std::sync::Arc;

use eql::Value;

use super::{FieldSpec, Kind, On, Source};
use crate::event::{Action, CodeSignature, Event, Invocation, Loss, Network, Package, Process, User};

/// Rows of `path: kind, events, source, "whence", reader`. A kind in brackets is always an array.
macro_rules! fields {
    ($($path:literal: $kind:tt, $on:ident, $source:ident, $whence:expr, $read:expr;)*) => {
        /// Every field that the sensor's events have; its index is its [`FieldId`](eql::FieldId).
        pub const FIELDS: &[FieldSpec] = &[$(FieldSpec {
            path: $path,
            kind: fields!(@kind $kind),
            array: fields!(@array $kind),
            on: On::$on,
            source: Source::$source,
            whence: $whence,
            read: $read,
        }),*];
    };
    (@kind [$kind:ident]) => { Kind::$kind };
    (@kind $kind:ident) => { Kind::$kind };
    (@array [$kind:ident]) => { true };
    (@array $kind:ident) => { false };
}

const IMAGE: &str = "the image's `executable.path`: exec `target`, fork `child`, exit `process`";
const ARGS: &str = "exec `args`; a fork's child has its parent's; the rest from the process table";
const RESPONSIBLE: &str = "the image that `responsible_audit_token` names, unless the process is its own";
const PARENT: &str = "the image that the message's own `parent_audit_token` names, from the process table";
const FLAGS: &str = "`codesigning_flags` of the image";
const SESSION: &str = "the install session that the process descends from, or that ran at a loss, see below";
const FLOW: &str = "the flow";

fields! {
    "@timestamp": Date, ALL, Message, "`time`", |e| dated(e, Some(e.time_text()));
    "event.kind": Keyword, ALL, Sensor, "`event`", |e| own(e, "event");
    "event.category": [Keyword], ALL, Sensor, "`process`, `network`, `host` of a loss", category;
    "event.type": [Keyword], ALL, Sensor, "`start`, of an exit or a disconnect `end`, of a loss `info`", kind;
    "event.action": Keyword, ALL, Sensor,
        "`exec`, `fork`, `end`, `connection_attempted`, `disconnect_received`, `events_lost`", action;
    "event.module": Keyword, ALL, Sensor, "`vedette`", |e| own(e, "vedette");
    "event.dataset": Keyword, ALL, Sensor, "`vedette.process`, `vedette.network`, `vedette.host`", dataset;
    "event.sequence": Long, ALL, Message, "`global_seq_num`", |e| unsigned(e.sequence);
    "ecs.version": Keyword, ALL, Sensor, "`9.0.0`", |e| own(e, "9.0.0");
    "agent.type": Keyword, ALL, Sensor, "`vedette`", |e| own(e, "vedette");
    "agent.version": Keyword, ALL, Sensor, "the sensor's version", |e| own(e, env!("CARGO_PKG_VERSION"));

    "host.id": Keyword, ALL, Live,
        "live the hardware UUID; in a recording the document's own, else `--host-id`, else `recorded-host`",
        |e| filled(&e.host.id);
    "host.name": Keyword, ALL, Live, "the Mac's name", |e| text(&e.host.name);
    "host.hostname": Keyword, ALL, Live, "the Mac's name", |e| text(&e.host.name);
    "host.architecture": Keyword, ALL, Live, "`arm64` or `x86_64`", |e| text(&e.host.architecture);
    "host.ip": [Ip], ALL, Live, "the Mac's interfaces", |e| Value::List(&e.host.ip);
    "host.mac": [Keyword], ALL, Live, "the Mac's interfaces", |e| Value::List(&e.host.mac);
    "host.os.type": Keyword, ALL, Sensor, "`macos`, unless the document names another", |e| os(e, "macos");
    "host.os.family": Keyword, ALL, Sensor, "`macos`, unless the document names another", |e| os(e, "macos");
    "host.os.platform": Keyword, ALL, Sensor,
        "`macos`, unless the document names another", |e| os(e, "macos");
    "host.os.name": Keyword, ALL, Sensor, "`macOS`, unless the document names another", |e| os(e, "macOS");
    "host.os.version": Keyword, ALL, Live, "`kern.osproductversion`", |e| text(&e.host.os_version);
    "host.os.full": Keyword, ALL, Live, "name and version", |e| text(&e.host.os_full);
    "host.os.kernel": Keyword, ALL, Live, "`uname`", |e| text(&e.host.os_kernel);

    "user.id": Keyword, ALL, Message,
        "`audit_token.euid` of the image, as text", |e| user(e, |u| filled(&u.id));
    "user.name": Keyword, ALL, Live,
        "`root` for uid 0; others by a live sensor", |e| user(e, |u| text(&u.name));
    "user.Ext.real.id": Keyword, ALL, Message,
        "`audit_token.ruid`, as text", |e| user(e, |u| text(&u.real_id));
    "user.Ext.real.name": Keyword, ALL, Live,
        "`root` for uid 0; others by a live sensor", |e| user(e, |u| text(&u.real_name));
    "group.id": Keyword, ALL, Message, "`audit_token.egid`, as text", |e| user(e, |u| text(&u.group_id));
    "group.name": Keyword, ALL, Live,
        "`wheel` for gid 0; others by a live sensor", |e| user(e, |u| text(&u.group_name));
    "group.Ext.real.id": Keyword, ALL, Message,
        "`audit_token.rgid`, as text", |e| user(e, |u| text(&u.real_group_id));
    "group.Ext.real.name": Keyword, ALL, Live,
        "`wheel` for gid 0; others by a live sensor", |e| user(e, |u| text(&u.real_group_name));

    "process.pid": Long, ALL, Message, "`audit_token.pid` of the image", |e| process(e, pid);
    "process.entity_id": Keyword, ALL, Table,
        "a hash of host.id, pid and `start_time`: the same over exec, new at fork",
        |e| process(e, |p| filled(&p.entity_id));
    "process.name": Keyword, ALL, Message,
        "the last component of `process.executable`", |e| process(e, |p| Value::from(p.name()));
    "process.executable": Keyword, ALL, Message, IMAGE, |e| process(e, |p| Value::from(p.executable()));
    "process.args": [Keyword], ALL, Message, ARGS, |e| process(e, |p| Value::List(p.args()));
    "process.args_count": Long, ALL, Message,
        "how many `args` there were, kept or not", |e| process(e, args_count);
    "process.command_line": Keyword, ALL, Message,
        "exec `args` joined by spaces, at most 32 KiB", |e| process(e, |p| Value::from(p.command_line()));
    "process.Ext.command_line_truncated": Boolean, ALL, Message,
        "whether `process.command_line` was longer", |e| process(e, |p| noted(p.command_line_truncated()));
    "process.working_directory": Keyword, ALL, Message,
        "exec `cwd.path`", |e| invocation(e, |i| Value::from(i.working_directory()));
    "process.env_vars": [Keyword], ALL, Message,
        "exec `env`; off by default, since environments hold secrets",
        |e| invocation(e, |i| Value::List(i.env_vars()));
    "process.start": Date, ALL, Message,
        "`start_time`: when the process was forked", |e| dated(e, e.start_text());
    "process.exit_code": Long, END, Message,
        "exit `stat`: the exit code, or 128 and the signal's number", |e| Value::from(e.exit_code);
    "process.group_leader.pid": Long, ALL, Message,
        "`group_id`", |e| process(e, |p| number(p.group_leader_pid));
    "process.session_leader.pid": Long, ALL, Message,
        "`session_id`", |e| process(e, |p| number(p.session_leader_pid));
    "process.previous.executable": Keyword, EXEC, Message,
        "exec `process.executable.path`: the image that was replaced",
        |e| process(e, |p| text(&p.previous_executable));
    "process.Ext.ancestry": [Keyword], ALL, Table,
        "entity ids, nearest first, of the parents recorded at fork, at most 64",
        |e| process(e, |p| Value::List(&p.ancestry));
    "process.Ext.script.path": Keyword, ALL, Message,
        "exec `script.path`: only where a `#!` line was run", |e| process(e, |p| Value::from(p.script()));
    "process.Ext.effective_parent.pid": Long, ALL, Message,
        "`responsible_audit_token.pid`, unless its own", |e| effective(e, pid);
    "process.Ext.effective_parent.entity_id": Keyword, ALL, Table,
        RESPONSIBLE, |e| effective(e, |p| filled(&p.entity_id));
    "process.Ext.effective_parent.name": Keyword, ALL, Table,
        RESPONSIBLE, |e| effective(e, |p| Value::from(p.name()));
    "process.Ext.effective_parent.executable": Keyword, ALL, Table,
        RESPONSIBLE, |e| effective(e, |p| Value::from(p.executable()));
    "process.code_signature.exists": Boolean, ALL, Message,
        FLAGS, |e| signature(e, |s| Value::Bool(s.exists));
    "process.code_signature.trusted": Boolean, ALL, Message,
        "`codesigning_flags`: signed, valid and not ad hoc. The kernel's word; no certificate is looked at",
        |e| signature(e, |s| Value::Bool(s.trusted));
    "process.code_signature.status": Keyword, ALL, Message,
        "`codesigning_flags`, in Security.framework's words", |e| signature(e, |s| Value::from(s.status));
    "process.code_signature.signing_id": Keyword, ALL, Message,
        "`signing_id`", |e| process(e, |p| Value::from(p.signing_id()));
    "process.code_signature.team_id": Keyword, ALL, Message,
        "`team_id`", |e| process(e, |p| Value::from(p.team_id()));

    "process.parent.pid": Long, ALL, Message, "`parent_audit_token.pid`, else `ppid`", parent_pid;
    "process.parent.entity_id": Keyword, ALL, Table, PARENT, parent_entity_id;
    "process.parent.name": Keyword, ALL, Table, PARENT, |e| parent(e, |p| Value::from(p.name()));
    "process.parent.executable": Keyword, ALL, Table, PARENT, |e| parent(e, |p| Value::from(p.executable()));
    "process.parent.args": [Keyword], ALL, Table, PARENT, |e| parent(e, |p| Value::List(p.args()));
    "process.parent.args_count": Long, ALL, Table, PARENT, |e| parent(e, args_count);
    "process.parent.command_line": Keyword, ALL, Table, PARENT, |e| parent(e, |p| Value::from(p.command_line()));
    "process.parent.Ext.command_line_truncated": Boolean, ALL, Table,
        "whether `process.parent.command_line` was longer", |e| parent(e, |p| noted(p.command_line_truncated()));
    "process.parent.working_directory": Keyword, ALL, Table,
        PARENT, parent_working_directory;
    "process.parent.start": Date, ALL, Table, PARENT, |e| dated(e, e.parent_start_text());
    "process.parent.code_signature.exists": Boolean, ALL, Table,
        PARENT, |e| parent_signature(e, |s| Value::Bool(s.exists));
    "process.parent.code_signature.trusted": Boolean, ALL, Table,
        PARENT, |e| parent_signature(e, |s| Value::Bool(s.trusted));
    "process.parent.code_signature.status": Keyword, ALL, Table,
        PARENT, |e| parent_signature(e, |s| Value::from(s.status));
    "process.parent.code_signature.signing_id": Keyword, ALL, Table,
        PARENT, |e| parent(e, |p| Value::from(p.signing_id()));
    "process.parent.code_signature.team_id": Keyword, ALL, Table,
        PARENT, |e| parent(e, |p| Value::from(p.team_id()));

    "Effective_process.pid": Long, ALL, Message,
        "as `process.Ext.effective_parent.pid`", |e| effective(e, pid);
    "Effective_process.entity_id": Keyword, ALL, Table,
        RESPONSIBLE, |e| effective(e, |p| filled(&p.entity_id));
    "Effective_process.name": Keyword, ALL, Table, RESPONSIBLE, |e| effective(e, |p| Value::from(p.name()));
    "Effective_process.executable": Keyword, ALL, Table,
        RESPONSIBLE, |e| effective(e, |p| Value::from(p.executable()));

    "network.direction": Keyword, NETWORK, Flow, FLOW, |e| network(e, |n| Value::from(n.direction));
    "network.transport": Keyword, NETWORK, Flow, FLOW, |e| network(e, |n| Value::from(n.transport));
    "network.type": Keyword, NETWORK, Flow, FLOW, |e| network(e, |n| Value::from(n.kind));
    "source.address": Keyword, NETWORK, Flow, "`source.ip`", |e| network(e, |n| text(&n.source_ip));
    "source.ip": Ip, NETWORK, Flow, FLOW, |e| network(e, |n| text(&n.source_ip));
    "source.port": Long, NETWORK, Flow, FLOW, |e| network(e, |n| port(n.source_port));
    "source.bytes": Long, NETWORK, Flow, FLOW, |e| network(e, |n| unsigned(n.source_bytes));
    "destination.address": Keyword, NETWORK, Flow,
        "`destination.ip`", |e| network(e, |n| text(&n.destination_ip));
    "destination.ip": Ip, NETWORK, Flow, FLOW, |e| network(e, |n| text(&n.destination_ip));
    "destination.port": Long, NETWORK, Flow, FLOW, |e| network(e, |n| port(n.destination_port));
    "destination.bytes": Long, NETWORK, Flow, FLOW, |e| network(e, |n| unsigned(n.destination_bytes));
    "destination.domain": Keyword, NETWORK, Flow,
        "the flow, where the source knows the name", |e| network(e, |n| text(&n.destination_domain));

    "vedette.tick": Long, ALL, Live,
        "a monotonic clock in nanoseconds, which orders events; eslogger has none in nanoseconds", |e| Value::from(e.tick);
    "vedette.pidversion": Long, ALL, Message,
        "`audit_token.pidversion`", |e| process(e, |p| number(p.pidversion));
    "vedette.audit_user_id": Keyword, ALL, Message,
        "`audit_token.auid`: who logged in, unchanged by sudo", |e| user(e, |u| text(&u.audit_id));
    "vedette.executable_truncated": Boolean, ALL, Message,
        "`executable.path_truncated`, where it is so", |e| process(e, |p| noted(p.executable_truncated));
    "vedette.args_truncated": Boolean, ALL, Message,
        "where `process.args` is not complete: 64 KiB are kept", |e| invocation(e, |i| noted(i.args_truncated));
    "vedette.tty": Keyword, ALL, Message,
        "`tty.path`; ECS's `process.tty` has no path", |e| process(e, |p| Value::from(p.tty()));
    "vedette.architecture": Keyword, ALL, Message,
        "exec `image_cputype`", |e| invocation(e, |i| Value::from(i.architecture));
    "vedette.dyld_exec_path": Keyword, ALL, Message,
        "exec `dyld_exec_path`, where it is not the executable", |e| invocation(e, |i| Value::from(i.dyld_exec_path()));
    "vedette.es_client": Boolean, ALL, Message,
        "`is_es_client`, where it is so", |e| process(e, |p| noted(p.es_client));
    "vedette.platform_binary": Boolean, ALL, Message,
        "`is_platform_binary`: the kernel vouches that it came with macOS", platform_binary;
    "vedette.cdhash": Keyword, ALL, Message, "`cdhash`, in lower case", |e| process(e, |p| Value::from(p.cdhash()));
    "vedette.codesigning_flags": Long, ALL, Message, "`codesigning_flags`", codesigning_flags;
    "vedette.cs_validation_category": Long, ALL, Message,
        "`cs_validation_category`, message version 10 on",
        |e| signature(e, |s| Value::from(s.validation_category));
    "vedette.source": Keyword, NETWORK, Flow,
        "which of the Mac's network sources saw the flow", |e| network(e, |n| Value::from(n.source));
    "vedette.attribution": Keyword, NETWORK, Table,
        "how the flow's process was found: `named`, `pid`, `pid_after_exit`",
        |e| Value::from(e.who().attribution.map(|a| a.as_str()));
    "vedette.loss.missing": Long, LOSS, Sensor,
        "how many messages did not come, by their numbers", |e| loss(e, |l| unsigned(Some(l.missing)));
    "vedette.loss.messages": Long, LOSS, Sensor,
        "how many came in the ten to twenty seconds before", |e| loss(e, |l| unsigned(Some(l.messages)));
    "vedette.loss.of_busiest": Long, LOSS, Sensor,
        "of these, how many at least were of `process.*` and of those that it is responsible for",
        |e| loss(e, |l| unsigned(l.of_busiest));
    "vedette.loss.sessions": Long, LOSS, Sensor,
        "how many install sessions had a running process", |e| loss(e, |l| unsigned(Some(l.sessions as u64)));
    "vedette.package.host": Keyword, ALL, Table, SESSION, |e| package(e, |p| filled(&p.host));
    "vedette.package.host_entity_id": Keyword, ALL, Table,
        SESSION, |e| package(e, |p| filled(&p.host_entity_id));
    "vedette.package.session": Keyword, ALL, Table, SESSION, |e| package(e, |p| filled(&p.session));
    "vedette.package.identifier": Keyword, ALL, Table, SESSION, |e| package(e, |p| text(&p.identifier));
    "vedette.package.script": Keyword, ALL, Table, SESSION, |e| package(e, |p| text(&p.script));
    "vedette.package.path": Keyword, ALL, Table, SESSION, |e| package(e, |p| text(&p.path));
    "vedette.package.claimed": [Keyword], ALL, Table,
        "which of identifier, script and path come from arguments",
        |e| package(e, |p| Value::List(&p.claimed));
}

/// What the sensor says of its own events; a document speaks for itself.
fn own<'a>(event: &Event, value: &'static str) -> Value<'a> {
    if event.document.is_some() { Value::Missing } else { Value::Str(value) }
}

/// The operating system, unless the document names one.
fn os<'a>(event: &Event, value: &'static str) -> Value<'a> {
    if event.host.os_recorded { Value::Missing } else { Value::Str(value) }
}

fn category(event: &Event) -> Value<'_> {
    match event.action {
        Action::Exec | Action::Fork | Action::End => Value::Str("process"),
        Action::ConnectionAttempted | Action::DisconnectReceived => Value::Str("network"),
        Action::EventsLost => Value::Str("host"),
        Action::Document => Value::Missing,
    }
}

fn kind(event: &Event) -> Value<'_> {
    match event.action {
        Action::Exec | Action::Fork | Action::ConnectionAttempted => Value::Str("start"),
        Action::End | Action::DisconnectReceived => Value::Str("end"),
        Action::EventsLost => Value::Str("info"),
        Action::Document => Value::Missing,
    }
}

fn action(event: &Event) -> Value<'_> {
    match event.action {
        Action::Exec => Value::Str("exec"),
        Action::Fork => Value::Str("fork"),
        Action::End => Value::Str("end"),
        Action::ConnectionAttempted => Value::Str("connection_attempted"),
        Action::DisconnectReceived => Value::Str("disconnect_received"),
        Action::EventsLost => Value::Str("events_lost"),
        Action::Document => Value::Missing,
    }
}

fn dataset(event: &Event) -> Value<'_> {
    match event.action {
        Action::Exec | Action::Fork | Action::End => Value::Str("vedette.process"),
        Action::ConnectionAttempted | Action::DisconnectReceived => Value::Str("vedette.network"),
        Action::EventsLost => Value::Str("vedette.host"),
        Action::Document => Value::Missing,
    }
}

/// A date, written as text when it is first asked for.
fn dated<'a>(_: &'a Event, date: Option<&'a str>) -> Value<'a> {
    Value::from(date)
}

/// The parent's pid is known from the process's own image even where the parent is not.
fn parent_pid(event: &Event) -> Value<'_> {
    match parent(event, pid) {
        Value::Missing => process(event, |process| number(process.parent_pid)),
        pid => pid,
    }
}

fn parent_entity_id(event: &Event) -> Value<'_> {
    match parent(event, |parent| filled(&parent.entity_id)) {
        Value::Missing => process(event, |process| Value::from(process.parent_entity_id.as_deref())),
        id => id,
    }
}

/// Only the kernel tells; a document's process has no pidversion unless a sensor's message made it.
fn platform_binary(event: &Event) -> Value<'_> {
    kernel_signature(event, |signature| Value::Bool(signature.platform_binary))
}

fn codesigning_flags(event: &Event) -> Value<'_> {
    kernel_signature(event, |signature| Value::Int(signature.flags.into()))
}

fn kernel_signature<'a>(event: &'a Event, read: impl Fn(&'a CodeSignature) -> Value<'a>) -> Value<'a> {
    process(event, |process| match (&process.code_signature, process.pidversion) {
        (Some(signature), Some(_)) => read(signature),
        _ => Value::Missing,
    })
}

fn process<'a>(event: &'a Event, read: impl Fn(&'a Process) -> Value<'a>) -> Value<'a> {
    event.process().map(|own| &**own).map_or(Value::Missing, read)
}

fn parent<'a>(event: &'a Event, read: impl Fn(&'a Process) -> Value<'a>) -> Value<'a> {
    event.parent().map(|own| &**own).map_or(Value::Missing, read)
}

fn effective<'a>(event: &'a Event, read: impl Fn(&'a Process) -> Value<'a>) -> Value<'a> {
    event.effective_parent().map(|own| &**own).map_or(Value::Missing, read)
}

fn invocation<'a>(event: &'a Event, read: impl Fn(&'a Invocation) -> Value<'a>) -> Value<'a> {
    process(event, |process| process.invocation.as_deref().map_or(Value::Missing, &read))
}

fn parent_working_directory(event: &Event) -> Value<'_> {
    parent(event, |parent| Value::from(parent.invocation.as_deref().and_then(Invocation::working_directory)))
}

fn signature<'a>(event: &'a Event, read: impl Fn(&'a CodeSignature) -> Value<'a>) -> Value<'a> {
    process(event, |process| process.code_signature.as_ref().map_or(Value::Missing, &read))
}

fn parent_signature<'a>(event: &'a Event, read: impl Fn(&'a CodeSignature) -> Value<'a>) -> Value<'a> {
    parent(event, |parent| parent.code_signature.as_ref().map_or(Value::Missing, &read))
}

fn user<'a>(event: &'a Event, read: impl Fn(&'a User) -> Value<'a>) -> Value<'a> {
    process(event, |process| process.user.as_deref().map_or(Value::Missing, &read))
}

fn package<'a>(event: &'a Event, read: impl Fn(&'a Package) -> Value<'a>) -> Value<'a> {
    let package = match &event.loss {
        // Who was busiest need not be of the session.
        Some(loss) => loss.package.as_deref(),
        None => event.process().and_then(|process| process.package.as_deref()),
    };
    package.map_or(Value::Missing, read)
}

fn loss<'a>(event: &'a Event, read: impl Fn(&'a Loss) -> Value<'a>) -> Value<'a> {
    event.loss.as_deref().map_or(Value::Missing, read)
}

fn network<'a>(event: &'a Event, read: impl Fn(&'a Network) -> Value<'a>) -> Value<'a> {
    event.network.as_deref().map_or(Value::Missing, read)
}

/// How many arguments there were; where nobody counted, how many there are.
fn args_count(process: &Process) -> Value<'_> {
    match process.args_count() {
        Some(count) => Value::Int(count),
        None if process.args().is_empty() => Value::Missing,
        None => Value::Int(process.args().len() as i64),
    }
}

fn text(text: &Option<Arc<str>>) -> Value<'_> {
    Value::from(text.as_deref())
}

/// Text that is empty where it is not known.
fn filled(text: &str) -> Value<'_> {
    if text.is_empty() { Value::Missing } else { Value::Str(text) }
}

/// A mark that is only there where it holds.
fn noted<'a>(holds: bool) -> Value<'a> {
    if holds { Value::Bool(true) } else { Value::Missing }
}

/// A document may describe a process without its pid; of messages' processes only the kernel's has 0.
fn pid(process: &Process) -> Value<'_> {
    match (process.pid, process.pidversion) {
        (0, None) => Value::Missing,
        (pid, _) => Value::Int(pid.into()),
    }
}

fn port<'a>(port: Option<u16>) -> Value<'a> {
    port.map_or(Value::Missing, |port| Value::Int(port.into()))
}

fn number<'a>(number: Option<u32>) -> Value<'a> {
    number.map_or(Value::Missing, |number| Value::Int(number.into()))
}

/// A count; beyond `i64` as a float, as the language has it.
fn unsigned<'a>(number: Option<u64>) -> Value<'a> {
    number.map_or(Value::Missing, |number| {
        i64::try_from(number).map_or(Value::Float(number as f64), Value::Int)
    })
}
