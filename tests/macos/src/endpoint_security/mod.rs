//! libEndpointSecurity: clients that are told a scenario.
//!
//! Models: es_new_client and its errors, subscriptions, delivery one message after the other on a thread of its own,
//! seq_num for each kind and global_seq_num, references, muting by audit token, es_delete_client on the thread that made
//! the client. It leaves lines in the file that `MACOS_ABI_ES_REPORT` names: `refused RESULT` of a client that was not
//! made, `muted PID.PIDVERSION`, `told all`, and at the process's end `delivered N alive N task names N`. Not: AUTH events
//! and deadlines, muting of paths, the kernel's own queue; what it loses, a scenario says.

mod layout;
mod message;
mod recording;

pub(crate) use message::alive_bytes;

use crate::blocks::{self, Block};
use crate::bsm::AuditToken;
use crate::libsystem::{disk, fail_wall_clock_once, monotonic, names_held, pass_time, step_wall_clock};
use crate::measure;
use crate::scenario::{self, Kind, mac_root, scenario};
use crate::started::note_end;
use crate::statistics;
use crate::symbols::exports;
use layout::{Exec, Message, StringToken};
use message::{Numbers, Owned};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::fs::OpenOptions;
use std::io::Write;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

exports! {
    "es_copy_message" => copy_message,
    "es_delete_client" => delete_client,
    "es_exec_arg" => exec_arg,
    "es_exec_arg_count" => exec_arg_count,
    "es_exec_env" => exec_env,
    "es_exec_env_count" => exec_env_count,
    "es_free_message" => message::release,
    "es_mute_process" => mute_process,
    "es_new_client" => new_client,
    "es_release_message" => message::release,
    "es_retain_message" => message::retain,
    "es_subscribe" => subscribe,
    "es_unsubscribe" => unsubscribe,
}

/// es_return_t and es_new_client_result_t agree on it.
const SUCCESS: u32 = 0;
const RETURN_ERROR: u32 = 1;

struct Client {
    block: *mut Block,
    /// The thread that made it, which must also delete it.
    owner: i32,
    subscriptions: Mutex<BTreeSet<u32>>,
    muted: Mutex<Vec<AuditToken>>,
    /// Told to the delivering thread.
    ended: AtomicBool,
    delivered: AtomicU64,
    delivery: Mutex<Option<JoinHandle<()>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

unsafe extern "C" fn new_client(out: *mut *mut Client, block: *mut Block) -> u32 {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let call = CALLS.fetch_add(1, Ordering::SeqCst);
    let result = scenario().new_client.get(call).copied().unwrap_or(SUCCESS);
    *out = ptr::null_mut();
    if result != SUCCESS {
        note(&format!("refused {result}\n"));
    } else {
        *out = Box::into_raw(Box::new(Client {
            block: blocks::block_copy(block),
            owner: libc::gettid(),
            subscriptions: Mutex::default(),
            muted: Mutex::default(),
            ended: AtomicBool::new(false),
            delivered: AtomicU64::new(0),
            delivery: Mutex::default(),
        }));
    }
    result
}

unsafe extern "C" fn subscribe(client: *mut Client, events: *const u32, count: u32) -> u32 {
    let events = std::slice::from_raw_parts(events, count as usize);
    // ES_EVENT_TYPE_LAST of macOS 13 is 147. A kernel before 26.4 panics at what it does not know.
    assert!(events.iter().all(|event| *event < 147) || is_new(), "this Mac's kernel panics at {events:?}");
    locked(&(*client).subscriptions).extend(events);
    let mut delivery = locked(&(*client).delivery);
    if delivery.is_none() {
        let address = client as usize;
        let thread = std::thread::Builder::new().name("es-delivery".to_owned());
        // SAFETY: the client is freed only after this thread is joined.
        *delivery = thread.spawn(move || unsafe { deliver(address as *mut Client) }).ok();
    }
    if delivery.is_some() { SUCCESS } else { RETURN_ERROR }
}

/// Whether the Mac has macOS 26.4 or a later one.
fn is_new() -> bool {
    let numbers = scenario().system[0].split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    numbers.collect::<Vec<_>>() >= vec![26, 4]
}

unsafe extern "C" fn unsubscribe(client: *mut Client, events: *const u32, count: u32) -> u32 {
    let events = std::slice::from_raw_parts(events, count as usize);
    locked(&(*client).subscriptions).retain(|event| !events.contains(event));
    SUCCESS
}

/// Tells the scenario, as the framework's serial queue does.
///
/// # Safety
/// The client is one that `new_client` made, and is not freed before this returns.
unsafe fn deliver(client: *mut Client) {
    let scenario = scenario();
    let empty = blocks::empty();
    let mut delivery = Delivery { client, empty, next: BTreeMap::new(), next_of_all: 0 };
    let (mut told, began) = (0, monotonic());
    let rounds = u32::try_from(scenario.repeat).unwrap_or(u32::MAX).max(1);
    let of_round = |round: u32| {
        let messages = scenario.messages.iter().filter(move |message| round.is_multiple_of(message.every));
        messages.map(move |message| (round, message))
    };
    for (round, message) in (0..rounds).flat_map(of_round) {
        if !before(&mut delivery, message, round) {
            return;
        }
        if let Some(due) = (told * 1_000_000_000_u64).checked_div(scenario.per_second) {
            std::thread::sleep(Duration::from_nanos((began + due).saturating_sub(monotonic())));
        }
        told += 1;
        delivery.deliver(message, round);
    }
    ALL_TOLD.store(true, Ordering::SeqCst);
    note("told all\n");
    while !(*client).ended.load(Ordering::SeqCst) {
        delivery.answer_probes();
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// How often it is looked whether something has come that the client waits for.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// One client's delivery, and how far its numbers are.
struct Delivery {
    client: *mut Client,
    empty: *mut Block,
    next: BTreeMap<u32, u64>,
    next_of_all: u64,
}

impl Delivery {
    /// Delivers a message, if it is subscribed to and not muted.
    ///
    /// # Safety
    /// As of `deliver`.
    unsafe fn deliver(&mut self, message: &scenario::Message, round: u32) {
        let process = &message.process;
        match message.event {
            scenario::Event::Named(Kind::Statistics) => return statistics::tell(message),
            scenario::Event::Named(Kind::Exit) => note_end(process.pid, true),
            scenario::Event::Named(Kind::Fork) => {
                note_end(message.target.as_ref().unwrap_or(process).pid, false);
            }
            _ => {}
        }
        let event = message.event.number();
        // An unknown event stands for one that a later macOS sends under a known subscription.
        let unknown = matches!(message.event, scenario::Event::Number(_));
        if !unknown && !message.unasked && !locked(&(*self.client).subscriptions).contains(&event) {
            return;
        }
        if locked(&(*self.client).muted).contains(&message::token_of(process, round)) {
            return;
        }
        let of_kind = self.next.entry(event).or_default();
        *of_kind += message.lost_before;
        self.next_of_all += message.lost_before;
        let numbers = Numbers { seq_num: *of_kind, global_seq_num: self.next_of_all, round };
        *of_kind += 1;
        self.next_of_all += 1;
        call(self.client, self.empty, Owned::lay_out(message, numbers), message.timed);
    }

    /// Tells of the connections of probes that were started since.
    ///
    /// # Safety
    /// As of `deliver`.
    unsafe fn answer_probes(&mut self) {
        // Only once there is someone to be told; the probe waits for it.
        if !locked(&(*self.client).subscriptions).contains(&(Kind::Connect as u32)) {
            return;
        }
        for (probe, pid, connection) in std::mem::take(&mut *locked(&PROBED)) {
            let answer = scenario().network.of_event(probe);
            if let Some(pid) = answer.tells(!connection.udp, connection.to, pid) {
                self.deliver(&scenario::Message::of_connection(pid, connection), 0);
            }
        }
    }
}

/// Connections of probes, of which event 154 has not told yet: number of the probe, process, connection.
static PROBED: Mutex<Vec<(u32, u32, scenario::Connection)>> = Mutex::new(Vec::new());

/// Notes the connections that the process of a probe is about to make.
pub(crate) fn probed(probe: u32, pid: u32, connections: Vec<scenario::Connection>) {
    locked(&PROBED).extend(connections.into_iter().map(|connection| (probe, pid, connection)));
}

/// Calls the client's block with a message, and releases it.
///
/// # Safety
/// As of `deliver`; `message` is one that `Owned::lay_out` made, with one reference.
unsafe fn call(client: *mut Client, empty: *mut Block, message: *const Message, timed: bool) {
    recording::record(message);
    (*client).delivered.fetch_add(1, Ordering::SeqCst);
    let call = |block| blocks::call(block, client.cast::<c_void>(), message.cast::<c_void>());
    let began = monotonic();
    call((*client).block);
    let took = monotonic() - began;
    if measure::wanted() {
        let again = monotonic();
        call(empty);
        measure::callback(began, took, monotonic() - again, timed);
    }
    message::release(message);
}

/// Does what the scenario says is to happen before a message. False if the client has ended meanwhile.
///
/// # Safety
/// As of `deliver`.
unsafe fn before(delivery: &mut Delivery, message: &scenario::Message, round: u32) -> bool {
    let client = delivery.client;
    let ended = || (*client).ended.load(Ordering::SeqCst);
    let file = message.waits_for.as_ref().map(|name| name.replace("{round}", &round.to_string()));
    let there = |name: &String| mac_root().is_none_or(|root| root.join(name).exists());
    let until = monotonic() + message.after_ms * 1_000_000;
    // Of connections nothing can be told before someone asks.
    let asked = || match message.event {
        _ if message.unasked => true,
        scenario::Event::Named(Kind::Connect) => {
            locked(&(*client).subscriptions).contains(&(Kind::Connect as u32))
        }
        scenario::Event::Named(Kind::Statistics) => statistics::is_watched(),
        _ => true,
    };
    let waits = || file.as_ref().is_some_and(|name| !there(name)) || !asked();
    while !ended() && (monotonic() < until || waits()) {
        delivery.answer_probes();
        std::thread::sleep(LOOK_AGAIN);
    }
    if message.passes_ms != 0 {
        pass_time(message.passes_ms * 1_000_000);
    }
    if message.clock_step_ms != 0 {
        step_wall_clock(message.clock_step_ms * 1_000_000);
    }
    if message.clock_fails {
        fail_wall_clock_once();
    }
    if let Some(full) = message.disk_full {
        disk::set_full(full);
    }
    !ended()
}

/// The audit token of a process that the scenario says runs.
pub(crate) fn token_of(process: &scenario::Process) -> AuditToken {
    message::token_of(process, 0)
}

/// The audit token of the sensor.
pub(crate) fn own_token() -> AuditToken {
    message::own_token(1)
}

/// Whether a client was told all.
static ALL_TOLD: AtomicBool = AtomicBool::new(false);

/// Whether all messages of the scenario have been delivered.
pub(crate) fn all_told() -> bool {
    ALL_TOLD.load(Ordering::SeqCst)
}

unsafe extern "C" fn delete_client(client: *mut Client) -> u32 {
    if (*client).owner != libc::gettid() {
        return RETURN_ERROR;
    }
    (*client).ended.store(true, Ordering::SeqCst);
    if let Some(thread) = locked(&(*client).delivery).take() {
        assert!(thread.join().is_ok(), "the delivering thread panicked");
    }
    blocks::block_release((*client).block);
    // Messages may still wait in the client's own queue, so what is alive is counted when the process ends.
    DELIVERED.fetch_add((*client).delivered.load(Ordering::SeqCst), Ordering::SeqCst);
    libc::atexit(report);
    drop(Box::from_raw(client));
    SUCCESS
}

static DELIVERED: AtomicU64 = AtomicU64::new(0);

extern "C" fn report() {
    let (delivered, alive) = (DELIVERED.load(Ordering::SeqCst), message::alive());
    note(&format!("delivered {delivered} alive {alive} task names {}\n", names_held()));
}

/// Appends to the report.
fn note(line: &str) {
    let Some(path) = std::env::var_os("MACOS_ABI_ES_REPORT") else { return };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        eprintln!("macos-abi: cannot write {}: {error}", path.display());
    }
}

unsafe extern "C" fn mute_process(client: *mut Client, token: *const AuditToken) -> u32 {
    note(&format!("muted {}.{}\n", (*token).pid(), (*token).pidversion()));
    locked(&(*client).muted).push(*token);
    SUCCESS
}

unsafe extern "C" fn copy_message(message: *const Message) -> *const Message {
    message::retain(message);
    message
}

unsafe extern "C" fn exec_arg_count(event: *const Exec) -> u32 {
    Owned::of_exec(event).args.len() as u32
}

unsafe extern "C" fn exec_arg(event: *const Exec, index: u32) -> StringToken {
    Owned::of_exec(event).args[index as usize]
}

/// No scenario has an environment yet.
extern "C" fn exec_env_count(_event: *const Exec) -> u32 {
    0
}

extern "C" fn exec_env(_event: *const Exec, _index: u32) -> StringToken {
    StringToken { length: 0, data: c"".as_ptr().cast() }
}
