//! Replay: recordings through the same normaliser and detector as live events.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;

use eql::{EngineStatus, FieldId, Schema};

use crate::alert::{Alert, AlertKind};
use crate::detector::{Detector, RuleSet};
use crate::event::{Event, Host};
use crate::normaliser::{self, Normaliser};
use crate::observation::Observation;
use crate::process_table::Limits;
use crate::redaction::Redactor;
use crate::source::{Counters, Decoder, Item, Lines, Merge, Problem};

/// How many bytes of images are kept of recordings. A recorded image is a document, which is larger than what a sensor
/// keeps of a message.
const MAX_BYTES: usize = 16 << 20;

/// How a replay runs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `host.id` of events that have none; empty for the constant one.
    pub host_id: String,
    /// What replaces credentials in alerts; none for alerts as they are.
    pub redactor: Option<Arc<Redactor>>,
    /// How many threads there are: one detects, and decodes lines that the others have not begun with. 0 is as 1.
    pub jobs: usize,
}

/// What comes out of a replay.
#[derive(Debug)]
pub enum Output<'a> {
    /// An alert or an enrichment.
    Alert(&'a Alert),
    /// A line that could not be read.
    Problem(&'a Problem),
}

/// What a replay has seen.
#[derive(Debug, Default)]
pub struct Summary {
    /// What was read.
    pub read: Counters,
    /// What the engine did.
    pub engine: EngineStatus,
    /// Alerts by rule id.
    pub alerts: HashMap<String, u64>,
    /// Enrichments.
    pub enrichments: u64,
    /// Matches that were the same as one before.
    pub repeated: u64,
    /// Processes dropped from the table for want of room.
    pub processes_evicted: u64,
    /// How often each exception in use has done something, by its id.
    pub exceptions: BTreeMap<String, u64>,
}

/// Runs files through rules; each alert and problem goes to `each`, which may end the replay.
///
/// Events are ordered by `@timestamp`. Where the first event has a monotonic tick, as what a live sensor
/// recorded does, ticks order them and measure windows; an event without one among them is given the tick
/// that its `@timestamp` amounts to.
pub fn run<B>(
    rules: &RuleSet,
    files: Vec<Lines>,
    options: &Options,
    mut each: impl FnMut(Output<'_>) -> ControlFlow<B>,
) -> (Summary, Option<B>) {
    let decoder = recording(&rules.schema, fields(rules));
    let mut recorded = Recorded::new(options, rules.largest_window());
    let mut detector = Detector::new(rules).with_redactor(options.redactor.clone());
    let mut alerts = Vec::new();
    let mut summary = Summary::default();
    let mut deliver = |alerts: &mut Vec<Alert>, each: &mut dyn FnMut(Output<'_>) -> ControlFlow<B>| {
        for alert in alerts.drain(..) {
            summary.enrichments += u64::from(alert.kind == AlertKind::Enrichment);
            each(Output::Alert(&alert))?;
        }
        ControlFlow::Continue(())
    };
    let show = |item: Item<'_>| {
        match item {
            Item::Problem(problem) => each(Output::Problem(&problem))?,
            Item::NotEvaluated(..) => {}
            Item::Observation(observation, position) => {
                if let Some(event) = recorded.event(position.index as u32, observation)
                    && let Some(normaliser) = recorded.normaliser()
                {
                    detector.push(&event, normaliser, &mut alerts);
                    deliver(&mut alerts, &mut each)?;
                }
            }
        }
        ControlFlow::Continue(())
    };
    let mut merge = match options.jobs {
        0 | 1 => Merge::new(decoder, files),
        jobs => Merge::ahead(decoder, files, jobs - 1),
    };
    let mut flow = merge.try_for_each(show);
    if let Some(normaliser) = recorded.normaliser() {
        if flow.is_continue() {
            detector.finish(normaliser, &mut alerts);
            flow = deliver(&mut alerts, &mut each);
        }
        summary.engine = detector.status();
        summary.alerts = detector.counts().clone();
        summary.exceptions = detector.hits();
        summary.repeated = detector.repeated();
        summary.processes_evicted = normaliser.table().counts().evicted;
    }
    summary.read = merge.counters().clone();
    (summary, flow.break_value())
}

/// The fields that rules read of documents.
fn fields(rules: &RuleSet) -> Vec<FieldId> {
    let own = rules.rules.iter().flat_map(|loaded| loaded.program.fields());
    let effects = rules.exceptions.iter().flat_map(|loaded| &loaded.effects);
    own.chain(effects.flat_map(|(_, effect)| effect.fields())).copied().collect()
}

/// Returns a decoder that keeps of documents `fields`, what the normaliser reads, and what an alert's identity is made
/// of.
pub(crate) fn recording(schema: &Schema, fields: Vec<FieldId>) -> Decoder {
    let mut ids: Vec<FieldId> = normaliser::wanted().into_iter().map(|(_, id)| id).collect();
    ids.extend(crate::alert::READ);
    ids.extend(fields);
    ids.sort();
    ids.dedup();
    Decoder::recording(ids.into_iter().map(|id| (id, schema.path(id))), false)
}

/// Makes events of what a recording holds.
pub(crate) struct Recorded {
    host: Host,
    largest_window: i64,
    /// Made with the first observation, which says what orders events.
    normaliser: Option<Normaliser>,
    /// Whether ticks order events; then what must be added to a wall time to make it one.
    offset: Option<i64>,
}

impl Recorded {
    /// Begins with a recording; `largest_window`, in nanoseconds, is that of the rules.
    pub(crate) fn new(options: &Options, largest_window: i64) -> Self {
        let host = Host { id: options.host_id.as_str().into(), ..Host::default() };
        Recorded { host, largest_window, normaliser: None, offset: None }
    }

    /// Returns the normaliser, once something has been observed.
    pub(crate) fn normaliser(&mut self) -> Option<&mut Normaliser> {
        self.normaliser.as_mut()
    }

    /// Returns the event of an observation, if it is one; `stream` tells files apart.
    pub(crate) fn event(&mut self, stream: u32, mut observation: Observation<'_>) -> Option<Event> {
        let own = tick(&observation);
        let normaliser = self.normaliser.get_or_insert_with(|| {
            self.offset = own.map(|_| 0);
            Normaliser::new(normaliser::Options {
                host: self.host.clone(),
                ticks: own.is_some(),
                largest_window: self.largest_window,
                limits: Limits { bytes: MAX_BYTES, ..Limits::default() },
                ..normaliser::Options::default()
            })
        });
        if let Some(offset) = &mut self.offset {
            let time = observation.time();
            match own {
                Some(tick) => *offset = tick.saturating_sub(time),
                None => set_tick(&mut observation, time.saturating_add(*offset)),
            }
        }
        normaliser.normalise(stream, observation)
    }
}

fn tick(observation: &Observation<'_>) -> Option<i64> {
    match observation {
        Observation::Message(message) => message.tick,
        Observation::Document(document) => document.tick,
    }
}

fn set_tick(observation: &mut Observation<'_>, tick: i64) {
    match observation {
        Observation::Message(message) => message.tick = Some(tick),
        Observation::Document(document) => document.tick = Some(tick),
    }
}
