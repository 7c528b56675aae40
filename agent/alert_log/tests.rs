//! The reader against scripted and random file operations, with a writer that keeps a list of what it wrote.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::source::MAX_LINE;

/// What a look handed out.
#[derive(Debug, Default)]
struct Seen {
    lines: Vec<String>,
    problems: Vec<String>,
    gaps: Vec<Gap>,
}

impl Seen {
    fn look(&mut self, log: &mut AlertLog) {
        let flow = log.look(&mut |item| {
            match item {
                Item::Line(line) => self.lines.push(String::from_utf8_lossy(line.bytes).into_owned()),
                Item::Problem(problem) => self.problems.push(problem.to_string()),
                Item::Gap(gap) => self.gaps.push(gap),
            }
            ControlFlow::Continue(())
        });
        assert_eq!(flow.expect("a readable folder"), ControlFlow::Continue(()));
    }
}

/// A file as the writer knows it.
#[derive(Clone, Debug, Default)]
struct Written {
    lines: Vec<String>,
    is_compressed: bool,
    /// Whether a reader has it open, so that it may be removed without a loss.
    is_held: bool,
    /// Whether it was emptied since a reader looked.
    is_truncated: bool,
}

/// A small honest writer: it follows the conventions of the alert file.
struct Writer {
    folder: tempfile::TempDir,
    /// The live file first.
    files: Vec<Option<Written>>,
    written: Vec<String>,
    /// Lines of which every copy was removed while no reader had one open.
    removed: HashSet<String>,
    keep: usize,
    partial: Option<String>,
}

impl Writer {
    fn new(keep: usize) -> Self {
        Writer {
            folder: tempfile::tempdir().expect("a temporary folder"),
            files: vec![None],
            written: Vec::new(),
            removed: HashSet::new(),
            keep,
            partial: None,
        }
    }

    fn base(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn path(&self, index: usize) -> PathBuf {
        let suffix =
            if self.files[index].as_ref().is_some_and(|file| file.is_compressed) { ".gz" } else { "" };
        match index {
            0 => self.base().join("alerts.ndjson"),
            _ => self.base().join(format!("alerts.ndjson.{index}{suffix}")),
        }
    }

    fn live(&self) -> PathBuf {
        self.base().join("alerts.ndjson")
    }

    fn write(&mut self, bytes: &[u8]) {
        fs::create_dir_all(self.base()).expect("a folder");
        let mut file =
            OpenOptions::new().append(true).create(true).open(self.live()).expect("the live file opens");
        file.write_all(bytes).expect("the live file takes a line");
        self.files[0].get_or_insert_default();
    }

    fn line(&self) -> String {
        format!("{{\"n\":{}}}", self.written.len())
    }

    fn record(&mut self, line: String) {
        self.files[0].get_or_insert_default().lines.push(line.clone());
        self.written.push(line);
    }

    fn append(&mut self) {
        match self.partial.take() {
            Some(line) => {
                self.write(format!("{}\n", &line[4..]).as_bytes());
                self.record(line);
            }
            None => {
                let line = self.line();
                self.write(format!("{line}\n").as_bytes());
                self.record(line);
            }
        }
    }

    fn begin(&mut self) {
        if self.partial.is_none() {
            let line = self.line();
            self.write(&line.as_bytes()[..4]);
            self.partial = Some(line);
        }
    }

    /// Ends a line that was begun, or as after a crash takes it back.
    fn settle(&mut self) {
        if self.partial.is_some() {
            self.append();
        }
    }

    fn recover(&mut self) {
        if self.partial.take().is_some() {
            let file = OpenOptions::new().write(true).open(self.live()).expect("the live file opens");
            let length = file.metadata().expect("a length").len();
            file.set_len(length - 4).expect("a shorter file");
        }
    }

    /// Moves every rotated file up and removes what is beyond the number to keep.
    fn shift(&mut self) {
        for index in (1..self.files.len()).rev() {
            let from = self.path(index);
            self.files.push(None);
            let moved = self.files[index].take();
            if moved.is_none() {
                self.files.pop();
                continue;
            }
            if index + 1 > self.keep {
                fs::remove_file(from).expect("a file to remove");
                self.forget(moved);
            } else {
                self.files[index + 1] = moved;
                fs::rename(from, self.path(index + 1)).expect("a file to move");
            }
            self.files.truncate(self.keep.max(index + 1) + 1);
        }
        if self.files.len() < 2 {
            self.files.push(None);
        }
    }

    fn forget(&mut self, file: Option<Written>) {
        let held = |line: &String| self.files.iter().flatten().any(|file| file.lines.contains(line));
        for file in file.into_iter().filter(|file| !file.is_held) {
            let lost: Vec<String> = file.lines.into_iter().filter(|line| !held(line)).collect();
            self.removed.extend(lost);
        }
    }

    fn rotate(&mut self) {
        self.settle();
        if self.files[0].is_none() {
            return;
        }
        self.shift();
        fs::rename(self.live(), self.base().join("alerts.ndjson.1")).expect("the live file moves");
        self.files[1] = self.files[0].replace(Written::default());
        File::create(self.live()).expect("a new live file");
    }

    fn compress(&mut self, index: usize, remove: bool) {
        let plain = match self.files.get(index) {
            Some(Some(file)) if index >= 2 && !file.is_compressed => self.path(index),
            _ => return,
        };
        let packed = PathBuf::from(format!("{}.gz", plain.display()));
        let temporary = PathBuf::from(format!("{}.gz.tmp", plain.display()));
        let mut encoder = GzEncoder::new(File::create(&temporary).expect("a file"), Compression::fast());
        encoder.write_all(&fs::read(&plain).expect("the plain file")).expect("it packs");
        encoder.finish().expect("it packs");
        fs::rename(temporary, packed).expect("a file to move");
        if remove {
            fs::remove_file(plain).expect("a file to remove");
            let file = self.files[index].as_mut().expect("looked at above");
            file.is_compressed = true;
        }
    }

    /// What `copytruncate` of logrotate does.
    fn copy_and_truncate(&mut self) {
        self.settle();
        if self.files[0].is_none() {
            return;
        }
        self.shift();
        fs::copy(self.live(), self.base().join("alerts.ndjson.1")).expect("a copy");
        self.files[1] = self.files[0].replace(Written::default());
        self.files[1].as_mut().expect("made just now").is_held = false;
        self.files[0].as_mut().expect("made just now").is_truncated = true;
        OpenOptions::new().write(true).truncate(true).open(self.live()).expect("the live file empties");
    }

    /// Removes the live file. What a reader has open stays readable; after a truncation that no reader saw there
    /// would be no telling whether it is older than the rest.
    fn delete(&mut self) {
        self.settle();
        if self.files[0].as_ref().is_some_and(|file| !file.is_truncated) {
            fs::remove_file(self.live()).expect("a file to remove");
            let file = self.files[0].take();
            self.forget(file);
        }
    }

    fn rename_folder(&self, away: bool) {
        let elsewhere = self.folder.path().join("elsewhere");
        let (from, to) = if away { (self.base(), elsewhere) } else { (elsewhere, self.base()) };
        if from.exists() {
            fs::rename(from, to).expect("a folder to move");
        }
    }

    /// A reader looked: it holds the newest file.
    fn looked(&mut self) {
        for file in self.files.iter_mut().flatten() {
            (file.is_held, file.is_truncated) = (false, false);
        }
        if let Some(newest) = self.files.iter_mut().flatten().next() {
            newest.is_held = true;
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Append(u8),
    Begin,
    Recover,
    Rotate,
    Compress(u8),
    CopyAndTruncate,
    Delete,
    FolderAway,
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..4_u8).prop_map(Step::Append),
        2 => Just(Step::Begin),
        1 => Just(Step::Recover),
        4 => Just(Step::Rotate),
        3 => (2..5_u8).prop_map(Step::Compress),
        1 => Just(Step::CopyAndTruncate),
        1 => Just(Step::Delete),
        1 => Just(Step::FolderAway),
        6 => Just(Step::Look),
    ]
}

/// Runs steps and compares what was seen with what was written.
fn check(steps: &[Step], keep: usize) {
    let mut writer = Writer::new(keep);
    let mut log = AlertLog::new(&writer.live());
    let mut seen = Seen::default();
    for step in steps {
        match *step {
            Step::Append(count) => (0..count).for_each(|_| writer.append()),
            Step::Begin => writer.begin(),
            Step::Recover => writer.recover(),
            Step::Rotate => writer.rotate(),
            Step::Compress(index) => writer.compress(index.into(), true),
            Step::CopyAndTruncate => writer.copy_and_truncate(),
            Step::Delete => writer.delete(),
            Step::FolderAway => {
                writer.rename_folder(true);
                seen.look(&mut log);
                writer.rename_folder(false);
            }
            Step::Look => {
                seen.look(&mut log);
                writer.looked();
            }
        }
    }
    writer.settle();
    seen.look(&mut log);
    let handed_out: HashSet<&String> = seen.lines.iter().collect();
    assert_eq!(handed_out.len(), seen.lines.len(), "a line twice: {:?}", seen.lines);
    let expected: Vec<&String> = writer.written.iter().filter(|line| handed_out.contains(line)).collect();
    assert_eq!(expected, seen.lines.iter().collect::<Vec<_>>(), "not in order");
    for line in writer.written.iter().filter(|line| !handed_out.contains(line)) {
        assert!(writer.removed.contains(line), "{line} was there to be read");
    }
    assert!(seen.problems.is_empty(), "{:?}", seen.problems);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_line_once_and_in_order(steps in prop::collection::vec(step(), 1..40), keep in 1..6_usize) {
        check(&steps, keep);
    }
}

#[test]
fn several_rotations_between_two_looks() {
    use Step::{Append, Compress, Look, Rotate};
    check(
        &[Append(2), Look, Append(1), Rotate, Append(1), Rotate, Append(3), Rotate, Compress(2), Compress(3)],
        9,
    );
    check(&[Look, Append(1), Rotate, Rotate, Compress(2), Append(1)], 9);
}

#[test]
fn a_copy_is_read_on_where_the_truncated_file_was_left() {
    use Step::{Append, CopyAndTruncate, Look};
    check(&[Append(2), Look, Append(2), CopyAndTruncate, Append(5), Look, Append(1), CopyAndTruncate], 3);
}

/// Runs the look of a script in which nothing else happens meanwhile.
fn look(writer: &Writer) -> Seen {
    let mut seen = Seen::default();
    seen.look(&mut AlertLog::new(&writer.live()));
    seen
}

#[test]
fn a_file_that_is_there_plain_and_compressed_is_read_once() {
    let mut writer = Writer::new(5);
    writer.append();
    writer.rotate();
    writer.append();
    writer.rotate();
    writer.compress(2, false);
    assert!(
        writer.base().join("alerts.ndjson.2").exists() && writer.base().join("alerts.ndjson.2.gz").exists()
    );
    assert_eq!(look(&writer).lines, writer.written);
}

#[test]
fn what_was_rotated_away_unread_is_said() {
    let mut writer = Writer::new(2);
    let mut log = AlertLog::new(&writer.live());
    let mut seen = Seen::default();
    writer.append();
    seen.look(&mut log);
    for _ in 0..5 {
        writer.append();
        writer.rotate();
    }
    seen.look(&mut log);
    let oldest = writer.base().join("alerts.ndjson.2");
    assert_eq!(seen.gaps, [Gap::RotatedAway { file: writer.live(), lines: 1, oldest }]);
    assert_eq!(seen.lines, [0, 1, 4, 5].map(|n| format!("{{\"n\":{n}}}")));
    assert!(seen.gaps[0].to_string().contains("after line 1 of a file that is gone"));
}

#[test]
fn a_truncation_without_a_copy_is_said_once() {
    let mut writer = Writer::new(2);
    let mut log = AlertLog::new(&writer.live());
    let mut seen = Seen::default();
    writer.append();
    seen.look(&mut log);
    File::create(writer.live()).expect("the live file empties");
    seen.look(&mut log);
    writer.append();
    seen.look(&mut log);
    seen.look(&mut log);
    assert_eq!(seen.gaps, [Gap::Truncated { file: writer.live(), lines: 1 }]);
    assert_eq!(seen.lines, writer.written);
}

#[test]
fn a_rotated_file_with_a_torn_end_is_reported_once() {
    let mut writer = Writer::new(5);
    let mut log = AlertLog::new(&writer.live());
    let mut seen = Seen::default();
    writer.append();
    writer.write(b"{\"torn");
    seen.look(&mut log);
    assert!(seen.problems.is_empty(), "it may still be written: {:?}", seen.problems);
    for _ in 0..3 {
        writer.rotate();
        writer.compress(2, true);
        writer.append();
        seen.look(&mut log);
    }
    assert_eq!(seen.lines, writer.written);
    assert_eq!(seen.problems.len(), 1, "{:?}", seen.problems);
    assert!(
        seen.problems[0].contains("alerts.ndjson:2: the file ends within this line"),
        "{:?}",
        seen.problems
    );
}

#[test]
fn a_line_of_a_million_kilobytes_loses_only_itself() {
    let writer = &mut Writer::new(5);
    let mut log = AlertLog::new(&writer.live());
    let mut seen = Seen::default();
    writer.append();
    let piece = vec![b'x'; MAX_LINE / 2 + 10];
    for _ in 0..3 {
        writer.write(&piece);
        seen.look(&mut log);
    }
    writer.write(b"x\n\n  \n");
    writer.append();
    seen.look(&mut log);
    assert_eq!(seen.lines, writer.written);
    assert_eq!(seen.problems.len(), 1);
    assert!(seen.problems[0].ends_with("alerts.ndjson:2: longer than 16 MiB; the line is skipped"));
}

#[test]
fn a_damaged_rotation_loses_only_its_rest() {
    let mut writer = Writer::new(5);
    for _ in 0..3 {
        writer.append();
        writer.rotate();
    }
    writer.compress(2, true);
    fs::write(writer.base().join("alerts.ndjson.2.gz"), b"\x1f\x8b not gzip").expect("a writable file");
    fs::create_dir(writer.base().join("alerts.ndjson.4")).expect("a folder");
    let seen = look(&writer);
    assert_eq!(seen.lines, [&writer.written[0], &writer.written[2]].map(Clone::clone));
    assert_eq!(seen.problems.len(), 2, "{:?}", seen.problems);
}

#[test]
fn only_names_that_a_rotation_gives_are_rotations() {
    for (entry, expected) in [
        ("alerts.ndjson.1", Some(1)),
        ("alerts.ndjson.12.gz", Some(12)),
        ("alerts.ndjson.3.zst", Some(3)),
        ("alerts.ndjson", None),
        ("alerts.ndjson.0", None),
        ("alerts.ndjson.01", None),
        ("alerts.ndjson.+1", None),
        ("alerts.ndjson.2.gz.tmp", None),
        ("alerts.ndjson.torn", None),
        ("alerts.ndjson.99999999999", None),
        ("other.ndjson.1", None),
    ] {
        assert_eq!(rotation(entry, "alerts.ndjson"), expected, "{entry}");
    }
}

#[test]
fn who_may_not_read_it_is_told_who_may() {
    let error = AlertLog::new(Path::new("/x/alerts.ndjson")).failed(&io::ErrorKind::PermissionDenied.into());
    assert_eq!(
        error.to_string(),
        "cannot read /x/alerts.ndjson: permission denied: the alert file is root's alone; run this with sudo"
    );
}

#[test]
fn nothing_is_read_of_what_is_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("alerts.ndjson");
    fs::create_dir(&path).expect("a folder");
    let error = AlertLog::new(&path).look(&mut |_| ControlFlow::Continue(())).expect_err("a folder");
    assert!(error.to_string().ends_with("it is not a regular file"), "{error}");
}
