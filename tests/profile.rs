//! `vedette profile`: what another reader of property lists makes of the files, that they stay the same, and which
//! programs the code requirement in them is satisfied by.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use vedette::code_signature::{self, CodeSignature};

#[path = "profile/requirement.rs"]
mod requirement;

const TEAM: &str = "ABCDE12345";
const FILES: [&str; 4] = [
    "background-items.mobileconfig",
    "configuration.mobileconfig",
    "full-disk-access.mobileconfig",
    "system-extension.mobileconfig",
];

/// Runs `vedette profile` in a folder; exit code, standard output, standard error.
fn profile(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vedette"))
        .arg("profile")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .expect("the command runs");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The files of a folder, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    entries.map(|path| (name(&path), fs::read(&path).expect("a file"))).collect()
}

/// Reads a property list with Python's plistlib; `None`, and a line that no test runner swallows, without Python.
fn plistlib(path: &Path) -> Option<Json> {
    let script = "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
    let output = match Command::new("python3").args(["-c", script]).arg(path).output() {
        Ok(output) => output,
        Err(_) => {
            use std::io::Write;
            let _ = std::io::stderr().write_all(b"profile: no second reader: python3 is not here\n");
            return None;
        }
    };
    assert!(output.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

#[test]
fn a_fleet_gets_four_files_with_identifiers_of_their_own() {
    let folder = folder();
    let (code, stdout, stderr) = profile(folder.path(), &["--team-id", TEAM, "--out", "new/out"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let out = folder.path().join("new/out");
    assert_eq!(files(&out).keys().map(String::as_str).collect::<Vec<_>>(), FILES);
    assert_eq!(stdout.lines().count(), 4);
    let mut seen = BTreeSet::new();
    let mut types = Vec::new();
    for file in FILES {
        let Some(root) = plistlib(&out.join(file)) else { return };
        assert_eq!(
            (&root["PayloadType"], &root["PayloadScope"]),
            (&"Configuration".into(), &"System".into())
        );
        let payload = &root["PayloadContent"][0];
        for part in [&root, payload] {
            for key in ["PayloadIdentifier", "PayloadUUID"] {
                let value = part[key].as_str().expect(key);
                assert!(seen.insert(value.to_owned()), "{file}: {value} is there twice");
            }
        }
        types.push(payload["PayloadType"].as_str().expect("a type").to_owned());
        match file {
            "system-extension.mobileconfig" => {
                for key in ["AllowedSystemExtensions", "NonRemovableSystemExtensions"] {
                    assert_eq!(payload[key], serde_json::json!({ TEAM: ["dev.vedette.sensor"] }), "{key}");
                }
                let types = serde_json::json!({ TEAM: ["EndpointSecurityExtension"] });
                assert_eq!(payload["AllowedSystemExtensionTypes"], types);
                assert!(payload.get("RemovableSystemExtensions").is_none());
            }
            "full-disk-access.mobileconfig" => {
                let entry = &payload["Services"]["SystemPolicyAllFiles"][0];
                assert_eq!(
                    (&entry["Identifier"], &entry["Allowed"]),
                    (&"dev.vedette.sensor".into(), &true.into())
                );
                let wanted = format!("certificate leaf[subject.OU] = \"{TEAM}\"");
                assert!(entry["CodeRequirement"].as_str().is_some_and(|text| text.contains(&wanted)));
            }
            "background-items.mobileconfig" => {
                let rule = |index: usize| {
                    (&payload["Rules"][index]["RuleType"], &payload["Rules"][index]["RuleValue"])
                };
                assert_eq!(rule(0), (&"TeamIdentifier".into(), &TEAM.into()));
                assert_eq!(rule(1), (&"LabelPrefix".into(), &"dev.vedette.".into()));
            }
            _ => assert_eq!(payload["rules"]["folder"], "/Library/Application Support/Vedette/rules"),
        }
    }
    types.sort();
    let expected = [
        "com.apple.TCC.configuration-profile-policy",
        "com.apple.servicemanagement",
        "com.apple.system-extension-policy",
        "dev.vedette.sensor",
    ];
    assert_eq!(types, expected);
}

#[test]
fn the_same_input_gives_the_same_bytes_and_a_configuration_changes_one_file_only() {
    let folder = folder();
    let arguments = ["--team-id", TEAM, "--out", "out"];
    let (_, first, _) = profile(folder.path(), &arguments);
    assert_eq!(first.matches("\"written\":true").count(), 4, "{first}");
    let before = files(&folder.path().join("out"));
    let (_, again, _) = profile(folder.path(), &arguments);
    assert_eq!(again.matches("\"written\":false").count(), 4, "{again}");
    assert_eq!(files(&folder.path().join("out")), before);
    fs::write(folder.path().join("config.toml"), "[alerts]\nkeep = 30\n[rules]\nfolder = \"/opt/rules\"\n")
        .expect("a file");
    let (code, changed, stderr) =
        profile(folder.path(), &["--team-id", TEAM, "--out", "out", "--config", "config.toml"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("set `exceptions.folder`") && !stderr.contains("set `rules.folder`"), "{stderr}");
    assert_eq!(changed.matches("\"written\":true").count(), 1, "{changed}");
    let after = files(&folder.path().join("out"));
    for file in FILES {
        assert_eq!(before[file] == after[file], file != "configuration.mobileconfig", "{file}");
    }
    let Some(root) = plistlib(&folder.path().join("out/configuration.mobileconfig")) else { return };
    let payload = &root["PayloadContent"][0];
    assert_eq!((&payload["alerts"]["keep"], &payload["rules"]["folder"]), (&30.into(), &"/opt/rules".into()));
    assert!(payload.get("health").is_none(), "what the file does not set is not managed");
}

const RULE: &str = "[rule]\nrule_id = \"00000000-0000-4000-8000-000000000001\"\nname = \"curl <&> runs\"\n\
                    query = '''process where process.name == \"curl\"'''\n";
const EXCEPTION: &str = "[[exceptions]]\nid = \"munki\"\nrules = [\"99239e7d-b0d4-46e3-8609-acafcf99f68c\"]\n\
                         on = \"event\"\ncondition = 'process where process.name == \"munki\"'\nowner = \"it\"\n\
                         reason = \"it is ours\"\nexpires = 2027-11-24\n";

#[test]
fn rules_and_exceptions_travel_in_the_configuration_and_the_sensor_reads_them() {
    let folder = folder();
    fs::create_dir(folder.path().join("rules")).expect("a folder");
    fs::write(folder.path().join("rules/curl.toml"), RULE).expect("a file");
    fs::write(folder.path().join("exceptions.toml"), EXCEPTION).expect("a file");
    let arguments = ["--team-id", TEAM, "--rules", "rules", "--exceptions", "exceptions.toml"];
    let (code, _, stderr) = profile(folder.path(), &arguments);
    assert_eq!(code, 0, "{stderr}");
    let Some(root) = plistlib(&folder.path().join("configuration.mobileconfig")) else { return };
    let payload = &root["PayloadContent"][0];
    assert_eq!(payload["rules"]["inline"][0], RULE);
    assert_eq!(payload["exceptions"]["inline"][0], EXCEPTION);
    // What macOS makes of it, the payload's keys beside ours, is a configuration without a finding.
    let managed: plist::Value = serde_json::from_value(payload.clone()).expect("a property list");
    managed.to_file_xml(folder.path().join("managed.plist")).expect("a file");
    let check = Command::new(env!("CARGO_BIN_EXE_vedette"))
        .args(["run", "--check-config", "--managed", "managed.plist"])
        .current_dir(folder.path())
        .output()
        .expect("the command runs");
    let text = String::from_utf8_lossy(&check.stdout);
    assert_eq!(check.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&check.stderr));
    assert!(text.contains("\"locked\":true") && text.contains("curl <&> runs"), "{text}");
}

#[test]
fn what_the_sensor_would_refuse_is_not_rolled_out() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("wrong.toml", "[alerts]\nkeep = \"many\"\n");
    write("broken.toml", "[rule]\nrule_id = \"x\"\nname = \"x\"\nquery = 'process where'\n");
    write("unknown.toml", &EXCEPTION.replace("owner", "keeper"));
    fs::create_dir(folder.path().join("large")).expect("a folder");
    for number in 2..4 {
        let rule = RULE.replace("000000000001", &format!("00000000000{number}"));
        write(&format!("large/{number}.toml"), &format!("{rule}note = '''{}'''\n", "x".repeat(600 << 10)));
    }
    for (arguments, reason) in [
        (["--config", "wrong.toml"], "`alerts.keep` takes a whole number"),
        (["--rules", "broken.toml"], "broken.toml:4"),
        (["--exceptions", "unknown.toml"], "unknown.toml"),
        (["--rules", "large"], "bring rules by a package"),
    ] {
        let (code, stdout, stderr) =
            profile(folder.path(), &[&["--team-id", TEAM, "--out", "out"][..], &arguments].concat());
        assert_eq!((code, stdout.as_str()), (1, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(reason), "{stderr}");
    }
    for (arguments, reason) in [
        (vec![], "--team-id"),
        (vec!["--team-id", "abc"], "ten capital letters"),
        (vec!["--team-id", TEAM, "--config", "missing.toml"], "missing.toml"),
        (vec!["--signed-binary", "missing"], "missing"),
        (vec!["--signed-binary", "wrong.toml"], "Mach-O"),
        (vec!["--team-id", TEAM, "--out", "wrong.toml/x"], "the folder cannot be made"),
        (vec!["--team-id", TEAM, "--removal", "--config", "wrong.toml"], "cannot be used with"),
    ] {
        let (code, stdout, stderr) = profile(folder.path(), &arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(reason), "{stderr}");
    }
    assert!(!folder.path().join("out").exists(), "nothing was written");
}

#[test]
fn the_removal_profile_takes_the_place_of_the_policy_and_keeps_the_extension_allowed() {
    let folder = folder();
    profile(folder.path(), &["--team-id", TEAM]);
    let (code, stdout, _) = profile(folder.path(), &["--team-id", TEAM, "--removal", "--out", "removal"]);
    assert_eq!((code, stdout.lines().count()), (0, 1));
    assert_eq!(files(&folder.path().join("removal")).len(), 1);
    let Some(policy) = plistlib(&folder.path().join("system-extension.mobileconfig")) else { return };
    let Some(removal) = plistlib(&folder.path().join("removal/removal.mobileconfig")) else { return };
    assert_eq!(removal["PayloadIdentifier"], policy["PayloadIdentifier"]);
    assert_ne!(removal["PayloadUUID"], policy["PayloadUUID"]);
    let (removal, policy) = (&removal["PayloadContent"][0], &policy["PayloadContent"][0]);
    assert_eq!(removal["AllowedSystemExtensions"], policy["AllowedSystemExtensions"]);
    assert_eq!(removal["RemovableSystemExtensions"], policy["NonRemovableSystemExtensions"]);
    assert!(removal.get("NonRemovableSystemExtensions").is_none());
}

/// Programs that a signing tool signed with certificates made for this: `tests/data/signed/README.md`.
fn signed(name: &str) -> (String, Vec<CodeSignature>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/signed").join(name);
    let signatures = code_signature::read(&path).expect("it is signed");
    (path.to_string_lossy().into_owned(), signatures)
}

#[test]
fn the_requirement_is_satisfied_by_the_signed_program_and_by_no_other() {
    let (program, _) = signed("sensor");
    let folder = folder();
    let (code, _, stderr) = profile(folder.path(), &["--signed-binary", &program]);
    assert_eq!(code, 0, "{stderr}");
    let Some(root) = plistlib(&folder.path().join("full-disk-access.mobileconfig")) else { return };
    let entry = &root["PayloadContent"][0]["Services"]["SystemPolicyAllFiles"][0];
    let requirement = entry["CodeRequirement"].as_str().expect("a requirement");
    for (name, satisfied) in [
        ("sensor", true),
        ("sensor-next-build", true),
        ("other-identifier", false),
        ("other-team", false),
        ("self-signed", false),
        ("adhoc", false),
    ] {
        let (_, signatures) = signed(name);
        assert!(!signatures.is_empty());
        for signature in &signatures {
            assert_eq!(requirement::satisfies(signature, requirement), satisfied, "{name}: {requirement}");
        }
    }
    for (name, reason) in
        [("other-identifier", "name the program of the extension"), ("adhoc", "no team signed it")]
    {
        let (code, _, stderr) = profile(folder.path(), &["--signed-binary", &signed(name).0]);
        assert_eq!(code, 2);
        assert!(stderr.contains(reason), "{stderr}");
    }
    let (code, _, stderr) = profile(folder.path(), &["--signed-binary", &program, "--team-id", "ZZZZZ99999"]);
    assert!(code == 2 && stderr.contains("signed it, and not ZZZZZ99999"), "{stderr}");
}
