//! `vedette doctor` and `vedette profile` of the Mach-O; `doctor --probe-network` is in `probe.rs`. Each Mac of `tests/data/doctor` is put on a disk, its programs as
//! scripts that print what was recorded, and the findings have to be those that the recording gives.

use super::{Setup, root, shown};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use time::{Date, Duration, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// A recorded Mac: commands by their line, files by their path, with what others are based on.
#[derive(Default)]
pub(super) struct Recording {
    now: Option<PrimitiveDateTime>,
    root: bool,
    commands: BTreeMap<String, toml::Table>,
    files: BTreeMap<String, (PathBuf, toml::Table)>,
}

impl Recording {
    pub(super) fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("mac.toml")).expect("a recording");
        let raw: toml::Table = text.parse().expect("TOML");
        let base = raw.get("based_on").and_then(toml::Value::as_str);
        let mut recording = base.map(|base| Self::read(&folder.join(base))).unwrap_or_default();
        if let Some(now) = raw.get("now").and_then(toml::Value::as_str) {
            recording.now = Some(time_of(now));
        }
        recording.root = raw.get("root").and_then(toml::Value::as_bool).unwrap_or(recording.root);
        for command in list(&raw, "command") {
            recording.commands.insert(text_of(&command, "run").to_owned(), command);
        }
        for file in list(&raw, "file") {
            recording.files.insert(text_of(&file, "path").to_owned(), (folder.to_owned(), file));
        }
        recording
    }

    /// Whether a Mac of files can say all of it: not that something could not be run or read.
    fn can_be_laid_out(&self) -> bool {
        let fails = |table: &toml::Table| table.contains_key("error");
        !self.commands.values().any(fails) && !self.files.values().any(|(_, file)| fails(file))
    }

    /// Puts it on a disk, as much later as it is now.
    pub(super) fn lay_out(&self, mac: &Path) {
        let by = OffsetDateTime::now_utc() - self.now.expect("a time").assume_utc();
        // To the second, so that fractions stay as they are.
        let later = |text: &str| shift(text, Duration::seconds(by.whole_seconds()));
        let mut programs: BTreeMap<&str, String> = BTreeMap::new();
        for (number, (line, command)) in self.commands.iter().enumerate() {
            let (program, arguments) = line.split_once(' ').unwrap_or((line, ""));
            let output = mac.join(format!("output-{number}"));
            let stdout = command.get("stdout").and_then(toml::Value::as_str).unwrap_or_default();
            fs::write(&output, later(stdout)).expect("a writable disk");
            let status = command.get("status").and_then(toml::Value::as_integer).unwrap_or(0);
            programs.entry(program).or_default().push_str(&format!(
                "[ \"$*\" = '{arguments}' ] && {{ cat '{}'; exit {status}; }}\n",
                output.display()
            ));
        }
        for (program, script) in programs {
            let path = below(mac, program);
            fs::create_dir_all(path.parent().expect("its folder")).expect("a writable disk");
            fs::write(&path, format!("#!/bin/sh\n{script}exit 127\n")).expect("a writable disk");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("one's own file");
        }
        for (name, (folder, file)) in &self.files {
            if file.get("absent").and_then(toml::Value::as_bool) == Some(true) {
                continue;
            }
            let path = below(mac, name);
            fs::create_dir_all(path.parent().expect("its folder")).expect("a writable disk");
            let bytes = match file.get("from").and_then(toml::Value::as_str) {
                Some(from) => fs::read(folder.join(from)).expect("a file of the recording"),
                None => file.get("text").and_then(toml::Value::as_str).unwrap_or_default().into(),
            };
            let bytes =
                String::from_utf8(bytes).map_or_else(|error| error.into_bytes(), |text| later(&text).into());
            fs::write(&path, bytes).expect("a writable disk");
            let number = |key: &str| file.get(key).and_then(toml::Value::as_integer);
            let mode = number("mode").unwrap_or(0o644) as u32;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("one's own file");
            if let Some(owner) = number("owner") {
                std::os::unix::fs::chown(&path, Some(owner as u32), None).expect("root may do that");
            }
        }
    }
}

fn list(table: &toml::Table, key: &str) -> Vec<toml::Table> {
    let list = table.get(key).and_then(toml::Value::as_array).into_iter().flatten();
    list.filter_map(toml::Value::as_table).cloned().collect()
}

fn text_of<'a>(table: &'a toml::Table, key: &str) -> &'a str {
    table.get(key).and_then(toml::Value::as_str).expect("a text")
}

fn below(mac: &Path, path: &str) -> PathBuf {
    mac.join(path.trim_start_matches('/'))
}

/// The time that a text begins with, `2026-11-24T09:00:00` or with a space.
fn time_of(text: &str) -> PrimitiveDateTime {
    let part = |from: usize, to: usize| text[from..to].parse::<u8>().expect("a number");
    let year = text[..4].parse().expect("a year");
    let month = Month::try_from(part(5, 7)).expect("a month");
    let date = Date::from_calendar_date(year, month, part(8, 10)).expect("a date");
    PrimitiveDateTime::new(
        date,
        Time::from_hms(part(11, 13), part(14, 16), part(17, 19)).expect("a time of day"),
    )
}

/// Moves each time in a text.
fn shift(text: &str, by: Duration) -> String {
    let mut moved = text.to_owned();
    let is_time = |at: usize| {
        moved.as_bytes().get(at..at + 19).is_some_and(|bytes| {
            bytes.iter().zip(b"0000-00-00T00:00:00").all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b' '),
                other => byte == other,
            })
        })
    };
    let places: Vec<usize> = (0..text.len()).filter(|at| is_time(*at)).collect();
    for at in places {
        let time = time_of(&text[at..at + 19]) + by;
        let (date, (hour, minute, second)) = (time.date(), time.as_hms());
        let separator = &text[at + 10..at + 11];
        let time = format!("{date}{separator}{hour:02}:{minute:02}:{second:02}");
        moved.replace_range(at..at + 19, &time);
    }
    moved
}

/// A document's checks without numbers: times and ages are others each time.
fn findings(document: &Json) -> Vec<String> {
    let checks = document["checks"].as_array().expect("checks");
    let line =
        |check: &Json| format!("{} {} {} | {}", check["status"], check["id"], check["found"], check["next"]);
    let without_numbers = |line: String| {
        let digits = line.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty());
        digits.collect::<Vec<_>>().join("#")
    };
    checks.iter().map(line).map(without_numbers).collect()
}

pub(super) fn is_root() -> bool {
    // SAFETY: it has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn each_finding_and_its_next_step_from_the_macs_own_programs() {
    let Some(setup) = Setup::from_environment("doctor") else { return };
    let is_root = is_root();
    let mut folders: Vec<PathBuf> = fs::read_dir(root().join("tests/data/doctor"))
        .expect("the cases")
        .map(|entry| entry.expect("a case").path())
        .collect();
    folders.sort();
    let (mut compared, mut wrong) = (0, Vec::new());
    for case in folders {
        let recording = Recording::read(&case);
        // What only root sees is seen by root's tests, and the other way round.
        if !recording.can_be_laid_out() || recording.root != is_root {
            continue;
        }
        let mac = tempfile::tempdir().expect("a temporary folder");
        recording.lay_out(mac.path());
        let output =
            setup.darwin(&["doctor", "--json"]).env("MACOS_ABI_ROOT", mac.path()).output().expect("it runs");
        let expected = fs::read_to_string(case.join("expect.json")).expect("what is expected");
        let expected: Json = serde_json::from_str(&expected).expect("JSON");
        let Ok(found) = serde_json::from_slice::<Json>(&output.stdout) else {
            wrong.push(format!("{}: {}", case.display(), shown(&output)));
            continue;
        };
        compared += 1;
        let code = i32::from(expected["status"] == "fail");
        let (found, expected) = (findings(&found), findings(&expected));
        let differing: Vec<_> =
            found.iter().zip(&expected).filter(|(found, expected)| found != expected).collect();
        if !differing.is_empty() || found.len() != expected.len() || output.status.code() != Some(code) {
            wrong.push(format!("{}: {:?} {differing:#?}", case.display(), output.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > if is_root { 25 } else { 0 }, "macs are compared: {compared}");
}

#[test]
fn profiles_are_the_same_bytes_as_linux_writes() {
    let Some(setup) = Setup::from_environment("profile") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let program = root().join("tests/data/signed/sensor").display().to_string();
    let mut files = Vec::new();
    for (name, darwin) in [("darwin", true), ("linux", false)] {
        let out = folder.path().join(name).display().to_string();
        let arguments = ["profile", "--signed-binary", &program, "--out", &out, "--rules", "rules/macos"];
        let output = if darwin { setup.darwin(&arguments) } else { setup.linux(&arguments) }
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", shown(&output));
        let entries = fs::read_dir(&out).expect("the profiles").map(|entry| entry.expect("a profile").path());
        let mut written: Vec<_> = entries
            .map(|path| (path.file_name().map(ToOwned::to_owned), fs::read(&path).expect("a profile")))
            .collect();
        written.sort();
        assert_eq!(written.len(), 4);
        files.push(written);
    }
    assert!(files[0] == files[1], "they differ");
}

#[test]
fn times_are_moved_and_nothing_else() {
    let text =
        "{\"@timestamp\":\"2026-11-24T08:59:55.000Z\",\"x\":\"2026-02-28 23:59:59+0100\",\"y\":\"2026-13\"}";
    let moved =
        "{\"@timestamp\":\"2026-11-24T09:00:55.000Z\",\"x\":\"2026-03-01 00:00:59+0100\",\"y\":\"2026-13\"}";
    assert_eq!(shift(text, Duration::minutes(1)), moved);
    assert_eq!(shift(moved, -Duration::minutes(1)), text);
    assert_eq!(shift("2024-02-28T00:00:00", Duration::days(1)), "2024-02-29T00:00:00");
}
