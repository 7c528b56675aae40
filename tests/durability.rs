//! A writer that is killed: SIGKILL at a thousand random moments while alerts stream, on a disk that fails now and
//! then; after each a restart. Nothing that was delivered is lost, nothing is torn, nothing is doubled.
//!
//! The writer is this very test binary, started anew with [`CHILD`] set.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use vedette::sink::{
    Delivery, Disk, DiskFile, Folder, Lane, LaneOptions, LaneStart, Open, Readers, Rotation, Trust,
};

/// The folder that a child writes to.
const CHILD: &str = "VEDETTE_TEST_DURABILITY";

/// Of a thousand operations on the child's disk so many fail.
const FAULTS: &str = "VEDETTE_TEST_FAULTS";

const ROTATION: Rotation = Rotation { bytes: Some(4 << 10), age: None, keep: 10_000, compress: true };

#[test]
fn a_thousand_kills() {
    if let Some(folder) = std::env::var_os(CHILD) {
        return child(Path::new(&folder));
    }
    let mut kills = 0;
    let mut delivered = 0;
    for round in 0..50 {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path().canonicalize().expect("a path");
        let faults = if round % 2 == 0 { "0" } else { "30" };
        for _ in 0..20 {
            let mut child = Command::new(std::env::current_exe().expect("this binary"))
                .args(["--exact", "a_thousand_kills", "--test-threads=1"])
                .env(CHILD, &folder)
                .env(FAULTS, faults)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("this binary runs");
            // From when it begins to open its files; how long a process takes to start is nothing to go by.
            while fs::read_to_string(folder.join("started")).ok() != Some(child.id().to_string()) {
                assert!(
                    child.try_wait().expect("it can be asked").is_none(),
                    "it ends only when it is killed"
                );
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_micros(random() % 20_000));
            child.kill().expect("it can be killed");
            let status = child.wait().expect("it ends");
            assert!(!status.success(), "it was killed, or it would run for ever");
            kills += 1;
        }
        delivered += check(&folder);
    }
    assert_eq!(kills, 1000);
    assert!(delivered > 1000, "too few alerts to say anything: {delivered}");
}

/// Streams alerts, from somewhat before where its predecessor was, until it is killed.
fn child(folder: &Path) {
    fs::write(folder.join("started"), std::process::id().to_string()).expect("the folder is writable");
    let faults = std::env::var(FAULTS).ok().and_then(|faults| faults.parse().ok()).unwrap_or(0);
    let acknowledged = folder.join("acknowledged");
    let last = fs::read_to_string(&acknowledged).unwrap_or_default();
    let last = last.lines().filter_map(|line| line.parse::<u64>().ok()).max().unwrap_or(0);
    let mut log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&acknowledged)
        .expect("a file for what was delivered");
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    let options = LaneOptions {
        path: folder.join("logs/alerts.ndjson"),
        rotation: ROTATION,
        readers: Readers::Nobody,
        trust: Trust::Own,
        spool: 1 << 20,
        sync_after: Duration::ZERO,
    };
    let logs = folder.join("logs");
    let disk = move || Ok(Faulty { folder: Folder::open(&logs, Trust::Own, Readers::Nobody)?, faults });
    let lane = LaneStart { lane: Lane::Alerts, options, disk: Box::new(disk) };
    let delivered = move |_: Lane, key: &str| {
        log.write_all(format!("{key}\n").as_bytes()).expect("the folder is writable");
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let delivery = Delivery::start(vec![lane], Some(Box::new(delivered))).expect("a thread");
    let mut sent = 0;
    for number in last.saturating_sub(10).. {
        let padding = "x".repeat((random() % 200) as usize);
        let line = format!(r#"{{"event":{{"kind":"alert","id":"{number}"}},"x":"{padding}"}}"#);
        delivery.send(Lane::Alerts, Some(number.to_string()), line);
        sent += 1;
        // In bursts: what is queued together is synced together.
        while random().is_multiple_of(8) && waiting(&delivery) > 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
        assert!(sent < 1_000_000, "nobody has killed this");
    }
}

fn waiting(delivery: &Delivery) -> usize {
    delivery.status(Lane::Alerts).waiting
}

/// Starts a last time on a good disk, then compares: what was acknowledged is there; all lines are whole, different
/// and in order. Returns how many.
fn check(folder: &Path) -> usize {
    let path = folder.join("logs/alerts.ndjson");
    let options = LaneOptions {
        path: path.clone(),
        rotation: ROTATION,
        readers: Readers::Nobody,
        trust: Trust::Own,
        spool: 1 << 20,
        sync_after: Duration::ZERO,
    };
    let delivery = Delivery::start(vec![LaneStart::new(Lane::Alerts, options)], None).expect("a thread");
    delivery.send(Lane::Alerts, None, r#"{"event":{"kind":"alert","id":"end"}}"#.into());
    assert_eq!(delivery.stop(Duration::from_secs(60)), 0);
    let mut there: Vec<u64> = Vec::new();
    for text in parts(&path) {
        for line in text.split_inclusive('\n') {
            assert!(line.ends_with('\n'), "torn: {line:?}");
            let document: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
            match document["event"]["id"].as_str() {
                Some("end") => {}
                id => there.push(id.and_then(|id| id.parse().ok()).expect("a number")),
            }
        }
    }
    assert!(there.is_sorted_by(|a, b| a < b), "doubled or out of order: {there:?}");
    let acknowledged = fs::read_to_string(folder.join("acknowledged")).unwrap_or_default();
    let acknowledged: Vec<u64> = acknowledged.lines().map(|line| line.parse().expect("a number")).collect();
    for number in &acknowledged {
        assert!(there.binary_search(number).is_ok(), "{number} was delivered and is lost");
    }
    acknowledged.len()
}

/// The texts of an alert file's parts, the oldest first. A rotation that was killed may have left a number out.
fn parts(path: &Path) -> Vec<String> {
    let folder = fs::read_dir(path.parent().expect("a folder")).expect("it can be read");
    let mut parts: Vec<(u64, PathBuf)> = Vec::new();
    for entry in folder {
        let part = entry.expect("it can be read").path();
        let name = part.file_name().and_then(|name| name.to_str()).expect("a name");
        let rest = name.strip_prefix("alerts.ndjson").expect("nothing else is there");
        // What a kill may leave of a compression is removed later.
        if rest.ends_with(".part") || part.with_file_name(format!("{name}.gz")).exists() {
            continue;
        }
        let number = rest.trim_start_matches('.').trim_end_matches(".gz");
        match number.parse() {
            Ok(number) => parts.push((number, part)),
            Err(_) => assert!(["", "torn"].contains(&number), "{name} is left behind"),
        }
    }
    parts.sort();
    let mut texts: Vec<String> = Vec::new();
    for (_, part) in parts.iter().rev() {
        let file = File::open(part).expect("it can be read");
        let mut text = String::new();
        if part.extension().is_some_and(|extension| extension == "gz") {
            flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).expect("whole gzip");
        } else {
            io::BufReader::new(file).read_to_string(&mut text).expect("text");
        }
        texts.push(text);
    }
    texts.push(fs::read_to_string(path).expect("the file"));
    texts
}

/// A real folder on which operations fail as on a disk that is full, broken or read-only, and writes are short.
struct Faulty {
    folder: Folder,
    faults: u64,
}

struct FaultyFile {
    file: File,
    faults: u64,
}

fn fault(faults: u64) -> io::Result<()> {
    if random() % 1000 >= faults {
        return Ok(());
    }
    let errors = [libc::ENOSPC, libc::EIO, libc::EROFS];
    Err(io::Error::from_raw_os_error(errors[(random() % 3) as usize]))
}

impl Disk for Faulty {
    type File = FaultyFile;

    fn open(&mut self, name: &str, how: Open) -> io::Result<FaultyFile> {
        fault(self.faults)?;
        Ok(FaultyFile { file: self.folder.open(name, how)?, faults: self.faults })
    }

    fn names(&mut self) -> io::Result<Vec<String>> {
        fault(self.faults)?;
        self.folder.names()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fault(self.faults)?;
        self.folder.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fault(self.faults)?;
        self.folder.remove(name)
    }

    fn sync(&mut self) -> io::Result<()> {
        fault(self.faults)?;
        self.folder.sync()
    }

    fn holds(&mut self, name: &str, file: &FaultyFile) -> io::Result<bool> {
        fault(self.faults)?;
        self.folder.holds(name, &file.file)
    }

    fn reopen(&mut self) -> io::Result<()> {
        fault(self.faults)?;
        self.folder.reopen()
    }
}

impl DiskFile for FaultyFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        fault(self.faults)?;
        let short = random() % 1000 < self.faults;
        let length = if short { 1 + random() as usize % bytes.len() } else { bytes.len() };
        DiskFile::write_at(&mut self.file, &bytes[..length], offset)
    }

    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        fault(self.faults)?;
        DiskFile::read_at(&mut self.file, bytes, offset)
    }

    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        fault(self.faults)?;
        self.file.set_length(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        fault(self.faults)?;
        DiskFile::sync(&mut self.file)
    }

    fn created(&self) -> io::Result<SystemTime> {
        DiskFile::created(&self.file)
    }
}

/// A random number; where the kills fall is not to be the same in every run.
fn random() -> u64 {
    static STATE: Mutex<u64> = Mutex::new(0);
    let mut state = STATE.lock().expect("no test panics while it holds this");
    if *state == 0 {
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970");
        *state = now.as_nanos() as u64 ^ (u64::from(std::process::id()) << 32) | 1;
    }
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 16
}
