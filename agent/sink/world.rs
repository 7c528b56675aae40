//! A disk in memory that can fail and lose its power: what a real one does to whoever trusts it.
//!
//! What is modelled: `write` reaches a cache; `fsync` of a file makes its bytes last, of a folder its names. A loss of
//! power keeps what was synced, and of each write and rename since then some, at random, later writes perhaps without
//! earlier ones. A failed `fsync` may have dropped what was in the cache, and the next one says nothing about it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;

use super::disk::{Disk, DiskFile, Open};

/// The disk and its chance.
#[derive(Clone, Debug)]
pub(super) struct World(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    random: u64,
    /// Of a thousand operations so many fail.
    faults: u64,
    /// After how many more operations the writer is dead: none of its operations does anything any more.
    dies_after: Option<u64>,
    names: BTreeMap<String, usize>,
    /// The names that last, and what has been done to them since.
    synced_names: BTreeMap<String, usize>,
    renames: Vec<(Option<String>, Option<String>)>,
    files: Vec<Data>,
    now: Duration,
}

#[derive(Debug, Default, Clone)]
struct Data {
    cache: Vec<u8>,
    synced: Vec<u8>,
    /// Since the last sync: where what was written.
    writes: Vec<(u64, Vec<u8>)>,
    created: Duration,
}

#[derive(Debug)]
pub(super) struct WorldFile {
    world: World,
    number: usize,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        World(Arc::new(Mutex::new(Inner {
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            faults: 0,
            dies_after: None,
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            renames: Vec::new(),
            files: Vec::new(),
            now: Duration::from_secs(1_800_000_000),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// Sets how many of a thousand operations fail.
    pub(super) fn set_faults(&self, faults: u64) {
        self.lock().faults = faults;
    }

    /// The writer is killed after some more operations, in the middle of whatever it does then; `None` for another
    /// one that lives.
    pub(super) fn set_dies_after(&self, operations: Option<u64>) {
        self.lock().dies_after = operations;
    }

    /// A number below `below`.
    pub(super) fn random(&self, below: u64) -> u64 {
        self.lock().random(below)
    }

    pub(super) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.lock().now
    }

    pub(super) fn set_now(&self, now: SystemTime) {
        self.lock().now = now.duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970");
    }

    /// The power goes: what was not synced survives by chance.
    pub(super) fn lose_power(&self) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let mut names = inner.synced_names.clone();
        let survived = inner.random(inner.renames.len() as u64 + 1) as usize;
        for (from, to) in inner.renames.drain(..).take(survived).collect::<Vec<_>>() {
            let number = from.and_then(|from| names.remove(&from));
            if let (Some(number), Some(to)) = (number, to) {
                names.insert(to, number);
            }
        }
        // Files made since then have names in the cache only; a journal may have kept them.
        for (name, number) in &inner.names.clone() {
            if !names.values().any(|other| other == number)
                && !names.contains_key(name)
                && inner.random(2) == 0
            {
                names.insert(name.clone(), *number);
            }
        }
        inner.names = names.clone();
        inner.synced_names = names;
        for number in 0..inner.files.len() {
            let mut bytes = inner.files[number].synced.clone();
            for (offset, written) in std::mem::take(&mut inner.files[number].writes) {
                let kept = inner.random(3) as usize;
                let kept = &written[..written.len() * kept / 2];
                put(&mut bytes, offset, kept);
            }
            let data = &mut inner.files[number];
            data.cache.clone_from(&bytes);
            data.synced = bytes;
        }
    }

    /// Removes a file behind its writer's back.
    pub(super) fn remove_behind(&self, name: &str) {
        self.lock().names.remove(name);
    }

    /// What is in the files, oldest first: `NAME.N` (unpacked) down to `NAME`.
    pub(super) fn content(&self, name: &str) -> Vec<u8> {
        let inner = self.lock();
        let mut content = Vec::new();
        for number in (1..1000).rev() {
            if let Some(at) = inner.names.get(&format!("{name}.{number}.gz")) {
                let mut decoder = flate2::read::MultiGzDecoder::new(&inner.files[*at].cache[..]);
                io::Read::read_to_end(&mut decoder, &mut content).expect("whole gzip");
            } else if let Some(at) = inner.names.get(&format!("{name}.{number}")) {
                content.extend_from_slice(&inner.files[*at].cache);
            }
        }
        content.extend(inner.names.get(name).map(|at| inner.files[*at].cache.clone()).unwrap_or_default());
        content
    }

    pub(super) fn names_now(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// Puts bytes into a file as if it had been there.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        let mut inner = self.lock();
        let created = inner.now;
        let data = Data { cache: bytes.to_vec(), synced: bytes.to_vec(), writes: Vec::new(), created };
        inner.files.push(data);
        let number = inner.files.len() - 1;
        inner.names.insert(name.to_owned(), number);
        inner.synced_names.insert(name.to_owned(), number);
    }
}

impl Inner {
    /// xorshift64*: the same seed gives the same disk.
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % below
    }

    fn fault(&mut self) -> io::Result<()> {
        match &mut self.dies_after {
            Some(0) => return Err(Errno::EIO.into()),
            Some(more) => *more -= 1,
            None => {}
        }
        if self.random(1000) >= self.faults {
            return Ok(());
        }
        let errors = [Errno::ENOSPC, Errno::EIO, Errno::EROFS, Errno::EINTR];
        Err(errors[self.random(errors.len() as u64) as usize].into())
    }
}

fn put(bytes: &mut Vec<u8>, offset: u64, written: &[u8]) {
    if written.is_empty() {
        return;
    }
    let (from, to) = (offset as usize, offset as usize + written.len());
    if bytes.len() < to {
        // A hole reads as zeros.
        bytes.resize(to, 0);
    }
    bytes[from..to].copy_from_slice(written);
}

impl Disk for World {
    type File = WorldFile;

    fn open(&mut self, name: &str, how: Open) -> io::Result<WorldFile> {
        let mut inner = self.lock();
        inner.fault()?;
        let number = match (inner.names.get(name).copied(), how) {
            (None, Open::Existing) => return Err(Errno::ENOENT.into()),
            (Some(_), Open::New) => return Err(Errno::EEXIST.into()),
            (Some(number), _) => number,
            (None, _) => {
                let created = inner.now;
                inner.files.push(Data { created, ..Data::default() });
                let number = inner.files.len() - 1;
                inner.names.insert(name.to_owned(), number);
                number
            }
        };
        Ok(WorldFile { world: self.clone(), number })
    }

    fn names(&mut self) -> io::Result<Vec<String>> {
        self.lock().fault()?;
        Ok(self.names_now())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.fault()?;
        let number = inner.names.remove(from).ok_or(Errno::ENOENT)?;
        inner.names.insert(to.to_owned(), number);
        inner.renames.push((Some(from.to_owned()), Some(to.to_owned())));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.fault()?;
        inner.names.remove(name).ok_or(Errno::ENOENT)?;
        inner.renames.push((Some(name.to_owned()), None));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.lock();
        inner.fault()?;
        inner.synced_names = inner.names.clone();
        inner.renames.clear();
        Ok(())
    }

    fn holds(&mut self, name: &str, file: &WorldFile) -> io::Result<bool> {
        let mut inner = self.lock();
        inner.fault()?;
        Ok(inner.names.get(name) == Some(&file.number))
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.lock().fault()
    }
}

impl DiskFile for WorldFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.world.lock();
        inner.fault()?;
        let short = inner.random(1000) < inner.faults;
        let length = if short { inner.random(bytes.len() as u64) as usize } else { bytes.len() };
        let data = &mut inner.files[self.number];
        put(&mut data.cache, offset, &bytes[..length]);
        data.writes.push((offset, bytes[..length].to_vec()));
        if length == 0 { Err(Errno::ENOSPC.into()) } else { Ok(length) }
    }

    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.world.lock();
        inner.fault()?;
        let cache = &inner.files[self.number].cache;
        let rest = cache.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.world.lock().files[self.number].cache.len() as u64)
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        let mut inner = self.world.lock();
        inner.fault()?;
        let data = &mut inner.files[self.number];
        data.cache.truncate(length as usize);
        data.writes.retain(|(offset, _)| *offset < length);
        data.synced.truncate(length as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.world.lock();
        if inner.dies_after == Some(0) {
            return Err(Errno::EIO.into());
        }
        if let Err(error) = inner.fault() {
            // What was to be written is marked clean and gone: a later sync does not bring it back.
            inner.files[self.number].writes.clear();
            return Err(error);
        }
        let data = &mut inner.files[self.number];
        for (offset, written) in std::mem::take(&mut data.writes) {
            put(&mut data.synced, offset, &written);
        }
        Ok(())
    }

    fn created(&self) -> io::Result<SystemTime> {
        Ok(SystemTime::UNIX_EPOCH + self.world.lock().files[self.number].created)
    }
}
