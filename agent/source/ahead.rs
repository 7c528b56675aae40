//! Decodes files' lines ahead of who reads them, in threads of their own.
//!
//! Each file's lines are decoded in order, a buffer at a time, the next while the last is handed out. So what a file
//! gives, and in which order, does not depend on how many threads there are or how fast they are.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::merge::Entry;
use super::{Decoder, Lines};

/// A file whose lines are decoded ahead.
pub(super) struct Ahead {
    /// What was decoded and not yet handed out.
    ready: VecDeque<(u64, Entry<'static>)>,
    /// What comes next, unless the file has ended.
    next: Option<Next>,
    /// To the threads; they end with the last file.
    work: Sender<Work>,
}

/// Lines that somebody is to decode, or does already.
struct Next {
    lines: Arc<Mutex<Option<Lines>>>,
    answer: Receiver<Batch>,
}

struct Work {
    /// Nothing where the reader of the file was here first.
    lines: Arc<Mutex<Option<Lines>>>,
    answer: Sender<Batch>,
}

/// What some lines hold, each with its number; and the file, unless it has ended.
struct Batch {
    entries: VecDeque<(u64, Entry<'static>)>,
    lines: Option<Lines>,
}

/// Has `files` decoded with copies of `decoder`, in `threads` threads, but no more than there are files.
pub(super) fn decode(decoder: &Decoder, files: Vec<Lines>, threads: usize) -> Vec<Ahead> {
    let (work, queue) = mpsc::channel();
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..threads.min(files.len()) {
        let (queue, decoder) = (Arc::clone(&queue), decoder.clone());
        // Not joined: a thread may wait for a pipe that nobody writes to any longer.
        thread::spawn(move || decode_all(&queue, decoder));
    }
    let ahead =
        |lines| Ahead { ready: VecDeque::new(), next: Some(read_on(&work, lines)), work: work.clone() };
    files.into_iter().map(ahead).collect()
}

impl Ahead {
    /// Returns the next line that is not blank, by its number; `None` at the end of the file.
    ///
    /// Lines that no thread has begun with are decoded here, with `decoder`: so nobody waits for threads that are busy
    /// with other files. Others are waited for.
    pub(super) fn next(&mut self, decoder: &mut Decoder) -> Option<(u64, Entry<'static>)> {
        while self.ready.is_empty() {
            let Next { lines, answer } = self.next.take()?;
            let own = lock(&lines).take();
            let batch = match own {
                Some(lines) => next_batch(lines, decoder),
                None => answer.recv().expect("a thread that decodes ends by a panic only"),
            };
            self.ready = batch.entries;
            self.next = batch.lines.map(|lines| read_on(&self.work, lines));
        }
        self.ready.pop_front()
    }
}

/// Asks for the next lines of a file.
fn read_on(work: &Sender<Work>, lines: Lines) -> Next {
    let (sender, answer) = mpsc::channel();
    let lines = Arc::new(Mutex::new(Some(lines)));
    // Refused where no thread is left; then they are decoded by who wants them.
    let _ = work.send(Work { lines: Arc::clone(&lines), answer: sender });
    Next { lines, answer }
}

/// Decodes what is asked for until nobody asks any more.
fn decode_all(queue: &Mutex<Receiver<Work>>, mut decoder: Decoder) {
    loop {
        let work = lock(queue).recv();
        let Ok(Work { lines, answer }) = work else { return };
        let lines = lock(&lines).take();
        if let Some(lines) = lines {
            // Whoever waited may have stopped.
            let _ = answer.send(next_batch(lines, &mut decoder));
        }
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

/// Nothing is left undone in either lock by a thread that panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
