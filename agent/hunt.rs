//! Hunt: one EQL query over NDJSON.

use std::ops::ControlFlow;
use std::sync::Arc;

use eql::{Engine, EngineOptions, FieldId, Match, Outcome, Program, Record, Scalar, Schema, Value};
use serde_json::Value as Json;

use crate::event::Event;
use crate::normaliser::{self, Normaliser};
use crate::observation::{Document, Observation};
use crate::source::{Decoder, Item, Lines, Merge, Problem};
use crate::{schema, source};

/// How documents of any schema are read.
#[derive(Clone, Debug)]
pub struct RawFields {
    /// The path of the time.
    pub timestamp: String,
    /// The path of the category that a query's `CATEGORY where` names.
    pub category: String,
}

/// How a hunt orders events.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Sort everything by time first; else files are merged by their heads and keep their own order.
    pub sort: bool,
    /// The path of the field that orders events of the same time, those without it last.
    pub tiebreaker: Option<String>,
}

/// What comes out of a hunt.
#[derive(Debug)]
pub enum Output<'a> {
    /// A match: the events whole, null in the slot of a missing one.
    Match {
        /// The events.
        events: Vec<Json>,
        /// The join keys' values.
        keys: Vec<Option<Scalar>>,
    },
    /// A line that could not be read.
    Problem(&'a Problem),
}

/// Runs a program over recordings, normalised as `replay` does.
pub fn recordings<B>(
    program: Program,
    schema: &mut Schema,
    files: Vec<Lines>,
    order: &Order,
    each: impl FnMut(Output<'_>) -> ControlFlow<B>,
) -> Option<B> {
    let tiebreaker = order.tiebreaker.as_deref().map(|path| schema.intern(path));
    let mut ids: Vec<FieldId> = normaliser::wanted().into_iter().map(|(_, id)| id).collect();
    ids.extend(program.fields());
    ids.extend(tiebreaker);
    let decoder = Decoder::recording(ids.iter().map(|id| (*id, schema.path(*id))), false);
    let largest_window = program.maxspan().unwrap_or(0);
    let mut normaliser =
        Normaliser::new(normaliser::Options { largest_window, ..normaliser::Options::default() });
    let mut hunt = Hunt::new(program, order, tiebreaker, each, |event: &Event| schema::render(event).into());
    let mut merge = Merge::new(decoder, files);
    let flow = merge.try_for_each(|item| match item {
        Item::Problem(problem) => (hunt.each)(Output::Problem(&problem)),
        Item::NotEvaluated(..) => ControlFlow::Continue(()),
        Item::Observation(observation, position) => {
            match normaliser.normalise(position.index as u32, observation) {
                Some(event) => hunt.push(event),
                None => ControlFlow::Continue(()),
            }
        }
    });
    hunt.end(flow)
}

/// Runs a program over documents of any schema; its schema has nothing but what the query names.
pub fn documents<B>(
    program: Program,
    schema: &mut Schema,
    fields: &RawFields,
    files: Vec<Lines>,
    order: &Order,
    each: impl FnMut(Output<'_>) -> ControlFlow<B>,
) -> Option<B> {
    let category = schema.intern(&fields.category);
    let tiebreaker = order.tiebreaker.as_deref().map(|path| schema.intern(path));
    let decoder = Decoder::raw(&fields.timestamp, schema.paths());
    let mut hunt = Hunt::new(program, order, tiebreaker, each, |raw: &Raw| {
        // The document as it was written; a line that was read is JSON.
        serde_json::from_str(raw.document.line()).unwrap_or_else(|_| source::to_json(&raw.document).into())
    });
    let mut merge = Merge::new(decoder, files);
    let flow = merge.try_for_each(|item| match item {
        Item::Problem(problem) => (hunt.each)(Output::Problem(&problem)),
        Item::Observation(Observation::Document(document), _) => {
            hunt.push(Raw { document: Arc::new(document), category })
        }
        Item::NotEvaluated(..) | Item::Observation(..) => ControlFlow::Continue(()),
    });
    hunt.end(flow)
}

/// A document of any schema.
#[derive(Clone)]
struct Raw {
    document: Arc<Document>,
    category: FieldId,
}

impl Record for Raw {
    fn time(&self) -> i64 {
        self.document.time
    }

    fn category(&self) -> Value<'_> {
        self.document.get(self.category)
    }

    fn get(&self, field: FieldId) -> Value<'_> {
        self.document.get(field)
    }

    fn weight(&self) -> usize {
        self.document.line().len() + size_of::<Document>()
    }
}

struct Hunt<R, E, W> {
    engine: Engine<R>,
    sort: bool,
    tiebreaker: Option<FieldId>,
    /// Events that wait to be put in order: all of them, or those of one time.
    waiting: Vec<R>,
    outcomes: Vec<Outcome<R>>,
    each: E,
    whole: W,
}

impl<R: Record, B, E: FnMut(Output<'_>) -> ControlFlow<B>, W: Fn(&R) -> Json> Hunt<R, E, W> {
    fn new(program: Program, order: &Order, tiebreaker: Option<FieldId>, each: E, whole: W) -> Self {
        let mut engine = Engine::new(EngineOptions { partial_bytes: 1 << 30, follow: false });
        engine.add(program);
        Hunt { engine, sort: order.sort, tiebreaker, waiting: Vec::new(), outcomes: Vec::new(), each, whole }
    }

    fn push(&mut self, record: R) -> ControlFlow<B> {
        if !self.sort {
            if self.tiebreaker.is_none() {
                self.engine.push(&record, &mut self.outcomes);
                return self.drain();
            }
            if self.waiting.last().is_some_and(|last| last.time() != record.time()) {
                self.release()?;
            }
        }
        self.waiting.push(record);
        ControlFlow::Continue(())
    }

    /// Puts what waits in order, and shows it to the engine.
    fn release(&mut self) -> ControlFlow<B> {
        let tiebreaker = self.tiebreaker;
        self.waiting.sort_by(|a, b| {
            let tie = || tiebreaker.map_or(std::cmp::Ordering::Equal, |id| compare(a.get(id), b.get(id)));
            a.time().cmp(&b.time()).then_with(tie)
        });
        for record in std::mem::take(&mut self.waiting) {
            self.engine.push(&record, &mut self.outcomes);
            self.drain()?;
        }
        ControlFlow::Continue(())
    }

    fn drain(&mut self) -> ControlFlow<B> {
        for outcome in self.outcomes.drain(..) {
            if let Outcome::Match(Match { events, keys, .. }) = outcome {
                let events =
                    events.iter().map(|event| event.as_ref().map_or(Json::Null, &self.whole)).collect();
                (self.each)(Output::Match { events, keys })?;
            }
        }
        ControlFlow::Continue(())
    }

    fn end(mut self, flow: ControlFlow<B>) -> Option<B> {
        if flow.is_break() {
            return flow.break_value();
        }
        if let ControlFlow::Break(value) = self.release() {
            return Some(value);
        }
        self.engine.finish(&mut self.outcomes);
        self.drain().break_value()
    }
}

/// Orders tiebreakers: numbers, then text; what is missing comes last.
fn compare(a: Value<'_>, b: Value<'_>) -> std::cmp::Ordering {
    let rank = |value: &Value<'_>| match value {
        Value::Int(_) | Value::Float(_) => 0,
        Value::Str(_) => 1,
        Value::Bool(_) => 2,
        Value::Missing | Value::List(_) => 3,
    };
    let float = |value: Value<'_>| match value {
        Value::Int(number) => number as f64,
        Value::Float(number) => number,
        _ => 0.0,
    };
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(&b),
        (Value::Str(a), Value::Str(b)) => a.cmp(b),
        (a, b) => rank(&a).cmp(&rank(&b)).then_with(|| float(a).total_cmp(&float(b))),
    }
}
