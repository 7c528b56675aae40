//! Processes, and the lines that are written of them: eslogger's JSON on the Mac that records, ECS documents of others
//! and of flows.

use serde_json::{Map, Value as Json, json};

use crate::rule_test::BEGIN;
use crate::rule_test::event::{Definition, Destination};
use crate::rule_test::program::{self, Program};
use crate::timestamp;

/// A process; an exec keeps it and replaces its image.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) program: Program,
    pub(super) pid: u32,
    /// Grows at each fork and exec.
    pub(super) pidversion: u32,
    /// The place of the process that forked it.
    parent: usize,
    /// The place of the process that answers for it.
    pub(super) responsible: usize,
    /// Effective user id.
    pub(super) user: u32,
    real_user: u32,
    /// When it was forked.
    start: i64,
    pub(super) ended: bool,
    /// `host.id`, where it is not on the Mac that records.
    pub(super) host: Option<String>,
    args: Vec<String>,
    script: Option<String>,
    cwd: Option<String>,
}

/// A line before it is numbered.
pub(super) struct Line {
    pub(super) json: Map<String, Json>,
    /// Whether it is eslogger's.
    pub(super) message: bool,
}

/// An audit user id that was never set, as daemons have it.
const UNSET: u32 = u32::MAX;

impl Process {
    pub(super) fn launchd() -> Self {
        Process {
            program: program::at("/sbin/launchd"),
            pid: 1,
            pidversion: 1,
            parent: 0,
            responsible: 0,
            user: 0,
            real_user: 0,
            start: BEGIN - 3_600_000_000_000,
            ended: false,
            host: None,
            args: vec!["/sbin/launchd".to_owned()],
            script: None,
            cwd: None,
        }
    }

    /// Returns its child at place `own`, which is a copy of it. What launchd starts answers for itself.
    pub(super) fn forked(&self, parent: usize, own: usize, pid: u32, pidversion: u32, start: i64) -> Process {
        let responsible = if self.pid == 1 { own } else { self.responsible };
        Process { pid, pidversion, parent, responsible, start, ..self.clone() }
    }

    pub(super) fn become_user(&mut self, user: u32) {
        (self.user, self.real_user) = (user, user);
    }

    /// Takes over how an exec runs the program. An install script is run as PackageKit runs it: the interpreter, the
    /// script, the package, and where to.
    pub(super) fn run(&mut self, definition: &Definition) {
        let name = program::name(&self.program.path).to_owned();
        self.script.clone_from(&definition.script);
        self.cwd.clone_from(&definition.cwd);
        let mut args = vec![name];
        if let Some(package) = &definition.package {
            let script = definition.script.as_deref().unwrap_or("postinstall");
            let folder = format!("/tmp/PKInstallSandbox.q7RkTw/Scripts/{package}.Zc4vLe");
            let path = format!("{folder}/{script}");
            args = vec![self.program.path.clone(), path, format!("/Users/Shared/{package}.pkg")];
            args.extend(["/Applications", "/", "/"].map(str::to_owned));
            self.script = Some(format!("/private{folder}/{script}"));
            self.cwd.get_or_insert_with(|| format!("/private{folder}"));
        }
        self.args = definition.args.clone().unwrap_or(args);
    }

    fn token(&self) -> Json {
        let group = |user: u32| if user == 0 { 0 } else { 20 };
        let (audit_user, session) =
            if self.real_user == 0 { (UNSET, 100_000) } else { (self.real_user, 100_014) };
        json!({
            "auid": audit_user, "euid": self.user, "egid": group(self.user), "ruid": self.real_user,
            "rgid": group(self.real_user), "pid": self.pid, "asid": session, "pidversion": self.pidversion,
        })
    }

    /// `es_process_t` as eslogger writes it. A parent that has ended has left its child to launchd.
    fn image(&self, processes: &[Process]) -> Json {
        let forked_by = &processes[self.parent];
        let parent = if forked_by.ended { &processes[0] } else { forked_by };
        json!({
            "audit_token": self.token(), "parent_audit_token": parent.token(),
            "responsible_audit_token": processes[self.responsible].token(), "ppid": parent.pid,
            "original_ppid": forked_by.pid, "group_id": self.pid, "session_id": self.pid,
            "codesigning_flags": self.program.flags(), "is_platform_binary": self.program.platform,
            "is_es_client": false, "signing_id": self.program.signing_id, "team_id": self.program.team_id,
            "executable": { "path": self.program.path, "path_truncated": false }, "tty": null,
            "start_time": timestamp::format(self.start),
        })
    }

    /// `process.*` and `user.*` of an ECS document, as a sensor on another Mac writes it.
    fn document(&self, processes: &[Process]) -> Map<String, Json> {
        let parent = &processes[self.parent];
        let Program { path, signing_id, team_id, .. } = &self.program;
        let mut process = json!({
            "pid": self.pid, "entity_id": self.entity_id(), "name": program::name(path), "executable": path,
            "args": self.args, "args_count": self.args.len(), "command_line": self.args.join(" "),
            "start": timestamp::format(self.start),
            "code_signature": {
                "exists": !signing_id.is_empty(), "trusted": self.program.trusted(), "signing_id": signing_id,
            },
            "parent": {
                "pid": parent.pid, "entity_id": Process { host: self.host.clone(), ..parent.clone() }.entity_id(),
                "name": program::name(&parent.program.path), "executable": parent.program.path,
            },
        });
        if let Some(team) = team_id {
            process["code_signature"]["team_id"] = team.as_str().into();
        }
        let user = json!({ "id": self.user.to_string() });
        Map::from_iter([("process".to_owned(), process), ("user".to_owned(), user)])
    }

    fn entity_id(&self) -> String {
        format!("{}-{}-{}", self.host.as_deref().unwrap_or_default(), self.pid, self.start)
    }
}

/// A fork of `parent`.
pub(super) fn fork(processes: &[Process], parent: usize, child: usize, now: i64) -> Line {
    let (who, child) = (&processes[parent], &processes[child]);
    match &child.host {
        Some(host) => process_document(child, processes, host, now, ["start", "fork"]),
        None => {
            message(now, 11, who.image(processes), json!({ "fork": { "child": child.image(processes) } }))
        }
    }
}

/// An exec: `old` is the image that is gone.
pub(super) fn exec(processes: &[Process], old: &Process, process: usize, now: i64) -> Line {
    let new = &processes[process];
    if let Some(host) = &new.host {
        return process_document(new, processes, host, now, ["start", "exec"]);
    }
    let file = |path: &String| json!({ "path": path, "path_truncated": false });
    let event = json!({
        "target": new.image(processes), "args": new.args, "env": [], "fds": [], "last_fd": 2,
        "cwd": file(new.cwd.as_ref().unwrap_or(&"/".to_owned())), "script": new.script.as_ref().map(file),
        "dyld_exec_path": new.program.path, "image_cputype": 16_777_228, "image_cpusubtype": 0,
    });
    message(now, 9, old.image(processes), json!({ "exec": event }))
}

/// An end.
pub(super) fn exit(processes: &[Process], process: usize, now: i64, code: u32) -> Line {
    let process = &processes[process];
    match &process.host {
        Some(host) => process_document(process, processes, host, now, ["end", "end"]),
        // wait(2): the exit code is in the second byte.
        None => message(now, 15, process.image(processes), json!({ "exit": { "stat": code << 8 } })),
    }
}

/// A flow; its document names the pid alone, as many network sources do. `with` is put over it.
pub(super) fn flow(
    process: &Process,
    now: i64,
    ends: bool,
    destination: &Destination,
    with: &Map<String, Json>,
) -> Line {
    let (kind, action) =
        if ends { ("end", "disconnect_received") } else { ("start", "connection_attempted") };
    let mut line = document(process.host.as_deref(), now, "network", kind, action);
    line.insert("process".to_owned(), json!({ "pid": process.pid }));
    let Destination { ip, domain, port } = destination;
    let mut to = Map::new();
    to.extend(ip.as_ref().map(|ip| ("ip".to_owned(), ip.as_str().into())));
    to.extend(domain.as_ref().map(|domain| ("domain".to_owned(), domain.as_str().into())));
    to.extend(port.map(|port| ("port".to_owned(), port.into())));
    line.insert("destination".to_owned(), to.into());
    overlay(&mut line, with);
    Line { json: line, message: false }
}

/// Puts `over` over `under`, table by table.
fn overlay(under: &mut Map<String, Json>, over: &Map<String, Json>) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(Json::Object(under)), Json::Object(over)) => overlay(under, over),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

fn process_document(
    process: &Process,
    processes: &[Process],
    host: &str,
    now: i64,
    event: [&str; 2],
) -> Line {
    let [kind, action] = event;
    let mut line = document(Some(host), now, "process", kind, action);
    line.extend(process.document(processes));
    Line { json: line, message: false }
}

fn document(host: Option<&str>, now: i64, category: &str, kind: &str, action: &str) -> Map<String, Json> {
    let event = json!({ "category": [category], "type": [kind], "action": action });
    let mut line = Map::from_iter([
        ("@timestamp".to_owned(), timestamp::format(now).into()),
        ("event".to_owned(), event),
    ]);
    line.extend(host.map(|host| ("host".to_owned(), json!({ "id": host }))));
    line
}

fn message(now: i64, event_type: u32, process: Json, event: Json) -> Line {
    let line = json!({
        "schema_version": 1, "version": 9, "time": timestamp::format(now),
        // Apple silicon's clock: 24 ticks for 1000 ns.
        "mach_time": now.saturating_sub(BEGIN).max(0) / 1000 * 24,
        "action_type": 1, "event_type": event_type, "process": process, "event": event,
    });
    match line {
        Json::Object(json) => Line { json, message: true },
        _ => Line { json: Map::new(), message: true },
    }
}

impl Line {
    /// Returns its text with a number, which an alert shows as its event's `event.sequence`.
    pub(super) fn numbered(self, number: u64) -> String {
        let mut json = self.json;
        if self.message {
            json.remove("seq_num");
            json.insert("global_seq_num".to_owned(), number.into());
        } else {
            json.remove("event.sequence");
            match json.get_mut("event") {
                Some(Json::Object(event)) => {
                    event.insert("sequence".to_owned(), number.into());
                }
                _ => {
                    json.insert("event.sequence".to_owned(), number.into());
                }
            }
        }
        Json::Object(json).to_string()
    }
}
