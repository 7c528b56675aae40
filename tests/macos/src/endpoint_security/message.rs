//! A message and all that it points to, with a count of references.
//!
//! A released message is poisoned: who reads it afterwards reads 0xDD, not what was there. It is freed only when many
//! others were released since.

use super::layout::{Connect, End, Events, Exec, File, Message, Process, StringToken};
use crate::bsm::AuditToken;
use crate::libsystem::{Stat, monotonic, ticks, wall};
use crate::scenario::{self, FRESH_PIDS, Kind};
use crate::started::started;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// How many released messages stay poisoned before they are freed.
const POISONED: usize = 4096;

/// Messages that were made and not yet released.
static ALIVE: AtomicU64 = AtomicU64::new(0);

/// How many messages are not yet released.
pub(super) fn alive() -> u64 {
    ALIVE.load(Ordering::SeqCst)
}

/// How many bytes they have. On a Mac they are the client's own memory.
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// How many bytes the messages have that are not yet released.
pub(crate) fn alive_bytes() -> usize {
    BYTES.load(Ordering::SeqCst)
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
    connects: Vec<*mut Connect>,
    thread: Box<u64>,
}

/// The numbers of a message.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    pub(super) seq_num: u64,
    pub(super) global_seq_num: u64,
    /// Which repetition of the scenario it belongs to.
    pub(super) round: u32,
}

impl Owned {
    /// Lays out a message with one reference.
    pub(super) fn lay_out(told: &scenario::Message, numbers: Numbers) -> *const Message {
        let Numbers { seq_num, global_seq_num, round } = numbers;
        let before = told.happened_before_ms * 1_000_000;
        let time = wall().saturating_sub_unsigned(before);
        let mach_time = ticks(monotonic().saturating_sub(before));
        let thread = Box::new(4242);
        let message = Message {
            version: told.version,
            time: [time.div_euclid(1_000_000_000), time.rem_euclid(1_000_000_000)],
            mach_time,
            deadline: mach_time + ticks(60_000_000_000),
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
        let connects = Vec::new();
        let mut owned =
            Box::new(Self { message, references, args, texts, files, processes, connects, thread });
        owned.message.process = owned.process(&told.process, round, false);
        owned.message.event = owned.event(told, round);
        ALIVE.fetch_add(1, Ordering::SeqCst);
        BYTES.fetch_add(owned.bytes(), Ordering::SeqCst);
        Box::into_raw(owned).cast_const().cast()
    }

    fn event(&mut self, told: &scenario::Message, round: u32) -> Events {
        let forks = matches!(told.event, scenario::Event::Named(Kind::Fork));
        let target =
            told.target.as_ref().map_or(self.message.process, |target| self.process(target, round, forks));
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
            scenario::Event::Named(Kind::Connect | Kind::Statistics) => {
                let connection = told.connection.as_ref().expect("a connect message has a connection");
                Events { connect: self.connect(connection) }
            }
            // An event that the client does not know: nothing in it may be read.
            scenario::Event::Number(_) => Events { words: [0xdddd_dddd_dddd_dddd; 13] },
        }
    }

    fn connect(&mut self, connection: &scenario::Connection) -> *const Connect {
        // As in the messages that were printed: TCP's ports in the processor's order, UDP's in the network's.
        let port = |port: u16| if connection.udp { port.to_be() } else { port };
        let end = |ip: IpAddr, at: u16| match ip {
            IpAddr::V4(ip) => {
                let mut address = [0; 16];
                address[..4].copy_from_slice(&ip.octets());
                End { family: 2, address, port: port(at) }
            }
            IpAddr::V6(ip) => End { family: 30, address: ip.octets(), port: port(at) },
        };
        let local = if connection.to.is_ipv4() { "192.0.2.1" } else { "2001:db8::1" };
        let name = self.text(connection.name.as_bytes());
        let connect = Connect {
            local: end(local.parse().expect("an address"), 50_000),
            remote: end(connection.to.ip(), connection.to.port()),
            socket: u32::from(connection.udp),
            protocol: if connection.udp { 17 } else { 6 },
            direction: 1,
            name,
        };
        self.connects.push(Box::into_raw(Box::new(connect)));
        *self.connects.last().expect("just pushed")
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

    fn process(&mut self, told: &scenario::Process, round: u32, forked: bool) -> *const Process {
        let audit_token = token_of(told, round);
        let pid = audit_token.pid();
        let ppid = in_round(told.ppid, round);
        let process = Process {
            audit_token,
            ppid: ppid as i32,
            original_ppid: ppid as i32,
            group_id: pid as i32,
            session_id: 1,
            codesigning_flags: told.code_signing_flags(),
            is_platform_binary: told.platform,
            is_es_client: false,
            cdhash: told.cdhash(),
            signing_id: self.text(told.signing_id.as_bytes()),
            team_id: self.text(told.team_id.as_bytes()),
            executable: self.file(&told.path, told.path_truncated),
            tty: ptr::null(),
            start_time: started(pid, forked),
            responsible_audit_token: match told.responsible_pid {
                Some(responsible) => token(told.uid, responsible, told.responsible_pidversion, round),
                None => audit_token,
            },
            parent_audit_token: token(told.uid, told.ppid, told.parent_pidversion, round),
        };
        self.processes.push(Box::into_raw(Box::new(process)));
        *self.processes.last().expect("just pushed")
    }

    /// The message that an exec event is part of.
    ///
    /// # Safety
    /// The event is part of a message that `lay_out` made and that is not released.
    pub(super) unsafe fn of_exec<'a>(event: *const Exec) -> &'a Self {
        &*event.byte_sub(std::mem::offset_of!(Message, event)).cast::<Self>()
    }

    /// How many bytes a message has, with all that it points to.
    fn bytes(&self) -> usize {
        size_of::<Message>()
            + size_of_val(&*self.args)
            + size_of::<File>() * self.files.len()
            + size_of::<Process>() * self.processes.len()
            + size_of::<Connect>() * self.connects.len()
            + self.texts.iter().map(|text| text.len()).sum::<usize>()
    }

    /// Poisons all that a message points to, and the message.
    ///
    /// # Safety
    /// Nobody reads it any more but by mistake.
    unsafe fn poison(&mut self) {
        const POISON: u8 = 0xdd;
        for text in &mut self.texts {
            text.fill(POISON);
        }
        for file in &self.files {
            ptr::write_bytes(*file, POISON, 1);
        }
        for process in &self.processes {
            ptr::write_bytes(*process, POISON, 1);
        }
        for connect in &self.connects {
            ptr::write_bytes(*connect, POISON, 1);
        }
        *self.thread = u64::from_ne_bytes([POISON; 8]);
        ptr::write_bytes(&raw mut self.message, POISON, 1);
    }

    /// Frees a message and all that it points to.
    ///
    /// # Safety
    /// `lay_out` made it, and it is freed once.
    unsafe fn free(owned: *mut Self) {
        let owned = Box::from_raw(owned);
        for file in &owned.files {
            drop(Box::from_raw(*file));
        }
        for process in &owned.processes {
            drop(Box::from_raw(*process));
        }
        for connect in &owned.connects {
            drop(Box::from_raw(*connect));
        }
    }
}

/// The audit token of a process.
pub(super) fn token_of(told: &scenario::Process, round: u32) -> AuditToken {
    if told.sensor { own_token(told.pidversion) } else { token(told.uid, told.pid, told.pidversion, round) }
}

/// An audit token as the kernel fills it.
fn token(uid: u32, pid: u32, pidversion: u32, round: u32) -> AuditToken {
    const STAFF: u32 = 20;
    let pidversion = if fresh(pid) { pidversion.wrapping_add(round.wrapping_mul(10)) } else { pidversion };
    AuditToken([uid, uid, STAFF, uid, STAFF, in_round(pid, round), AUDIT_SESSION, pidversion])
}

/// The audit token of this process, the sensor.
pub(super) fn own_token(pidversion: u32) -> AuditToken {
    // SAFETY: they cannot fail.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    AuditToken([uid, uid, gid, uid, gid, std::process::id(), AUDIT_SESSION, pidversion])
}

/// Every process's: a Mac has one for each login.
const AUDIT_SESSION: u32 = 100_003;

/// The pid that stands for `pid` in a repetition; as on a Mac, it stays below 99,999.
fn in_round(pid: u32, round: u32) -> u32 {
    if fresh(pid) { FRESH_PIDS + (pid - FRESH_PIDS + round % 9800 * 10) } else { pid }
}

fn fresh(pid: u32) -> bool {
    scenario::scenario().fresh_pids && pid >= FRESH_PIDS
}

pub(super) unsafe extern "C" fn retain(message: *const Message) {
    let before = (*message.cast::<Owned>()).references.fetch_add(1, Ordering::SeqCst);
    assert!(before > 0, "es_retain_message: the message is released already");
}

pub(super) unsafe extern "C" fn release(message: *const Message) {
    static RELEASED: Mutex<VecDeque<usize>> = Mutex::new(VecDeque::new());
    let owned = message.cast_mut().cast::<Owned>();
    let before = (*owned).references.fetch_sub(1, Ordering::SeqCst);
    assert!(before > 0, "es_release_message: released more often than retained");
    if before > 1 {
        return;
    }
    BYTES.fetch_sub((*owned).bytes(), Ordering::SeqCst);
    (*owned).poison();
    ALIVE.fetch_sub(1, Ordering::SeqCst);
    let mut released = RELEASED.lock().unwrap_or_else(PoisonError::into_inner);
    released.push_back(owned as usize);
    if released.len() > POISONED
        && let Some(oldest) = released.pop_front()
    {
        Owned::free(oldest as *mut Owned);
    }
}
