//! SECURITY.md names the tests that hold its lines: each exists where it says, and each line of its tables of attacks
//! names one.

use std::fs;
use std::path::Path;

#[test]
fn each_line_of_the_threat_model_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("SECURITY.md")).expect("SECURITY.md");
    let mut attacks = false;
    let mut lines = 0;
    let mut wrong = Vec::new();
    for line in text.lines() {
        if !line.starts_with('|') {
            attacks = false;
            continue;
        }
        if line.starts_with("| attack |") {
            attacks = true;
            continue;
        }
        if !attacks || line.starts_with("| ---") {
            continue;
        }
        lines += 1;
        let held = line.trim_end_matches('|').rsplit(" | ").next().unwrap_or_default();
        // Between backticks stand, in turn, text and code.
        let code: Vec<&str> = held.split('`').skip(1).step_by(2).collect();
        if code.is_empty() {
            wrong.push(format!("no test is named: {line}"));
        }
        for (index, name) in code.iter().enumerate() {
            if name.contains('/') {
                if !root.join(name).exists() {
                    wrong.push(format!("{name} does not exist"));
                }
                continue;
            }
            let Some(file) = code.get(index + 1).filter(|file| file.ends_with(".rs")) else {
                wrong.push(format!("{name}: in which file?"));
                continue;
            };
            let source = fs::read_to_string(root.join(file)).unwrap_or_default();
            if !source.contains(&format!("fn {name}(")) {
                wrong.push(format!("{file} has no test {name}"));
            }
        }
    }
    assert!(lines > 20, "only {lines} lines of attacks were found");
    assert!(wrong.is_empty(), "SECURITY.md:\n{}", wrong.join("\n"));
}
