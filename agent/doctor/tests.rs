//! `tests/data/doctor/<case>/mac.toml` is what a Mac said, `expect.json` what is made of it;
//! `UPDATE_EXPECT=1 cargo test --lib doctor` writes the latter. Read what it changes: a finding without a step that a
//! person can take, or with a wrong one, is what this is for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::program::{Output, Take};

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

/// A Mac of which everything that it says is cut and changed at some places.
struct Spoilt {
    mac: Recorded,
    /// Where, in thousandths, and what is there.
    changes: Vec<(usize, u8)>,
    /// How much of it there is, in thousandths.
    kept: usize,
}

impl Spoilt {
    fn spoil(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(bytes.len() * self.kept / 1000);
        for (at, byte) in &self.changes {
            let at = bytes.len() * at / 1000;
            if let Some(old) = bytes.get_mut(at) {
                *old = *byte;
            }
        }
        bytes
    }
}

impl Mac for Spoilt {
    fn command(&self, program: &str, arguments: &[&str], take: Take) -> Result<Output, String> {
        let output = self.mac.command(program, arguments, take)?;
        let text = String::from_utf8_lossy(&self.spoil(output.text.into_bytes())).into_owned();
        Ok(Output { text, ..output })
    }

    fn file(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        Ok(self.mac.file(path)?.map(|bytes| self.spoil(bytes)))
    }

    fn metadata(&self, path: &Path) -> Result<Option<Metadata>, String> {
        self.mac.metadata(path)
    }

    fn status_file(&self) -> PathBuf {
        self.mac.status_file()
    }

    fn now(&self) -> i64 {
        self.mac.now()
    }

    fn is_root(&self) -> bool {
        self.mac.is_root()
    }
}

proptest! {
    #[test]
    fn whatever_a_mac_says_there_are_findings(
        changes in proptest::collection::vec((0..1000usize, any::<u8>()), 0..40),
        kept in prop_oneof![Just(1000usize), 0..1000usize],
    ) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/doctor/degraded-and-losing");
        let mac = Recorded::read(&folder).expect("a recorded Mac");
        let checks = examine(&Spoilt { mac, changes, kept });
        prop_assert!(checks.len() >= 8);
        for check in &checks {
            prop_assert_eq!(check.next.is_none(), check.verdict == Verdict::Pass);
            prop_assert!(!check.found.chars().any(crate::alert::is_deceptive), "{:?}", check);
        }
    }
}
