//! Decodes files' lines ahead of who reads them, in threads of their own.
//!
//! Each file's lines are decoded in order, a buffer at a time, the next while the last is handed out. So what a file
//! gives, and in which order, does not depend on how many threads there are or how fast they are.

use std::collections::VecDeque;
use std::hint::black_box;
use std::mem;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::merge::Entry;
use super::shape::{Note, Notes};
use super::{Decoder, Lines, Problem};
use crate::observation::Reused;

/// A file whose lines are decoded ahead.
pub(super) struct Ahead {
    name: Arc<str>,
    /// What was decoded, without what was handed out.
    page: Page,
    /// What comes next, unless the file has ended.
    next: Option<Next>,
    /// To the threads; they end with the last file.
    work: Sender<Work>,
    /// What documents are made in.
    reused: Reused,
}

/// Lines that somebody is to decode, or does already.
struct Next {
    unread: Arc<Mutex<Option<Unread>>>,
    answer: Receiver<Read>,
}

struct Work {
    /// Nothing where the reader of the file was here first.
    unread: Arc<Mutex<Option<Unread>>>,
    answer: Sender<Read>,
}

/// Lines that are to be decoded.
struct Unread {
    lines: Lines,
    /// What they are decoded into: one that was handed out, for its memory.
    page: Page,
}

/// Lines that are decoded; and those after them, unless the file has ended.
struct Read {
    page: Page,
    lines: Option<Lines>,
}

/// What some lines hold, each with its number.
#[derive(Default)]
struct Page {
    entries: VecDeque<(u64, Kept)>,
    notes: Notes,
}

enum Kept {
    /// What the page knows more of.
    Note(Note),
    /// What could not be noted, such as a line that is not as it should be.
    Entry(Entry<'static>),
}

/// So many lines before its own turn a line is fetched from the core of the thread that decoded it.
const FETCHED: usize = 4;

/// Has `files` decoded with copies of `decoder`, in `threads` threads, but no more than there are files.
pub(super) fn decode(decoder: &Decoder, files: Vec<Lines>, threads: usize) -> Vec<Ahead> {
    let (work, queue) = mpsc::channel();
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..threads.min(files.len()) {
        let (queue, decoder) = (Arc::clone(&queue), decoder.clone());
        // Not joined: a thread may wait for a pipe that nobody writes to any longer.
        thread::spawn(move || decode_all(&queue, decoder));
    }
    let ahead = |lines: Lines| {
        let name = Arc::clone(lines.name());
        let next = Some(read_on(&work, Unread { lines, page: Page::default() }));
        Ahead { name, page: Page::default(), next, work: work.clone(), reused: Reused::default() }
    };
    files.into_iter().map(ahead).collect()
}

impl Ahead {
    /// Returns the next line that is not blank, by its number; `None` at the end of the file.
    ///
    /// Lines that no thread has begun with are decoded here, with `decoder`: so nobody waits for threads that are busy
    /// with other files. Others are waited for.
    pub(super) fn next(&mut self, decoder: &mut Decoder) -> Option<(u64, Entry<'_>)> {
        while self.page.entries.is_empty() {
            let Next { unread, answer } = self.next.take()?;
            let own = lock(&unread).take();
            let Read { page, lines } = match own {
                Some(unread) => unread.read(decoder),
                None => answer.recv().expect("a thread that decodes ends by a panic only"),
            };
            let page = mem::replace(&mut self.page, page);
            self.next = lines.map(|lines| read_on(&self.work, Unread { lines, page }));
        }
        let Page { entries, notes } = &mut self.page;
        let (number, kept) = entries.pop_front()?;
        // They were written by another core, from which they are fetched while there is something else to do.
        if let Some((_, Kept::Note(note))) = entries.get(FETCHED) {
            black_box(notes.read_through(note));
        }
        let note = match kept {
            Kept::Note(note) => note,
            Kept::Entry(entry) => return Some((number, entry)),
        };
        let entry = match notes.read(&note, &mut self.reused) {
            Some(observation) => Entry::Observation(observation),
            // It is not as it should be.
            None => Entry::of(decoder.decode(notes.line(&note)), &self.name, number),
        };
        Some((number, entry))
    }
}

/// Asks for the next lines of a file.
fn read_on(work: &Sender<Work>, unread: Unread) -> Next {
    let (sender, answer) = mpsc::channel();
    let unread = Arc::new(Mutex::new(Some(unread)));
    // Refused where no thread is left; then they are decoded by who wants them.
    let _ = work.send(Work { unread: Arc::clone(&unread), answer: sender });
    Next { unread, answer }
}

/// Decodes what is asked for until nobody asks any more.
fn decode_all(queue: &Mutex<Receiver<Work>>, mut decoder: Decoder) {
    loop {
        let work = lock(queue).recv();
        let Ok(Work { unread, answer }) = work else { return };
        let unread = lock(&unread).take();
        if let Some(unread) = unread {
            // Whoever waited may have stopped.
            let _ = answer.send(unread.read(&mut decoder));
        }
    }
}

impl Unread {
    /// Decodes the next line, and those that were read along with it.
    fn read(self, decoder: &mut Decoder) -> Read {
        let Unread { mut lines, mut page } = self;
        page.notes.clear();
        while let Some(advanced) = lines.advance() {
            let entry = Kept::of(advanced, &lines, decoder, &mut page.notes);
            page.entries.push_back(entry);
            if !lines.has_line() {
                return Read { page, lines: Some(lines) };
            }
        }
        Read { page, lines: None }
    }
}

impl Kept {
    /// Decodes the line that `lines` went to, and returns its number with what it holds.
    fn of(
        advanced: Result<(), Problem>,
        lines: &Lines,
        decoder: &mut Decoder,
        notes: &mut Notes,
    ) -> (u64, Self) {
        let line = match advanced.and_then(|()| lines.line()) {
            Ok(line) => line,
            Err(problem) => return (problem.line, Kept::Entry(Entry::Problem(problem))),
        };
        let kept = match decoder.note(line.text, notes) {
            Some(Ok(note)) => Kept::Note(note),
            Some(Err(kind)) => Kept::Entry(Entry::NotEvaluated(kind)),
            None => Kept::Entry(Entry::of(decoder.decode(line.text), lines.name(), line.number).into_owned()),
        };
        (line.number, kept)
    }
}

/// Nothing is left undone in either lock by a thread that panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
