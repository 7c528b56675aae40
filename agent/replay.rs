//! Replay: recordings through the same normaliser and detector as live events.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use eql::EngineStatus;

use crate::alert::{Alert, AlertKind};
use crate::detector::{Detector, RuleSet};
use crate::event::Host;
use crate::normaliser::{self, Normaliser};
use crate::observation::Observation;
use crate::source::{Counters, Decoder, Item, Lines, Merge, Problem};

/// How a replay runs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `host.id` of events that have none; empty for the constant one.
    pub host_id: String,
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
    let mut merge = Merge::new(Decoder::recording(wanted(rules), false), files);
    let mut pipeline: Option<Pipeline> = None;
    let mut alerts = Vec::new();
    let mut summary = Summary::default();
    let mut deliver = |alerts: &mut Vec<Alert>, each: &mut dyn FnMut(Output<'_>) -> ControlFlow<B>| {
        for alert in alerts.drain(..) {
            summary.enrichments += u64::from(alert.kind == AlertKind::Enrichment);
            each(Output::Alert(&alert))?;
        }
        ControlFlow::Continue(())
    };
    let mut flow = merge.try_for_each(|item| {
        match item {
            Item::Problem(problem) => each(Output::Problem(&problem))?,
            Item::NotEvaluated(..) => {}
            Item::Observation(observation, position) => {
                let pipeline = pipeline
                    .get_or_insert_with(|| Pipeline::new(rules, options, tick(&observation).is_some()));
                pipeline.push(position.index as u32, observation, &mut alerts);
                deliver(&mut alerts, &mut each)?;
            }
        }
        ControlFlow::Continue(())
    });
    if let Some(pipeline) = &mut pipeline {
        if flow.is_continue() {
            pipeline.detector.finish(&mut pipeline.normaliser, &mut alerts);
            flow = deliver(&mut alerts, &mut each);
        }
        summary.engine = pipeline.detector.status();
        summary.alerts = pipeline.detector.counts().clone();
        summary.exceptions = pipeline.detector.hits();
        summary.repeated = pipeline.detector.repeated();
        summary.processes_evicted = pipeline.normaliser.table().counts().evicted;
    }
    summary.read = merge.counters().clone();
    (summary, flow.break_value())
}

/// The fields that are kept of documents: those that rules read, the normaliser, and an alert's identity.
fn wanted(rules: &RuleSet) -> Vec<(eql::FieldId, &str)> {
    let mut ids: Vec<eql::FieldId> = normaliser::wanted().into_iter().map(|(_, id)| id).collect();
    ids.extend(crate::alert::READ);
    ids.extend(rules.rules.iter().flat_map(|loaded| loaded.program.fields()));
    let effects = rules.exceptions.iter().flat_map(|loaded| &loaded.effects);
    ids.extend(effects.flat_map(|(_, effect)| effect.fields()));
    ids.sort();
    ids.dedup();
    ids.into_iter().map(|id| (id, rules.schema.path(id))).collect()
}

struct Pipeline {
    normaliser: Normaliser,
    detector: Detector,
    /// Whether ticks order events; then what must be added to a wall time to make it one.
    offset: Option<i64>,
}

impl Pipeline {
    fn new(rules: &RuleSet, options: &Options, ticks: bool) -> Self {
        let host = Host { id: options.host_id.as_str().into(), ..Host::default() };
        let normaliser = Normaliser::new(normaliser::Options {
            host,
            ticks,
            largest_window: rules.largest_window(),
            ..normaliser::Options::default()
        });
        Pipeline { normaliser, detector: Detector::new(rules), offset: ticks.then_some(0) }
    }

    fn push(&mut self, stream: u32, mut observation: Observation<'_>, alerts: &mut Vec<Alert>) {
        if let Some(offset) = &mut self.offset {
            let time = observation.time();
            match tick(&observation) {
                Some(tick) => *offset = tick.saturating_sub(time),
                None => set_tick(&mut observation, time.saturating_add(*offset)),
            }
        }
        if let Some(event) = self.normaliser.normalise(stream, observation) {
            self.detector.push(&event, &mut self.normaliser, alerts);
        }
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
