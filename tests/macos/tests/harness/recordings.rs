//! What needs no Mac gives the same from the darwin binary as from Linux's: byte for byte, and with the same status.

use super::{Setup, root, shown};
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn commands_give_the_same_as_on_linux() {
    let Some(setup) = Setup::from_environment("commands_give_the_same_as_on_linux") else { return };
    for arguments in [
        &["--version"][..],
        &["--help"],
        &["rules", "list", "--json"],
        &["rules", "check", "--json", "rules"],
        &["rules", "test", "rules"],
        &["replay", "no/such/file"],
        &["replay", "tests"],
        &["hunt", "--json", "process where true", "tests/data/replay/root-postinstall/events.ndjson"],
        &["completions", "zsh"],
        &["no-such-command"],
    ] {
        let (darwin, linux) = (setup.darwin(arguments), setup.linux(arguments));
        assert_eq!(run(darwin), run(linux), "vedette {}", arguments.join(" "));
    }
}

#[test]
fn recordings_give_the_same_alerts_as_on_linux() {
    let Some(setup) = Setup::from_environment("recordings_give_the_same_alerts_as_on_linux") else { return };
    let mut compared = 0;
    for folder in ["tests/data/replay", "tests/data/bad"] {
        for case in fs::read_dir(root().join(folder)).expect("the folder of cases") {
            let case = case.expect("an entry").path();
            let recordings = recordings(&case);
            if recordings.is_empty() {
                continue;
            }
            let results = [Setup::darwin, Setup::linux].map(|program| {
                let scratch = tempfile::tempdir().expect("a temporary folder");
                let alerts = scratch.path().join("alerts.ndjson");
                let mut arguments =
                    vec!["replay", "--json", "--alerts", alerts.to_str().expect("a path in UTF-8")];
                arguments.extend(recordings.iter().map(String::as_str));
                let first = run(program(&setup, &arguments));
                let file = fs::read_to_string(&alerts).expect("the alert file");
                // A second time: each alert is there already, so the file stays as it is.
                let second = run(program(&setup, &arguments));
                let again = fs::read_to_string(&alerts).expect("the alert file");
                assert_eq!(file, again, "{}: written twice", case.display());
                let path = alerts.to_str().expect("a path in UTF-8");
                (first.replace(path, "ALERTS"), second.replace(path, "ALERTS"), file)
            });
            assert_eq!(results[0], results[1], "{}", case.display());
            compared += 1;
        }
    }
    assert!(compared >= 50, "only {compared} cases were found");
}

#[test]
fn a_torn_alert_file_is_mended_as_on_linux() {
    let Some(setup) = Setup::from_environment("a_torn_alert_file_is_mended_as_on_linux") else { return };
    let files = [Setup::darwin, Setup::linux].map(|program| {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let alerts = scratch.path().join("alerts.ndjson");
        fs::write(&alerts, "{\"event\":{\"kind\":\"al").expect("a torn file");
        let path = alerts.to_str().expect("a path in UTF-8");
        run(program(
            &setup,
            &["replay", "--alerts", path, "tests/data/replay/root-postinstall/events.ndjson"],
        ));
        let torn = fs::read_to_string(scratch.path().join("alerts.ndjson.torn")).expect("what was torn");
        (fs::read_to_string(&alerts).expect("the alert file"), torn)
    });
    assert_eq!(files[0], files[1]);
    assert!(files[0].0.starts_with('{') && files[0].0.ends_with("}\n"), "{}", files[0].0);
}

/// The case's recordings, as paths from the repository's root.
fn recordings(case: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(case) else { return Vec::new() };
    let mut files: Vec<String> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| !path.ends_with("case.toml") && !path.ends_with("alerts.ndjson") && path.is_file())
        .map(|path| {
            path.strip_prefix(root()).expect("a path below the root").to_str().expect("UTF-8").to_owned()
        })
        .collect();
    files.sort();
    files
}

fn run(mut command: Command) -> String {
    shown(&command.output().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")))
}
