//! The engine: programs run over a stream of records.

use std::collections::{HashSet, VecDeque};

use crate::ast::{Pipe, PipeKind, Relation};
use crate::compile::{Filter, Lineage, Plan, Program, RelationPlan};
use crate::dispatch::Dispatch;
use crate::key::{KeyPart, part};
use crate::partial::Store;
use crate::predicate::Context;
use crate::record::Record;
use crate::sample::SampleState;
use crate::schema::FieldId;
use crate::sequence::{Complete, Counters, Related, SequenceState, Shown};
use crate::value::{Scalar, Value};

/// Runs any number of [`Program`]s over records in the order of their arrival.
///
/// A record that is older than those before it is evaluated at its own time: it never extends a partial
/// whose last event is newer, nor replaces a newer one. Time passes by the records themselves, and by
/// [`advance`](Engine::advance); a single record of a far future moves nothing.
#[derive(Debug)]
pub struct Engine<R> {
    pub(crate) programs: Vec<Running<R>>,
    pub(crate) store: Store<R>,
    clock: Clock,
    follow: bool,
    pub(crate) counters: Counters,
    /// Absent while programs are exchanged.
    pub(crate) dispatch: Option<Box<Dispatch>>,
    events: u64,
    late: u64,
    serial: u64,
    complete: Vec<Complete<R>>,
}

/// Bounds of an [`Engine`].
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// How many bytes the partials of all programs may hold together.
    pub partial_bytes: usize,
    /// Whether later events that satisfy the last term of a match, for the same key and within maxspan of
    /// it, are gathered and given out as [`Outcome::Followed`].
    pub follow: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        EngineOptions { partial_bytes: 16 << 20, follow: false }
    }
}

/// What the engine gives out.
#[derive(Clone, Debug)]
pub enum Outcome<R> {
    /// A query matched.
    Match(Match<R>),
    /// More events came for a match that was given out before.
    Followed {
        /// The program.
        program: usize,
        /// The serial number of the match.
        serial: u64,
        /// The events, in order of arrival.
        events: Vec<R>,
        /// How many more there were.
        dropped: u64,
    },
}

/// A match of a query.
#[derive(Clone, Debug)]
pub struct Match<R> {
    /// The program: what [`Engine::add`] returned.
    pub program: usize,
    /// The number of the match in this engine, from 1.
    pub serial: u64,
    /// The events, a slot for each term (and each of its runs); `None` in that of a missing event.
    pub events: Vec<Option<R>>,
    /// The values of the join keys; `None` is null.
    pub keys: Vec<Option<Scalar>>,
}

/// What an [`Engine`] holds and has counted since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStatus {
    /// Records seen.
    pub events: u64,
    /// Of those, records older than the one before.
    pub late: u64,
    /// Matches.
    pub matches: u64,
    /// Partials that wait now.
    pub partials: usize,
    /// The bytes that they hold.
    pub partial_bytes: usize,
    /// Partials that ended because their maxspan passed.
    pub expired: u64,
    /// Partials and other waiting state dropped for want of memory: each may have been a match.
    pub evicted: u64,
    /// Events of which not all join keys were followed, because they had too many.
    pub keys_left_out: u64,
}

/// What an [`Engine`] has counted of one program since it was added, or since the engine was reloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramCounts {
    /// Records that the program was evaluated for: those of which the index did not say that they satisfy no term.
    pub evaluations: u64,
    /// Matches.
    pub matches: u64,
}

#[derive(Debug)]
pub(crate) struct Running<R> {
    /// The query as it is printed.
    pub(crate) text: Box<str>,
    pub(crate) state: State<R>,
    pub(crate) relations: Relations,
    pub(crate) pipes: Vec<PipeState<R>>,
    /// Since `head` has passed what it may, nothing more can come out.
    pub(crate) done: bool,
    pub(crate) counts: ProgramCounts,
}

#[derive(Debug)]
pub(crate) enum State<R> {
    Event(Filter),
    Sequence(Box<SequenceState<R>>),
    Sample(Box<SampleState<R>>),
}

#[derive(Debug)]
pub(crate) struct PipeState<R> {
    pipe: Pipe,
    passed: usize,
    held: VecDeque<Match<R>>,
}

impl<R: Record> Engine<R> {
    /// Makes an engine without programs.
    pub fn new(options: EngineOptions) -> Self {
        Engine {
            programs: Vec::new(),
            store: Store::new(options.partial_bytes),
            clock: Clock::default(),
            follow: options.follow,
            counters: Counters::default(),
            dispatch: None,
            events: 0,
            late: 0,
            serial: 0,
            complete: Vec::new(),
        }
    }

    /// Adds a program and returns its number, from 0 on.
    pub fn add(&mut self, program: Program) -> usize {
        let index = self.programs.len();
        let running = self.running(index, program);
        self.programs.push(running);
        self.dispatch = None;
        index
    }

    pub(crate) fn running(&self, index: usize, program: Program) -> Running<R> {
        let follow = self.follow && program.pipes.is_empty();
        let state = match program.plan {
            Plan::Event(filter) => State::Event(filter),
            Plan::Sequence(plan) => State::Sequence(Box::new(SequenceState::new(index, plan, follow))),
            Plan::Sample(plan) => State::Sample(Box::new(SampleState::new(plan))),
        };
        let pipes = program.pipes.into_iter();
        let pipes: Vec<PipeState<R>> =
            pipes.map(|pipe| PipeState { pipe, passed: 0, held: VecDeque::new() }).collect();
        let done = pipes.iter().any(|state| state.pipe.count == 0);
        let relations = Relations::new(program.relations, program.lineage);
        let counts = ProgramCounts::default();
        Running { text: program.text, state, relations, pipes, done, counts }
    }

    /// Shows a record to all programs; what comes of it is appended to `out`.
    pub fn push(&mut self, record: &R, out: &mut Vec<Outcome<R>>) {
        self.push_noting(record, out, |_| {});
    }

    /// Shows a record to all programs like [`push`](Engine::push), and says of each program that was evaluated, by its
    /// number, when it is done: whoever has a clock can tell by that what each of them costs.
    pub fn push_noting(&mut self, record: &R, out: &mut Vec<Outcome<R>>, mut done_with: impl FnMut(usize)) {
        self.events += 1;
        let time = record.time();
        self.late += u64::from(time < self.clock.previous);
        if self.clock.observe(time) {
            self.pass(out);
        }
        let mut dispatch = self.dispatch.take().unwrap_or_else(|| Box::new(Dispatch::new(&self.programs)));
        dispatch.find(record);
        let mut next = dispatch.next(0);
        while let Some(index) = next {
            if !self.programs[index].done {
                self.programs[index].counts.evaluations += 1;
                self.show(index, record, &dispatch, out);
                dispatch.arm(index, &self.programs[index]);
                done_with(index);
            }
            next = dispatch.next(index + 1);
        }
        self.dispatch = Some(dispatch);
    }

    /// Shows a record to a program of which it may satisfy a term.
    fn show(&mut self, index: usize, record: &R, dispatch: &Dispatch, out: &mut Vec<Outcome<R>>) {
        let Running { state, relations, .. } = &mut self.programs[index];
        // What has just become known was not when the record was looked up.
        let learned = relations.learn(record, |relation| dispatch.may_relate(index, relation));
        let related = |relation: usize, record: &R| relations.related(relation, record);
        match state {
            State::Event(filter) => {
                if filter.holds(&Context { record, bound: &[], related: &related }) {
                    self.emit(index, vec![Some(record.clone())], Vec::new(), out);
                }
            }
            State::Sample(sample) => sample.step(record, &related),
            State::Sequence(sequence) => {
                let may = |term: usize| learned || dispatch.may(index, term);
                let seen = Shown { record, related: &related, may: &may };
                let mut complete = std::mem::take(&mut self.complete);
                sequence.step(seen, &mut self.store, &mut self.counters, &mut complete);
                if !complete.is_empty() {
                    let settled = sequence.settle(std::mem::take(&mut complete), &mut self.counters);
                    self.emit_sequences(index, settled, out);
                }
                self.complete = complete;
                self.bound();
            }
        }
    }

    /// Says that it is `time` now, by the clock that gives records their time: no record older than that is
    /// waited for any more. A live source calls this when nothing happens, so that waiting matches settle.
    pub fn advance(&mut self, time: i64, out: &mut Vec<Outcome<R>>) {
        if time > self.clock.now {
            self.clock.now = time;
            self.pass(out);
        }
    }

    /// Says that the input has ended: what waits is settled as if time ran on, and `tail` and `sample` give
    /// their results.
    pub fn finish(&mut self, out: &mut Vec<Outcome<R>>) {
        self.clock.now = i64::MAX;
        self.pass(out);
        for index in 0..self.programs.len() {
            if let State::Sample(sample) = &mut self.programs[index].state {
                for (key, events) in sample.finish() {
                    self.emit(index, events.into_iter().map(Some).collect(), key.to_scalars(), out);
                }
            }
            for at in 0..self.programs[index].pipes.len() {
                for held in std::mem::take(&mut self.programs[index].pipes[at].held) {
                    self.programs[index].pipe(at + 1, held, out);
                }
            }
        }
    }

    /// Returns what the engine holds and has counted.
    pub fn status(&self) -> EngineStatus {
        EngineStatus {
            events: self.events,
            late: self.late,
            matches: self.serial,
            partials: self.store.len(),
            partial_bytes: self.store.bytes(),
            expired: self.counters.expired,
            evicted: self.counters.evicted,
            keys_left_out: self.counters.keys_left_out,
        }
    }

    /// Returns what has been counted of a program; nothing of one that does not exist.
    pub fn counts(&self, program: usize) -> ProgramCounts {
        self.programs.get(program).map_or_else(ProgramCounts::default, |running| running.counts)
    }

    /// Lets the time that has passed take effect.
    fn pass(&mut self, out: &mut Vec<Outcome<R>>) {
        let now = self.clock.now;
        let mut dispatch = self.dispatch.take().unwrap_or_else(|| Box::new(Dispatch::new(&self.programs)));
        let mut next = if dispatch.is_due(now) { dispatch.next_due(0, now) } else { None };
        let any = next.is_some();
        while let Some(index) = next {
            next = dispatch.next_due(index + 1, now);
            let State::Sequence(sequence) = &mut self.programs[index].state else { continue };
            let settled = sequence.settled(now);
            sequence.expire(now, &mut self.store, &mut self.counters);
            let closed = sequence.close_windows(now);
            self.emit_sequences(index, settled, out);
            out.extend(closed.into_iter().map(|related| followed(index, related)));
            dispatch.arm(index, &self.programs[index]);
        }
        if any {
            dispatch.note_least_due();
        }
        self.dispatch = Some(dispatch);
    }

    fn emit_sequences(&mut self, index: usize, complete: Vec<Complete<R>>, out: &mut Vec<Outcome<R>>) {
        for complete in complete {
            let State::Sequence(sequence) = &mut self.programs[index].state else { return };
            let given_up = sequence.watch(&complete, self.serial + 1);
            out.extend(given_up.map(|related| followed(index, related)));
            let keys = complete.key.to_scalars();
            let slots = sequence.slots(complete.events);
            self.emit(index, slots, keys, out);
        }
    }

    fn emit(
        &mut self,
        index: usize,
        events: Vec<Option<R>>,
        keys: Vec<Option<Scalar>>,
        out: &mut Vec<Outcome<R>>,
    ) {
        self.serial += 1;
        self.programs[index].counts.matches += 1;
        let matched = Match { program: index, serial: self.serial, events, keys };
        self.programs[index].pipe(0, matched, out);
    }

    /// Drops the least recently advanced partials until the rest fit.
    fn bound(&mut self) {
        while self.store.is_over_limit()
            && let Some(id) = self.store.oldest()
            && let Some(partial) = self.store.remove(id)
        {
            self.counters.evicted += 1;
            if let State::Sequence(sequence) = &mut self.programs[partial.sequence].state {
                sequence.forget(partial, id);
            }
        }
    }
}

impl<R: Record> Running<R> {
    /// Sends a match through the pipes from `at` on.
    fn pipe(&mut self, at: usize, matched: Match<R>, out: &mut Vec<Outcome<R>>) {
        for state in &mut self.pipes[at..] {
            match state.pipe.kind {
                PipeKind::Head => {
                    if state.passed == state.pipe.count {
                        return;
                    }
                    state.passed += 1;
                }
                PipeKind::Tail => {
                    state.held.push_back(matched);
                    if state.held.len() > state.pipe.count {
                        state.held.pop_front();
                    }
                    return;
                }
            }
        }
        if let Some(first) = self.pipes.first()
            && first.pipe.kind == PipeKind::Head
            && first.passed == first.pipe.count
        {
            self.done = true;
        }
        out.push(Outcome::Match(matched));
    }
}

pub(crate) fn followed<R>(program: usize, related: Related<R>) -> Outcome<R> {
    Outcome::Followed { program, serial: related.serial, events: related.events, dropped: related.dropped }
}

/// What time it is, so far as that can be believed.
///
/// Partials expire by a clock that moves only when a whole block of records has passed a time: one record
/// with a far-away timestamp, or a few, do not expire the rest.
#[derive(Debug)]
struct Clock {
    now: i64,
    previous: i64,
    block_least: i64,
    block_length: u32,
}

const BLOCK: u32 = 16;

impl Default for Clock {
    fn default() -> Self {
        Clock { now: i64::MIN, previous: i64::MIN, block_least: i64::MAX, block_length: 0 }
    }
}

impl Clock {
    /// Returns whether time has passed.
    fn observe(&mut self, time: i64) -> bool {
        self.previous = time;
        self.block_least = self.block_least.min(time);
        self.block_length += 1;
        if self.block_length < BLOCK {
            return false;
        }
        let least = std::mem::replace(&mut self.block_least, i64::MAX);
        self.block_length = 0;
        let passed = least > self.now;
        self.now = self.now.max(least);
        passed
    }
}

/// The processes to which `descendant of` and its like refer.
#[derive(Debug)]
pub(crate) struct Relations {
    pub(crate) plans: Vec<RelationPlan>,
    lineage: Option<Lineage<FieldId>>,
    known: Vec<Entities>,
}

#[derive(Debug, Default)]
struct Entities {
    set: HashSet<KeyPart>,
    order: VecDeque<KeyPart>,
    bytes: usize,
}

/// How many bytes of process identities one relation remembers; the oldest go first.
const ENTITY_BYTES: usize = 8 << 20;

impl Relations {
    fn new(plans: Vec<RelationPlan>, lineage: Option<Lineage<FieldId>>) -> Self {
        let known = plans.iter().map(|_| Entities::default()).collect();
        Relations { plans, lineage, known }
    }

    /// Goes on with what another of the same query has learned.
    pub(crate) fn take_over(&mut self, other: Relations) {
        self.known = other.known;
    }

    /// Remembers the record's process for each relation whose condition it satisfies, of those that it may; returns
    /// whether a process was new to one.
    fn learn<R: Record>(&mut self, record: &R, may: impl Fn(usize) -> bool) -> bool {
        let Some(lineage) = &self.lineage else { return false };
        let mut learned = false;
        for index in 0..self.plans.len() {
            // The condition may itself refer to a relation before it.
            if !learned && !may(index) {
                continue;
            }
            let related = |relation: usize, record: &R| self.related(relation, record);
            if !self.plans[index].filter.holds(&Context { record, bound: &[], related: &related }) {
                continue;
            }
            let entity = match record.get(lineage.entity) {
                Value::List(values) => values.first().and_then(|value| part(Value::from(value))),
                single => part(single),
            };
            let Some(entity) = entity else { continue };
            let known = &mut self.known[index];
            if known.set.insert(entity.clone()) {
                learned = true;
                known.bytes += entity.size();
                known.order.push_back(entity);
                while known.bytes > ENTITY_BYTES
                    && let Some(oldest) = known.order.pop_front()
                {
                    known.bytes -= oldest.size();
                    known.set.remove(&oldest);
                }
            }
        }
        learned
    }

    /// Returns whether an event can have the relation: a process is known that it refers to.
    pub(crate) fn is_known(&self, index: usize) -> bool {
        !self.known[index].set.is_empty()
    }

    pub(crate) fn related<R: Record>(&self, index: usize, record: &R) -> bool {
        let Some(lineage) = &self.lineage else { return false };
        if !self.is_known(index) {
            return false;
        }
        let known = &self.known[index].set;
        let is_known = |value: Value<'_>| part(value).is_some_and(|entity| known.contains(&entity));
        match self.plans[index].relation {
            Relation::Event => record.any(lineage.entity, is_known),
            Relation::Child => record.any(lineage.parent, is_known),
            Relation::Descendant => {
                record.any(lineage.parent, is_known) || record.any(lineage.ancestry, is_known)
            }
        }
    }
}

impl Filter {
    /// Returns whether the record is of the category and satisfies the condition.
    pub(crate) fn holds<R: Record>(&self, context: &Context<'_, R>) -> bool {
        self.is_of_category(context.record) && self.condition.holds(context)
    }

    pub(crate) fn is_of_category<R: Record>(&self, record: &R) -> bool {
        match &self.category {
            None => true,
            Some(name) => record.any_category(|value| value.as_str() == Some(name)),
        }
    }
}
