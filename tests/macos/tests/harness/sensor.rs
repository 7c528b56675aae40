//! `vedette run` on a Mac of a scenario: what it reports and writes.

use super::{Setup, root};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

/// Files of the Mac's, below its root.
pub(super) const ALERTS: &str = "Library/Logs/Vedette/alerts.ndjson";
pub(super) const HEALTH: &str = "Library/Logs/Vedette/health.ndjson";
pub(super) const STATUS: &str = "Library/Application Support/Vedette/status.json";
pub(super) const CONFIGURATION: &str = "Library/Application Support/Vedette/config.toml";
pub(super) const RULES: &str = "Library/Application Support/Vedette/rules";

/// `host.id` of the Mac.
pub(super) const HOST: &str = "00000000-0000-4000-8000-000000000013";

/// A Mac: what is on its disk.
pub(super) struct Mac(tempfile::TempDir);

/// A sensor that runs on it.
pub(super) struct Sensor<'m> {
    mac: &'m Mac,
    child: Child,
}

/// What a sensor left behind.
pub(super) struct Run {
    /// How the process ended.
    pub(super) ended: ExitStatus,
    /// status.json.
    pub(super) status: Value,
    /// alerts.ndjson, a document each.
    pub(super) alerts: Vec<Value>,
    /// health.ndjson, a document each.
    pub(super) health: Vec<Value>,
    /// What went to unified logging, a line each.
    pub(super) log: String,
    /// What Endpoint Security's stand-in delivered; none if there was no client.
    pub(super) delivered: Option<u64>,
}

/// A rule file, of a name and a query.
pub(super) fn rule(number: u32, name: &str, query: &str) -> String {
    format!(
        "[rule]\nrule_id = \"00000000-0000-4000-8000-{number:012}\"\nname = \"{name}\"\ndescription = \"For tests.\"\n\
         severity = \"medium\"\nrisk_score = 47\nversion = 1\ntype = \"eql\"\nlanguage = \"eql\"\nquery = '''{query}'''\n"
    )
}

impl Mac {
    /// A Mac with one rule of its own.
    pub(super) fn new(query: &str) -> Self {
        let mac = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::create_dir_all(mac.path(RULES)).expect("the Mac's folders");
        fs::create_dir_all(mac.path("Library/Logs")).expect("the Mac's folders");
        mac.write(&format!("{RULES}/own.toml"), &rule(1, "own", query));
        mac
    }

    /// A Mac with a rule for curl. Those that are built in need connections.
    pub(super) fn with_curl_rule() -> Self {
        Self::new(r#"process where event.type == "start" and process.name == "curl""#)
    }

    /// A Mac with a rule for a shell that becomes curl within so long.
    pub(super) fn with_sequence_rule(maxspan: &str) -> Self {
        Self::new(&format!(
            "sequence by process.entity_id with maxspan={maxspan}\n\
             [process where event.action == \"exec\" and process.name == \"bash\"]\n\
             [process where event.action == \"exec\" and process.name == \"curl\"]"
        ))
    }

    /// A path below the Mac's root.
    pub(super) fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// Writes one of the Mac's files.
    pub(super) fn write(&self, below: &str, text: &str) {
        fs::write(self.path(below), text).expect("a file of the Mac's");
    }

    /// What a file of the Mac's holds; nothing where there is none yet.
    pub(super) fn read(&self, below: &str) -> String {
        fs::read_to_string(self.path(below)).unwrap_or_default()
    }

    /// Starts the sensor.
    pub(super) fn start(&self, setup: &Setup, scenario: &str) -> Sensor<'_> {
        self.start_with(setup, scenario, &[])
    }

    /// Starts the sensor with more in the harness's environment.
    pub(super) fn start_with(&self, setup: &Setup, scenario: &str, more: &[(&str, &Path)]) -> Sensor<'_> {
        let _ = fs::remove_file(self.path("report"));
        let _ = fs::remove_file(self.path("log"));
        let child = setup
            .darwin(&["run"])
            .env("MACOS_ABI_ROOT", self.0.path())
            .env("MACOS_ABI_LOG", self.path("log"))
            .env("MACOS_ABI_ES_REPORT", self.path("report"))
            .env("MACOS_ABI_SCENARIO", root().join("tests/macos/scenarios").join(scenario))
            .envs(more.iter().copied())
            .stderr(fs::File::create(self.path("stderr")).expect("a file"))
            .spawn()
            .expect("the loader starts");
        Sensor { mac: self, child }
    }

    /// Runs the sensor until Endpoint Security has told all, then ends it with SIGTERM.
    pub(super) fn run(&self, setup: &Setup, scenario: &str) -> Run {
        let mut sensor = self.start(setup, scenario);
        sensor.wait_for("report", "told all");
        sensor.end()
    }
}

impl Sensor<'_> {
    /// Waits until a file of the Mac's says something. As long as it takes: what hangs is for the test runner to end.
    pub(super) fn wait_for(&mut self, below: &str, text: &str) {
        self.wait_until(below, |told| told.contains(text));
    }

    /// Waits until a file of the Mac's is as it should be.
    pub(super) fn wait_until(&mut self, below: &str, holds: impl Fn(&str) -> bool) {
        while !holds(&self.mac.read(below)) {
            let ended = self.child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "it ended by itself: {ended:?}\n{}", self.mac.read("log"));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its pid; an emulator's is the same.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Makes the file for which a scenario waits.
    pub(super) fn let_go_on(&self, name: &str) {
        self.mac.write(name, "");
    }

    /// Sends a signal, by its name.
    pub(super) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the sensor ended by itself");
    }

    /// Ends it with SIGTERM. It ended in good order, has released all messages and the names of all tasks, and received
    /// as many messages as were delivered.
    pub(super) fn end(self) -> Run {
        self.signal("TERM");
        let report = self.mac.path("report");
        let run = self.wait();
        assert_eq!(run.ended.code(), Some(0), "{}", run.log);
        assert_eq!(run.status["state"], "stopped");
        assert_eq!(run.health.last().map(|last| &last["event"]["action"]), Some(&"stop".into()));
        if let Some(delivered) = run.delivered {
            let report = fs::read_to_string(report).expect("the report");
            assert!(report.ends_with(&format!("delivered {delivered} alive 0 task names 0\n")), "{report}");
            assert_eq!(run.source()["received"], delivered);
        }
        run
    }

    /// Waits for it to end by itself.
    pub(super) fn wait(mut self) -> Run {
        let ended = self.child.wait().expect("a child of ours");
        let documents = |below| {
            let text = self.mac.read(below);
            let documents = text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON"));
            documents.collect()
        };
        let report = self.mac.read("report");
        let delivered = report.lines().find_map(|line| line.strip_prefix("delivered ")?.split(' ').next());
        Run {
            ended,
            status: serde_json::from_str(&self.mac.read(STATUS)).unwrap_or_default(),
            alerts: documents(ALERTS),
            health: documents(HEALTH),
            log: self.mac.read("log"),
            delivered: delivered.map(|number| number.parse().expect("a count")),
        }
    }
}

impl Run {
    /// What the status says of Endpoint Security.
    pub(super) fn source(&self) -> &Value {
        &self.status["sources"]["endpoint_security"]
    }

    /// How many messages of a kind the sensor had no room for.
    pub(super) fn dropped(&self, kind: &str) -> u64 {
        self.source()["dropped"][kind].as_u64().unwrap_or(0)
    }

    /// How many events were evaluated, those of the sensor's own left out.
    pub(super) fn evaluated(&self) -> u64 {
        let count = |key| self.status["events"][key].as_u64().expect("a count");
        count("evaluated") - count("losses")
    }

    /// The health documents of an action.
    pub(super) fn told(&self, action: &str) -> Vec<&Value> {
        self.health.iter().filter(|document| document["event"]["action"] == action).collect()
    }

    /// The last argument of each alert's process.
    pub(super) fn alerted(&self) -> Vec<&str> {
        let args = self.alerts.iter().map(|alert| alert["process"]["args"].as_array());
        args.map(|args| args.and_then(|args| args.last()?.as_str()).unwrap_or_default()).collect()
    }
}
