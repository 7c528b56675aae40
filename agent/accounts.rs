//! The names of users and groups, as this machine knows them.
//!
//! A look-up may ask a directory server and wait for it, so a thread does it: who asks for the first time gets no name,
//! and the next one does. Names can change, so one that is old is given and looked up again.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Group, Uid, User};

use crate::process_table::Accounts;

/// How many names are kept; of more, all are looked up again.
pub const MAX_NAMES: usize = 4096;

/// The longest name that is kept, in bytes.
pub const MAX_NAME: usize = 256;

/// How old a name may be before it is looked up again.
const FRESH: Duration = Duration::from_secs(600);

/// How many look-ups may wait; more are left until the id is asked for again.
const QUEUE: usize = 256;

/// A user or a group, by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Id {
    User(u32),
    Group(u32),
}

/// Looks names up on a thread that ends with it.
#[derive(Debug)]
pub struct Directory {
    names: Arc<Mutex<HashMap<Id, Name>>>,
    asked: SyncSender<Id>,
}

#[derive(Debug)]
struct Name {
    /// None where there is none, or none is known yet.
    text: Option<Arc<str>>,
    asked: Instant,
}

impl Directory {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start() -> io::Result<Self> {
        Self::start_with(look_up)
    }

    fn start_with(look_up: impl Fn(Id) -> Option<String> + Send + 'static) -> io::Result<Self> {
        let (asked, orders) = sync_channel(QUEUE);
        let names = Arc::default();
        let known = Arc::clone(&names);
        std::thread::Builder::new()
            .name("accounts".into())
            .spawn(move || answer(&orders, &known, look_up))?;
        Ok(Directory { names, asked })
    }

    fn name(&self, id: Id) -> Option<Arc<str>> {
        let mut names = lock(&self.names);
        let known = names.get(&id);
        let text = known.and_then(|name| name.text.clone());
        if known.is_none_or(|name| name.asked.elapsed() > FRESH) && self.asked.try_send(id).is_ok() {
            if names.len() >= MAX_NAMES {
                names.clear();
            }
            names.insert(id, Name { text: text.clone(), asked: Instant::now() });
        }
        text
    }
}

impl Accounts for Directory {
    fn user(&mut self, id: u32) -> Option<Arc<str>> {
        if id == 0 { Some("root".into()) } else { self.name(Id::User(id)) }
    }

    fn group(&mut self, id: u32) -> Option<Arc<str>> {
        if id == 0 { Some("wheel".into()) } else { self.name(Id::Group(id)) }
    }
}

fn answer(orders: &Receiver<Id>, names: &Mutex<HashMap<Id, Name>>, look_up: impl Fn(Id) -> Option<String>) {
    for id in orders {
        let text = look_up(id).map(|text| text[..text.floor_char_boundary(MAX_NAME)].into());
        if let Some(name) = lock(names).get_mut(&id) {
            name.text = text;
        }
    }
}

fn look_up(id: Id) -> Option<String> {
    match id {
        Id::User(id) => User::from_uid(Uid::from_raw(id)).ok().flatten().map(|user| user.name),
        Id::Group(id) => Group::from_gid(Gid::from_raw(id)).ok().flatten().map(|group| group.name),
    }
}

/// A map of names is whole between any two of its calls.
fn lock(names: &Mutex<HashMap<Id, Name>>) -> MutexGuard<'_, HashMap<Id, Name>> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks until there is an answer.
    fn wait(mut ask: impl FnMut() -> Option<Arc<str>>) -> Arc<str> {
        loop {
            if let Some(name) = ask() {
                return name;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_name_comes_once_it_is_known() {
        let mut directory = Directory::start_with(|id| Some(format!("{id:?}"))).expect("a thread");
        assert_eq!(&*wait(|| directory.user(501)), "User(501)");
        assert_eq!(&*wait(|| directory.group(501)), "Group(501)");
        assert_eq!(directory.user(0).as_deref(), Some("root"));
        assert_eq!(directory.group(0).as_deref(), Some("wheel"));
    }

    #[test]
    fn nobody_waits_for_a_directory_server() {
        let (_never, gate) = sync_channel::<()>(0);
        let gate = Mutex::new(gate);
        let mut directory = Directory::start_with(move |_| {
            let _ = gate.lock().ok()?.recv();
            None
        })
        .expect("a thread");
        // More than may wait: that this ends at all is the point.
        for id in 1..=2 * QUEUE as u32 {
            assert_eq!(directory.user(id), None);
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let directory = Directory::start_with(|_| Some("é".repeat(1 << 20))).expect("a thread");
        for id in 0..3 * MAX_NAMES as u32 {
            let name = wait(|| directory.name(Id::User(id)));
            assert!(name.len() <= MAX_NAME);
            assert!(lock(&directory.names).len() <= MAX_NAMES);
        }
    }

    #[test]
    fn the_systems_own_names() {
        assert_eq!(look_up(Id::User(0)).as_deref(), Some("root"));
        assert_eq!(look_up(Id::User(u32::MAX - 7)), None);
    }
}
