//! `vedette selftest` with stand-ins for the programs of macOS: what it says of where the alert arrived, and that nothing
//! of it stays, whatever happens.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value as Json;

/// A `pkgbuild` whose package is the script alone.
const PKGBUILD: &str = r#"
while [ $# -gt 1 ]; do
  case "$1" in
    --identifier) printf '%s' "$2" > "$here/identifier"; shift 2 ;;
    --scripts) scripts=$2; shift 2 ;;
    *) shift ;;
  esac
done
cp "$scripts/postinstall" "$1"
"#;

/// What stands in for the script: it connects as the script's curl would.
const CONNECT: &str = r#"
url=$(grep -o 'http://[0-9.:]*/[0-9a-f]*' "$2")
port=${url##*:}; port=${port%%/*}; nonce=${url##*/}
connect() {
  exec 3<>"/dev/tcp/127.0.0.1/$port"
  printf 'GET /%s HTTP/1.0\r\n\r\n' "$1" >&3
  cat <&3 > "$here/answer"
  exec 3>&-
}
"#;

const ALERT: &str = r#"
printf '{"@timestamp":"2026-11-24T08:00:00Z","event":{"kind":"alert","id":"0a1b2c"},"rule":{"name":"A rule"},"process":{"args":["%s"]}}\n' "$url" >> "$here/alerts.ndjson"
"#;

const LOG: &str = r#"
case "$*" in *'eventMessage BEGINSWITH "0a1b2c"'*) ;; *) exit 64 ;; esac
printf '{"timestamp":"%s","eventMessage":"0a1b2c medium A rule: pid 1"}\n' "$(date -u '+%Y-%m-%d %H:%M:%S.%N+0000')"
echo '{"count":1,"finished":1}'
"#;

/// A folder of stand-ins.
struct Mac(tempfile::TempDir);

impl Mac {
    /// Makes the stand-ins for `installer` and `log`; the others are as they should be.
    fn new(installer: &str, log: &str) -> Self {
        let mac = Mac(tempfile::tempdir().expect("a temporary folder"));
        mac.program("pkgbuild", PKGBUILD);
        mac.program("installer", installer);
        mac.program("pkgutil", r#"echo "$*" >> "$here/pkgutil.log""#);
        mac.program("log", log);
        mac
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/bash\nhere=$(dirname \"$0\")\n{script}"))
            .expect("a writable folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a file of one's own");
    }

    fn start(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_vedette"))
            .arg("selftest")
            .arg("--stand-ins")
            .arg(self.0.path())
            .arg("--file")
            .arg(self.path("alerts.ndjson"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command runs")
    }

    /// Runs it to its end, and sees that nothing stays.
    fn run(&self, arguments: &[&str]) -> (i32, Json, String) {
        self.ended(self.start(arguments).wait_with_output().expect("an end"))
    }

    fn ended(&self, output: Output) -> (i32, Json, String) {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        if let Some(nonce) = self.nonce() {
            let folder = Path::new("/tmp").join(format!("vedette-selftest.{nonce}"));
            assert!(!folder.exists(), "{} stays: {stderr}", folder.display());
        }
        let outcome =
            if stdout.is_empty() { Json::Null } else { serde_json::from_str(&stdout).expect("JSON") };
        (output.status.code().unwrap_or(-1), outcome, stderr)
    }

    fn nonce(&self) -> Option<String> {
        self.read("identifier").strip_prefix("dev.vedette.selftest.").map(str::to_owned)
    }
}

#[test]
fn the_alert_is_seen_in_both_sinks_and_the_package_is_forgotten() {
    let mac = Mac::new(&format!("{CONNECT} connect \"$nonce\"\n{ALERT}"), LOG);
    fs::write(mac.path("alerts.ndjson"), "not an alert\n{\"event\":{\"kind\":\"alert\",\"id\":\"f\"}}\n")
        .expect("a file");
    let (code, outcome, stderr) = mac.run(&["--yes"]);
    assert_eq!(code, 0, "{outcome} {stderr}");
    assert_eq!(outcome["status"], "seen");
    let nonce = mac.nonce().expect("the package's identifier");
    assert_eq!(outcome["nonce"], nonce.as_str());
    assert_eq!(nonce.len(), 16);
    for (sink, name) in [(&outcome["sinks"][0], "alert_file"), (&outcome["sinks"][1], "unified_log")] {
        assert_eq!((&sink["sink"], &sink["event_id"]), (&name.into(), &"0a1b2c".into()));
        assert_eq!((&sink["seen"], &sink["rule"]), (&true.into(), &"A rule".into()));
        assert!(sink["latency_ms"].is_u64(), "{sink}");
    }
    assert_eq!(mac.read("pkgutil.log"), format!("--forget dev.vedette.selftest.{nonce}\n"));
    assert!(mac.read("answer").starts_with("HTTP/1.0 204"));
    let (_, again, _) = mac.run(&["--yes"]);
    assert_ne!(again["nonce"], nonce.as_str(), "it is used once");
}

#[test]
fn an_alert_that_does_not_arrive_is_missed_where_it_is_missing() {
    let silent = Mac::new(&format!("{CONNECT} connect wrong; connect \"$nonce\""), LOG);
    let (code, outcome, _) = silent.run(&["--yes", "--wait", "3"]);
    assert_eq!((code, &outcome["status"]), (1, &"not_seen".into()));
    assert_eq!((&outcome["sinks"][0]["seen"], &outcome["sinks"][1]["seen"]), (&false.into(), &false.into()));
    assert!(outcome["connected_ms"].is_u64());
    assert!(outcome["next"].as_str().is_some_and(|next| next.contains("vedette doctor")), "{outcome}");
    let unlogged = Mac::new(&format!("{CONNECT} connect \"$nonce\"\n{ALERT}"), "exit 1");
    let (code, outcome, _) = unlogged.run(&["--yes", "--wait", "3"]);
    assert_eq!((code, &outcome["sinks"][0]["seen"]), (1, &true.into()));
    assert_eq!(outcome["sinks"][1]["seen"], false);
    assert!(outcome["next"].as_str().is_some_and(|next| next.contains("log show")), "{outcome}");
}

#[test]
fn what_keeps_it_from_running_is_said() {
    for (installer, reason) in [
        ("exit 1".to_owned(), "installer failed (exit status: 1)"),
        (format!("{CONNECT} connect wrong"), "the package's script did not connect"),
    ] {
        let mac = Mac::new(&installer, LOG);
        let (code, outcome, stderr) = mac.run(&["--yes", "--wait", "2"]);
        assert_eq!((code, outcome), (2, Json::Null), "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
        assert!(mac.read("pkgutil.log").contains("--forget"));
    }
    let mac = Mac::new("", LOG);
    mac.program("pkgbuild", "echo 'no such\u{1b}[2J option' >&2; exit 1");
    let (code, _, stderr) = mac.run(&["--yes"]);
    assert!(code == 2 && stderr.contains("pkgbuild failed: no such\\u{1b}[2J option"), "{stderr}");
    let (code, _, stderr) = mac.run(&[]);
    assert!(code == 2 && stderr.contains("add --yes"), "{stderr}");
    let output = Command::new(env!("CARGO_BIN_EXE_vedette")).args(["selftest", "--yes"]).output();
    let output = output.expect("the command runs");
    if cfg!(not(target_os = "macos")) {
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("on a Mac"));
    }
}

#[test]
fn whoever_ends_it_finds_nothing_left() {
    for signal in ["INT", "TERM", "HUP"] {
        let mac = Mac::new("touch \"$here/begun\"; sleep 1", LOG);
        let child = mac.start(&["--yes"]);
        while !mac.path("begun").exists() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        let (code, _, stderr) = mac.ended(child.wait_with_output().expect("an end"));
        assert!(code == 2 && stderr.contains("interrupted"), "{signal}: {stderr}");
        assert!(mac.read("pkgutil.log").contains("--forget"), "{signal}");
    }
}
