//! The loop: messages and time into the pipeline, until somebody ends it.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam_channel::{never, select_biased};
use endpoint_sec::Message;

use super::clock::Timebase;
use super::endpoint_security::{EndpointSecurity, KINDS, NAME, State};
use super::message;
use super::network::Network;
use crate::content::Watch;
use crate::observation::Observation;
use crate::process_table::At;
use crate::sensor::Sensor;

/// The stream whose numbers Endpoint Security's messages have.
pub(super) const STREAM: u32 = 0;

/// How long the loop waits for a message: so often the pipeline is told the time, and a signal is seen.
const WAKE: Duration = Duration::from_millis(500);

/// How long messages and connections may gather while some come. A callback, or the statistics' thread, that finds a thread
/// waiting has to wake it, a system call of some 10 µs; one that finds none has not.
const GATHER: Duration = Duration::from_millis(1);

/// How many messages are taken without a look at the clock.
const BATCH: usize = 256;

/// How long the client may take to end, and what it has left in the queue to be evaluated.
const DRAIN: Duration = Duration::from_millis(800);

/// How long ending may take in all; the sensor's own end is bounded by less.
const END_WITHIN: Duration = Duration::from_secs(5);

/// The sensor with its source.
pub(super) struct Live {
    sensor: Sensor,
    source: EndpointSecurity,
    timebase: Timebase,
    /// Whether environment variables are read.
    environment: bool,
    running: bool,
    /// Where connections come from; none where no source may be used.
    network: Option<Network>,
    /// Whether rules and exceptions are others now; none in safe mode, which has the built-in ones only.
    watch: Option<Watch>,
    /// Whether messages or connections came just now, and all of them were taken.
    gathering: bool,
    /// When the pipeline was told the time, on the clock of ticks.
    ticked: i64,
    /// Messages that nobody had time for at the end.
    left: [u64; KINDS.len()],
}

impl Live {
    pub(super) fn new(
        mut sensor: Sensor,
        source: EndpointSecurity,
        timebase: Timebase,
        environment: bool,
        network: Option<Network>,
        watch: Option<Watch>,
    ) -> Self {
        sensor.source(NAME).state = "starting".to_owned();
        let left = [0; KINDS.len()];
        Live {
            sensor,
            source,
            timebase,
            environment,
            running: false,
            network,
            watch,
            gathering: false,
            ticked: i64::MIN,
            left,
        }
    }

    /// Runs until `stop` is set, then ends in an orderly way.
    pub(super) fn run(mut self, stop: &AtomicBool) -> ExitCode {
        while !stop.load(Relaxed) {
            if self.running {
                self.take();
                while let Ok(state) = self.source.states.try_recv() {
                    self.note(state);
                }
            } else if let Ok(state) = self.source.states.recv_timeout(WAKE) {
                // Messages wait until the processes that already ran are known.
                self.note(state);
            }
            self.tick();
        }
        self.end()
    }

    fn take(&mut self) {
        let (wait, none) = (self.wait(), never());
        let sightings = self.network.as_ref().and_then(Network::sightings).unwrap_or(&none);
        let gathered = std::mem::take(&mut self.gathering).then(|| {
            std::thread::sleep(GATHER);
            self.source.messages.try_recv()
        });
        // Messages first: a flow waits for them anyway.
        let (message, sighting) = match gathered {
            Some(Ok(message)) => (Some(message), None),
            _ => select_biased! {
                recv(self.source.messages) -> message => (message.ok(), None),
                recv(sightings) -> sighting => (None, sighting.ok()),
                default(wait) => (None, None),
            },
        };
        let came = message.is_some() || sighting.is_some();
        if let Some(message) = message {
            self.observe(&message);
        }
        if let (Some(network), Some(sighting)) = (&mut self.network, sighting) {
            network.sighting(sighting);
        }
        for _ in 1..BATCH {
            let Ok(next) = self.source.messages.try_recv() else { break };
            self.observe(&next);
        }
        if let Some(network) = &mut self.network {
            for _ in 1..BATCH {
                let Some(Ok(next)) = network.sightings().map(|sightings| sightings.try_recv()) else { break };
                network.sighting(next);
            }
        }
        let left = self.network.as_ref().and_then(Network::sightings).is_some_and(|left| !left.is_empty());
        self.gathering = came && !left && self.source.messages.is_empty();
    }

    /// How long nothing need be done: until the next look at the clock, or until a flow must go on.
    fn wait(&self) -> Duration {
        let due = self.network.as_ref().and_then(|network| network.due_in(self.timebase.tick()));
        due.map_or(WAKE, |due| Duration::from_nanos(due.unsigned_abs()).min(WAKE))
    }

    fn observe(&mut self, message: &Message) {
        let mut seen = message::read(message, self.timebase, self.environment);
        if let Some(network) = &mut self.network {
            network.pass(seen.tick.unwrap_or(i64::MIN), &mut self.sensor);
            network.connection(message, &mut seen);
        }
        self.sensor.observe(STREAM, Observation::Message(Box::new(seen)));
    }

    fn tick(&mut self) {
        let now = self.timebase.now();
        let due = self.network.as_ref().and_then(|network| network.due_in(now.tick)) == Some(0);
        if due || now.tick.saturating_sub(self.ticked) >= WAKE.as_nanos() as i64 {
            self.ticked = now.tick;
            self.count();
            if let Some(network) = self.network.as_mut().filter(|_| self.running) {
                network.tick(now, &mut self.sensor, &self.source);
            }
            self.sensor.tick(now);
            self.reload();
        }
    }

    /// Takes other rules and exceptions over, if there are any.
    fn reload(&mut self) {
        if let Some(look) = self.watch.as_ref().and_then(Watch::take) {
            self.sensor.take(look);
        }
    }

    fn note(&mut self, state: State) {
        match state {
            State::Waiting(trouble) => {
                let why = trouble.to_string();
                let source = self.sensor.source(NAME);
                if source.message.as_ref() == Some(&why) {
                    return;
                }
                source.state = "waiting".to_owned();
                source.message = Some(why.clone());
                source.reason = Some(trouble.reason());
                log::error!(target: "sensor", "{why}");
                let _ = writeln!(std::io::stderr(), "vedette: {why}");
                self.sensor.degrade(NAME, why);
            }
            State::Running(listed) => {
                let now = self.timebase.now();
                let at = At { time: now.wall, order: now.tick };
                let normaliser = self.sensor.normaliser();
                for process in &listed {
                    normaliser.already_running(&process.image, process.args.as_deref(), at);
                }
                self.running = true;
                let source = self.sensor.source(NAME);
                source.state = "running".to_owned();
                (source.message, source.reason) = (None, None);
                log::info!(target: "sensor", "events are received; {} processes ran already", listed.len());
                self.sensor.recover(NAME);
                if let Some(network) = &mut self.network {
                    network.begin(&mut self.sensor, &self.source);
                }
            }
            State::Connections(result) => {
                let result = result.map_err(|_| "Endpoint Security did not take the subscription".to_owned());
                if let Some(network) = &mut self.network {
                    network.subscribed(result, &mut self.sensor);
                }
            }
            State::Ended => self.running = false,
        }
    }

    /// Brings the callback's counts to the status.
    fn count(&mut self) {
        let counters = &self.source.counters;
        let source = self.sensor.source(NAME);
        source.received = counters.received.load(Relaxed);
        source.missing_in_all = counters.missing_in_all.load(Relaxed);
        for (index, kind) in KINDS.iter().enumerate() {
            let dropped = counters.dropped[index].load(Relaxed) + self.left[index];
            for (map, count) in
                [(&mut source.dropped, dropped), (&mut source.missing, counters.missing[index].load(Relaxed))]
            {
                if count > 0 {
                    map.insert((*kind).to_owned(), count);
                }
            }
        }
    }

    /// Ends the client, evaluates what it has left, and has everything written.
    fn end(mut self) -> ExitCode {
        end_at_last();
        self.source.stop();
        let until = Instant::now() + DRAIN;
        let mut ended = false;
        while !ended && Instant::now() < until {
            match self.source.states.recv_timeout(WAKE / 10) {
                Ok(State::Ended) => ended = true,
                Ok(state) => self.note(state),
                Err(_) => {}
            }
            self.drain(until);
        }
        self.drain(until);
        while let Ok(message) = self.source.messages.try_recv() {
            self.left[super::endpoint_security::kind(&message)] += 1;
        }
        if let Some(network) = &mut self.network {
            network.end(&mut self.sensor, until);
        }
        self.count();
        let Live { sensor, source, timebase, .. } = self;
        if ended {
            source.join();
        }
        let lost = sensor.stop(timebase.now(), "it was told to end by a signal");
        if lost > 0 {
            log::error!(target: "sensor", "{lost} documents could not be written before the end");
        }
        log::logger().flush();
        ExitCode::SUCCESS
    }

    fn drain(&mut self, until: Instant) {
        while Instant::now() < until
            && let Ok(message) = self.source.messages.try_recv()
        {
            self.observe(&message);
        }
    }
}

/// Ends the process whatever may hang: a disk, another process that logging waits for.
fn end_at_last() {
    let _ = std::thread::Builder::new().name("end".into()).spawn(|| {
        std::thread::sleep(END_WITHIN);
        // SAFETY: it does not return, and runs nothing that could wait.
        unsafe { libc::_exit(1) }
    });
}
