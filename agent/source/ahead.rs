//! Decodes files' lines ahead of who reads them, in threads of their own.
//!
//! Each file's lines are decoded in order, a buffer at a time, the next while the last is handed out. So what a file
//! gives, and in which order, does not depend on how many threads there are or how fast they are.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::merge::Entry;
use super::{Decoder, Lines};

/// A file whose lines are decoded ahead.
pub(super) struct Ahead {
    /// What was decoded and not yet handed out.
    ready: VecDeque<(u64, Entry<'static>)>,
    /// Where the next comes from, unless the file has ended.
    next: Option<Receiver<Batch>>,
    /// To the threads; they end with the last file.
    work: Sender<Work>,
}

/// The next lines of a file are to be decoded.
struct Work {
    lines: Lines,
    answer: Sender<Batch>,
}

/// What some lines hold, each with its number; and the file, unless it has ended.
struct Batch {
    entries: VecDeque<(u64, Entry<'static>)>,
    lines: Option<Lines>,
}

/// Has `files` decoded with copies of `decoder`, in as many threads as `jobs` says but no more than there are files.
pub(super) fn decode(decoder: &Decoder, files: Vec<Lines>, jobs: usize) -> Vec<Ahead> {
    let (work, queue) = mpsc::channel();
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..jobs.min(files.len()) {
        let (queue, decoder) = (Arc::clone(&queue), decoder.clone());
        // Not joined: a thread may wait for a pipe that nobody writes to any longer.
        thread::spawn(move || decode_all(&queue, decoder));
    }
    let ahead =
        |lines| Ahead { ready: VecDeque::new(), next: Some(read_on(&work, lines)), work: work.clone() };
    files.into_iter().map(ahead).collect()
}

impl Ahead {
    /// Returns the next line that is not blank, by its number; `None` at the end of the file. Waits for it if need be.
    pub(super) fn next(&mut self) -> Option<(u64, Entry<'static>)> {
        while self.ready.is_empty() {
            let batch = self.next.take()?.recv().expect("a thread that decodes ends by a panic only");
            self.ready = batch.entries;
            self.next = batch.lines.map(|lines| read_on(&self.work, lines));
        }
        self.ready.pop_front()
    }
}

/// Asks for the next lines of a file.
fn read_on(work: &Sender<Work>, lines: Lines) -> Receiver<Batch> {
    let (answer, next) = mpsc::channel();
    // Refused only where no thread is left; then waiting for the answer says so.
    let _ = work.send(Work { lines, answer });
    next
}

/// Decodes what is asked for until nobody asks any more.
fn decode_all(queue: &Mutex<Receiver<Work>>, mut decoder: Decoder) {
    loop {
        // A thread that panics while it waits has done no harm to the queue.
        let work = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Work { lines, answer }) = work else { return };
        // Whoever waited may have stopped.
        let _ = answer.send(next_batch(lines, &mut decoder));
    }
}

/// Decodes the next line, and those that were read along with it.
fn next_batch(mut lines: Lines, decoder: &mut Decoder) -> Batch {
    let mut entries = VecDeque::new();
    while let Some((number, entry)) = Entry::next(&mut lines, decoder) {
        entries.push_back((number, entry.into_owned()));
        if !lines.has_line() {
            return Batch { entries, lines: Some(lines) };
        }
    }
    Batch { entries, lines: None }
}
