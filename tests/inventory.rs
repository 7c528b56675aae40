//! The example scripts that inventories run, with the real command and a stand-in for `plutil`, which only a Mac has.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// `plutil -extract KEYPATH raw -o - -` of macOS 12 and later, as its manual describes it: a string, number or boolean
/// as it is, of a dictionary the keys, one a line; an error where there is nothing.
const PLUTIL: &str = r#"#!/usr/bin/env python3
import plistlib, sys
assert sys.argv[1] == "-extract" and sys.argv[3:] == ["raw", "-o", "-", "-"], sys.argv
value = plistlib.loads(sys.stdin.buffer.read())
for key in sys.argv[2].split("."):
    if not isinstance(value, dict) or key not in value:
        sys.exit("No value at that key path")
    value = value[key]
print("\n".join(sorted(value)) if isinstance(value, dict) else str(value).lower() if isinstance(value, bool) else value)
"#;

/// Runs a script of `packaging/inventory` beside a status.
fn run(script: &str, status: Option<&str>, installed: bool) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let executable = |path: &Path, text: &str| {
        fs::write(path, text).expect("a writable folder");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
    };
    if let Some(status) = status {
        fs::write(at("status.json"), status).expect("a writable folder");
    }
    executable(&at("plutil"), PLUTIL);
    if installed {
        let command = format!(
            "#!/bin/sh\nexec {:?} \"$@\" --file {:?}\n",
            env!("CARGO_BIN_EXE_vedette"),
            at("status.json")
        );
        executable(&at("vedette"), &command);
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/inventory").join(script);
    let text = fs::read_to_string(source).expect("the script");
    for path in ["/Library/Application Support/Vedette/bin/vedette", "/usr/bin/plutil"] {
        assert!(text.contains(path), "{path}");
    }
    let text = text
        .replace("/Library/Application Support/Vedette/bin/vedette", &at("vedette").display().to_string())
        .replace("/usr/bin/plutil", &at("plutil").display().to_string());
    executable(&at("script"), &text);
    let output = Command::new(at("script")).output().expect("the script runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn status(state: &str, age: u64, rest: &str) -> String {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970").as_nanos() as i64;
    let written = vedette::timestamp::format(now - age as i64 * 1_000_000_000);
    format!(r#"{{"@timestamp":"{written}","state":"{state}","version":"0.1.0","pid":7{rest}}}"#)
}

#[test]
fn what_an_inventory_shows() {
    let rules = r#","rules":{"loaded":2,"hash":"4f1c9e0b7d2a4f1c9e0b"}"#;
    let problems = r#","problems":{"alert file":"no space","rules </result>":"& more"}"#;
    let jamf = |status: Option<&str>| run("jamf-extension-attribute.sh", status, true);
    let intune = |status: Option<&str>| run("intune-custom-attribute.sh", status, true);
    let running = status("running", 3, rules);
    assert_eq!(jamf(Some(&running)), "<result>running</result>\n");
    assert_eq!(intune(Some(&running)), "running 0.1.0 rules 2 4f1c9e0b7d2a\n");
    let silent = jamf(Some(&status("running", 500, rules)));
    assert!(silent.starts_with("<result>silent (50"), "{silent}");
    let degraded = status("degraded", 3, problems);
    assert_eq!(jamf(Some(&degraded)), "<result>degraded: alert file; rules &lt;/result&gt;</result>\n");
    assert_eq!(jamf(None), "<result>never_started</result>\n");
    assert_eq!(intune(None), "never_started\n");
    assert_eq!(jamf(Some("not JSON")), "<result>no status</result>\n");
    assert_eq!(intune(Some("not JSON")), "no status\n");
    assert_eq!(run("jamf-extension-attribute.sh", None, false), "<result>not installed</result>\n");
    assert_eq!(run("intune-custom-attribute.sh", None, false), "not installed\n");
}
