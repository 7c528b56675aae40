//! The Endpoint Security client: exec, fork and exit, and connections where they are wanted, as notifications.
//!
//! It lives on a thread of its own, which must also end it. Its callback runs on a queue of Endpoint Security's, one
//! message after the other; while it runs, the kernel keeps what comes next, and drops it where that takes too long. So
//! the callback reads the sequence numbers, passes the message on, and nothing else.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded, unbounded};
use endpoint_sec::sys::{NewClientError, ReturnError, es_event_type_t};
use endpoint_sec::{Client, Message};

use super::bootstrap::{self, Listed};
use super::process;
use crate::network::es;
use crate::network::gate::EventPermit;
use crate::status::Reason;

/// What the source is called in the status.
pub(super) const NAME: &str = "endpoint_security";

/// How many messages may wait for the detector.
pub(super) const QUEUE: usize = 8192;

/// From how many waiting messages on fork and exit are dropped: execs are worth more.
const RESERVED: usize = QUEUE / 4 * 3;

/// From how many on connections are dropped too: a process makes more of them in a second than anybody makes processes, and
/// must not hide what is executed.
const FOR_EXECS: usize = QUEUE / 8 * 7;

/// How often a client is tried again that could not be made.
const RETRY: Duration = Duration::from_secs(15);

/// What is subscribed to. Notifications only: the sensor delays no process.
const EVENTS: [es_event_type_t; 3] = [
    es_event_type_t::ES_EVENT_TYPE_NOTIFY_EXEC,
    es_event_type_t::ES_EVENT_TYPE_NOTIFY_FORK,
    es_event_type_t::ES_EVENT_TYPE_NOTIFY_EXIT,
];

/// A connection that was attempted: see [`es`]. Subscribed to only with a permit.
const CONNECT: es_event_type_t = es_event_type_t(es::EVENT);

/// The kinds that are counted apart, in the order of [`EVENTS`], and what is not among them.
pub(super) const KINDS: [&str; 5] = ["exec", "fork", "exit", "connect", "other"];

/// The place of the first kind among [`KINDS`].
const EXEC: usize = 0;

/// The place of [`CONNECT`] among [`KINDS`].
const CONNECTION: usize = 3;

/// The client's thread, and what comes from it.
pub(super) struct EndpointSecurity {
    /// Messages, in the kernel's order.
    pub(super) messages: Receiver<Message>,
    /// What becomes of the client. To be looked at before a message is taken.
    pub(super) states: Receiver<State>,
    /// What the callback has counted.
    pub(super) counters: Arc<Counters>,
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

/// What the client's thread is told.
enum Order {
    /// To end the client.
    Stop,
    /// To subscribe to connections.
    Connections(EventPermit),
    /// Not to, any more.
    NoConnections,
}

/// What has become of the client.
pub(super) enum State {
    /// There is none, and why; it is tried again.
    Waiting(Trouble),
    /// It receives messages. These are the processes that ran by then, parents first.
    Running(Vec<Listed>),
    /// Whether it receives connections too, as was ordered.
    Connections(Result<(), ReturnError>),
    /// It has ended: no more messages come.
    Ended,
}

/// Why there is no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// `es_new_client` said no.
    New(NewClientError),
    /// Endpoint Security did not take the subscription.
    Subscribe(ReturnError),
    /// The sensor's own events cannot be left out.
    Mute,
}

/// What the callback counts.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Messages that the callback was called with.
    pub(super) received: AtomicU64,
    /// Of those, dropped, by [`KINDS`].
    pub(super) dropped: [AtomicU64; KINDS.len()],
    /// Messages that did not come, by their kind's own numbers.
    pub(super) missing: [AtomicU64; KINDS.len()],
    /// Messages that did not come, by the numbers of all.
    pub(super) missing_in_all: AtomicU64,
}

/// The next number of each counter; `u64::MAX` before the first.
struct Next {
    kinds: [AtomicU64; KINDS.len()],
    all: AtomicU64,
}

impl EndpointSecurity {
    /// Starts the thread, which makes a client, and tries again as long as it cannot.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start() -> io::Result<Self> {
        let (sender, messages) = bounded(QUEUE);
        let (tell, states) = unbounded();
        let (orders, ordered) = unbounded();
        let counters = Arc::new(Counters::default());
        let counting = counters.clone();
        let thread = std::thread::Builder::new().name("endpoint-security".into()).spawn(move || {
            live(&sender, &counting, &tell, &ordered);
            let _ = tell.send(State::Ended);
        })?;
        Ok(EndpointSecurity { messages, states, counters, orders, thread })
    }

    /// Ends the client; [`State::Ended`] tells when it has.
    pub(super) fn stop(&self) {
        let _ = self.orders.send(Order::Stop);
    }

    /// Subscribes to connections; [`State::Connections`] tells what came of it.
    pub(super) fn connections(&self, permit: EventPermit) {
        let _ = self.orders.send(Order::Connections(permit));
    }

    /// Subscribes to them no more.
    pub(super) fn no_connections(&self) {
        let _ = self.orders.send(Order::NoConnections);
    }

    /// Waits for the thread, after [`State::Ended`].
    pub(super) fn join(self) {
        let _ = self.thread.join();
    }
}

/// Makes a client and keeps it until the end.
fn live(sender: &Sender<Message>, counters: &Arc<Counters>, tell: &Sender<State>, ordered: &Receiver<Order>) {
    loop {
        match connect(sender.clone(), counters.clone()) {
            Ok(mut client) => {
                let _ = tell.send(State::Running(bootstrap::list()));
                obey(&mut client, tell, ordered);
                // The client must end on the thread that made it.
                let _ = client.delete();
                return;
            }
            Err(trouble) => {
                let _ = tell.send(State::Waiting(trouble));
            }
        }
        // Nobody orders connections before there is a client.
        if !matches!(ordered.recv_timeout(RETRY), Err(RecvTimeoutError::Timeout)) {
            return;
        }
    }
}

/// Does what is ordered, until the client is to end.
fn obey(client: &mut Client<'_>, tell: &Sender<State>, ordered: &Receiver<Order>) {
    for order in ordered {
        match order {
            Order::Stop => return,
            Order::Connections(_) => {
                let _ = tell.send(State::Connections(client.subscribe(&[CONNECT])));
            }
            Order::NoConnections => {
                // What still comes is not looked at.
                let _ = client.unsubscribe(&[CONNECT]);
            }
        }
    }
}

fn connect(sender: Sender<Message>, counters: Arc<Counters>) -> Result<Client<'static>, Trouble> {
    let next =
        Next { kinds: [const { AtomicU64::new(u64::MAX) }; KINDS.len()], all: AtomicU64::new(u64::MAX) };
    let mut client =
        Client::new(move |_, message| receive(message, &sender, &counters, &next)).map_err(Trouble::New)?;
    // What the sensor does is its own cause: it would wake itself without end.
    let own = process::own_token().ok_or(Trouble::Mute)?;
    client.mute_process(&own).map_err(|_| Trouble::Mute)?;
    client.subscribe(&EVENTS).map_err(Trouble::Subscribe)?;
    Ok(client)
}

/// The callback. It must not wait, write, allocate or panic: the binding would swallow that.
fn receive(message: Message, sender: &Sender<Message>, counters: &Counters, next: &Next) {
    let kind = kind(&message);
    counters.received.fetch_add(1, Relaxed);
    if let Some(number) = message.seq_num() {
        counters.missing[kind].fetch_add(skipped(&next.kinds[kind], number), Relaxed);
    }
    if let Some(number) = message.global_seq_num() {
        counters.missing_in_all.fetch_add(skipped(&next.all, number), Relaxed);
    }
    let room = match kind {
        EXEC => QUEUE,
        CONNECTION => FOR_EXECS,
        _ => RESERVED,
    };
    if sender.len() >= room || matches!(sender.try_send(message), Err(TrySendError::Full(_))) {
        counters.dropped[kind].fetch_add(1, Relaxed);
    }
}

/// Returns the place of a message's kind among [`KINDS`].
pub(super) fn kind(message: &Message) -> usize {
    let event = message.event_type();
    if event == CONNECT {
        return CONNECTION;
    }
    EVENTS.iter().position(|known| *known == event).unwrap_or(KINDS.len() - 1)
}

/// Takes a number and returns how many before it did not come. Messages come one after the other, so nobody else
/// writes to `next` between its reading and its writing.
fn skipped(next: &AtomicU64, number: u64) -> u64 {
    let expected = next.load(Relaxed);
    next.store(number.saturating_add(1), Relaxed);
    if expected == u64::MAX { 0 } else { number.saturating_sub(expected) }
}

impl Trouble {
    /// Returns it in a word, for programs.
    pub(super) fn reason(self) -> Reason {
        match self {
            Trouble::New(NewClientError::NotEntitled) => Reason::NotEntitled,
            Trouble::New(NewClientError::NotPermitted) => Reason::NotPermitted,
            Trouble::New(NewClientError::NotPrivileged) => Reason::NotPrivileged,
            Trouble::New(NewClientError::TooManyClients) => Reason::TooManyClients,
            _ => Reason::Other,
        }
    }
}

impl fmt::Display for Trouble {
    /// Says what a person can do about it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trouble::New(NewClientError::NotEntitled) => {
                "this program is not signed with Apple's Endpoint Security entitlement, so macOS shows it no events: \
                 install the signed package, whose system extension is; a build of one's own runs only on a Mac \
                 with System Integrity Protection off"
            }
            Trouble::New(NewClientError::NotPermitted) => {
                "the sensor lacks Full Disk Access: allow it in System Settings > Privacy & Security > Full Disk \
                 Access (for `sudo vedette run`, allow the terminal), or deploy the privacy profile by MDM; it then \
                 starts by itself"
            }
            Trouble::New(NewClientError::NotPrivileged) => {
                "only root may receive events: `sudo vedette run`, or install the package, whose system extension \
                 runs as root"
            }
            Trouble::New(NewClientError::TooManyClients) => {
                "too many programs receive Endpoint Security's events already: end or remove another security \
                 product, or restart the Mac if one of them crashed; tried again every 15 seconds"
            }
            Trouble::New(NewClientError::Internal) => {
                "Endpoint Security failed within itself: tried again every 15 seconds; if it stays so, restart the Mac"
            }
            Trouble::New(NewClientError::InvalidArgument) => {
                "Endpoint Security did not take what it was asked for: this version of Vedette does not fit this \
                 version of macOS; look for an update, and report it"
            }
            Trouble::New(_) => {
                "Endpoint Security said no for a reason that this version of Vedette does not know: look for an \
                 update; tried again every 15 seconds"
            }
            Trouble::Subscribe(_) => {
                "Endpoint Security did not take the subscription to exec, fork and exit: tried again every 15 \
                 seconds; if it stays so, restart the Mac"
            }
            Trouble::Mute => {
                "the sensor's own events could not be left out: tried again every 15 seconds; if it stays so, \
                 restart the Mac"
            }
        })
    }
}
