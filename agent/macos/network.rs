//! Which network source is used, and what comes from it.
//!
//! `auto` tries Endpoint Security's event 154, and the kernel's statistics where that does not work or is silent about
//! some kinds of connection. Each is believed only after its [probe](crate::network::probe), for as long as this process
//! runs; one that has been silent for long is tried out again. What comes while its first probe runs is held and evaluated
//! once that has succeeded.

mod belief;
mod check;
mod trial;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use endpoint_sec::Message;

use super::clock::Timebase;
use super::endpoint_security::EndpointSecurity;
use super::message;
use super::ntstat::{self, Ntstat, Sighting};
use crate::config::NetworkSource;
use crate::network::armed::{Notes, SURVIVED};
use crate::network::connection::Connection;
use crate::network::es::Payload;
use crate::network::gate::{self, System};
use crate::network::ntstat::tracker::What;
use crate::network::once::Once;
use crate::network::probe::Kind;
use crate::network::reorder::Reorder;
use crate::network::{ES, NTSTAT};
use crate::observation::{self, Flow, MessageEvent, Observation};
use crate::sensor::{Now, Sensor};
use crate::timestamp;
use belief::Use;
pub(crate) use check::probe_network;
use trial::Trial;

/// How many messages of event 154 are held until its probe is over; they hold on to Endpoint Security's memory.
const MAX_HELD_MESSAGES: usize = 1024;

/// How many of the statistics' connections are held until their probe is over.
const MAX_HELD_FLOWS: usize = 8192;

/// How much longer a flow waits where Endpoint Security tells of connections too, in nanoseconds: its own record of the
/// same one names more, and comes at about that time.
const ES_FIRST: i64 = 100_000_000;

/// The network sources of a running sensor.
pub(super) struct Network {
    wanted: NetworkSource,
    system: System,
    timebase: Timebase,
    notes: Notes,
    /// What is in use and not known to be harmless, since when, on the clock of ticks.
    armed: BTreeMap<&'static str, i64>,
    es: Use,
    ntstat: Use,
    source: Option<Ntstat>,
    /// What the statistics' thread counts, or counted.
    counters: Option<Arc<ntstat::Counters>>,
    held_messages: Vec<Message>,
    held_flows: Vec<Sighting>,
    reorder: Reorder<Waiting>,
    once: Once,
    counts: Counts,
}

/// A flow that waits for Endpoint Security to pass its time.
struct Waiting {
    flow: Flow,
    /// Of a beginning, what another source may have told already.
    begins: Option<(u32, Connection, i64)>,
}

#[derive(Default)]
struct Counts {
    received: u64,
    dropped: u64,
    malformed: u64,
}

impl Network {
    pub(super) fn new(wanted: NetworkSource, system: System, notes: Notes, timebase: Timebase) -> Self {
        Network {
            wanted,
            system,
            timebase,
            notes,
            armed: BTreeMap::new(),
            es: Use::Unused,
            ntstat: Use::Unused,
            source: None,
            counters: None,
            held_messages: Vec::new(),
            held_flows: Vec::new(),
            reorder: Reorder::default(),
            once: Once::default(),
            counts: Counts::default(),
        }
    }

    /// Begins, once Endpoint Security tells of processes.
    pub(super) fn begin(&mut self, sensor: &mut Sensor, client: &EndpointSecurity) {
        sensor.source("network").state = "starting".to_owned();
        if self.wanted != NetworkSource::NetworkStatistics {
            self.es = self.open_es(client);
        }
        self.go_on(sensor);
    }

    /// Takes word of the subscription to event 154.
    pub(super) fn subscribed(&mut self, result: Result<(), String>, sensor: &mut Sensor) {
        self.es = match result {
            Ok(()) => self.try_out(),
            Err(why) => Use::Off(why),
        };
        self.go_on(sensor);
    }

    /// Reads a message of event 154 into what is evaluated, where the source is believed. `seen` is the same message.
    pub(super) fn connection(&mut self, message: &Message, seen: &mut observation::Message<'_>) {
        let Some(bytes) = message::connection(message) else { return };
        let payload = match Payload::decode(&bytes) {
            Ok(payload) => payload,
            Err(error) => {
                self.counts.malformed += 1;
                if let Some(trial) = self.es.trial() {
                    trial.malformed(error.to_string());
                }
                return;
            }
        };
        if let Some(trial) = self.es.trial()
            && trial.payload(seen.process.token.pid, &payload, &bytes)
        {
            return;
        }
        match &mut self.es {
            Use::Opening | Use::Trial(_) => {
                if self.held_messages.len() < MAX_HELD_MESSAGES {
                    self.held_messages.push(message.clone());
                } else {
                    self.counts.dropped += 1;
                }
            }
            Use::Proven { orders, heard, .. } => {
                *heard = self.timebase.tick();
                let connection = payload.connection(*orders, message::name(message, &payload));
                let time = seen.tick.unwrap_or(seen.time);
                if self.once.is_new(ES, seen.process.token.pid, &connection, time) {
                    self.counts.received += 1;
                    seen.event = MessageEvent::Connect(Box::new(connection.network(ES, None)));
                }
            }
            Use::Unused | Use::Off(_) => {}
        }
    }

    /// Evaluates the flows that need wait no longer, before a message of this tick is.
    pub(super) fn pass(&mut self, tick: i64, sensor: &mut Sensor) {
        let later = if matches!(self.es, Use::Proven { .. }) { ES_FIRST } else { 1 };
        self.reorder.pass(tick.saturating_sub(later));
        if !self.reorder.is_empty() {
            self.release(self.timebase.tick(), sensor);
        }
    }

    /// Takes what the statistics tell.
    pub(super) fn sighting(&mut self, sighting: Sighting) {
        if let Some(trial) = self.ntstat.trial()
            && trial.sighting(&sighting)
        {
            return;
        }
        match &mut self.ntstat {
            Use::Opening | Use::Trial(_) => {
                if self.held_flows.len() < MAX_HELD_FLOWS {
                    // Its bytes were for the probe.
                    self.held_flows.push(Sighting { raw: Vec::new(), ..sighting });
                } else {
                    self.counts.dropped += 1;
                }
            }
            Use::Proven { heard, .. } => {
                *heard = self.timebase.tick();
                self.wait(sighting);
            }
            Use::Unused | Use::Off(_) => {}
        }
    }

    /// Returns where the statistics' connections come from; none if they are not in use.
    pub(super) fn sightings(&self) -> Option<&crossbeam_channel::Receiver<Sighting>> {
        self.source.as_ref().map(|source| &source.sightings)
    }

    /// Returns how long it may take until a flow must go on, in nanoseconds from `now`; none if none waits.
    pub(super) fn due_in(&self, now: i64) -> Option<i64> {
        self.reorder.deadline().map(|deadline| deadline.saturating_sub(now).max(0))
    }

    /// Tells the time, at least twice a second.
    pub(super) fn tick(&mut self, now: Now, sensor: &mut Sensor, client: &EndpointSecurity) {
        self.release(now.tick, sensor);
        self.hear(now, sensor);
        self.judge(now, sensor, client);
        self.doubt(now.tick);
        let survived = |since: &i64| now.tick.saturating_sub(*since) >= SURVIVED;
        let done: Vec<_> =
            self.armed.iter().filter(|(_, since)| survived(since)).map(|(name, _)| *name).collect();
        for name in done {
            self.armed.remove(name);
            if let Err(error) = self.notes.survived(name) {
                log::warn!(target: "sensor", "the note of the first use of {name} cannot be taken back: {error}");
            }
        }
        self.count(sensor);
    }

    /// Evaluates what waits, as far as there is time, and takes the notes back: the sensor ends in an orderly way.
    pub(super) fn end(&mut self, sensor: &mut Sensor, until: Instant) {
        while Instant::now() < until
            && let Some(sightings) = self.sightings()
            && let Ok(sighting) = sightings.try_recv()
        {
            self.sighting(sighting);
        }
        while Instant::now() < until
            && let Some(waiting) = self.reorder.pop(i64::MAX)
        {
            self.evaluate(waiting, sensor);
        }
        let left = self.reorder.len() + self.sightings().map_or(0, crossbeam_channel::Receiver::len);
        self.counts.dropped += left as u64;
        self.count(sensor);
        for name in [ES, NTSTAT] {
            self.take_back(name);
        }
        // Its thread ends by itself.
        self.source = None;
    }

    fn open_es(&mut self, client: &EndpointSecurity) -> Use {
        let permit = match gate::es(&self.system) {
            Ok(permit) => permit,
            Err(why) => return Use::Off(why),
        };
        if let Err(why) = self.arm(ES) {
            return Use::Off(why);
        }
        client.connections(permit);
        Use::Opening
    }

    fn open_ntstat(&mut self) -> Use {
        let layout = match gate::ntstat(&self.system) {
            Ok(layout) => layout,
            Err(why) => return Use::Off(why),
        };
        if let Err(why) = self.arm(NTSTAT) {
            return Use::Off(why);
        }
        match Ntstat::start(layout, self.timebase) {
            Ok(source) => {
                self.counters = Some(source.counters.clone());
                self.source = Some(source);
                Use::Opening
            }
            Err(error) => Use::Off(format!("the system gives no thread: {error}")),
        }
    }

    fn arm(&mut self, name: &'static str) -> Result<(), String> {
        let now = self.timebase.now();
        self.notes.arm(name, &self.system.build, &timestamp::format(now.wall))?;
        if self.notes.is_armed(name) {
            self.armed.insert(name, now.tick);
        }
        Ok(())
    }

    fn take_back(&mut self, name: &'static str) {
        // Only what this process armed: a note that was found stays.
        if self.armed.remove(name).is_some()
            && let Err(error) = self.notes.disarm(name)
        {
            log::warn!(target: "sensor", "the note of the first use of {name} cannot be taken back: {error}");
        }
    }

    fn try_out(&self) -> Use {
        match Trial::start(self.timebase.tick()) {
            Ok(trial) => Use::Trial(Box::new(trial)),
            Err(why) => Use::Off(why),
        }
    }

    /// Hears what the statistics' thread has to say.
    fn hear(&mut self, now: Now, sensor: &mut Sensor) {
        while let Some(source) = &self.source
            && let Ok(state) = source.states.try_recv()
        {
            match state {
                ntstat::State::Open => {
                    self.ntstat = self.try_out();
                    self.go_on(sensor);
                }
                ntstat::State::Malformed(why) => {
                    log::warn!(target: "sensor", "the kernel's network statistics: {why}");
                    if let Some(trial) = self.ntstat.trial() {
                        trial.malformed(why);
                    }
                }
                ntstat::State::Failed(why) => {
                    // What it told before.
                    while let Some(sighting) = self.sightings().and_then(|left| left.try_recv().ok()) {
                        self.sighting(sighting);
                    }
                    self.release(now.tick.saturating_add(crate::network::reorder::WAIT), sensor);
                    self.drop_ntstat(why);
                    self.go_on(sensor);
                }
            }
        }
    }

    /// Tries what is to be tried next, or says what came of it all.
    fn go_on(&mut self, sensor: &mut Sensor) {
        let undecided = |source: &Use| matches!(source, Use::Opening | Use::Trial(_));
        if undecided(&self.es) || undecided(&self.ntstat) {
            return;
        }
        let wanted = match self.wanted {
            NetworkSource::NetworkStatistics => true,
            // Where Endpoint Security tells of every kind, one undocumented source is enough.
            NetworkSource::Auto => !matches!(&self.es, Use::Proven { silent, .. } if silent.is_empty()),
            NetworkSource::EndpointSecurity | NetworkSource::Off => false,
        };
        if wanted && matches!(self.ntstat, Use::Unused) {
            self.ntstat = self.open_ntstat();
            if undecided(&self.ntstat) {
                return;
            }
        }
        self.tell(sensor);
    }

    fn tell(&self, sensor: &mut Sensor) {
        let (mut used, mut whys) = (Vec::new(), Vec::new());
        let mut silent: Option<Vec<Kind>> = None;
        for (name, source) in [(ES, &self.es), (NTSTAT, &self.ntstat)] {
            match source {
                Use::Proven { silent: own, .. } => {
                    used.push(name);
                    let both =
                        |others: Vec<Kind>| others.into_iter().filter(|kind| own.contains(kind)).collect();
                    silent = Some(silent.map_or_else(|| own.clone(), both));
                }
                Use::Off(why) => whys.push(format!("{name}: {why}")),
                Use::Unused | Use::Opening | Use::Trial(_) => {}
            }
        }
        let Some(silent) = silent else { return sensor.no_connections(&whys.join("; "), true) };
        let mut why = "proven at start".to_owned();
        if !silent.is_empty() {
            let kinds: Vec<String> = silent.iter().map(Kind::to_string).collect();
            why.push_str(&format!("; it was not told of connections over {}", kinds.join(", ")));
        }
        for other in whys {
            why.push_str("; ");
            why.push_str(&other);
        }
        sensor.connections_from(&used.join(" and "), &why);
    }

    /// Evaluates what was held while the probe of event 154 ran.
    fn evaluate_held(&mut self, sensor: &mut Sensor) {
        for message in std::mem::take(&mut self.held_messages) {
            let mut seen = message::read(&message, self.timebase, false);
            // They were counted when they came.
            (seen.seq_num, seen.global_seq_num) = (None, None);
            self.connection(&message, &mut seen);
            sensor.observe(super::live::STREAM, Observation::Message(Box::new(seen)));
        }
    }

    fn wait(&mut self, sighting: Sighting) {
        let Sighting { change, owner, time, tick, .. } = sighting;
        let (ended, bytes) = match change.what {
            What::Began => (false, None),
            What::Ended(bytes) => (true, bytes),
        };
        let connection = change.open.connection;
        let network = connection.network(NTSTAT, bytes);
        let flow = Flow { time, tick: Some(tick), ended, network, owner };
        let begins = (!ended).then_some((change.open.pid, connection, tick));
        self.reorder.push(tick, self.timebase.tick(), Waiting { flow, begins });
    }

    fn release(&mut self, now: i64, sensor: &mut Sensor) {
        while let Some(waiting) = self.reorder.pop(now) {
            self.evaluate(waiting, sensor);
        }
    }

    fn evaluate(&mut self, Waiting { flow, begins }: Waiting, sensor: &mut Sensor) {
        if let Some((pid, connection, tick)) = begins {
            if !self.once.is_new(NTSTAT, pid, &connection, tick) {
                return;
            }
            self.counts.received += 1;
        }
        sensor.observe_flow(flow);
    }

    /// Brings the counts to the status.
    fn count(&self, sensor: &mut Sensor) {
        use std::sync::atomic::Ordering::Relaxed;
        let entry = sensor.source("network");
        entry.received = self.counts.received;
        let (mut dropped, mut malformed) = (self.counts.dropped, self.counts.malformed);
        // Of a source that is used no more, what it had counted stays.
        if let Some(counters) = &self.counters {
            dropped += counters.dropped.load(Relaxed);
            malformed += counters.malformed.load(Relaxed);
            let discarded = counters.discarded.load(Relaxed);
            entry.missing_in_all = discarded + counters.forgotten.load(Relaxed);
            if discarded > 0 {
                entry.missing.insert("discarded".to_owned(), discarded);
            }
        }
        for (name, count) in [("connection", dropped), ("malformed", malformed)] {
            if count > 0 {
                entry.dropped.insert(name.to_owned(), count);
            }
        }
    }
}
