//! Tests of the package's scripts: as an installer, launchd and an administrator run them, in a root of its own with
//! stand-ins for macOS's commands (`packaging/tests/scripts`).
//!
//! A case is a script of a few lines; beside it stands what it prints. `UPDATE_EXPECT=1` writes that anew.

use super::names::Names;
use super::payload::Parts;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn each_case_prints_what_is_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut differing = Vec::new();
    let mut cases: Vec<_> =
        fs::read_dir(folder.join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "sh"));
    cases.sort();
    assert!(!cases.is_empty());
    for case in cases {
        let printed = run(&folder, &case);
        let expected = case.with_extension("expected");
        if update {
            fs::write(&expected, &printed).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != printed {
            differing.push(format!("{}:\n{printed}", case.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

/// Runs a case with the packages of versions `1` and `2`, and returns what it printed.
fn run(folder: &Path, case: &Path) -> String {
    let root = tempfile::tempdir().unwrap();
    let program = fs::read_to_string(folder.join("vedette")).unwrap();
    let first = Names::new(crate::root(), "dev.vedette", "ABCDE12345", None).unwrap();
    let program_version = first.version().to_owned();
    let second =
        Names::new(crate::root(), "dev.vedette", "ABCDE12345", Some(&format!("{program_version}.2")))
            .unwrap();
    for (folder, names) in [("1", first), ("2", second)] {
        let program = names.fill(&program);
        let parts = Parts {
            root: crate::root(),
            program: program.as_bytes(),
            names: &names,
            profile_app: None,
            profile_extension: None,
        };
        let package = root.path().join("packages").join(folder);
        parts.write(&package.join("payload")).unwrap();
        parts.write_scripts(&package.join("scripts")).unwrap();
    }
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "/bin/sh"])
        .arg(folder.join("sandbox.sh"))
        .arg(root.path())
        .arg(case)
        .env("LC_ALL", "C")
        .output()
        .expect("unshare of util-linux, and user namespaces");
    let printed = String::from_utf8_lossy(&output.stdout).replace(&program_version, "VERSION");
    assert!(
        output.status.success(),
        "{}: {}{printed}{}",
        case.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}
