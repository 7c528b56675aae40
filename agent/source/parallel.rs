//! Merges recordings as [`Merge`](super::Merge) does, with their lines decoded by several threads.
//!
//! Each file's lines are decoded in order, a buffer at a time, the next while the last is handed out. So what comes
//! out, and in which order, does not depend on how many threads there are or how fast they are.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::merge::{Counters, Item, Position, first};
use super::{Decoded, Decoder, Lines, NotEvaluated, Problem};
use crate::observation::Observation;

/// Reads files as one stream, in the order of [`Merge`](super::Merge).
pub struct ParallelMerge {
    files: Vec<File>,
    /// Files of which the next lines are to be decoded.
    work: Sender<Work>,
    counters: Counters,
}

/// A file, as its events are handed out.
struct File {
    name: Arc<str>,
    /// What was decoded and not yet handed out.
    ready: VecDeque<(u64, Entry)>,
    /// Where the next comes from, unless the file has ended.
    next: Option<Receiver<Batch>>,
}

/// What a thread reads a file with.
struct Reader {
    lines: Lines,
    decoder: Decoder,
}

struct Work {
    reader: Reader,
    answer: Sender<Batch>,
}

/// What some lines hold, each with its number; and the reader, unless the file has ended.
struct Batch {
    entries: VecDeque<(u64, Entry)>,
    reader: Option<Reader>,
}

enum Entry {
    Observation(Observation<'static>),
    NotEvaluated(NotEvaluated),
    Problem(Problem),
}

impl ParallelMerge {
    /// Merges `files`, decoding their lines with copies of `decoder` in as many threads as `jobs` says.
    pub fn new(decoder: &Decoder, files: Vec<Lines>, jobs: usize) -> Self {
        let (work, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..jobs.min(files.len()) {
            let queue = Arc::clone(&queue);
            // Not joined: a thread may wait for a pipe that nobody writes to any longer.
            thread::spawn(move || decode_all(&queue));
        }
        let mut merge = ParallelMerge { files: Vec::new(), work, counters: Counters::default() };
        for lines in files {
            let name = Arc::clone(lines.name());
            let next = merge.read_on(Reader { lines, decoder: decoder.clone() });
            merge.files.push(File { name, ready: VecDeque::new(), next: Some(next) });
        }
        merge
    }

    /// Returns what was handed out so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Reads everything, handing each item to `each` until it breaks; see
    /// [`Merge::try_for_each`](super::Merge::try_for_each).
    pub fn try_for_each<B>(&mut self, mut each: impl FnMut(Item<'_>) -> ControlFlow<B>) -> ControlFlow<B> {
        let mut heads = BinaryHeap::with_capacity(self.files.len());
        for file in 0..self.files.len() {
            let limit = if file + 1 == self.files.len() { first(&heads) } else { Some((i64::MIN, 0)) };
            if let Some(time) = self.stream(file, limit, &mut each)? {
                heads.push(Reverse((time, file)));
            }
        }
        while let Some(Reverse((_, file))) = heads.pop() {
            let own = &mut self.files[file];
            if let Some((line, Entry::Observation(observation))) = own.ready.pop_front() {
                self.counters.count(&observation);
                each(Item::Observation(observation, Position { index: file, file: &own.name, line }))?;
            }
            if let Some(time) = self.stream(file, first(&heads), &mut each)? {
                heads.push(Reverse((time, file)));
            }
        }
        ControlFlow::Continue(())
    }

    /// Hands out the events of `file` that come before `limit`, and returns the time of the first that does not,
    /// which is left in front; `None` at the end of the file.
    fn stream<B>(
        &mut self,
        file: usize,
        limit: Option<(i64, usize)>,
        each: &mut impl FnMut(Item<'_>) -> ControlFlow<B>,
    ) -> ControlFlow<B, Option<i64>> {
        loop {
            if self.files[file].ready.is_empty() && !self.refill(file) {
                return ControlFlow::Continue(None);
            }
            let own = &mut self.files[file];
            while let Some((line, entry)) = own.ready.pop_front() {
                self.counters.lines += 1;
                let position = Position { index: file, file: &own.name, line };
                match entry {
                    Entry::Observation(observation) => {
                        let time = observation.time();
                        if limit.is_some_and(|limit| (time, file) >= limit) {
                            own.ready.push_front((line, Entry::Observation(observation)));
                            return ControlFlow::Continue(Some(time));
                        }
                        self.counters.count(&observation);
                        each(Item::Observation(observation, position))?;
                    }
                    Entry::NotEvaluated(kind) => {
                        self.counters.not_evaluated += 1;
                        each(Item::NotEvaluated(kind, position))?;
                    }
                    Entry::Problem(problem) => {
                        self.counters.problems += 1;
                        each(Item::Problem(problem))?;
                    }
                }
            }
        }
    }

    /// Waits for more of a file, and has what comes after that decoded meanwhile; `false` at its end.
    fn refill(&mut self, file: usize) -> bool {
        let Some(next) = self.files[file].next.take() else { return false };
        let Batch { entries, reader } = next.recv().expect("a thread that decodes ends by a panic only");
        self.files[file].ready = entries;
        self.files[file].next = reader.map(|reader| self.read_on(reader));
        true
    }

    /// Asks for the next lines of a file.
    fn read_on(&self, reader: Reader) -> Receiver<Batch> {
        let (answer, next) = mpsc::channel();
        // Refused only where no thread is left; then waiting for the answer says so.
        let _ = self.work.send(Work { reader, answer });
        next
    }
}

/// Decodes what is asked for until nobody asks any more.
fn decode_all(queue: &Mutex<Receiver<Work>>) {
    loop {
        // A thread that panics while it waits has done no harm to the queue.
        let work = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Work { reader, answer }) = work else { return };
        // Whoever waited may have stopped.
        let _ = answer.send(reader.next_batch());
    }
}

impl Reader {
    /// Decodes the next line, and those that were read along with it.
    fn next_batch(mut self) -> Batch {
        let mut entries = VecDeque::new();
        loop {
            let Some(advanced) = self.lines.advance() else { return Batch { entries, reader: None } };
            entries.push_back(self.entry(advanced));
            if !self.lines.has_line() {
                return Batch { entries, reader: Some(self) };
            }
        }
    }

    fn entry(&mut self, advanced: Result<(), Problem>) -> (u64, Entry) {
        let line = match advanced.and_then(|()| self.lines.line()) {
            Ok(line) => line,
            Err(problem) => return (problem.line, Entry::Problem(problem)),
        };
        let entry = match self.decoder.decode(line.text) {
            Ok(Decoded::Observation(observation)) => Entry::Observation(observation.into_owned()),
            Ok(Decoded::NotEvaluated(kind)) => Entry::NotEvaluated(kind),
            Err(reason) => Entry::Problem(self.lines.problem(reason)),
        };
        (line.number, entry)
    }
}
