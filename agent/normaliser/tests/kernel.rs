//! A kernel of a few lines: processes that fork, exec and exit, and what each source would report of it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use eql::Schema;
use serde_json::{Value as Json, json};

use crate::observation::{Document, Exec, Image, Message, MessageEvent, Observation, Token};
use crate::source::{Decoded, Decoder};
use crate::{schema, timestamp};

pub(super) const SECOND: i64 = 1_000_000_000;

/// 2026-11-24T08:00:00Z: scenarios count their seconds from here.
pub(super) const EPOCH: i64 = 1_795_507_200 * SECOND;

pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(schema::schema);

/// What tells of the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Endpoint Security messages.
    Messages,
    /// The same, but every fork is lost.
    MessagesWithoutForks,
    /// Elastic's documents, which have entity ids.
    Documents,
    /// Documents that have no more than pids and start times.
    DocumentsOfPids,
    /// Documents that have no more than pids.
    DocumentsOfBarePids,
}

#[derive(Clone, Debug)]
struct Running {
    pidversion: u32,
    path: String,
    args: Vec<String>,
    start: i64,
    parent: u32,
    original_parent: u32,
    uid: u32,
    forged: bool,
}

/// Runs the steps of a scenario, a line each:
///
/// ```text
/// [lost|late] SECONDS STEP
/// ```
///
/// where a step is one of
/// - `boot PID PATH [forged]`: it was there before, and something else of it is reported; a forged one is not
///   Apple's, whatever its path;
/// - `fork PID CHILD`, `exec PID PATH ARGS…`, `exit PID`, `uid PID UID`;
/// - `flow PID [name=…] [executable=…] [entity=…]`.
///
/// A late line comes before the next line that begins with `then`.
pub(super) struct Kernel {
    told: Told,
    running: HashMap<u32, Running>,
    next_pidversion: u32,
    numbers: HashMap<u32, u64>,
    global: u64,
    late: Vec<Observation<'static>>,
}

impl Kernel {
    pub(super) fn run(told: Told, steps: &str) -> Vec<Observation<'static>> {
        let mut kernel = Kernel {
            told,
            running: HashMap::new(),
            next_pidversion: 100,
            numbers: HashMap::new(),
            global: 0,
            late: Vec::new(),
        };
        kernel.boot(1, "/sbin/launchd", 0, EPOCH - 100 * SECOND);
        let mut seen = Vec::new();
        for line in steps.lines().map(str::trim).filter(|line| !line.is_empty()) {
            kernel.line(line, &mut seen);
        }
        seen.append(&mut kernel.late);
        seen
    }

    fn line(&mut self, line: &str, seen: &mut Vec<Observation<'static>>) {
        let (modifier, rest) = match line.split_once(' ') {
            Some((word @ ("lost" | "late" | "then"), rest)) => (word, rest),
            _ => ("", line),
        };
        if modifier == "then" {
            seen.append(&mut self.late);
        }
        let (seconds, step) = rest.split_once(' ').expect("a time");
        let time = EPOCH + (seconds.parse::<f64>().expect("seconds") * 1e3).round() as i64 * (SECOND / 1000);
        let observation = self.step(time, step);
        match modifier {
            "lost" => {}
            "late" => self.late.extend(observation),
            _ => seen.extend(observation),
        }
    }

    fn step(&mut self, time: i64, step: &str) -> Option<Observation<'static>> {
        let mut words = step.split(' ');
        let kind = words.next()?;
        let pid: u32 = words.next()?.parse().expect("a pid");
        match kind {
            "boot" => {
                self.boot(pid, words.next()?, 501, time);
                // Not Apple's, whatever its path.
                self.running.get_mut(&pid)?.forged = words.next() == Some("forged");
                Some(match self.told {
                    Told::Messages | Told::MessagesWithoutForks => {
                        let image = self.image(pid);
                        self.message(time, 10, image, MessageEvent::Other("open".into()))
                    }
                    _ => self.document(time, pid, "already_running", "info"),
                })
            }
            "uid" => {
                self.running.get_mut(&pid)?.uid = words.next()?.parse().expect("a uid");
                None
            }
            "fork" => self.fork(time, pid, words.next()?.parse().expect("a pid")),
            "exec" => {
                let args: Vec<String> = words.map(str::to_owned).collect();
                self.exec(time, pid, &args)
            }
            "exit" => self.exit(time, pid),
            "flow" => {
                let mut fields = vec![("process.pid", json!(pid))];
                fields.extend(words.filter_map(|word| word.split_once('=')).map(|(key, value)| match key {
                    "name" => ("process.name", json!(value)),
                    "executable" => ("process.executable", json!(value)),
                    "entity" => ("process.entity_id", json!(value)),
                    _ => panic!("{key}"),
                }));
                Some(flow(time, fields))
            }
            _ => panic!("{step}"),
        }
    }

    fn boot(&mut self, pid: u32, path: &str, uid: u32, start: i64) {
        self.next_pidversion += 1;
        let running = Running {
            pidversion: self.next_pidversion,
            path: path.into(),
            args: Vec::new(),
            start,
            parent: 1,
            original_parent: 1,
            uid,
            forged: false,
        };
        self.running.insert(pid, running);
    }

    fn fork(&mut self, time: i64, pid: u32, child: u32) -> Option<Observation<'static>> {
        let parent = self.image(pid);
        self.next_pidversion += 1;
        let forked = Running {
            pidversion: self.next_pidversion,
            start: time,
            parent: pid,
            original_parent: pid,
            ..self.running[&pid].clone()
        };
        self.running.insert(child, forked);
        match self.told {
            Told::Messages => {
                let event = MessageEvent::Fork { child: self.image(child) };
                Some(self.message(time, 11, parent, event))
            }
            Told::MessagesWithoutForks => None,
            _ => Some(self.document(time, child, "fork", "start")),
        }
    }

    fn exec(&mut self, time: i64, pid: u32, words: &[String]) -> Option<Observation<'static>> {
        let old = self.image(pid);
        self.next_pidversion += 1;
        let pidversion = self.next_pidversion;
        let running = self.running.get_mut(&pid).expect("a process");
        running.pidversion = pidversion;
        running.path = words[0].clone();
        running.args = words.to_vec();
        let args = running.args.iter().cloned().map(Cow::Owned).collect();
        if !matches!(self.told, Told::Messages | Told::MessagesWithoutForks) {
            return Some(self.document(time, pid, "exec", "start"));
        }
        let exec = Exec {
            target: self.image(pid),
            args,
            env: vec!["HOME=/Users/x".into()],
            cwd: Some("/".into()),
            script: None,
            dyld_exec_path: None,
            cpu_type: Some(16_777_228),
        };
        Some(self.message(time, 9, old, MessageEvent::Exec(Box::new(exec))))
    }

    fn exit(&mut self, time: i64, pid: u32) -> Option<Observation<'static>> {
        let observation = match self.told {
            Told::Messages | Told::MessagesWithoutForks => {
                let image = self.image(pid);
                self.message(time, 15, image, MessageEvent::Exit { status: 0 })
            }
            _ => self.document(time, pid, "end", "end"),
        };
        self.running.remove(&pid);
        for orphan in self.running.values_mut().filter(|running| running.parent == pid) {
            orphan.parent = 1;
        }
        Some(observation)
    }

    fn message(
        &mut self,
        time: i64,
        event_type: u32,
        process: Image<'static>,
        event: MessageEvent<'static>,
    ) -> Observation<'static> {
        let number = self.numbers.entry(event_type).or_default();
        let seq_num = *number;
        *number += 1;
        self.global += 1;
        Observation::Message(Box::new(Message {
            time,
            tick: None,
            version: 9,
            event_type,
            seq_num: Some(seq_num),
            global_seq_num: Some(self.global - 1),
            process,
            event,
        }))
    }

    fn token(&self, pid: u32) -> Token {
        let running = &self.running[&pid];
        let uid = running.uid;
        Token { pid, pidversion: running.pidversion, euid: uid, ruid: uid, auid: 501, ..Token::default() }
    }

    fn image(&self, pid: u32) -> Image<'static> {
        let running = &self.running[&pid];
        let apple = running.is_apple();
        Image {
            token: self.token(pid),
            parent: Some(self.token(running.parent).image()),
            responsible: Some(self.token(pid).image()),
            ppid: Some(running.parent),
            original_ppid: Some(running.original_parent),
            codesigning_flags: if apple { 0x2400_0001 } else { 0x2000_0002 },
            is_platform_binary: apple,
            signing_id: Some(running.signing_id().into()),
            executable: running.path.clone().into(),
            start: Some(running.start),
            ..Image::default()
        }
    }

    fn document(&self, time: i64, pid: u32, action: &str, kind: &str) -> Observation<'static> {
        let running = &self.running[&pid];
        let name = |path: &str| json!(path.rsplit('/').next());
        let entity = |pid: u32| json!(format!("entity-{pid}-{}", self.running[&pid].start));
        let parent = &self.running[&running.parent];
        let mut fields = vec![
            ("event.category", json!(["process"])),
            ("event.type", json!([kind])),
            ("event.action", json!(action)),
            ("user.id", json!(running.uid.to_string())),
            ("process.pid", json!(pid)),
            ("process.name", name(&running.path)),
            ("process.executable", json!(running.path)),
            ("process.args", json!(running.args)),
            ("process.code_signature.trusted", json!(running.is_apple())),
            ("process.code_signature.signing_id", json!(running.signing_id())),
            ("process.parent.pid", json!(running.parent)),
            ("process.parent.executable", json!(parent.path)),
        ];
        if self.told != Told::DocumentsOfBarePids {
            fields.push(("process.start", json!(timestamp::format(running.start))));
        }
        if self.told == Told::Documents {
            fields.push(("process.entity_id", entity(pid)));
            fields.push(("process.parent.entity_id", entity(running.parent)));
        }
        document(time, fields)
    }
}

impl Running {
    fn is_apple(&self) -> bool {
        let sealed = ["/System/", "/usr/bin/", "/usr/sbin/", "/usr/libexec/", "/bin/", "/sbin/"];
        !self.forged && sealed.iter().any(|folder| self.path.starts_with(folder))
    }

    fn signing_id(&self) -> String {
        let maker = if self.is_apple() { "com.apple" } else { "com.example" };
        format!("{maker}.{}", self.path.rsplit('/').next().unwrap_or_default())
    }
}

pub(super) fn flow(time: i64, mut fields: Vec<(&'static str, Json)>) -> Observation<'static> {
    fields.extend([
        ("event.category", json!("network")),
        ("event.type", json!("start")),
        ("destination.ip", json!("203.0.113.7")),
    ]);
    document(time, fields)
}

/// A document of dotted keys, with whatever of them the schema knows; it is read as any line is.
pub(super) fn document(time: i64, fields: Vec<(&'static str, Json)>) -> Observation<'static> {
    let mut line: serde_json::Map<String, Json> =
        fields.into_iter().map(|(path, value)| (path.to_owned(), value)).collect();
    // Of another form of time no places are kept.
    line.entry("@timestamp").or_insert_with(|| json!("1970-01-01T00:00:00Z"));
    let line = Json::Object(line).to_string();
    match DECODER.lock().unwrap().decode(&line) {
        Ok(Decoded::Observation(Observation::Document(document))) => {
            Observation::Document(Document { time, ..document })
        }
        other => panic!("a document of any schema: {other:?}"),
    }
}

static DECODER: LazyLock<Mutex<Decoder>> =
    LazyLock::new(|| Mutex::new(Decoder::raw("@timestamp", SCHEMA.paths())));
