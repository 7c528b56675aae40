//! `vedette run --check-config` over configurations good and bad: `tests/data/config/<case>/` holds `config.toml`,
//! `managed.plist` or both, and `expect.txt`, which is the exit code, what is said, and the keys that are not at their
//! defaults. `UPDATE_EXPECT=1 cargo test --test config` writes the latter.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

const NOTHING_MANAGED: &str = "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict/></plist>";

/// Runs the command in `folder`; exit code, standard output, standard error.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vedette"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// A folder with a file for each source, whatever the umask and the checkout's modes are.
fn folder(config: Option<&[u8]>, managed: Option<&[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let managed = managed.unwrap_or(NOTHING_MANAGED.as_bytes());
    for (name, bytes) in [("config.toml", config.unwrap_or_default()), ("managed.plist", managed)] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("a writable folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a file of one's own");
    }
    folder
}

const CHECK: [&str; 7] =
    ["run", "--check-config", "--json", "--config", "config.toml", "--managed", "managed.plist"];

#[test]
fn configurations_read_as_expected() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/config");
    let mut folders: Vec<_> =
        fs::read_dir(cases).expect("the cases").map(|entry| entry.expect("a case").path()).collect();
    folders.sort();
    let mut wrong = Vec::new();
    let mut exits = [0; 2];
    for case in &folders {
        let read = |name: &str| fs::read(case.join(name)).ok();
        let (config, managed) = (read("config.toml"), read("managed.plist"));
        assert!(config.is_some() || managed.is_some(), "{}", case.display());
        let folder = folder(config.as_deref(), managed.as_deref());
        let (code, stdout, stderr) = run(folder.path(), &CHECK);
        let seen = |c: char| !c.is_control() && !('\u{200b}'..='\u{202e}').contains(&c);
        assert!(stderr.chars().all(|c| c == '\n' || seen(c)), "{}: {stderr:?}", case.display());
        assert!(stdout.trim_end_matches('\n').chars().all(seen), "{}: {stdout:?}", case.display());
        exits[usize::try_from(code).expect("an exit code")] += 1;
        let actual = format!("exit {code}\n\n{stderr}\n{}", settings(&stdout));
        let expect = case.join("expect.txt");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&expect, &actual).expect("a writable folder");
        }
        let expected = fs::read_to_string(&expect).unwrap_or_default();
        if actual != expected {
            wrong.push(format!("{}: now\n{actual}then\n{expected}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(exits.iter().all(|count| *count >= 5), "good and bad ones: {exits:?}");
}

/// The keys that are not at their defaults.
fn settings(stdout: &str) -> String {
    let json: Value = serde_json::from_str(stdout).expect("one JSON object");
    let mut text = String::new();
    for (key, setting) in json["settings"].as_object().expect("settings") {
        if setting["origin"] != "default" {
            let origin = setting["origin"].as_str().unwrap_or("?");
            let _ = writeln!(text, "{key} = {} ({origin})", vedette::alert::json_line(&setting["value"]));
        }
    }
    text
}

#[test]
fn programs_get_one_object() {
    let folder = folder(Some(b"[alerts]\nkeep = 0\ncompres = true\n"), None);
    let (code, stdout, _) = run(folder.path(), &CHECK);
    assert_eq!((code, stdout.lines().count()), (1, 1));
    let json: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!((&json["status"], &json["locked"]), (&"error".into(), &false.into()));
    assert_eq!(
        (&json["sources"][1]["path"], &json["sources"][1]["state"]),
        (&"config.toml".into(), &"read".into())
    );
    assert_eq!(json["sources"][1]["sha256"].as_str().map(str::len), Some(64));
    let finding = &json["findings"][0];
    assert_eq!((&finding["level"], &finding["key"]), (&"error".into(), &"alerts.keep".into()));
    assert_eq!((&finding["line"], &finding["column"]), (&2.into(), &8.into()));
    assert_eq!(json["findings"][1]["hint"], "did you mean `alerts.compress`?");
    assert_eq!(json["settings"]["alerts.rotate_bytes"]["value"], "16 MiB");
}

#[test]
fn a_file_that_is_named_must_exist() {
    let folder = folder(None, None);
    for option in ["--config", "--managed"] {
        let (code, stdout, stderr) = run(folder.path(), &["run", "--check-config", option, "gone\u{1b}"]);
        assert_eq!((code, stdout.as_str()), (2, ""));
        assert!(stderr.contains("gone\\u{1b}: the configuration cannot be read"), "{stderr:?}");
    }
}

#[test]
fn without_a_mac_it_does_not_run() {
    let folder = folder(None, None);
    let (code, _, stderr) = run(folder.path(), &["run"]);
    assert!(code == 2 && stderr.contains("`run` watches a Mac"), "{stderr}");
    let (code, _, stderr) = run(folder.path(), &["run", "--config", "config.toml"]);
    assert!(code == 2 && stderr.contains("--check-config"), "{stderr}");
}
