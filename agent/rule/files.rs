//! Which files of a folder hold rules, and what is in them.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::{Finding, finding};

/// A file's path, and its text or why there is none.
pub(crate) type FileText = (PathBuf, Result<String, Box<Finding>>);

/// The largest rule file that is read, in bytes; public ones have at most some tens of KiB.
const MAX_FILE: u64 = 1 << 20;

/// How a file of tests ends that lies beside its rule's `NAME.toml`.
const TESTS: &str = ".tests.toml";

/// Reads a file, or all of a folder and the folders in it: `*.toml`, but not `*.tests.toml`, by name. `what` says what
/// they hold.
///
/// # Errors
/// The path itself cannot be read, in one sentence.
pub(crate) fn texts(path: &Path, what: &str) -> Result<Vec<FileText>, String> {
    let metadata = std::fs::metadata(path)
        .map_err(|error| format!("{}: the {what} cannot be read: {error}", path.display()))?;
    let in_folder = metadata.is_dir();
    let files = if in_folder { below(path, |name| !name.ends_with(TESTS))? } else { vec![path.to_owned()] };
    Ok(files.into_iter().map(|file| read(file, in_folder)).collect())
}

/// Reads the tests that lie beside a rule's file; `None` if there are none.
pub(crate) fn tests_of(rule: &Path) -> Option<FileText> {
    let path = rule.with_extension(&TESTS[1..]);
    path.symlink_metadata().is_ok().then(|| read(path, true))
}

/// Returns the files of tests in a folder and the folders in it beside which there is no rule; none of a file.
///
/// # Errors
/// The folder cannot be read, in one sentence.
pub(crate) fn strays(folder: &Path) -> Result<Vec<PathBuf>, String> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut tests = below(folder, |name| name.ends_with(TESTS))?;
    tests.retain(|path| rule_of(path).is_none_or(|rule| !rule.exists()));
    Ok(tests)
}

/// Returns the file of the rule that a file of tests is for; `None` if it is called like none.
pub(crate) fn rule_of(tests: &Path) -> Option<PathBuf> {
    let name = tests.file_name()?.to_str()?.strip_suffix(TESTS)?;
    Some(tests.with_file_name(format!("{name}.toml")))
}

/// Finds the `*.toml` below a folder whose names are wanted, in the order of their paths.
fn below(folder: &Path, wanted: fn(&str) -> bool) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    walk(folder, wanted, &mut HashSet::new(), &mut files)
        .map_err(|error| format!("{}: the folder cannot be read: {error}", folder.display()))?;
    Ok(files)
}

/// A folder is visited once, whatever links lead back to it.
fn walk(
    folder: &Path,
    wanted: fn(&str) -> bool,
    visited: &mut HashSet<PathBuf>,
    files: &mut Vec<PathBuf>,
) -> std::io::Result<()> {
    if !visited.insert(folder.canonicalize()?) {
        return Ok(());
    }
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        if entry.is_dir() {
            walk(&entry, wanted, visited, files)?;
        } else if name.ends_with(".toml") && wanted(&name) {
            files.push(entry);
        }
    }
    Ok(())
}

fn read(path: PathBuf, in_folder: bool) -> FileText {
    let text = text(&path, in_folder).map_err(|reason| Box::new(finding(&path, "", 0, reason, None)));
    (path, text)
}

/// Reads a file. What merely lies in a folder must be a file: reading a pipe would wait for ever.
fn text(path: &Path, in_folder: bool) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("the file cannot be read: {error}");
    if in_folder && !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err("this is a pipe, a device or a socket, not a file".into());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("the file is larger than {} MiB: this is no rule", MAX_FILE >> 20));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line =
            1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
        format!("the file is not UTF-8 text, from line {line} on")
    })
}
