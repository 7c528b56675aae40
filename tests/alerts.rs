//! `vedette alerts` as people and scripts use it: screens, filters, exit codes, and following through rotations.
//!
//! Screens are golden files in `tests/data/alerts`; `UPDATE_EXPECT=1 cargo test --test alerts` writes them.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::SystemTime;

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, Value as Json, json};
use vedette::readable::{self, Row, Style, Whole};
use vedette::sink::{Folder, Readers, RotatingFile, Rotation, Trust};

/// The alerts of a case in `tests/data/replay`, a line each.
fn recorded(case: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/replay");
    fs::read_to_string(root.join(case).join("alerts.ndjson")).expect("a case")
}

/// A folder with an alert file and two rotations, of which the older one is compressed.
fn log() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).expect("a writable file");
    write("alerts.ndjson.2.gz", &gzip(recorded("root-postinstall").as_bytes()));
    write("alerts.ndjson.1", recorded("silver-sparrow").as_bytes());
    let other = recorded("hostile-text").replace("recorded-host", "lab-mac-07");
    write("alerts.ndjson", (recorded("per-user-install") + &other).as_bytes());
    folder
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("it packs");
    encoder.finish().expect("it packs")
}

/// All lines of [`log`], oldest first.
fn all_lines() -> String {
    let other = recorded("hostile-text").replace("recorded-host", "lab-mac-07");
    recorded("root-postinstall") + &recorded("silver-sparrow") + &recorded("per-user-install") + &other
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
    command.arg("alerts").args(arguments).current_dir(folder).env_clear().stdin(Stdio::null());
    command
}

/// Runs the command and returns exit code, standard output and standard error.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = command(folder, arguments).output().expect("the command runs");
    text(&output)
}

fn text(output: &Output) -> (i32, String, String) {
    let string = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("output is UTF-8");
    (output.status.code().unwrap_or(-1), string(&output.stdout), string(&output.stderr))
}

/// Starts the command on a pseudo-terminal of so many columns; returns what reads from it.
fn on_terminal(mut command: Command, columns: u16) -> (Child, File) {
    let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).expect("a pseudo-terminal");
    let child = command.env("TERM", "xterm").stdout(terminal.slave).spawn().expect("the command runs");
    // The command holds the other end, and would keep it open here.
    drop(command);
    (child, File::from(terminal.master))
}

/// Reads a terminal until its last writer has gone, which Linux tells as an error.
fn read_terminal(mut terminal: File) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = terminal.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(bytes).expect("a screen is UTF-8").replace("\r\n", "\n")
}

/// Returns what a terminal shows.
fn screen(folder: &Path, arguments: &[&str], columns: u16, colour: bool) -> String {
    let mut command = command(folder, arguments);
    if !colour {
        command.env("NO_COLOR", "1");
    }
    let (mut child, terminal) = on_terminal(command, columns);
    let shown = read_terminal(terminal);
    assert!(child.wait().expect("it ends").success());
    shown
}

const SILVER_SPARROW: &str = "d1da6aba00ebc76887a4435c1e990ff8";

#[test]
fn screens_are_as_they_were() {
    let folder = log();
    for (name, arguments) in [
        ("list", vec!["--file", "alerts.ndjson"]),
        ("show", vec!["show", "d1da6a", "--file", "alerts.ndjson"]),
    ] {
        for columns in [80, 120] {
            let actual = screen(folder.path(), &arguments, columns, false);
            for line in actual.lines() {
                assert!(line.chars().count() <= columns.into(), "{columns}: {line}");
            }
            golden(&format!("{name}-{columns}.txt"), &actual);
            let coloured = screen(folder.path(), &arguments, columns, true);
            assert_ne!(coloured, actual, "colours are shown");
            assert_eq!(without_colours(&coloured), actual, "and nothing but colours differs");
        }
    }
}

fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/alerts").join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a writable folder");
        fs::write(&path, actual).expect("a writable file");
    }
    assert_eq!(actual, fs::read_to_string(&path).unwrap_or_default(), "{name}");
}

fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain + rest
}

#[test]
fn programs_get_the_lines_as_they_stand() {
    let folder = log();
    assert_eq!(run(folder.path(), &["--file", "alerts.ndjson"]), (0, all_lines(), String::new()));
    assert_eq!(run(folder.path(), &["list", "--json", "--file", "alerts.ndjson"]).1, all_lines());
    let (code, stdout, _) = run(folder.path(), &["show", SILVER_SPARROW, "--file", "alerts.ndjson"]);
    let sparrow: Vec<String> = recorded("silver-sparrow").lines().map(str::to_owned).collect();
    let more = sparrow.iter().find(|line| line.contains("\"follows\"")).expect("an enrichment");
    assert_eq!((code, stdout), (0, format!("{}\n{more}\n", sparrow[0])));
}

/// Returns what of [`all_lines`] the filters leave, as rule id and whether it is an enrichment.
fn filtered(arguments: &[&str]) -> Vec<Json> {
    let folder = log();
    let (code, stdout, stderr) = run(folder.path(), &[&["--file", "alerts.ndjson"], arguments].concat());
    assert_eq!(code, 0, "{stderr}");
    stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn filters_leave_what_they_say_and_what_follows_it() {
    let all = filtered(&[]);
    let rule = "99239e7d-b0d4-46e3-8609-acafcf99f68c";
    let of_rule = filtered(&["--rule", rule]);
    let is_of_rule =
        |document: &Json| document["rule"]["id"] == rule || document["vedette"]["follows"].is_string();
    assert_eq!(of_rule, all.iter().filter(|document| is_of_rule(document)).cloned().collect::<Vec<_>>());
    assert!(of_rule.iter().any(|document| document["event"]["kind"] == "enrichment"));
    assert_eq!(filtered(&["--rule", "PACKAGE STARTS"]), of_rule);
    assert_eq!(filtered(&["--severity", "medium"]), of_rule);
    assert_eq!(filtered(&["--severity", "high"]), Vec::<Json>::new());
    let others = filtered(&["--rule", "install session"]);
    assert!(
        others.iter().all(|document| document["event"]["kind"] == "alert"),
        "follows another rule's alert"
    );
    assert_eq!(others.len() + of_rule.len(), all.len());
    assert_eq!(filtered(&["--rule", rule, "--rule", "install session"]), all);
    let late = filtered(&["--since", "2026-11-24T08:05:29Z"]);
    assert_eq!(late.len(), 3, "two alerts and what followed one");
    assert!(late.iter().all(|document| document["@timestamp"].as_str() >= Some("2026-11-24T08:05:29")));
    assert_eq!(filtered(&["--since", "15000w"]), all);
}

#[test]
fn what_there_is_not_is_said() {
    let folder = log();
    let at = |arguments: &[&str]| run(folder.path(), &[arguments, &["--file", "alerts.ndjson"]].concat());
    let (code, stdout, stderr) = at(&["--severity", "critical"]);
    assert_eq!((code, stdout.as_str()), (0, ""));
    assert!(stderr.contains("of which none is selected"), "{stderr}");
    let (code, _, stderr) = at(&["show", "ffff"]);
    assert_eq!(code, 1);
    for file in ["alerts.ndjson\n", "alerts.ndjson.1\n", "alerts.ndjson.2.gz\n"] {
        assert!(stderr.contains(file), "{stderr}");
    }
    let (code, _, stderr) = at(&["show", "fff"]);
    assert!(code == 2 && stderr.contains("at least 4 characters"), "{stderr}");
    let (code, _, stderr) = at(&["--since", "yesterday"]);
    assert!(code == 2 && stderr.contains("90s, 15m, 1h, 2d, 1w"), "{stderr}");
    let (code, _, stderr) = at(&["--severity", "bad"]);
    assert!(code == 2 && stderr.contains("low, medium, high or critical"), "{stderr}");
    let (code, _, stderr) = run(folder.path(), &["--file", "other.ndjson"]);
    assert!(code == 2 && stderr.contains("there is no such file, nor a rotation of it"), "{stderr}");
    fs::write(folder.path().join("empty.ndjson"), "").expect("a writable file");
    let (code, _, stderr) = run(folder.path(), &["--file", "empty.ndjson"]);
    assert!(code == 0 && stderr.contains("no alerts in empty.ndjson"), "{stderr}");
}

#[test]
fn an_id_that_means_several_lists_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let line = |id: &str| format!("{{\"event\":{{\"kind\":\"alert\",\"id\":\"{id}\"}}}}\n");
    let lines = ["aaaa1", "aaaa2", "aaaa", "bbbb"].map(line).concat();
    fs::write(folder.path().join("a"), lines).expect("a writable file");
    let (code, stdout, _) = run(folder.path(), &["show", "aaaa", "--file", "a"]);
    assert_eq!((code, stdout), (0, line("aaaa")), "a whole id means only itself");
    let (code, stdout, stderr) = run(folder.path(), &["show", "bbb", "--file", "a"]);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    fs::write(folder.path().join("b"), ["aaaa1", "aaaa2"].map(line).concat()).expect("a writable file");
    let (code, stdout, stderr) = run(folder.path(), &["show", "aaaa", "--file", "b"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("aaaa1") && stderr.contains("aaaa2"), "{stderr}");
}

#[test]
fn what_is_no_alert_is_named_and_the_rest_is_shown() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let good = recorded("root-postinstall");
    let bad = b"not json\n{\"event\":{\"kind\":\"state\"}}\n{\"a\":\"\xff\x1b[2J\"}\n[[[[\n";
    let torn = b"{\"event\":{\"kind\":\"alert\",\"id\":\"torn";
    let content = [good.as_bytes(), bad, good.as_bytes(), torn].concat();
    fs::write(folder.path().join("alerts.ndjson"), content).expect("a writable file");
    let (code, stdout, stderr) = run(folder.path(), &["--file", "alerts.ndjson"]);
    assert_eq!((code, stdout), (0, good.clone() + &good));
    let first = good.lines().count() + 1;
    for line in first..first + 4 {
        assert!(stderr.contains(&format!("alerts.ndjson:{line}: ")), "{stderr}");
    }
    assert!(stderr.ends_with("4 lines skipped\n") && !stderr.contains('\u{1b}'), "{stderr}");
    assert!(!stderr.contains("torn"), "what is being written is no problem: {stderr}");
}

/// Every document that differs from `document` in one value.
fn variations(document: &Json) -> Vec<Json> {
    fn paths(value: &Json, at: &str, found: &mut Vec<String>) {
        found.push(at.to_owned());
        match value {
            Json::Object(object) => {
                object.iter().for_each(|(key, value)| paths(value, &format!("{at}/{key}"), found))
            }
            Json::Array(list) => {
                list.iter()
                    .enumerate()
                    .for_each(|(index, value)| paths(value, &format!("{at}/{index}"), found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    paths(document, "", &mut found);
    let hostile = format!("x\u{1b}[2J\n\r\u{202e}{}", "é".repeat(5000));
    let values =
        [json!(null), json!(-1.5e300), json!(hostile), json!([[]]), json!({ "id": {} }), json!(u64::MAX)];
    let mut documents = Vec::new();
    for path in found.iter().skip(1) {
        for value in &values {
            let mut changed = document.clone();
            *changed.pointer_mut(path).expect("a path of it") = value.clone();
            documents.push(changed);
        }
    }
    documents
}

#[test]
fn whatever_a_value_is_the_page_stays_a_page() {
    let lines: Vec<Json> = recorded("silver-sparrow")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    let more = lines.iter().find(|line| line["event"]["kind"] == "enrichment").expect("an enrichment");
    let object = |value: Json| -> Map<String, Json> { value.as_object().cloned().expect("an object") };
    let style = Style { colour: false, width: 60 };
    let mut pages = 0;
    let mut check = |document: &Map<String, Json>, more: &Map<String, Json>| {
        let whole =
            Whole { document, enrichments: std::slice::from_ref(more), rule: None, place: "alerts.ndjson:1" };
        let page = readable::whole(&whole, style)
            + &readable::row(&Row::new(Some(0), document), "0123", true, style)
            + &readable::more(&Row::more(None, more), "0123", style);
        for line in page.lines() {
            assert!(line.chars().count() <= 60, "{line}");
            assert!(!line.chars().any(vedette::alert::is_deceptive), "{line:?}");
        }
        pages += 1;
    };
    for document in variations(&lines[0]) {
        check(&object(document), &object(more.clone()));
    }
    for more in variations(more) {
        check(&object(lines[0].clone()), &object(more));
    }
    assert!(pages > 1000, "{pages}");
}

/// The last alert that a test writes.
const LAST: usize = 0xffff;

/// The short form of the `n`th id.
fn id(n: usize) -> String {
    format!("{n:08x}")
}

fn line(n: usize) -> String {
    let line = json!({
        "@timestamp": "2026-11-24T08:00:00.000Z",
        "event": { "kind": "alert", "id": format!("{}00112233445566778899aabb", id(n)), "severity": 73 },
        "rule": { "id": "r", "name": "A rule" },
    });
    format!("{line}\n")
}

#[test]
fn a_terminal_sees_every_alert_once_and_in_order_across_a_hundred_rotations() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = command(folder.path(), &["--follow", "--since", "100w", "--file", "alerts.ndjson"]);
    command.env("NO_COLOR", "1").stderr(Stdio::piped());
    let (mut child, terminal) = on_terminal(command, 80);
    let writer = std::thread::spawn({
        let folder = folder.path().to_owned();
        move || {
            let bytes = Some(20 * line(0).len() as u64);
            let rotation = Rotation { bytes, age: None, keep: 120, compress: true };
            let folder = Folder::open(&folder, Trust::Callers, Readers::Nobody).expect("the folder");
            let mut file =
                RotatingFile::open(folder, "alerts.ndjson", rotation, |_| {}).expect("the alert file");
            for n in (0..2000).chain([LAST]) {
                file.write(line(n).as_bytes(), SystemTime::now()).expect("it is written");
                file.sync().expect("it is synced");
                while file.tidy().expect("older files are compressed") {}
                if n % 5 == 4 {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            }
        }
    });
    let mut seen = Vec::new();
    let mut lines = BufReader::new(terminal).lines();
    while seen.last() != Some(&id(LAST)) {
        let line = lines.next().expect("it follows until the last alert").expect("a terminal to read");
        let id = line.split_whitespace().next().unwrap_or_default();
        if id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            seen.push(id.to_owned());
        }
    }
    // Not SIGINT: whoever runs the tests in the background of a shell has them, and their children, ignore it.
    kill(Pid::from_raw(child.id().try_into().expect("a pid")), Signal::SIGTERM).expect("a signal");
    let mut stderr = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut stderr).expect("what it said");
    child.wait().expect("it ends");
    writer.join().expect("the writer ends");
    let rotated = fs::read_dir(folder.path()).expect("the folder").count() - 1;
    assert_eq!(rotated, 100);
    let expected: Vec<String> = (0..2000).chain([LAST]).map(id).collect();
    assert_eq!(seen, expected);
    assert_eq!(stderr, "", "a signal ends it quietly");
}

#[test]
fn following_starts_from_now_and_shows_what_follows_an_older_alert() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let live = folder.path().join("alerts.ndjson");
    let sparrow = recorded("silver-sparrow");
    let (alerts, more): (Vec<&str>, Vec<&str>) =
        sparrow.lines().partition(|line| !line.contains("\"follows\""));
    fs::write(&live, alerts.join("\n") + "\n").expect("a writable file");
    let arguments = ["--follow", "--rule", "download tool", "--file", "alerts.ndjson"];
    let (mut child, terminal) = on_terminal(command(folder.path(), &arguments), 100);
    let mut lines = BufReader::new(terminal).lines();
    // The header is written when everything before has been read.
    let header = lines.next().expect("a header").expect("a terminal to read");
    assert!(header.contains("TIME (UTC)"), "{header}");
    let mut file = OpenOptions::new().append(true).open(&live).expect("the live file");
    writeln!(file, "{}\n{}", recorded("compiled-script").trim_end(), more[0]).expect("it is written");
    let shown = without_colours(&lines.next().expect("an enrichment").expect("a terminal to read"));
    assert!(shown.starts_with("└ d1da6aba") && shown.contains("more"), "{shown}");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[test]
fn following_ends_when_nobody_reads() {
    let folder = log();
    let mut child = command(folder.path(), &["--follow", "--since", "100w", "--file", "alerts.ndjson"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command runs");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut first).expect("a line");
    assert_eq!(Some(first.trim_end()), all_lines().lines().next());
    // The reader is gone, and no alert comes that could tell.
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
