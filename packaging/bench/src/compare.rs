//! Measures everything, and prints it as an entry for BENCHMARKS.md.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::contenders::{self, Contender, Contents, Task};
use crate::corpus::{self, Corpus, Form};
use crate::recording::Recording;
use crate::rules::{self, Order};
use crate::table::{self, Table, median, spread};
use crate::{Options, machine};

/// What is wanted of the program, as the issue says that asked for it.
mod wanted {
    pub(super) const BESIDE_EQL: f64 = 17.0;
    pub(super) const BESIDE_RSIGMA: f64 = 12.0;
    pub(super) const BESIDE_SONIC: f64 = 1.0;
    pub(super) const PUBLIC_RULES: f64 = 0.8;
    pub(super) const THOUSAND_RULES: f64 = 0.6;
    pub(super) const ESLOGGER_MB: f64 = 600.0;
    pub(super) const TWO_JOBS: f64 = 1.5;
    pub(super) const MEMORY: u64 = 64 << 20;
    pub(super) const START: f64 = 0.1;
}

const ONE: &str = "vedette, 1 rule";
const THOUSAND: &str = "vedette, 1,000 rules, action first";
const GIVEN: &str = "vedette, 1 rule and those of --rules";

/// Measures and prints all there is.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    fs::create_dir_all(&options.folder).context("cannot make the folder")?;
    let bench = Bench {
        options,
        own: std::env::current_exe().context("cannot find this program")?,
        one_core: options.core.to_string(),
        given: options.rules.as_deref().map(|folder| count_rules(&options.vedette, folder)).transpose()?,
    };
    let sigma = options.folder.join("seed.sigma.yml");
    fs::write(&sigma, rules::SIGMA).context("cannot write the Sigma rule")?;
    let ecs =
        Recording::make(&options.folder, Corpus { form: Form::Ecs, lines: options.lines, exits: true })?;
    let eslogger = Corpus { form: Form::Eslogger, lines: options.lines / 4, exits: true };
    let eslogger = Recording::make(&options.folder, eslogger)?;
    let peers = contenders::peers(&options.python, &options.rsigma, &sigma, &ecs.path);
    machine::print(&options.command(), &peers.versions);

    let mut results = Vec::new();
    let start = bench.start(&mut results)?;
    bench.ecs(&ecs, peers.found, &start, &mut results)?;
    bench.eslogger(&eslogger, &mut results)?;
    bench.jobs(&ecs, &eslogger, &mut results)?;
    bench.memory(&mut results)?;

    println!("\n| measure | wanted | here | |\n| --- | --- | --- | --- |");
    for Outcome { measure, wanted, here, reached } in results {
        println!("| {measure} | {wanted} | {here} | {} |", if reached { "reached" } else { "not reached" });
    }
    let mut missing = peers.missing;
    if bench.given.is_none() {
        missing.push("other rules were not given (--rules DIR)".to_owned());
    }
    if !missing.is_empty() {
        println!("\nNot measured: {}.", missing.join("; "));
    }
    println!("\nThe load at the end was {}.", machine::load());
    Ok(())
}

struct Bench<'o> {
    options: &'o Options,
    own: PathBuf,
    one_core: String,
    /// How many rules the folder holds that was given.
    given: Option<usize>,
}

/// One line of what was wanted.
struct Outcome {
    measure: String,
    wanted: String,
    here: String,
    reached: bool,
}

impl Bench<'_> {
    /// How long it takes to start, and to read nothing; by contender's name.
    fn start(&self, results: &mut Vec<Outcome>) -> anyhow::Result<Table> {
        let empty = Recording::empty(&self.options.folder)?;
        let mut contenders = vec![self.with_rules(0, Order::Action, &empty)?];
        contenders.push(self.with_rules(999, Order::Action, &empty)?);
        contenders.extend(self.with_given_rules(&empty)?);
        let table = self.measure(&contenders, &empty)?;
        println!("\nAn empty recording: what it takes to load rules.\n");
        table.print_walls();
        if let Some(row) = table.row(THOUSAND) {
            let most = median(&row.wall);
            results.push(Outcome {
                measure: "start with 1,000 rules, seconds that go by".into(),
                wanted: format!("below {} ms", wanted::START * 1e3),
                here: format!("{} ms", spread(&row.wall, 1e3)),
                reached: most < wanted::START,
            });
        }
        Ok(table)
    }

    /// ECS documents, by everyone.
    fn ecs(
        &self,
        recording: &Recording,
        peers: Vec<Contender>,
        start: &Table,
        results: &mut Vec<Outcome>,
    ) -> anyhow::Result<()> {
        let mut contenders = contenders::floors(&self.own, &recording.path);
        contenders.push(self.with_rules(0, Order::Action, recording)?);
        for others in [99, 999] {
            for order in [Order::Action, Order::Name] {
                contenders.push(self.with_rules(others, order, recording)?);
            }
        }
        contenders.extend(self.with_given_rules(recording)?);
        contenders.extend(peers);
        let table = self.measure(&contenders, recording)?;
        println!("\nECS documents: {}\n", recording.described());
        table.print_rates();
        let times = [
            ("1 rule, beside PyPI's eql", contenders::EQL, wanted::BESIDE_EQL),
            ("1 rule, beside rsigma", contenders::RSIGMA, wanted::BESIDE_RSIGMA),
            ("1 rule, beside sonic-rs to a DOM", contenders::SONIC, wanted::BESIDE_SONIC),
        ];
        for (measure, other, wanted) in times {
            if let Some(ratio) = table.ratio(ONE, other) {
                results.push(Outcome::at_least(measure, wanted, ratio, " times"));
            }
        }
        let given = format!("{} rules more, of the rate with one", self.given.unwrap_or_default());
        let shares = [
            (given.as_str(), GIVEN, wanted::PUBLIC_RULES),
            ("1,000 rules, of the rate with one", THOUSAND, wanted::THOUSAND_RULES),
        ];
        for (measure, name, wanted) in shares {
            let (Some(one), Some(many)) = (table.row(ONE), table.row(name)) else { continue };
            let started = |name| start.row(name).map_or(0.0, |row| median(&row.seconds));
            let whole = table::ratio(&many.seconds, &one.seconds, 0.0, 0.0);
            let running = table::ratio(&many.seconds, &one.seconds, started(name), started(ONE));
            results.push(Outcome {
                here: format!("{whole:.2}; {running:.2} without loading them"),
                ..Outcome::at_least(measure, wanted, whole, "")
            });
        }
        Ok(())
    }

    /// eslogger's messages.
    fn eslogger(&self, recording: &Recording, results: &mut Vec<Outcome>) -> anyhow::Result<()> {
        let mut contenders = contenders::floors(&self.own, &recording.path);
        contenders.push(self.with_rules(0, Order::Action, recording)?);
        contenders.push(self.with_rules(999, Order::Action, recording)?);
        contenders.extend(self.with_given_rules(recording)?);
        let table = self.measure(&contenders, recording)?;
        println!("\neslogger's messages and the flows between them: {}\n", recording.described());
        table.print_rates();
        if let Some(rate) = table.bytes_a_second(ONE) {
            results.push(Outcome::at_least("eslogger, 1 rule", wanted::ESLOGGER_MB, rate / 1e6, " MB/s"));
        }
        Ok(())
    }

    /// Two files on two cores.
    fn jobs(&self, ecs: &Recording, eslogger: &Recording, results: &mut Vec<Outcome>) -> anyhow::Result<()> {
        let cores = machine::cores();
        if cores < 2 {
            println!("\nThere is one core: `--jobs 2` was not measured.");
            return Ok(());
        }
        let other = if self.options.core == 0 { 1 } else { 0 };
        let two_cores = format!("{},{other}", self.options.core);
        let (folder, rules) = (&self.options.folder, self.seed_rule()?);
        let cases = [
            ("ECS, two files of one time", ecs, ecs.dealt_out(folder)?),
            ("ECS, one file after the other", ecs, ecs.cut_in_two(folder)?),
            ("eslogger, two files of one time", eslogger, eslogger.dealt_out(folder)?),
        ];
        for (what, whole, files) in cases {
            let named = |jobs: usize| format!("{what}, --jobs {jobs}");
            let contender =
                |jobs| contenders::vedette(named(jobs), &self.options.vedette, &[&rules], &files, jobs);
            let at_once = format!("{what}, two programs, a file each");
            let contenders = [contender(1), contender(2), contender(1).for_each(&at_once, &files)];
            let table =
                Table::measure(&contenders, &whole.contents, whole.bytes, self.options.rounds, &two_cores)?;
            println!("\n`--jobs`, two cores: {}\n", whole.described());
            table.print_walls();
            let walls = [&named(1), &named(2), &at_once].map(|name| table.row(name).map(|row| &row.wall));
            if let [Some(one), Some(two), Some(at_once)] = walls {
                let ratio = |wall: &[f64]| table::ratio(wall, one, 0.0, 0.0);
                let measure = format!("--jobs 2, {what}");
                results.push(Outcome {
                    here: format!("{:.2} times; two programs at once {:.2}", ratio(two), ratio(at_once)),
                    ..Outcome::at_least(&measure, wanted::TWO_JOBS, ratio(two), " times")
                });
            }
        }
        Ok(())
    }

    /// A stream in which no process ends, from a pipe, and one ten times as long.
    fn memory(&self, results: &mut Vec<Outcome>) -> anyhow::Result<()> {
        println!("\nA stream from a pipe in which no process ends, with 1 rule:\n");
        println!("| form | lines | memory | ten times as many | memory |\n| --- | --- | --- | --- | --- |");
        for (form, lines) in [(Form::Ecs, self.options.lines / 4), (Form::Eslogger, self.options.lines / 8)] {
            let (short, long) = (self.piped(form, lines)?, self.piped(form, lines * 10)?);
            let (mb, long_mb) = (short as f64 / 1e6, long as f64 / 1e6);
            println!("| {form:?} | {lines} | {mb:.1} MB | {} | {long_mb:.1} MB |", lines * 10);
            results.push(Outcome {
                measure: format!("memory, a stream of any length, {form:?}"),
                wanted: format!("at most {} MiB, flat", wanted::MEMORY >> 20),
                here: format!("{:.1} and {:.1} MiB", short as f64 / 1048576.0, long as f64 / 1048576.0),
                // Flat: what ten times as much adds is no more than where the allocator happens to stand.
                reached: long <= wanted::MEMORY && long as f64 <= short as f64 * 1.05,
            });
        }
        Ok(())
    }

    /// The most memory that a stream from a pipe takes, in bytes.
    fn piped(&self, form: Form, lines: u64) -> anyhow::Result<u64> {
        let corpus = Corpus { form, lines, exits: false };
        let contents = Contents { lines, planted: corpus::write(corpus, &mut std::io::sink())? };
        let replay = contenders::vedette(
            String::new(),
            &self.options.vedette,
            &[&self.seed_rule()?],
            &["-".into()],
            1,
        );
        let quoted: Vec<String> = replay.command.iter().map(|word| format!("'{word}'")).collect();
        let form = format!("{form:?}").to_lowercase();
        let make = format!("'{}' corpus --no-exits {form} {lines}", self.own.display());
        let contender = Contender {
            name: format!("{lines} lines of {form} from a pipe"),
            command: ["sh", "-c", &format!("{make} | {}", quoted.join(" "))].map(str::to_owned).into(),
            task: Task::Alerts,
        };
        table::memory(&contender, &contents, &format!("0-{}", machine::cores() - 1))
    }

    fn measure(&self, contenders: &[Contender], recording: &Recording) -> anyhow::Result<Table> {
        let Recording { contents, bytes, .. } = recording;
        Table::measure(contenders, contents, *bytes, self.options.rounds, &self.one_core)
    }

    /// Vedette with the seed rule and `others` generated ones.
    fn with_rules(&self, others: usize, order: Order, recording: &Recording) -> anyhow::Result<Contender> {
        let folder = self.options.folder.join(format!("rules-{others}-{}", order.as_str()));
        rules::write(&folder, others, order).context("cannot write rules")?;
        let name = match others {
            0 => ONE.to_owned(),
            _ => {
                format!("vedette, {} rules, {} first", table::thousands((others + 1) as f64), order.as_str())
            }
        };
        Ok(contenders::vedette(
            name,
            &self.options.vedette,
            &[&folder],
            std::slice::from_ref(&recording.path),
            1,
        ))
    }

    /// Vedette with the seed rule and those of the folder that was given, if one was.
    fn with_given_rules(&self, recording: &Recording) -> anyhow::Result<Option<Contender>> {
        let Some(given) = &self.options.rules else { return Ok(None) };
        let (seed, files) = (self.seed_rule()?, std::slice::from_ref(&recording.path));
        Ok(Some(contenders::vedette(GIVEN.to_owned(), &self.options.vedette, &[&seed, given], files, 1)))
    }

    /// The folder of the seed rule alone.
    fn seed_rule(&self) -> anyhow::Result<PathBuf> {
        let folder = self.options.folder.join("rules-0-action");
        rules::write(&folder, 0, Order::Action).context("cannot write rules")?;
        Ok(folder)
    }
}

impl Outcome {
    fn at_least(measure: &str, wanted: f64, here: f64, unit: &str) -> Self {
        Outcome {
            measure: measure.to_owned(),
            wanted: format!("{wanted}{unit}"),
            here: format!("{here:.2}{unit}"),
            reached: here >= wanted,
        }
    }
}

/// How many rules of a folder load.
fn count_rules(vedette: &Path, folder: &Path) -> anyhow::Result<usize> {
    let (vedette, folder) = (vedette.to_string_lossy(), folder.to_string_lossy());
    let listed =
        contenders::output(&[&vedette, "rules", "list", "--json", "--no-builtin", "--rules", &folder]);
    listed.map(|rules| rules.lines().count()).with_context(|| format!("{folder} holds no rules that load"))
}
