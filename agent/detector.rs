//! The detector: loaded rules over the stream of events, and the alerts that come of it.

mod cost;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use eql::{
    Diagnostic, Engine, EngineOptions, EngineStatus, Filters, Level, Lineage, Match, Options, Outcome,
    Program, Reloaded, Schema,
};

use sha2::{Digest, Sha256};

use crate::alert::{self, Alert, AlertKind, Matched};
use crate::budget::Budget;
use crate::event::Event;
use crate::exception::{self, Exception, On};
use crate::normaliser::Normaliser;
use crate::recent::RecentIds;
use crate::redaction::{Redactor, Secrets};
use crate::rule::{Content, Finding, Rule, RuleFile};
use crate::schema::FIELDS;

pub use cost::Cost;

/// A rule and its program.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Its query, compiled.
    pub program: Program,
}

/// Rules, compiled over one schema.
#[derive(Debug)]
pub struct RuleSet {
    /// The sensor's fields, and those that only rules name.
    pub schema: Schema,
    /// The rules, in the order of loading.
    pub rules: Vec<Loaded>,
    /// What was found wrong or odd, in the order of loading; rules with an error are left out.
    pub findings: Vec<Finding>,
    /// How many files or rules were left out because of an error.
    pub failed: usize,
    /// The exceptions that are in use.
    pub exceptions: Vec<exception::Loaded>,
    /// The same, with their conditions, while rules are loaded.
    selected: exception::Selected,
}

impl Default for RuleSet {
    fn default() -> Self {
        RuleSet {
            schema: crate::schema::schema(),
            rules: Vec::new(),
            findings: Vec::new(),
            failed: 0,
            exceptions: Vec::new(),
            selected: Vec::new(),
        }
    }
}

impl RuleSet {
    /// Compiles rules that are to run on a stream. One with the id of an earlier one takes its place.
    pub fn load(files: Vec<RuleFile>) -> Self {
        Self::load_over(crate::schema::schema(), files, Vec::new())
    }

    /// Compiles rules, with exceptions, over the schema of a set that runs, so that a path keeps its number.
    pub fn load_over(schema: Schema, files: Vec<RuleFile>, exceptions: Vec<Exception>) -> Self {
        let selected = exception::select(exceptions);
        let loaded = selected
            .iter()
            .map(|(exception, _)| exception::Loaded { exception: exception.clone(), effects: Vec::new() })
            .collect();
        let mut set = RuleSet { schema, selected, exceptions: loaded, ..RuleSet::default() };
        for file in files {
            match file.content {
                Content::Rule(rule) => set.add(*rule),
                Content::Skipped { .. } => {}
                Content::Broken(finding) => {
                    set.failed += 1;
                    set.findings.push(finding);
                }
            }
        }
        set
    }

    /// Compiles what an event must be for an exception to have done something to a rule.
    fn note_effects(&mut self, rule: &Rule) {
        let Ok(query) = eql::parse(&rule.query) else { return };
        for ((exception, filter), loaded) in self.selected.iter().zip(&mut self.exceptions) {
            loaded.effects.retain(|(id, _)| *id != rule.id);
            if exception.scope.covers(&rule.id) {
                let effect = exception::effect(&query, exception, filter, &mut self.schema);
                loaded.effects.extend(effect.ok().map(|program| (rule.id.clone(), program)));
            }
        }
    }

    /// Returns the longest maxspan of the rules, in nanoseconds.
    pub fn largest_window(&self) -> i64 {
        self.rules.iter().filter_map(|loaded| loaded.program.maxspan()).max().unwrap_or(0)
    }

    /// Returns the rules that cannot match without events of a category, in the order of loading. A term that the
    /// sequence must not contain counts too: without it, the rule would say more than it knows.
    pub fn needing(&self, category: &str) -> impl Iterator<Item = &Rule> {
        let needs = move |loaded: &&Loaded| {
            loaded.program.categories().iter().any(|own| own.as_deref() == Some(category))
        };
        self.rules.iter().filter(needs).map(|loaded| &*loaded.rule)
    }

    /// Returns a SHA-256, in hexadecimal, of the rules' ids, versions and queries: the same wherever the same rules
    /// run, in whatever order they were loaded.
    pub fn hash(&self) -> String {
        let mut rules: Vec<[&str; 3]> = self
            .rules
            .iter()
            .map(|loaded| &loaded.rule)
            .map(|rule| [&*rule.id, &rule.version, &rule.query])
            .collect();
        rules.sort_unstable();
        let mut hash = Sha256::new();
        for part in rules.into_iter().flatten() {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        crate::digest::hexadecimal(&hash.finalize())
    }

    fn add(&mut self, rule: Rule) {
        let compiled =
            compile_with(&rule, &self.selected, &mut self.schema).and_then(|program| {
                match program.needs_end() {
                    None => Ok(program),
                    Some(reason) => Err(vec![Diagnostic::error(eql::Span::new(0, 0), reason)]),
                }
            });
        match compiled {
            Ok(program) => {
                self.note_effects(&rule);
                let loaded = Loaded { rule: Arc::new(rule), program };
                match self.rules.iter_mut().find(|other| other.rule.id == loaded.rule.id) {
                    Some(other) => *other = loaded,
                    None => self.rules.push(loaded),
                }
            }
            Err(diagnostics) => {
                self.failed += 1;
                self.findings.extend(findings(&rule, &diagnostics));
            }
        }
    }
}

/// Compiles a rule's query over the sensor's fields, with its process tree.
///
/// # Errors
/// What the checker found, of which at least one is an error.
pub fn compile(rule: &Rule, schema: &mut Schema) -> Result<Program, Vec<Diagnostic>> {
    Program::new(&rule.query, schema, &query_options())
}

/// Compiles a rule's query with what exceptions take out of it.
fn compile_with(
    rule: &Rule,
    exceptions: &exception::Selected,
    schema: &mut Schema,
) -> Result<Program, Vec<Diagnostic>> {
    let query = eql::parse(&rule.query)?;
    let mut excepted = query.clone();
    exception::except(&mut excepted, rule, exceptions);
    Ok(Program::compile(&excepted, schema, &query_options())?.identified_as(&query))
}

/// Returns how queries over the sensor's events are compiled.
pub fn query_options() -> Options {
    let lineage = Lineage {
        entity: "process.entity_id".to_owned(),
        parent: "process.parent.entity_id".to_owned(),
        ancestry: "process.Ext.ancestry".to_owned(),
    };
    Options { known_fields: Some(FIELDS.len()), lineage: Some(lineage), ..Options::default() }
}

/// Returns diagnostics of a rule's query as findings about its file.
pub fn findings(rule: &Rule, diagnostics: &[Diagnostic]) -> Vec<Finding> {
    let path: &Path = &rule.path;
    diagnostics
        .iter()
        .map(|diagnostic| Finding::new(path, rule.query_position, &rule.query, diagnostic))
        .collect()
}

/// Runs rules over events.
pub struct Detector {
    engine: Engine<Event>,
    rules: Vec<Running>,
    exceptions: Exceptions,
    /// The `event.id` of each alert that may still be followed, and its rule, by the match's number.
    alerted: BTreeMap<u64, (Arc<str>, Arc<Rule>)>,
    given: RecentIds,
    /// `None` where every alert is given, as in a replay.
    budget: Option<Budget>,
    /// `None` where documents are given as they are.
    redactor: Option<Arc<Redactor>>,
    /// `None` where nobody asks what rules cost.
    sampler: Option<cost::Sampler>,
    outcomes: Vec<Outcome<Event>>,
    withheld: Vec<Withheld>,
    counts: HashMap<String, u64>,
    repeated: u64,
    left_out: u64,
}

/// An alert that an exception withheld.
#[derive(Clone, Debug)]
pub struct Withheld {
    /// The exception.
    pub exception: Arc<Exception>,
    /// The rule.
    pub rule: Arc<Rule>,
    /// What the alert's `event.id` would have been.
    pub id: String,
}

/// How many withheld alerts are kept for whoever takes them; exceptions count their hits beyond that.
const MAX_WITHHELD: usize = 256;

/// An exception and how often it has done something.
struct Excepting {
    loaded: exception::Loaded,
    hits: u64,
}

struct Running {
    rule: Arc<Rule>,
    keys: Vec<String>,
    /// What it has cost, without what the engine has counted since the last reload.
    cost: Cost,
}

/// The exceptions in use.
#[derive(Default)]
struct Exceptions {
    list: Vec<Excepting>,
    /// The effects of those on events.
    effects: Filters,
    /// For each effect, its exception's place in the list and its rule's number.
    owners: Vec<(usize, Option<usize>)>,
}

impl Exceptions {
    fn new(loaded: &[exception::Loaded], rules: &[Running]) -> Self {
        let number = |id: &str| rules.iter().position(|running| running.rule.id == id);
        let on_events = loaded
            .iter()
            .enumerate()
            .filter(|(_, loaded)| matches!(loaded.exception.on, On::Event(_)))
            .flat_map(|(at, loaded)| loaded.effects.iter().map(move |effect| (at, effect)));
        Exceptions {
            list: loaded.iter().map(|loaded| Excepting { loaded: loaded.clone(), hits: 0 }).collect(),
            effects: Filters::new::<Event>(on_events.clone().map(|(_, (_, effect))| effect)),
            owners: on_events.map(|(at, (rule, _))| (at, number(rule))).collect(),
        }
    }

    /// Counts what exceptions on events do to `event`: for each rule, and once for each exception.
    fn see(&mut self, event: &Event, rules: &mut [Running]) {
        let Exceptions { list, effects, owners } = self;
        let mut counted = None;
        effects.matching(event, |effect| {
            let (exception, rule) = owners[effect];
            let running = rule.and_then(|rule| rules.get_mut(rule));
            running.into_iter().for_each(|running| running.cost.excepted += 1);
            // The effects of one exception follow each other.
            if counted.replace(exception) != Some(exception) {
                list[exception].hits += 1;
            }
        });
    }
}

impl Excepting {
    /// Whether it withholds an alert of a rule whose last event is `event`.
    fn withholds(&self, rule: &str, event: &Event) -> bool {
        self.loaded.exception.on == On::Alert
            && self.loaded.effects.iter().any(|(id, effect)| id == rule && effect.matches(event))
    }
}

impl Running {
    fn new(loaded: &Loaded) -> Self {
        Running { rule: loaded.rule.clone(), keys: loaded.program.keys().to_vec(), cost: Cost::default() }
    }
}

/// How many ids given out are remembered: an event that a recording holds twice does not alert twice.
const MAX_GIVEN: usize = 1 << 16;

/// How many alerts may be followed at once.
const MAX_ALERTED: usize = 1 << 16;

impl Detector {
    /// Makes a detector that runs `rules`.
    pub fn new(rules: &RuleSet) -> Self {
        let mut engine = Engine::new(EngineOptions { follow: true, ..EngineOptions::default() });
        let running: Vec<Running> = rules
            .rules
            .iter()
            .map(|loaded| {
                engine.add(loaded.program.clone());
                Running::new(loaded)
            })
            .collect();
        Detector {
            engine,
            exceptions: Exceptions::new(&rules.exceptions, &running),
            rules: running,
            alerted: BTreeMap::new(),
            given: RecentIds::new(MAX_GIVEN),
            budget: None,
            redactor: None,
            sampler: None,
            outcomes: Vec::new(),
            withheld: Vec::new(),
            counts: HashMap::new(),
            repeated: 0,
            left_out: 0,
        }
    }

    /// Exchanges the rules. One with the id of a rule that runs goes on with what that one waits for, as far as its
    /// terms are the same; counts and budgets stay.
    pub fn reload(
        &mut self,
        rules: &RuleSet,
        normaliser: &mut Normaliser,
        alerts: &mut Vec<Alert>,
    ) -> Reloaded {
        let programs = rules
            .rules
            .iter()
            .map(|loaded| {
                let old = self.rules.iter().position(|running| running.rule.id == loaded.rule.id);
                (old, loaded.program.clone())
            })
            .collect();
        let costs: HashMap<String, Cost> =
            self.costs().into_iter().map(|(rule, cost)| (rule.id.clone(), cost)).collect();
        let reloaded = self.engine.reload(programs, &mut self.outcomes);
        self.drain(normaliser, alerts);
        self.rules = rules.rules.iter().map(Running::new).collect();
        for running in &mut self.rules {
            running.cost = costs.get(&running.rule.id).copied().unwrap_or_default();
        }
        let hits = self.hits();
        self.exceptions = Exceptions::new(&rules.exceptions, &self.rules);
        for excepting in &mut self.exceptions.list {
            excepting.hits = hits.get(&excepting.loaded.exception.id).copied().unwrap_or(0);
        }
        normaliser.set_largest_window(rules.largest_window());
        reloaded
    }

    /// Gives each rule a budget of so many alerts a minute; what goes beyond is counted and told in a summary.
    #[must_use]
    pub fn with_budget(mut self, per_minute: u32) -> Self {
        self.budget = Some(Budget::new(per_minute));
        self
    }

    /// Replaces credentials in what is given. Rules are evaluated on events as they are, and `event.id` is made of them.
    #[must_use]
    pub fn with_redactor(mut self, redactor: Option<Arc<Redactor>>) -> Self {
        self.redactor = redactor;
        self
    }

    /// Times a sample of events, so that [`costs`](Self::costs) knows how long each rule takes.
    #[must_use]
    pub fn with_timing(mut self) -> Self {
        self.sampler = Some(cost::Sampler::new());
        self
    }

    /// Says that it is now `time`, on the clock that orders events, whether anything happened or not: missing events
    /// are settled, windows close, minutes pass.
    pub fn advance(&mut self, time: i64, normaliser: &mut Normaliser, alerts: &mut Vec<Alert>) {
        self.engine.advance(time, &mut self.outcomes);
        self.drain(normaliser, alerts);
        let from = alerts.len();
        if let Some(budget) = &mut self.budget {
            budget.advance(time, alerts);
        }
        self.redact_summaries(alerts, from);
    }

    /// Shows an event to the rules; what comes of it is appended to `alerts`. The normaliser is asked for
    /// what an alert says about processes and losses.
    pub fn push(&mut self, event: &Event, normaliser: &mut Normaliser, alerts: &mut Vec<Alert>) {
        self.exceptions.see(event, &mut self.rules);
        match self.sampler.as_mut().and_then(cost::Sampler::next) {
            None => self.engine.push(event, &mut self.outcomes),
            Some(mut watch) => self.engine.push_noting(event, &mut self.outcomes, |program| {
                let passed = watch.lap() * cost::EVERY;
                self.rules.get_mut(program).into_iter().for_each(|running| running.cost.time += passed);
            }),
        }
        self.drain(normaliser, alerts);
    }

    /// Says that the input has ended.
    pub fn finish(&mut self, normaliser: &mut Normaliser, alerts: &mut Vec<Alert>) {
        self.engine.finish(&mut self.outcomes);
        self.drain(normaliser, alerts);
        let from = alerts.len();
        if let Some(budget) = &mut self.budget {
            budget.finish(alerts);
        }
        self.redact_summaries(alerts, from);
    }

    /// Returns the alerts that exceptions have withheld since this was asked last, the first some hundred of them.
    pub fn take_withheld(&mut self) -> Vec<Withheld> {
        std::mem::take(&mut self.withheld)
    }

    /// Returns how many rules run.
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// Returns what the engine holds and has counted.
    pub fn status(&self) -> EngineStatus {
        self.engine.status()
    }

    /// Returns how many alerts each rule has given, by rule id.
    pub fn counts(&self) -> &HashMap<String, u64> {
        &self.counts
    }

    /// Returns how many matches were the same as one before.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Returns how often each exception has done something, by its id: events that it took from a term, alerts that it
    /// withheld.
    pub fn hits(&self) -> BTreeMap<String, u64> {
        self.exceptions.list.iter().map(|own| (own.loaded.exception.id.clone(), own.hits)).collect()
    }

    /// Returns what each rule has cost, in the order of loading. What a rule with the same id did before a reload
    /// counts.
    pub fn costs(&self) -> Vec<(&Arc<Rule>, Cost)> {
        let all = self.rules.iter().enumerate().map(|(program, running)| {
            let counted = self.engine.counts(program);
            let mut cost = running.cost;
            cost.evaluations += counted.evaluations;
            cost.matches += counted.matches;
            cost.alerts = self.counts.get(&running.rule.id).copied().unwrap_or(0);
            (&running.rule, cost)
        });
        all.collect()
    }

    /// Returns how many alerts went beyond their rules' budgets.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Replaces credentials in a document about `events`; `known` are those of further processes.
    fn redacted(&self, mut alert: Alert, events: Vec<&Event>, mut known: Secrets) -> Alert {
        if let Some(redactor) = &self.redactor {
            events.into_iter().for_each(|event| known.of_event(event));
            alert.change(|document| redactor.document(document, known));
        }
        alert
    }

    /// The same for the summaries of the budget, which stand after the first `from` of `alerts`.
    fn redact_summaries(&self, alerts: &mut [Alert], from: usize) {
        let Some(redactor) = &self.redactor else { return };
        for alert in alerts[from..].iter_mut().filter(|alert| alert.kind == AlertKind::Summary) {
            alert.change(|document| redactor.document(document, Secrets::default()));
        }
    }

    fn drain(&mut self, normaliser: &mut Normaliser, alerts: &mut Vec<Alert>) {
        // Nothing comes of nearly all events.
        if self.outcomes.is_empty() {
            return;
        }
        let from = alerts.len();
        for outcome in std::mem::take(&mut self.outcomes) {
            match outcome {
                Outcome::Match(found) => {
                    let alert = self.matched(found, normaliser, alerts);
                    alerts.extend(alert);
                }
                Outcome::Followed { serial, events, dropped, .. } => {
                    let followed = self.alerted.get(&serial);
                    let made = followed.and_then(|(id, rule)| alert::enrichment(rule, id, &events, dropped));
                    let events = events.iter().collect();
                    alerts.extend(made.map(|alert| self.redacted(alert, events, Secrets::default())));
                }
            }
        }
        self.redact_summaries(alerts, from);
    }

    /// Makes the alert of a match, unless it was given before or the rule's budget is spent; summaries of the budget
    /// are appended to `summaries`.
    fn matched(
        &mut self,
        found: Match<Event>,
        normaliser: &mut Normaliser,
        summaries: &mut Vec<Alert>,
    ) -> Option<Alert> {
        let running = self.rules.get_mut(found.program)?;
        let join_keys: Vec<_> = running.keys.iter().cloned().zip(found.keys).collect();
        let present: Vec<&Event> = found.events.iter().flatten().collect();
        let (first, last) = (present.first()?.order, present.last()?.order);
        let event = *present.last()?;
        if let Some(excepting) =
            self.exceptions.list.iter_mut().find(|own| own.withholds(&running.rule.id, event))
        {
            excepting.hits += 1;
            running.cost.excepted += 1;
            if self.withheld.len() < MAX_WITHHELD {
                let id = alert::id(&running.rule, &join_keys, &present);
                let exception = excepting.loaded.exception.clone();
                self.withheld.push(Withheld { exception, rule: running.rule.clone(), id });
            }
            return None;
        }
        // Before the alert is made: that costs more than all the rules.
        if let Some(budget) = &mut self.budget
            && !budget.admits(&running.rule, event, last, summaries)
        {
            self.left_out += 1;
            return None;
        }
        let gap = normaliser.gap_within(first, last) || present.iter().any(|event| event.is_loss());
        let host = eql::Record::get(event, crate::schema::id("host.id"));
        let host = host.as_str().unwrap_or_default().to_owned();
        let redacts = self.redactor.is_some();
        let mut known = Secrets::default();
        let alert = alert::alert(Matched {
            rule: &running.rule,
            events: &found.events,
            join_keys: &join_keys,
            gap,
            process: &mut |entity| {
                let process = normaliser.process(&host, entity, last);
                process.iter().filter(|_| redacts).for_each(|process| known.of_process(process));
                process
            },
        })?;
        let id: Arc<str> = alert.id.as_str().into();
        self.alerted.insert(found.serial, (id.clone(), running.rule.clone()));
        if self.alerted.len() > MAX_ALERTED {
            self.alerted.pop_first();
        }
        if !self.given.insert(id) {
            self.repeated += 1;
            return None;
        }
        if let Some(budget) = &mut self.budget {
            budget.given(&running.rule, &alert.id);
        }
        *self.counts.entry(running.rule.id.clone()).or_default() += 1;
        Some(self.redacted(alert, present, known))
    }
}

/// Returns whether any finding is an error.
pub fn has_errors(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.level == Level::Error)
}
