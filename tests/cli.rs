//! The command as people and scripts use it: output, exit codes, what it says when something is wrong.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Runs the command in `folder` and returns exit code, standard output and standard error.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vedette"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("the command runs");
    text(&output)
}

fn text(output: &Output) -> (i32, String, String) {
    let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
    (output.status.code().unwrap_or(-1), string(&output.stdout), string(&output.stderr))
}

fn data(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path).to_string_lossy().into_owned()
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).expect("a writable file");
        path
    }
}

const QUERY: &str = "process where process.name == \"curl\"";

#[test]
fn replay_gives_alerts_as_json_and_a_summary() {
    let folder = Folder::new();
    let events = data("replay/silver-sparrow/events.ndjson");
    let (code, stdout, stderr) = run(folder.path(), &["replay", &events]);
    assert_eq!(code, 0, "{stderr}");
    let alerts = json_lines(&stdout);
    assert_eq!(alerts[0]["rule"]["id"], "99239e7d-b0d4-46e3-8609-acafcf99f68c");
    assert_eq!(alerts[0]["event"]["kind"], "alert");
    assert!(stderr.contains("2 alerts by 3 rules"), "{stderr}");
    let (code, again, _) = run(folder.path(), &["replay", "--json", "--fail-on-alert", &events]);
    assert_eq!((code, again), (1, stdout), "the same input gives the same alerts");
}

#[test]
fn what_cannot_be_opened_is_said_and_the_rest_is_read() {
    let folder = Folder::new();
    let events = data("replay/root-postinstall/events.ndjson");
    let (code, stdout, stderr) = run(folder.path(), &["replay", "missing.ndjson", &events, "."]);
    assert_eq!(code, 2);
    assert!(stdout.contains("99239e7d"), "{stderr}");
    assert!(stderr.contains("missing.ndjson") && stderr.contains("directory"), "{stderr}");
}

#[test]
fn a_bad_line_is_named_and_strict_stops_there() {
    let folder = Folder::new();
    let good = fs::read_to_string(data("replay/root-postinstall/events.ndjson")).expect("a recording");
    folder.write("x.ndjson", format!("{{\"a\":\n{good}"));
    let (code, stdout, stderr) = run(folder.path(), &["replay", "x.ndjson"]);
    assert_eq!(code, 0);
    assert!(stderr.starts_with("x.ndjson:1: ") && stdout.contains("99239e7d"), "{stderr}");
    let (code, stdout, stderr) = run(folder.path(), &["replay", "--strict", "x.ndjson"]);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
}

#[test]
fn standard_input_and_gzip() {
    let folder = Folder::new();
    let good = fs::read(data("replay/root-postinstall/events.ndjson")).expect("a recording");
    let mut child = Command::new(env!("CARGO_BIN_EXE_vedette"))
        .args(["replay", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    child.stdin.take().expect("a pipe").write_all(&good).expect("a reader");
    let (code, stdout, _) = text(&child.wait_with_output().expect("an end"));
    assert_eq!(code, 0);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&good).expect("memory");
    folder.write("x.gz", gzip.finish().expect("memory"));
    let (_, zipped, stderr) = run(folder.path(), &["replay", "x.gz"]);
    assert_eq!(zipped, stdout, "{stderr}");
}

#[test]
fn the_alert_file_is_appended_to_mended_and_not_doubled() {
    let folder = Folder::new();
    let events = data("replay/silver-sparrow/events.ndjson");
    run(folder.path(), &["replay", "--alerts", "alerts.ndjson", &events]);
    let path = folder.path().join("alerts.ndjson");
    let once = fs::read_to_string(&path).expect("the alert file");
    assert_eq!(json_lines(&once).len(), 3);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).expect("the alert file").permissions().mode() & 0o777, 0o600);
    }
    // A kill in the middle of the second line.
    let second = once.find('\n').expect("a line") + 1;
    fs::write(&path, &once[..second + 20]).expect("a writable file");
    let (code, _, stderr) = run(folder.path(), &["replay", "--alerts", "alerts.ndjson", &events]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(fs::read_to_string(&path).expect("the alert file"), once);
    let torn = fs::read_to_string(folder.path().join("alerts.ndjson.torn")).expect("the torn line");
    assert_eq!(torn.trim_end(), &once[second..second + 20]);
    run(folder.path(), &["replay", "--alerts", "alerts.ndjson", &events]);
    assert_eq!(fs::read_to_string(&path).expect("the alert file"), once, "nothing is written twice");
    std::os::unix::fs::symlink("elsewhere", folder.path().join("link")).expect("a link");
    let (code, _, stderr) = run(folder.path(), &["replay", "--alerts", "link", &events]);
    assert_eq!(code, 2);
    assert!(stderr.contains("link: the alert file cannot be opened"), "{stderr}");
    assert!(!folder.path().join("elsewhere").exists());
}

#[test]
fn a_reader_that_goes_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vedette"))
        .args(["replay", &data("replay/silver-sparrow/events.ndjson")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("an end").code(), Some(0));
}

/// A pipe that nobody reads.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn the_alert_file_is_written_whether_or_not_anyone_reads_along() {
    let folder = Folder::new();
    let events = data("replay/silver-sparrow/events.ndjson");
    run(folder.path(), &["replay", "--alerts", "read.ndjson", &events]);
    let status = Command::new(env!("CARGO_BIN_EXE_vedette"))
        .args(["replay", "--alerts", "unread.ndjson", &events])
        .current_dir(folder.path())
        .stdout(gone())
        .stderr(Stdio::null())
        .status();
    assert_eq!(status.expect("the command runs").code(), Some(0));
    let file = |name: &str| fs::read_to_string(folder.path().join(name)).expect("the alert file");
    assert_eq!(file("unread.ndjson"), file("read.ndjson"));
    assert_eq!(json_lines(&file("read.ndjson")).len(), 3);
}

#[test]
fn standard_error_that_nobody_reads_changes_nothing() {
    let folder = Folder::new();
    let events = data("replay/root-postinstall/events.ndjson");
    folder.write("bad.ndjson", "not JSON\n");
    folder.write("bad.toml", "[rule]\n");
    for arguments in [
        vec!["replay", "bad.ndjson", &events],
        vec!["replay", "--rules", "bad.toml", &events],
        vec!["replay", "missing.ndjson"],
        vec!["hunt", QUERY, "bad.ndjson", &events],
        vec!["hunt", "process where", &events],
        vec!["rules", "check", "bad.toml"],
        vec!["rules", "list", "--rules", "bad.toml"],
        vec!["run"],
        vec!["frobnicate"],
    ] {
        let (code, stdout, _) = run(folder.path(), &arguments);
        let output = Command::new(env!("CARGO_BIN_EXE_vedette"))
            .args(&arguments)
            .current_dir(folder.path())
            .env_clear()
            .stderr(gone())
            .output();
        let (unread, same, _) = text(&output.expect("the command runs"));
        assert_eq!((unread, same), (code, stdout), "{arguments:?}");
    }
}

#[test]
fn names_and_rules_cannot_write_to_the_terminal() {
    let folder = Folder::new();
    let events = data("replay/root-postinstall/events.ndjson");
    let hostile = "\u{1b}[31m\u{9b}2J\u{202e}\u{200b}";
    let id = "a\\u001b[2J\\u009b\\u202e";
    folder.write(
        &format!("{hostile}.toml"),
        format!("[rule]\nid = \"{id}\"\nname = \"{id}\"\nseverity = \"{id}\"\nquery = \"any where true\"\n"),
    );
    folder.write(
        "query.toml",
        format!("[rule]\nid = \"{id}\"\nname = \"{id}\"\nquery = 'any where a == \"{hostile}' # {hostile}\n"),
    );
    folder.write(
        "good.toml",
        format!("[rule]\nid = \"{id}\"\nname = \"{id}\"\nquery = 'process where process.name == \"curl\"'\n"),
    );
    folder.write(&format!("{hostile}.ndjson"), format!("{hostile}\n"));
    for arguments in [
        vec!["replay", "--no-builtin", "--rules", ".", &format!("{hostile}.ndjson"), &events],
        vec!["rules", "check", "."],
        vec!["rules", "list", "--rules", "."],
        vec!["hunt", hostile, &events],
        vec!["hunt", QUERY, &format!("missing{hostile}"), &events],
        vec!["replay", "--rules", hostile, &events],
    ] {
        let (_, stdout, stderr) = run(folder.path(), &arguments);
        assert!(!stderr.is_empty(), "{arguments:?}");
        for output in [stdout, stderr] {
            let acts = |c: char| c != '\n' && vedette::alert::is_deceptive(c);
            assert!(!output.contains(acts), "{arguments:?}: {output:?}");
        }
    }
}

#[test]
fn a_recorded_document_does_not_speak_for_the_rule() {
    let folder = Folder::new();
    folder.write("r.toml", "[rule]\nid = \"i\"\nname = \"n\"\nquery = 'network where true'\n");
    folder.write(
        "e.ndjson",
        r#"{"@timestamp":"2026-11-24T08:00:00Z","event":{"category":"network","kind":"event","severity":1,"id":"forged","risk_score":1},"threat":[{"framework":"x"}],"rule":{"id":"forged","author":"x"},"vedette":"x","message":"kept"}"#,
    );
    let (_, stdout, stderr) =
        run(folder.path(), &["replay", "--no-builtin", "--rules", "r.toml", "e.ndjson"]);
    let alert = &json_lines(&stdout)[0];
    assert_eq!((&alert["threat"], &alert["rule"]["author"]), (&Value::Null, &Value::Null), "{stderr}");
    assert_eq!((&alert["rule"]["id"], &alert["event"]["severity"]), (&"i".into(), &47.into()));
    assert_ne!(alert["event"]["id"], "forged");
    let event = &alert["vedette"]["events"][0];
    assert_eq!((&alert["message"], &event["threat"][0]["framework"]), (&"kept".into(), &"x".into()));
}

#[test]
fn actions_are_reported() {
    let folder = Folder::new();
    let rule = "[rule]\nid = \"i\"\nname = \"n\"\nquery = 'process where true'\n[[actions]]\naction = \"kill_process\"\n";
    folder.write("a.toml", rule);
    let (_, stdout, _) = run(folder.path(), &["rules", "list", "--no-builtin", "--rules", "a.toml"]);
    assert_eq!(json_lines(&stdout)[0]["actions"], serde_json::json!(["kill_process"]));
}

#[test]
fn the_host_can_be_given() {
    let folder = Folder::new();
    let events = data("replay/root-postinstall/events.ndjson");
    let (_, stdout, _) = run(folder.path(), &["replay", "--host-id", "mac-7", &events]);
    assert_eq!(json_lines(&stdout)[0]["host"]["id"], "mac-7");
}

#[test]
fn own_rules_join_and_replace() {
    let folder = Folder::new();
    let events = data("replay/root-postinstall/events.ndjson");
    let rule = |id: &str, query: &str| {
        format!("[rule]\nrule_id = \"{id}\"\nname = \"mine\"\nquery = '''{query}'''\n")
    };
    folder
        .write("a.toml", rule("mine", "process where event.action == \"exec\" and process.name == \"curl\""));
    let (_, stdout, _) = run(folder.path(), &["replay", "--no-builtin", "--rules", "a.toml", &events]);
    assert_eq!(json_lines(&stdout).len(), 1);
    folder.write("a.toml", rule("99239e7d-b0d4-46e3-8609-acafcf99f68c", "process where false"));
    let (code, stdout, _) = run(folder.path(), &["replay", "--rules", "a.toml", &events]);
    assert_eq!((code, json_lines(&stdout).len()), (0, 1), "the built-in rule of the id is replaced");
    folder.write("a.toml", rule("bad", "process where process.name = \"x\""));
    let (code, stdout, stderr) = run(folder.path(), &["replay", "--rules", "a.toml", &events]);
    assert_eq!((code, json_lines(&stdout).len()), (1, 2), "the other rules still run");
    assert!(stderr.starts_with("a.toml:4:39: error: `=` is not an operator"), "{stderr}");
    folder.write("a.toml", rule("tail", "process where true | tail 1"));
    let (code, _, stderr) = run(folder.path(), &["replay", "--rules", "a.toml", &events]);
    assert_eq!(code, 1);
    assert!(stderr.contains("a live stream has no last one"), "{stderr}");
    let (code, _, stderr) = run(folder.path(), &["replay", "--rules", "none", &events]);
    assert_eq!(code, 2);
    assert!(stderr.contains("none: the rules cannot be read"), "{stderr}");
}

#[test]
fn hunt_reads_documents_of_any_schema() {
    let folder = Folder::new();
    folder.write(
        "e.ndjson",
        "{\"t\":3,\"kind\":\"a\",\"n\":1,\"x\":{\"y\":[1,2]}}\n{\"t\":\"1970-01-01T00:00:00.001Z\",\"kind\":\"b\",\"n\":1}\n",
    );
    let flags = ["hunt", "--json", "--timestamp-field", "t", "--event-category-field", "kind"];
    let hunt = |query: &str, more: &[&str]| {
        let arguments: Vec<&str> = flags.iter().chain(more).copied().chain([query, "e.ndjson"]).collect();
        run(folder.path(), &arguments)
    };
    let (code, stdout, stderr) = hunt("a where x.y == 2", &[]);
    assert_eq!((code, stderr.as_str()), (0, "1 match\n"));
    assert_eq!(json_lines(&stdout)[0]["events"][0]["x"]["y"], serde_json::json!([1, 2]));
    let sequence = "sequence by n [b where true] [a where true]";
    assert_eq!(hunt(sequence, &[]).1, "", "the file is not in the order of time");
    let (_, stdout, _) = hunt(sequence, &["--sort"]);
    assert_eq!(json_lines(&stdout)[0]["join_keys"], serde_json::json!([1]));
    let (_, stdout, _) = hunt("sequence by n with maxspan=1s [a where true] ![c where true]", &[]);
    assert_eq!(json_lines(&stdout)[0]["events"][1], Value::Null);
    let (code, _, stderr) = hunt("a where", &[]);
    assert_eq!(code, 2);
    assert!(stderr.contains("query:1:8: error") && stderr.contains('^'), "{stderr}");
}

#[test]
fn hunt_normalises_recordings() {
    let folder = Folder::new();
    let events = data("replay/root-postinstall/events.ndjson");
    let (code, stdout, _) = run(folder.path(), &["hunt", QUERY, &events]);
    assert_eq!(code, 0);
    assert!(json_lines(&stdout).iter().all(|line| line["events"][0]["process"]["name"] == "curl"));
    assert!(!stdout.is_empty());
    let query = "process where event.action == \"exec\" and descendant of [process where process.name : \"package_script*\"]";
    assert!(run(folder.path(), &["hunt", query, &events]).1.contains("curl"));
}

#[test]
fn rules_are_checked_and_listed() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("sub")).expect("a folder");
    std::os::unix::fs::symlink("..", folder.path().join("sub/loop")).expect("a link");
    folder.write("sub/a.toml", "[rule]\nid = \"1\"\nname = \"a\"\nquery = 'file where file.path == \"x\"'\n");
    folder
        .write("b.toml", "[rule]\nrule_id = \"1\"\nname = \"b\"\nquery = '''\nprocess where\n  x ==\n'''\n");
    folder.write("c.toml", "[rule]\nrule_id = \"3\"\nname = \"c\"\nlanguage = \"kuery\"\nquery = \"x\"\n");
    folder.write("e.toml", "[rule]\nid = \"5\"\nname = \"e\"\nquery = 'process where event.action in (\"remote_thread\") and user.id == \"0\"'\n");
    folder.write("c.tests.toml", "not a rule");
    folder.write("d.toml", [0xff, 0xfe]);
    let (code, stdout, stderr) = run(folder.path(), &["rules", "check", "--json", "."]);
    assert_eq!((code, stderr.as_str()), (1, "2 rules load, 2 do not, 1 skipped; 2 warnings\n"));
    let lines = json_lines(&stdout);
    let status: Vec<_> = lines.iter().map(|line| (line["path"].as_str(), line["status"].as_str())).collect();
    let expected = [
        ("./b.toml", "error"),
        ("./c.toml", "skipped"),
        ("./d.toml", "error"),
        ("./e.toml", "ok"),
        ("./sub/a.toml", "ok"),
    ];
    assert_eq!(status, expected.map(|(path, status)| (Some(path), Some(status))));
    assert_eq!((lines[0]["line"].as_u64(), lines[0]["column"].as_u64()), (Some(6), Some(7)), "{}", lines[0]);
    assert_eq!(lines[3]["not_observed"], serde_json::json!(["process:remote_thread"]));
    assert_eq!(lines[4]["not_observed"], serde_json::json!(["file", "file.path"]));
    assert_eq!(lines[4]["kind"], "event");
    let (code, stdout, _) = run(folder.path(), &["rules", "list"]);
    assert_eq!((code, json_lines(&stdout).len()), (0, 3));
}

#[test]
fn a_mistake_in_a_rules_own_tests_is_reported_and_takes_no_rule_away() {
    let folder = Folder::new();
    let rule = "[rule]\nid = \"1\"\nname = \"a\"\nquery = 'process where process.name == \"curl\"'\n";
    folder.write(
        "good.toml",
        format!("{rule}[[tests]]\nname = \"n\"\nmust = \"alert\"\nevents = [{{ exec = \"curl\" }}]\n"),
    );
    folder.write(
        "bad.toml",
        format!("{}[[tests]]\nname = \"n\"\nmust = \"perhaps\"\nevents = []\n", rule.replace('1', "2")),
    );
    let (code, stdout, stderr) = run(folder.path(), &["rules", "check", "--json", "."]);
    let lines = json_lines(&stdout);
    assert_eq!((code, &lines[0]["status"], &lines[1]["status"]), (1, &"error".into(), &"ok".into()));
    assert_eq!((&lines[0]["reason"], &lines[0]["line"]), (&"\"perhaps\" is no verdict".into(), &7.into()));
    assert_eq!(stderr, "2 rules load, 0 do not, 0 skipped; 0 warnings; tests in 1 files are wrong\n");
    let (code, stdout, _) = run(folder.path(), &["rules", "list", "--no-builtin", "--rules", "."]);
    assert_eq!((code, json_lines(&stdout).len()), (0, 2), "both load");
    let tests =
        folder.write("good.tests.toml", "[[tests]]\nname = \"m\"\nmust = \"not alert\"\nevents = []\n");
    let (_, stdout, _) = run(folder.path(), &["rules", "check", "--json", &tests.to_string_lossy()]);
    assert_eq!(json_lines(&stdout)[0]["status"], "skipped", "a file of tests that is named itself");
}

#[test]
fn a_rule_is_explained_by_its_id_its_name_or_its_file() {
    let folder = Folder::new();
    let events = data("replay/thirty-seconds-and-one-millisecond/events.ndjson");
    let name = "installer package starts a shell, and a download tool connects out";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("rules/macos/execution_installer_package_spawned_network_event.toml");
    let mut said = Vec::new();
    for rule in ["99239e7d-b0d4-46e3-8609-acafcf99f68c", name, file.to_str().expect("a path")] {
        let (code, stdout, stderr) = run(folder.path(), &["rules", "explain", rule, &events]);
        assert_eq!((code, stderr.as_str()), (0, "10 lines, 10 events, 0 lines skipped\n"), "{rule}");
        let [document] = &json_lines(&stdout)[..] else { panic!("{stdout}") };
        assert_eq!(
            (&document["fired"], &document["silences"][0]["nearest"]["miss"]),
            (&0.into(), &"late".into())
        );
        assert_eq!(document["silences"][0]["nearest"]["by_ns"], 1_000_000);
        said.push(document["terms"].clone());
    }
    assert!(said.iter().all(|terms| *terms == said[0]));
    let explain = |arguments: &[&str]| {
        let mut all = vec!["rules", "explain"];
        all.extend(arguments);
        run(folder.path(), &all)
    };
    // No such rule, and which may be meant.
    let (code, _, stderr) =
        explain(&["installer package starts a shell and a download tool connects", &events]);
    assert_eq!(code, 2);
    assert!(stderr.contains("did you mean") && stderr.contains("99239e7d"), "{stderr}");
    // A rule that does not load, one that is not EQL, and one that needs an end.
    folder.write("broken.toml", "[rule]\nid = \"b\"\nname = \"b\"\nquery = 'process where'\n");
    let (code, stdout, stderr) = explain(&["broken.toml", &events]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.starts_with("broken.toml:4:"), "{stderr}");
    folder.write("kuery.toml", "[rule]\nid = \"k\"\nname = \"k\"\nlanguage = \"kuery\"\n");
    assert_eq!(explain(&["kuery.toml", &events]).0, 2);
    folder.write(
        "sample.toml",
        "[rule]\nid = \"s\"\nname = \"s\"\nquery = 'sample by x [a where true] [b where true]'\n",
    );
    let (code, _, stderr) = explain(&["sample.toml", &events]);
    assert!(code == 1 && stderr.contains("sample"), "{code} {stderr}");
    // Two rules of one name; a recording that is not there; a line that cannot be read.
    for id in ["one", "two"] {
        folder.write(
            &format!("{id}.toml"),
            format!("[rule]\nid = \"{id}\"\nname = \"same\"\nquery = 'any where true'\n"),
        );
    }
    let (code, _, stderr) = explain(&["--rules", "one.toml", "--rules", "two.toml", "same", &events]);
    assert!(code == 2 && stderr.contains("one, two"), "{code} {stderr}");
    assert_eq!(explain(&["one.toml", "gone.ndjson"]).0, 2);
    folder.write("bad.ndjson", "nonsense\n");
    assert_eq!(explain(&["one.toml", "bad.ndjson"]).0, 0);
    let (code, _, stderr) = explain(&["--strict", "one.toml", "bad.ndjson"]);
    assert!(code == 2 && stderr.contains("bad.ndjson:1:"), "{code} {stderr}");
}

#[test]
fn usage() {
    let folder = Folder::new();
    for (arguments, code) in [
        (vec!["--version"], 0),
        (vec!["--help"], 0),
        (vec![], 2),
        (vec!["replay"], 2),
        (vec!["frobnicate"], 2),
        (vec!["run"], 2),
        (vec!["completions", "zsh"], 0),
        (vec!["completions", "bash"], 0),
        (vec!["completions", "fish"], 0),
    ] {
        let (actual, stdout, stderr) = run(folder.path(), &arguments);
        assert_eq!(actual, code, "{arguments:?}: {stdout}{stderr}");
        assert_ne!(stdout.is_empty(), code == 0, "{arguments:?}");
    }
    let (_, _, stderr) = run(folder.path(), &["run"]);
    assert!(stderr.contains("this is no Mac"), "{stderr}");
}

#[cfg(not(target_os = "macos"))]
#[test]
fn what_needs_a_mac_says_so_elsewhere() {
    let folder = Folder::new();
    for arguments in [
        &["extension", "activate"][..],
        &["extension", "deactivate"],
        &["uninstall"],
        &["uninstall", "--purge"],
    ] {
        let (code, stdout, stderr) = run(folder.0.path(), arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains("this is no Mac") && stderr.lines().count() == 1, "{arguments:?}: {stderr}");
    }
    // Scripts go by the exit codes, so help lists them.
    let (code, stdout, _) = run(folder.0.path(), &["extension", "activate", "--help"]);
    assert_eq!(code, 0);
    let stdout = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in ["3 someone must allow it", "7 a profile", "9 no answer within 60 s"] {
        assert!(stdout.contains(text), "{stdout}");
    }
}
