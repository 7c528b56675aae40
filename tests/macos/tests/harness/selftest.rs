//! `vedette selftest` of the Mach-O, with stand-ins for pkgbuild, installer, pkgutil and log.

use super::{Setup, shown};
use serde_json::Value as Json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A package is its script; the installer runs it with a `curl` of its own, and the sensor alerts, or does not.
const PROGRAMS: [(&str, &str); 4] = [
    (
        "pkgbuild",
        "while [ $# -gt 1 ]; do [ \"$1\" = --scripts ] && scripts=$2; shift; done; cp \"$scripts/postinstall\" \"$1\"",
    ),
    (
        "installer",
        r#"url=$(grep -o 'http://[0-9.:]*/[0-9a-f]*' "$2"); port=${url##*:}; port=${port%%/*}
exec 3<>"/dev/tcp/127.0.0.1/$port"; printf 'GET /%s HTTP/1.0\r\n\r\n' "${url##*/}" >&3; cat <&3 > "$here/answer"
[ -e "$here/deaf" ] || printf '{"event":{"kind":"alert","id":"0a1b2c"},"process":{"args":["%s"]}}\n' "$url" >> "$here/alerts.ndjson""#,
    ),
    ("pkgutil", r#"echo "$*" >> "$here/pkgutil.log""#),
    (
        "log",
        r#"printf '{"timestamp":"%s","eventMessage":"0a1b2c medium"}\n' "$(date -u '+%Y-%m-%d %H:%M:%S.%N+0000')""#,
    ),
];

/// Runs it, and says its exit code and what it found.
fn selftest(setup: &Setup, folder: &Path, wait: &str) -> (Option<i32>, Json) {
    for (name, script) in PROGRAMS {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/bash\nhere=$(dirname \"$0\")\n{script}\n"))
            .expect("a writable folder");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("one's own file");
    }
    let stand_ins = folder.display().to_string();
    let alerts = folder.join("alerts.ndjson").display().to_string();
    let arguments = ["selftest", "--yes", "--stand-ins", &stand_ins, "--file", &alerts, "--wait", wait];
    let output = setup.darwin(&arguments).output().expect("it runs");
    let outcome: Json =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", shown(&output)));
    let nonce = outcome["nonce"].as_str().expect("a number");
    assert!(!Path::new("/tmp").join(format!("vedette-selftest.{nonce}")).exists(), "nothing of it stays");
    let forgotten = fs::read_to_string(folder.join("pkgutil.log")).unwrap_or_default();
    assert!(forgotten.contains(&format!("--forget dev.vedette.selftest.{nonce}")), "{forgotten}");
    (output.status.code(), outcome)
}

#[test]
fn an_alert_is_seen_in_both_sinks_or_missed() {
    let Some(setup) = Setup::from_environment("selftest") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (code, outcome) = selftest(&setup, folder.path(), "60");
    assert_eq!((code, &outcome["status"]), (Some(0), &"seen".into()), "{outcome}");
    assert!(outcome["sinks"].as_array().is_some_and(|sinks| sinks.iter().all(|sink| sink["seen"] == true)));
    let answer = fs::read_to_string(folder.path().join("answer")).expect("the listener answered");
    assert!(answer.starts_with("HTTP/1.0 204"), "{answer}");
    fs::write(folder.path().join("deaf"), "").expect("a writable folder");
    let (code, outcome) = selftest(&setup, folder.path(), "3");
    assert_eq!((code, &outcome["status"]), (Some(1), &"not_seen".into()), "{outcome}");
    assert!(outcome["next"].as_str().is_some_and(|next| next.contains("vedette doctor")), "{outcome}");
}
