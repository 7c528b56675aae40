//! Every command that a document shows is run here, or is one that needs something else, and the document says what.
//!
//! `tests/data/documents.toml` has an entry for each block of commands: how it is run, or what it needs. A block without
//! an entry, an entry without a block, and a command in the text that `vedette` does not know, are failures.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    block: Vec<Entry>,
}

/// How a block of commands is run, or what it needs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    document: String,
    /// How its first line begins.
    begins: String,
    /// What it needs that no test has, in the words in which the document says so: in the block, or above it.
    needs: Option<String>,
    /// Whether it is about this repository, and run by `.ci/run`.
    #[serde(default)]
    repository: bool,
    /// Files and folders that it reads: the name there, and the path in the repository.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// What stands for something else in the document.
    #[serde(default)]
    replace: BTreeMap<String, String>,
    /// What it writes to standard output, somewhere.
    #[serde(default)]
    prints: Vec<String>,
}

/// A block of commands in a document.
struct Block {
    document: String,
    text: String,
    /// The lines above it, up to the heading.
    above: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<String> {
    let mut documents: Vec<String> =
        ["README.md", "ARCHITECTURE.md", "BENCHMARKS.md", "CONTRIBUTING.md", "SECURITY.md"]
            .map(str::to_owned)
            .into();
    for entry in fs::read_dir(root().join("docs")).expect("the documents") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            documents.push(format!("docs/{name}"));
        }
    }
    documents.sort();
    documents
}

fn blocks(document: &str) -> Vec<Block> {
    let text = fs::read_to_string(root().join(document)).expect("the document");
    let mut blocks = Vec::new();
    let (mut above, mut open): (Vec<&str>, Option<Vec<&str>>) = (Vec::new(), None);
    for line in text.lines() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some("sh" | "bash" | "shell" | "console")) => open = Some(Vec::new()),
            (None, _) if line.starts_with('#') => above = vec![line],
            (None, _) => above.push(line),
            (Some(lines), Some(_)) => {
                blocks.push(Block {
                    document: document.to_owned(),
                    text: lines.iter().map(|line| format!("{}\n", line.trim())).collect(),
                    above: above.join("\n"),
                });
                open = None;
            }
            (Some(lines), None) => lines.push(line),
        }
    }
    blocks
}

#[test]
fn every_block_of_commands_is_run_or_says_what_it_needs() {
    let text = fs::read_to_string(root().join("tests/data/documents.toml")).expect("the entries");
    let entries: Entries = toml::from_str(&text).expect("entries");
    let (mut used, mut wrong, mut run) = (BTreeSet::new(), Vec::new(), 0);
    for block in documents().iter().flat_map(|document| blocks(document)) {
        let is_of = |entry: &Entry| entry.document == block.document && block.text.starts_with(&entry.begins);
        let Some(at) = entries.block.iter().position(is_of) else {
            wrong.push(format!(
                "{}: no entry in tests/data/documents.toml for\n{}",
                block.document, block.text
            ));
            continue;
        };
        used.insert(at);
        let entry = &entries.block[at];
        let result = if let Some(needs) = &entry.needs {
            let said = format!("{}\n{}", block.above, block.text).to_lowercase();
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            if said.contains(&needs.to_lowercase()) {
                Ok(())
            } else {
                Err(format!("it does not say `{needs}`"))
            }
        } else if entry.repository {
            of_repository(&block)
        } else {
            run += 1;
            run_block(&block, entry)
        };
        if let Err(reason) = result {
            wrong.push(format!("{}: {reason}:\n{}", block.document, block.text));
        }
    }
    for (at, entry) in entries.block.iter().enumerate() {
        if !used.contains(&at) {
            wrong.push(format!("{}: no block begins with `{}`", entry.document, entry.begins));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(run > 5, "blocks are run: {run}");
}

/// Commands for this repository: cargo, git, and `.ci/run`, which runs them.
fn of_repository(block: &Block) -> Result<(), String> {
    let known = ["cargo ", "git diff", "bash .ci/run", "UPDATE_EXPECT=1 cargo ", "#"];
    let stray = block
        .text
        .lines()
        .find(|line| !line.is_empty() && !known.iter().any(|start| line.starts_with(start)));
    stray.map_or(Ok(()), |line| Err(format!("`{line}` is no command of the repository's")))
}

fn run_block(block: &Block, entry: &Entry) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, path) in &entry.files {
        copy(&root().join(path), &folder.path().join(name));
    }
    let mut script = block.text.clone();
    for (from, to) in &entry.replace {
        if !script.contains(from.as_str()) {
            return Err(format!("there is no `{from}` in it"));
        }
        script = script.replace(from, to);
    }
    let vedette = Path::new(env!("CARGO_BIN_EXE_vedette"));
    let path = format!("{}:/usr/bin:/bin", vedette.parent().expect("its folder").display());
    let output = Command::new("/bin/sh")
        .args(["-euc", &script])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    if !output.status.success() {
        return Err(format!("{}: {stderr}{stdout}", output.status));
    }
    match entry.prints.iter().find(|wanted| !stdout.contains(wanted.as_str())) {
        Some(wanted) => Err(format!("it does not print `{wanted}`: {stdout}{stderr}")),
        None => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().expect("its folder")).expect("a folder");
    if from.is_dir() {
        for entry in fs::read_dir(from).expect("the folder") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
}

#[test]
fn the_script_for_mac_owners_goes_through_every_line_of_verified() {
    let script = root().join("packaging/verify-on-mac.sh");
    let output = Command::new("bash").arg(&script).arg("--list").output().expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let listed = String::from_utf8(output.stdout).expect("UTF-8");
    let listed: Vec<&str> = listed.lines().collect();
    let text = fs::read_to_string(root().join("docs/verified.md")).expect("the document").replace('`', "");
    let rows: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| "))
        .filter(|row| !row.starts_with("behaviour |") && !row.starts_with("---"))
        .collect();
    for row in &rows {
        let found = listed.iter().filter(|begins| row.starts_with(**begins)).count();
        assert_eq!(found, 1, "verify-on-mac.sh has no line, or several, for: {row}");
    }
    assert_eq!(listed.len(), rows.len(), "verify-on-mac.sh has lines that verified.md has not");
    // Elsewhere it does nothing and says why.
    if cfg!(not(target_os = "macos")) {
        let output = Command::new("bash").arg(&script).output().expect("bash runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("this is none"));
    }
}

/// `vedette …` in the text, between backquotes, on one line.
fn mentions(document: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(document)).expect("the document");
    let mut found = BTreeSet::new();
    let mut in_block = false;
    for line in text.lines() {
        in_block ^= line.trim_start().starts_with("```");
        if in_block {
            continue;
        }
        for span in line.split('`').skip(1).step_by(2) {
            let command = span.strip_prefix("sudo ").unwrap_or(span);
            if let Some(rest) = command.strip_prefix("vedette ") {
                found.insert(rest.to_owned());
            }
        }
    }
    found
}

#[test]
fn commands_and_options_in_the_text_exist() {
    let mut wrong = Vec::new();
    let mut helps: BTreeMap<PathBuf, Option<String>> = BTreeMap::new();
    let mut count = 0;
    for document in documents() {
        for mention in mentions(&document) {
            // Of an example only the names count: a value may be anything.
            let words: Vec<&str> = mention.split_whitespace().collect();
            let Some(first) = words.first().filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
            else {
                continue;
            };
            count += 1;
            let mut command = vec![*first];
            let nested = help(&mut helps, &command).is_some_and(|text| text.contains("Commands:"));
            if let Some(second) = words.get(1).filter(|_| nested)
                && help(&mut helps, &[first, second]).is_some()
            {
                command.push(second);
            }
            let Some(text) = help(&mut helps, &command) else {
                wrong.push(format!("{document}: there is no `vedette {}`", command.join(" ")));
                continue;
            };
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let name = option.split(['=', '[', ',', '.', ')']).next().unwrap_or_default();
                if !text.contains(name) {
                    wrong.push(format!("{document}: `vedette {}` has no {name}", command.join(" ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 20, "commands are mentioned: {count}");
}

/// What `vedette … --help` says; none if there is no such command.
fn help(helps: &mut BTreeMap<PathBuf, Option<String>>, command: &[&str]) -> Option<String> {
    let key: PathBuf = command.iter().collect();
    helps
        .entry(key)
        .or_insert_with(|| {
            let vedette = Command::new(env!("CARGO_BIN_EXE_vedette")).args(command).arg("--help").output();
            let output = vedette.expect("the command runs");
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        })
        .clone()
}
