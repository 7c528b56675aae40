//! `vedette doctor` as people and inventories call it; what it finds is tested in `agent/doctor/tests.rs`.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value as Json;

fn doctor(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vedette"))
        .arg("doctor")
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/doctor"))
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn the_exit_code_says_whether_anything_fails() {
    for (case, code, status) in [("healthy", 0, "pass"), ("a-newer-macos", 0, "warn"), ("silent", 1, "fail")]
    {
        let (exit, stdout, stderr) = doctor(&["--recorded", case]);
        assert_eq!((exit, stderr.as_str()), (code, ""), "{case}");
        let document: Json = serde_json::from_str(&stdout).expect("one object");
        assert_eq!(document["status"], status);
        assert_eq!(document["next"].is_null(), status == "pass");
        assert!(document["checks"].as_array().is_some_and(|checks| checks.len() == 15), "{stdout}");
    }
}

#[test]
fn a_property_list_says_the_same() {
    let (code, stdout, _) = doctor(&["--recorded", "hostile", "--plist"]);
    assert_eq!(code, 1);
    let list: plist::Value = plist::from_bytes(stdout.as_bytes()).expect("a property list");
    let status = list.as_dictionary().and_then(|root| root.get("status")).and_then(plist::Value::as_string);
    assert_eq!(status, Some("fail"));
}

#[test]
fn elsewhere_it_needs_a_mac_or_a_recording() {
    if cfg!(not(target_os = "macos")) {
        let (code, stdout, stderr) = doctor(&[]);
        assert_eq!((code, stdout.as_str()), (2, ""));
        assert!(stderr.contains("looks at a Mac, and this is none"), "{stderr}");
    }
    let (code, _, stderr) = doctor(&["--recorded", "missing"]);
    assert!(code == 2 && stderr.contains("missing/mac.toml"), "{stderr}");
}
