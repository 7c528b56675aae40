//! The thread that writes: what the detector hands over is queued, written together, and synced once for all.
//!
//! A document counts as delivered after the sync. Until then it stays in its lane's queue, the spool: when the disk is
//! full, read-only or gone, documents wait there, in order, and go out once it is back. The spool is bounded in bytes
//! and lies in memory: what finds no room is counted and told, and what is in it when the process is killed is lost
//! from the file, though not from unified logging.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use super::disk::Disk;
use super::folder::{Folder, Readers, Trust};
use super::rotating::{RotatingFile, Rotation};
use crate::recent::RecentIds;

/// One of the files that documents go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Alerts and enrichments.
    Alerts,
    /// Health documents.
    Health,
    /// Events, where they are recorded.
    Telemetry,
}

/// How a lane's file is written.
#[derive(Clone, Debug)]
pub struct LaneOptions {
    /// The file.
    pub path: PathBuf,
    /// When it is put aside.
    pub rotation: Rotation,
    /// Who may read it.
    pub readers: Readers,
    /// How its folder is looked at.
    pub trust: Trust,
    /// How many bytes may wait.
    pub spool: usize,
    /// How long written lines may stay unsynced; none for alerts.
    pub sync_after: Duration,
}

/// What a lane has done and holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneStatus {
    /// Documents that are written and synced.
    pub delivered: u64,
    /// Documents that were in the file already.
    pub repeated: u64,
    /// Documents for which the spool had no room.
    pub refused: u64,
    /// Documents that wait.
    pub waiting: usize,
    /// Their bytes.
    pub waiting_bytes: usize,
    /// How often someone else removed, cut or exchanged the file.
    pub replaced: u64,
    /// Why nothing can be written at the moment.
    pub error: Option<String>,
}

/// Called on the writing thread for each key that is delivered: written and synced.
pub type Delivered = Box<dyn FnMut(Lane, &str) + Send>;

/// Takes documents and writes them on a thread of its own.
#[derive(Debug)]
pub struct Delivery {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A place for a lane's file, opened when it is needed.
pub type OpenDisk<D> = Box<dyn FnMut() -> io::Result<D> + Send>;

/// A lane that is to be started.
pub struct LaneStart<D> {
    /// Which one.
    pub lane: Lane,
    /// How its file is written.
    pub options: LaneOptions,
    /// Opens its folder.
    pub disk: OpenDisk<D>,
}

impl LaneStart<Folder> {
    /// Makes a lane in a real folder.
    pub fn new(lane: Lane, options: LaneOptions) -> Self {
        let (trust, readers) = (options.trust, options.readers);
        let folder = options.path.parent().map(PathBuf::from).unwrap_or_default();
        LaneStart { lane, options, disk: Box::new(move || Folder::open(&folder, trust, readers)) }
    }
}

impl Delivery {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start<D>(lanes: Vec<LaneStart<D>>, delivered: Option<Delivered>) -> io::Result<Self>
    where
        D: Disk + Send + 'static,
        D::File: Send,
    {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        for lane in &lanes {
            let queue = shared.lock().queue(lane.lane);
            shared.lock().queues[queue].bound = lane.options.spool;
        }
        let mut writer = Writer {
            shared: shared.clone(),
            lanes: lanes.into_iter().map(OpenLane::new).collect(),
            delivered: delivered.unwrap_or_else(|| Box::new(|_, _| {})),
        };
        let thread = std::thread::Builder::new().name("delivery".into()).spawn(move || writer.run())?;
        Ok(Delivery { shared, thread: Some(thread) })
    }

    /// Hands a line over, without its line break; never waits for a disk. A line with the key of one that the file
    /// holds is not written again.
    pub fn send(&self, lane: Lane, key: Option<String>, mut line: String) {
        line.push('\n');
        let mut state = self.shared.lock();
        let queue = state.queue(lane);
        let queue = &mut state.queues[queue];
        if queue.status.waiting_bytes + line.len() > queue.bound {
            queue.status.refused += 1;
            return;
        }
        queue.status.waiting += 1;
        queue.status.waiting_bytes += line.len();
        queue.entries.push_back(Entry { key, line });
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Replaces a small file that everyone may read, such as the status, as a whole; only the newest text counts.
    pub fn replace(&self, path: PathBuf, trust: Trust, text: String) {
        let mut state = self.shared.lock();
        let waiting = state.replacements.len();
        state.replacements.retain(|replacement| replacement.path != path);
        state.replacements.push(Replacement { path, trust, text });
        state.replacing = state.replacing + state.replacements.len() - waiting;
        drop(state);
        self.shared.changed.notify_one();
    }

    /// Returns what a lane has done and holds.
    pub fn status(&self, lane: Lane) -> LaneStatus {
        let mut state = self.shared.lock();
        let queue = state.queue(lane);
        state.queues[queue].status.clone()
    }

    /// Waits until nothing waits to be written any more, or `within` has passed.
    pub fn settle(&self, within: Duration) {
        let until = Instant::now() + within;
        self.shared.lock().hurry = true;
        self.shared.changed.notify_one();
        let waits = || {
            let state = self.shared.lock();
            state.replacing > 0 || state.queues.iter().any(|queue| queue.status.waiting > 0)
        };
        while waits() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Writes what waits and ends the thread; gives up after `within`. Returns how many documents were left.
    pub fn stop(mut self, within: Duration) -> usize {
        self.shared.lock().stop = Some(Instant::now() + within);
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic in it was logged where it happened; the documents are counted all the same.
            let _ = thread.join();
        }
        self.shared.lock().queues.iter().map(|queue| queue.status.waiting).sum()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.shared.lock().stop = Some(Instant::now());
            self.shared.changed.notify_one();
            let _ = thread.join();
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    queues: Vec<Queue>,
    replacements: Vec<Replacement>,
    /// How many of them are not written yet, those that the thread has taken included.
    replacing: usize,
    /// Whether everything is to be synced at once.
    hurry: bool,
    /// Until when to go on after being told to stop.
    stop: Option<Instant>,
}

#[derive(Debug)]
struct Queue {
    lane: Lane,
    /// What the thread has not taken yet.
    entries: VecDeque<Entry>,
    bound: usize,
    status: LaneStatus,
}

#[derive(Debug)]
struct Entry {
    key: Option<String>,
    line: String,
}

#[derive(Debug)]
struct Replacement {
    path: PathBuf,
    trust: Trust,
    text: String,
}

impl Replacement {
    fn write(&self) -> io::Result<()> {
        Folder::open(self.path.parent().unwrap_or(&self.path), self.trust, Readers::Everyone)?
            .replace(self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default(), &self.text)
    }
}

impl Shared {
    /// A panic elsewhere does not make what is queued worth less.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn queue(&mut self, lane: Lane) -> usize {
        self.queues.iter().position(|queue| queue.lane == lane).unwrap_or_else(|| {
            // No such lane was started: it has no room.
            let status = LaneStatus::default();
            self.queues.push(Queue { lane, entries: VecDeque::new(), bound: 0, status });
            self.queues.len() - 1
        })
    }
}

/// How many ids of the newest alerts are remembered.
const MAX_KNOWN: usize = 1 << 16;

/// The first and the longest wait before a failed lane is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// How long the thread sleeps when there is nothing to do: an old file is put aside at most so late.
const IDLE: Duration = Duration::from_secs(1);

/// How many bytes are written before they are synced, so that a flood is not one endless batch.
const BATCH: usize = 4 << 20;

struct Writer<D: Disk> {
    shared: Arc<Shared>,
    lanes: Vec<OpenLane<D>>,
    delivered: Delivered,
}

struct OpenLane<D: Disk> {
    start: LaneStart<D>,
    file: Option<RotatingFile<D>>,
    known: RecentIds,
    /// Taken from the queue, not yet delivered, in order; the first `written` of them are written.
    inflight: VecDeque<Entry>,
    written: usize,
    /// The keys of the written ones: a second one in the same batch is repeated too.
    unsettled: HashSet<String>,
    /// When the first of the written ones was.
    written_at: Option<Instant>,
    /// Not before, after a failure.
    retry_at: Option<Instant>,
    backoff: Duration,
}

impl<D: Disk> Writer<D> {
    fn run(&mut self) {
        loop {
            let (stop, hurry, replacements) = self.take();
            for replacement in &replacements {
                if let Err(error) = replacement.write() {
                    log::warn!(target: "sensor", "{}: {error}", replacement.path.display());
                }
            }
            self.shared.lock().replacing -= replacements.len();
            let mut more = false;
            for lane in &mut self.lanes {
                more |= lane.work(&self.shared, &mut self.delivered, hurry || stop.is_some());
            }
            if let Some(until) = stop {
                let idle = self.lanes.iter().all(|lane| lane.inflight.is_empty())
                    && self.shared.lock().queues.iter().all(|queue| queue.entries.is_empty());
                if idle || Instant::now() >= until {
                    return;
                }
            }
            if !more {
                self.wait(stop.is_some());
            }
        }
    }

    /// Takes what is queued.
    fn take(&mut self) -> (Option<Instant>, bool, Vec<Replacement>) {
        let mut state = self.shared.lock();
        for lane in &mut self.lanes {
            let queue = state.queue(lane.start.lane);
            lane.inflight.append(&mut state.queues[queue].entries);
        }
        (state.stop, state.hurry, std::mem::take(&mut state.replacements))
    }

    /// Sleeps until something is handed over or can be tried again.
    fn wait(&self, stopping: bool) {
        let now = Instant::now();
        let next = self.lanes.iter().filter_map(OpenLane::next).min();
        let limit = if stopping { BACKOFF.0 } else { IDLE };
        let timeout = next.map_or(limit, |next| next.saturating_duration_since(now).min(limit));
        let state = self.shared.lock();
        let nothing = state.replacements.is_empty()
            && state.queues.iter().all(|queue| queue.entries.is_empty())
            && (stopping || state.stop.is_none());
        if nothing && !timeout.is_zero() {
            drop(self.shared.changed.wait_timeout(state, timeout));
        }
    }
}

impl<D: Disk> OpenLane<D> {
    fn new(start: LaneStart<D>) -> Self {
        OpenLane {
            start,
            file: None,
            known: RecentIds::new(MAX_KNOWN),
            inflight: VecDeque::new(),
            written: 0,
            unsettled: HashSet::new(),
            written_at: None,
            retry_at: None,
            backoff: BACKOFF.0,
        }
    }

    /// When there is something to do that nobody will wake us for.
    fn next(&self) -> Option<Instant> {
        if self.inflight.is_empty() {
            return None;
        }
        self.retry_at.or_else(|| self.written_at.map(|at| at + self.start.options.sync_after))
    }

    /// Writes and syncs what waits. Returns whether there is more to do at once.
    fn work(&mut self, shared: &Shared, delivered: &mut Delivered, stopping: bool) -> bool {
        let now = Instant::now();
        if self.retry_at.is_some_and(|at| now < at) {
            return false;
        }
        match self.step(shared, delivered, stopping) {
            Ok(more) => {
                if self.retry_at.take().is_some() {
                    self.backoff = BACKOFF.0;
                    log::warn!(target: "sensor", "{}: can be written again", self.start.options.path.display());
                }
                self.note(shared, |status| status.error = None);
                more
            }
            Err(error) => {
                // All of it again, at the same place.
                self.written = 0;
                self.written_at = None;
                self.unsettled.clear();
                if let Some(file) = &mut self.file {
                    file.rewind();
                }
                if error.kind() == io::ErrorKind::Interrupted {
                    return true;
                }
                let path = self.start.options.path.display();
                if self.retry_at.is_none() {
                    log::error!(target: "sensor", "{path}: {error}; what is to go there waits in memory");
                }
                let text = format!("{path}: {error}");
                self.retry_at = Some(now + self.backoff);
                self.backoff = (self.backoff * 2).min(BACKOFF.1);
                self.note(shared, |status| status.error = Some(text));
                false
            }
        }
    }

    fn step(&mut self, shared: &Shared, delivered: &mut Delivered, stopping: bool) -> io::Result<bool> {
        if self.file.is_none() {
            self.open()?;
        }
        let mut bytes = 0;
        while self.written < self.inflight.len() && bytes < BATCH {
            let Some(file) = &mut self.file else { return Ok(true) };
            let entry = &self.inflight[self.written];
            let repeated = entry
                .key
                .as_deref()
                .is_some_and(|key| self.known.contains(key) || self.unsettled.contains(key));
            let now = SystemTime::now();
            if !repeated {
                if self.written > 0 && file.is_due(entry.line.len() as u64, now) {
                    file.sync()?;
                    self.settle(shared, delivered);
                    continue;
                }
                file.write(entry.line.as_bytes(), now)?;
                bytes += entry.line.len();
                self.unsettled.extend(entry.key.clone());
                self.written += 1;
                self.written_at.get_or_insert_with(Instant::now);
            } else {
                // In order: what stands before it is to be settled first.
                if self.written > 0 {
                    file.sync()?;
                    self.settle(shared, delivered);
                }
                if let Some(entry) = self.inflight.pop_front() {
                    self.note(shared, |status| {
                        status.repeated += 1;
                        status.waiting -= 1;
                        status.waiting_bytes -= entry.line.len();
                    });
                }
            }
        }
        let Some(file) = &mut self.file else { return Ok(true) };
        let due = self.written_at.is_some_and(|at| at.elapsed() >= self.start.options.sync_after);
        if self.written > 0 && (due || stopping || bytes >= BATCH) {
            file.sync()?;
            self.settle(shared, delivered);
        }
        let Some(file) = &mut self.file else { return Ok(true) };
        if self.inflight.is_empty() {
            file.rotate_if_old(SystemTime::now())?;
            // What can wait is no reason to call the file broken.
            let more = file.tidy().unwrap_or_else(|error| {
                log::warn!(target: "sensor", "{}: older files: {error}", self.start.options.path.display());
                false
            });
            return Ok(more && !stopping);
        }
        Ok(self.written < self.inflight.len())
    }

    fn open(&mut self) -> io::Result<()> {
        let path = &self.start.options.path;
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .ok_or_else(|| io::Error::other("the path does not end with a file's name in UTF-8"))?;
        let keyed = self.start.lane == Lane::Alerts;
        let mut newest = Vec::new();
        let learn = |line: &[u8]| {
            if keyed {
                newest.extend(super::file::key(line));
            }
        };
        let mut file = RotatingFile::open((self.start.disk)()?, name, self.start.options.rotation, learn)?;
        if keyed {
            let mut older = Vec::new();
            let mut count = newest.len();
            file.older_lines(|line| {
                older.extend(super::file::key(line));
                count += 1;
                count < MAX_KNOWN
            })?;
            self.known.extend(older);
            self.known.extend(newest);
        }
        self.file = Some(file);
        Ok(())
    }

    /// Counts what is written as delivered.
    fn settle(&mut self, shared: &Shared, delivered: &mut Delivered) {
        let mut bytes = 0;
        for entry in self.inflight.drain(..self.written) {
            bytes += entry.line.len();
            if let Some(key) = entry.key {
                delivered(self.start.lane, &key);
                self.known.insert(key.into());
            }
        }
        self.unsettled.clear();
        let (count, replaced) = (self.written, self.file.as_ref().map_or(0, RotatingFile::replaced));
        self.written = 0;
        self.written_at = None;
        self.note(shared, |status| {
            status.delivered += count as u64;
            status.waiting -= count;
            status.waiting_bytes -= bytes;
            status.replaced = replaced;
        });
    }

    fn note(&self, shared: &Shared, change: impl FnOnce(&mut LaneStatus)) {
        let mut state = shared.lock();
        let queue = state.queue(self.start.lane);
        change(&mut state.queues[queue].status);
    }
}

#[cfg(test)]
mod tests;
