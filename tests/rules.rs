//! Rule files, good and bad, and what comes of reading them: `tests/data/rules/<case>.toml` and
//! `<case>.expected`. `UPDATE_EXPECT=1 cargo test --test rules` writes the latter.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use vedette::rule::{self, Content, Rule};

#[test]
fn rule_files_read_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rules");
    let mut wrong = Vec::new();
    let mut kinds = [0; 3];
    for file in rule::load(&folder).expect("the folder of cases") {
        let name = file.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (kind, actual) = describe(&file.content, &folder);
        kinds[kind] += 1;
        let expected = file.path.with_extension("expected");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(&expected, &actual).expect("a writable folder");
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        if actual != expected {
            wrong.push(format!("{name}: now\n{actual}then\n{expected}"));
        }
        assert!(!actual.contains('\u{1b}') && !actual.contains('\u{202e}'), "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(kinds.iter().all(|count| *count >= 4), "rules, skipped and broken: {kinds:?}");
}

/// What is in a file, as text; the files' folder is left out of what is rendered.
fn describe(content: &Content, folder: &Path) -> (usize, String) {
    match content {
        Content::Rule(rule) => (0, describe_rule(rule)),
        Content::Skipped { id, name, reason } => {
            (1, format!("skipped: {reason}\nid {id:?}\nname {name:?}\n"))
        }
        Content::Broken(finding) => {
            let folder = format!("{}/", folder.display());
            (2, finding.rendered.replace(&folder, ""))
        }
    }
}

fn describe_rule(rule: &Rule) -> String {
    let Rule { id, name, version, ruleset, severity, risk_score, .. } = rule;
    let mut text = format!("rule {id:?} version {version:?} of {ruleset:?}: {name}\n");
    let _ = writeln!(text, "severity {} {}, score {risk_score}", severity.text(), severity.number());
    let _ = writeln!(text, "query at {}: {:?}", rule.query_position, rule.query);
    for (label, list) in [
        ("tags", &rule.tags),
        ("references", &rule.references),
        ("false positives", &rule.false_positives),
        ("actions", &rule.actions),
    ] {
        let _ = writeln!(text, "{label} {list:?}");
    }
    for threat in &rule.threat {
        let _ = writeln!(text, "threat {threat}");
    }
    text
}

/// What lies in a folder and is no rule file neither stops the rules beside it nor is waited for.
#[test]
fn a_folder_with_a_pipe_a_device_and_a_loop() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    let good = "[rule]\nid = \"i\"\nname = \"n\"\nquery = \"any where true\"\n";
    std::fs::write(at("good.toml"), good).expect("a writable folder");
    std::fs::write(at("large.toml"), format!("{good}# {}", "x".repeat(1 << 20))).expect("a writable folder");
    std::fs::write(at("latin.toml"), b"[rule]\nid = \"\xfc\"\n").expect("a writable folder");
    for (target, link) in
        [("/dev/zero", "device.toml"), ("self.toml", "self.toml"), (".", "sub"), ("gone", "x.toml")]
    {
        std::os::unix::fs::symlink(target, at(link)).expect("a link");
    }
    let pipe = std::process::Command::new("mkfifo").arg(at("pipe.toml")).status().expect("mkfifo runs");
    assert!(pipe.success());
    let said: Vec<(PathBuf, String)> = rule::load(folder.path())
        .expect("the folder can be read")
        .into_iter()
        .map(|file| match file.content {
            Content::Rule(rule) => (file.path, format!("rule {}", rule.id)),
            Content::Skipped { reason, .. } => (file.path, reason),
            Content::Broken(finding) => (file.path, finding.message),
        })
        .collect();
    let said: Vec<(&str, &str)> = said
        .iter()
        .map(|(path, text)| (path.file_name().and_then(|n| n.to_str()).unwrap_or(""), text.as_str()))
        .collect();
    let device = "this is a pipe, a device or a socket, not a file";
    assert_eq!(said.len(), 7, "{said:?}");
    assert!(said.contains(&("good.toml", "rule i")) && said.contains(&("pipe.toml", device)), "{said:?}");
    assert!(said.contains(&("device.toml", device)), "{said:?}");
    assert!(said.contains(&("large.toml", "the file is larger than 1 MiB: this is no rule")), "{said:?}");
    assert!(said.contains(&("latin.toml", "the file is not UTF-8 text, from line 2 on")), "{said:?}");
    for lost in ["self.toml", "x.toml"] {
        assert!(said.iter().any(|(name, text)| *name == lost && text.contains("cannot be read")), "{said:?}");
    }
}
