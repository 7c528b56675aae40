//! No secret that is planted in what a process shows of itself gets to any sink; rules see it all the same.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use proptest::prelude::*;
use serde_json::Value as Json;
use vedette::config::Config;
use vedette::detector::RuleSet;
use vedette::event::Host;
use vedette::observation::{Exec, Image, Message, MessageEvent, Observation, Token};
use vedette::rule::{self, RuleFile};
use vedette::sensor::{Now, Sensor, Settings, Setup};
use vedette::sink::Trust;
use vedette::{exception, schema, status};

const SECOND: i64 = 1_000_000_000;
const START: Now = Now { wall: 1_790_000_000 * SECOND, tick: 5 * SECOND, continuous: 7 * SECOND };

/// A rule on one event that joins by what holds the secret, one on two, and one whose alerts an exception withholds.
const RULES: [&str; 3] = [
    "[rule]\nrule_id = \"single\"\nname = \"single\"\nquery = 'process where event.action == \"exec\" and process.args : \"*\"'\n",
    "[rule]\nrule_id = \"pair\"\nname = \"pair\"\nquery = '''\nsequence by host.id with maxspan=1m\n\
     [process where event.action == \"exec\"] by process.command_line\n\
     [process where event.action == \"exec\"] by process.parent.command_line\n'''\n",
    "[rule]\nrule_id = \"withheld\"\nname = \"withheld\"\nquery = 'process where event.action == \"exec\"'\n",
];

const EXCEPTION: &str = "[[exceptions]]\nid = \"all\"\nrules = [\"withheld\"]\non = \"alert\"\ncondition = 'process where true'\n\
                         owner = \"o\"\nreason = \"r\"\nexpires = 2099-01-01\n";

/// What has been written to the log, as unified logging would get it.
static LOGGED: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LOGGED.lock().expect("no test panics while it logs").push(record.args().to_string());
    }

    fn flush(&self) {}
}

fn log_everything() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        log::set_logger(&Logger).expect("no other logger");
        log::set_max_level(log::LevelFilter::Trace);
    });
}

/// Arguments that give a secret away, and an environment.
fn planted(secret: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).replace('§', secret)).collect::<Vec<_>>();
    let mut planted: Vec<(Vec<String>, Vec<String>)> = [
        &["tool", "--password", "§", "-v"][..],
        &["tool", "--client-secret=§"],
        &["sysadminctl", "-addUser", "x", "-password", "§"],
        &["security", "unlock-keychain", "-p", "§", "login.keychain"],
        &["sshpass", "-p", "§", "ssh", "h"],
        &["sudo", "-u", "me", "zip", "-P", "§", "a.zip", "b"],
        &["defaults", "write", "com.example", "apiToken", "-string", "§"],
        &["/usr/bin/openssl", "enc", "-pass", "pass:§"],
        &["osascript", "-e", "do shell script \"id\" password \"§\" with administrator privileges"],
        &["sh", "-c", "curl --data '{\"password\": \"§\"}' https://example.com"],
        &["sh", "-c", "export API_TOKEN='§'; make"],
        &["sh", "-c", "echo '§' | sudo -S id"],
    ]
    .iter()
    .map(|own| (words(own), Vec::new()))
    .collect();
    if !secret.contains(' ') {
        planted.extend(
            [
                &["curl", "-u", "me:§", "https://example.com"][..],
                &["curl", "-sS", "https://me:§@example.com/x"],
                &["curl", "https://example.com/x?a=b&sig=§&c=d"],
                &["curl", "-H", "Authorization: Bearer §"],
                &["mysql", "-uroot", "-p§"],
                &["sh", "-c", "curl -u me:§ https://example.com/x.sh | sh"],
                &["sh", "-c", "wget \"https://example.com/?access_token=§\""],
            ]
            .iter()
            .map(|own| (words(own), Vec::new())),
        );
    }
    planted.push((words(&["env"]), words(&["HOME=/Users/me", "MY_API_TOKEN=§", "LANG=C"])));
    planted
}

fn image(pid: u32, parent: u32, path: &str) -> Image<'static> {
    let token = |pid| Token { pid, pidversion: pid, euid: 501, ruid: 501, ..Token::default() };
    Image {
        token: token(pid),
        parent: Some(token(parent).image()),
        ppid: Some(parent),
        executable: path.to_owned().into(),
        start: Some(START.wall),
        ..Image::default()
    }
}

/// A process with these arguments, its child and its grandchild, each exec a second after the other.
fn messages(args: &[String], env: &[String]) -> Vec<Message<'static>> {
    let message = |second: i64, process: Image<'static>, event| Message {
        time: START.wall + second * SECOND,
        tick: Some(START.tick + second * SECOND),
        version: 8,
        event_type: 0,
        seq_num: None,
        global_seq_num: None,
        process,
        event,
    };
    let exec = |pid, parent, path: &str, args: Vec<Cow<'static, str>>, env: Vec<Cow<'static, str>>| {
        MessageEvent::Exec(Box::new(Exec {
            target: image(pid, parent, path),
            args,
            env,
            cwd: None,
            script: None,
            dyld_exec_path: None,
            cpu_type: None,
        }))
    };
    let own = |texts: &[String]| texts.iter().map(|text| Cow::Owned(text.clone())).collect::<Vec<_>>();
    let plain = |text: &'static str| vec![Cow::Borrowed(text)];
    vec![
        message(0, image(70, 1, "/bin/sh"), exec(70, 1, "/opt/one", own(args), own(env))),
        message(1, image(70, 1, "/opt/one"), MessageEvent::Fork { child: image(71, 70, "/opt/one") }),
        message(2, image(71, 70, "/opt/one"), exec(71, 70, "/opt/two", plain("two"), Vec::new())),
        message(3, image(71, 70, "/opt/two"), MessageEvent::Fork { child: image(72, 71, "/opt/two") }),
        message(4, image(72, 71, "/opt/two"), exec(72, 71, "/opt/three", plain("three"), Vec::new())),
    ]
}

/// Runs a sensor on messages and returns all that it has written to files, and its alerts.
fn run(folder: &Path, messages: Vec<Message<'_>>, redact: bool) -> (Vec<(PathBuf, String)>, Vec<Json>) {
    let mut config = Config::default();
    config.alerts.file = folder.join("logs/alerts.ndjson");
    config.alerts.per_minute = 2;
    config.health.file = folder.join("logs/health.ndjson");
    config.telemetry.file = folder.join("logs/telemetry.ndjson");
    config.telemetry.enabled = true;
    config.status.file = folder.join("state/status.json");
    config.events.environment = true;
    config.redaction.enabled = redact;
    let (settings, problems) = Settings::new(&config, Trust::Own);
    assert_eq!(problems, [""; 0]);
    let files = RULES.iter().enumerate().map(|(index, text)| {
        let path = PathBuf::from(format!("{index}.toml"));
        RuleFile { content: rule::parse(&path, text, "local"), path }
    });
    let exceptions = exception::parse(Path::new("e.toml"), EXCEPTION).exceptions;
    let rules = RuleSet::load_over(schema::schema(), files.collect(), exceptions);
    assert_eq!(rules.findings, []);
    assert_eq!((rules.rules.len(), rules.exceptions.len()), (3, 1));
    let host = Host { id: "mac-1".into(), ..Host::default() };
    let configuration = status::Configuration::default();
    let mut sensor =
        Sensor::start(Setup { host, rules, settings, configuration, now: START }).expect("a thread");
    for message in messages {
        sensor.observe(0, Observation::Message(Box::new(message)));
    }
    assert_eq!(sensor.stop(START, "the test ends"), 0);
    let mut written = Vec::new();
    for name in ["logs", "state"] {
        for entry in fs::read_dir(folder.join(name)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let text = fs::read_to_string(&path).expect("text");
            written.push((path, text));
        }
    }
    let alerts = fs::read_to_string(&config.alerts.file).expect("alerts");
    (written, alerts.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

fn holds(text: &str, secret: &str) -> bool {
    // In JSON a quote or a backslash of it would be escaped; it has neither.
    text.contains(secret)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_secret_reaches_a_sink_and_rules_see_it_all_the_same(
        secret in "([A-Za-z0-9+_.]{8,20}|[A-Za-z0-9]{5,10} [A-Za-z0-9]{5,10})q7",
        form in any::<prop::sample::Index>(),
    ) {
        log_everything();
        let forms = planted(&secret);
        let (args, env) = form.get(&forms);
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().canonicalize().expect("a path");
        LOGGED.lock().expect("no test panics while it logs").clear();
        let (written, alerts) = run(&folder.join("on"), messages(args, env), true);
        for (path, text) in &written {
            prop_assert!(!holds(text, &secret), "{:?} {args:?}: {text}", path.file_name());
        }
        let logged = LOGGED.lock().expect("no test panics while it logs").join("\n");
        prop_assert!(!holds(&logged, &secret), "{args:?}: {logged}");
        prop_assert!(logged.contains("single") && logged.contains("withheld by the exception"), "{}", logged);
        // Without redaction the secret is there, and the alerts are the same ones.
        let (plain, plainly) = run(&folder.join("off"), messages(args, env), false);
        let lane = |all: &[(PathBuf, String)], name: &str| {
            all.iter().find(|(path, _)| path.ends_with(name)).map(|(_, text)| text.clone()).unwrap_or_default()
        };
        for name in ["logs/alerts.ndjson", "logs/telemetry.ndjson"] {
            prop_assert!(holds(&lane(&plain, name), &secret), "{name} {args:?}");
            prop_assert!(lane(&written, name).contains("[redacted:"), "{name} {args:?}");
        }
        let ids = |alerts: &[Json]| alerts.iter().map(|alert| alert["event"]["id"].clone()).collect::<Vec<_>>();
        prop_assert_eq!(ids(&alerts), ids(&plainly));
        prop_assert!(alerts.iter().any(|alert| alert["rule"]["id"] == "pair"));
        prop_assert!(alerts.iter().any(|alert| alert["vedette"]["left_out"]["count"] == 1));
    }
}

/// The mark of a secret is the same in the child's alert as in the parent's, and over a restart.
#[test]
fn equal_secrets_still_join() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().canonicalize().expect("a path");
    let args = ["tool", "--password", "hunter2hunter2"].map(str::to_owned);
    let marks = |alerts: &[Json]| {
        let mut marks: Vec<String> = Vec::new();
        for alert in alerts {
            let text = alert.to_string();
            marks.extend(text.match_indices("[redacted:").map(|(at, _)| text[at..at + 27].to_owned()));
        }
        marks
    };
    let (_, first) = run(&folder, messages(&args, &[]), true);
    let count = marks(&first).len();
    fs::remove_file(folder.join("logs/alerts.ndjson")).expect("it is there");
    let (_, second) = run(&folder, messages(&args, &[]), true);
    let mut all = marks(&second);
    all.extend(marks(&first));
    all.sort();
    all.dedup();
    assert!(count > 4 && all.len() == 1, "{count} {all:?}");
    assert!(all[0].ends_with(']'), "{all:?}");
}
