//! `tests/data/doctor/<case>/mac.toml` is what a Mac said, `expect.json` what is made of it;
//! `UPDATE_EXPECT=1 cargo test --lib doctor` writes the latter. Read what it changes: a finding without a step that a
//! person can take, or with a wrong one, is what this is for.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

#[test]
fn each_mac_gets_its_findings_and_their_next_steps() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/doctor");
    let mut folders: Vec<_> =
        std::fs::read_dir(cases).expect("the cases").map(|entry| entry.expect("a case").path()).collect();
    folders.sort();
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for case in &folders {
        let mac = Recorded::read(case).expect("a recorded Mac");
        let checks = examine(&mac);
        for check in &checks {
            assert_eq!(check.next.is_none(), check.verdict == Verdict::Pass, "{}: {check:?}", case.display());
            for text in [Some(&check.found), check.next.as_ref()].into_iter().flatten() {
                assert!(text.len() < 4000 && !text.chars().any(crate::alert::is_deceptive), "{text:?}");
            }
            seen.insert((check.id, check.verdict));
        }
        let found = serde_json::to_string_pretty(&document(&checks)).expect("JSON") + "\n";
        let path = case.join("expect.json");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&path, &found).expect("a writable folder");
        } else if std::fs::read_to_string(&path).unwrap_or_default() != found {
            wrong.push(format!("{}: {found}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "UPDATE_EXPECT=1 writes them anew:\n{}", wrong.join("\n"));
    // Each check is seen to pass, and to find what it is for.
    let ids: BTreeSet<&str> = seen.iter().map(|(id, _)| *id).collect();
    for id in ids {
        assert!(seen.contains(&(id, Verdict::Pass)), "{id} passes nowhere");
        assert!(
            seen.iter().any(|(own, verdict)| *own == id && *verdict != Verdict::Pass),
            "{id} finds nothing"
        );
    }
}

#[test]
fn a_recording_that_is_not_in_order_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (text, reason) in [
        ("based_on = \".\"\n", "too many recordings"),
        ("now = \"today\"\n", "`today` is no time"),
        ("when = 1\n", "unknown field"),
        ("[[file]]\npath = \"/x\"\nfrom = \"missing\"\n", "No such file"),
    ] {
        std::fs::write(folder.path().join("mac.toml"), text).expect("a writable folder");
        let error = Recorded::read(folder.path()).expect_err(reason);
        assert!(error.contains(reason) && error.contains("mac.toml"), "{error}");
    }
}
