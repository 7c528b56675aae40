//! libEndpointSecurity: clients that are told a scenario.
//!
//! Models: es_new_client and its errors, subscriptions, delivery one message after the other on a thread of its own,
//! seq_num for each kind and global_seq_num, references, es_delete_client on the thread that made the client. A client
//! that is told all, and the process's end, leave a line in the file that `MACOS_ABI_ES_REPORT` names: `told all`, and
//! `delivered N alive N`. Not: AUTH events and
//! deadlines, muting of paths, the kernel's own queue and its losses.

mod layout;
mod message;
mod scenario;

use crate::blocks::{self, Block};
use crate::symbols::exports;
use layout::{Exec, Message, StringToken};
use message::Owned;
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
}

/// es_return_t and es_new_client_result_t agree on it.
const SUCCESS: u32 = 0;
const RETURN_ERROR: u32 = 1;

struct Client {
    block: *mut Block,
    /// The thread that made it, which must also delete it.
    owner: i32,
    subscriptions: Mutex<BTreeSet<u32>>,
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
    let result = scenario::scenario().new_client.get(call).copied().unwrap_or(SUCCESS);
    *out = ptr::null_mut();
    if result != SUCCESS {
        note(&format!("refused {result}\n"));
    } else {
        *out = Box::into_raw(Box::new(Client {
            block: blocks::block_copy(block),
            owner: libc::gettid(),
            subscriptions: Mutex::default(),
            ended: AtomicBool::new(false),
            delivered: AtomicU64::new(0),
            delivery: Mutex::default(),
        }));
    }
    result
}

unsafe extern "C" fn subscribe(client: *mut Client, events: *const u32, count: u32) -> u32 {
    let events = std::slice::from_raw_parts(events, count as usize);
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

/// Tells the scenario, as the framework's serial queue does.
unsafe fn deliver(client: *mut Client) {
    let scenario = scenario::scenario();
    let mut next: BTreeMap<u32, u64> = BTreeMap::new();
    let mut next_of_all = 0;
    for told in (0..scenario.repeat.max(1)).flat_map(|_| &scenario.messages) {
        if told.after_ms > 0 {
            std::thread::sleep(Duration::from_millis(told.after_ms));
        }
        if (*client).ended.load(Ordering::SeqCst) {
            return;
        }
        let event = told.event.number();
        // An unknown event stands for one that a later macOS sends under a known subscription.
        let unknown = matches!(told.event, scenario::Event::Number(_));
        if !unknown && !locked(&(*client).subscriptions).contains(&event) {
            continue;
        }
        let of_kind = next.entry(event).or_default();
        *of_kind += told.lost_before;
        next_of_all += told.lost_before;
        let message = Owned::lay_out(told, *of_kind, next_of_all);
        *of_kind += 1;
        next_of_all += 1;
        (*client).delivered.fetch_add(1, Ordering::SeqCst);
        blocks::call((*client).block, client.cast::<c_void>(), message.cast::<c_void>());
        message::release(message);
    }
    note("told all\n");
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
    note(&format!("delivered {} alive {}\n", DELIVERED.load(Ordering::SeqCst), message::alive()));
}

/// Appends to the report.
fn note(line: &str) {
    let Some(path) = std::env::var_os("MACOS_ABI_ES_REPORT") else { return };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        eprintln!("macos-abi: cannot write {}: {error}", path.display());
    }
}

extern "C" fn mute_process(_client: *mut Client, _token: *const crate::bsm::AuditToken) -> u32 {
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
