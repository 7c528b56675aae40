//! A folder held by a handle, so that what it is cannot be changed under the sensor by a rename or a link.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, geteuid, unlinkat};

use super::disk::{Disk, DiskFile, Open, write_all_at};

/// A folder that files are written to.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    trust: Trust,
    readers: Readers,
    handle: OwnedFd,
}

/// How much a folder is looked at before something is written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The sensor's own: opened component by component without following a link; every component must belong to
    /// root or to the sensor's own user, and only root, that user or a group that is as good as root may write to
    /// it. It is made where it is missing, and whatever stands in the place of a file is moved aside.
    Own,
    /// Named on the command line by whoever runs it: opened as it is.
    Callers,
}

/// Who may read what is written, beside its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers {
    /// Nobody: files 0600 in a folder 0700.
    Nobody,
    /// The members of a group, by its id: files 0640 in a folder 0750.
    Group(u32),
    /// Everyone: files 0644 in a folder 0755.
    Everyone,
}

impl Readers {
    fn file_mode(self) -> u32 {
        match self {
            Readers::Nobody => 0o600,
            Readers::Group(_) => 0o640,
            Readers::Everyone => 0o644,
        }
    }

    fn folder_mode(self) -> u32 {
        match self {
            Readers::Nobody => 0o700,
            Readers::Group(_) => 0o750,
            Readers::Everyone => 0o755,
        }
    }

    fn group(self) -> Option<Gid> {
        match self {
            Readers::Group(group) => Some(Gid::from_raw(group)),
            _ => None,
        }
    }
}

/// Groups whose members can become root anyway: `wheel`, and on a Mac `admin`, to which `/Library` gives much.
const GROUPS_LIKE_ROOT: &[u32] = if cfg!(target_os = "macos") { &[0, 80] } else { &[0] };

impl Folder {
    /// Opens a folder.
    ///
    /// # Errors
    /// The path leads nowhere, or one of its components is not to be trusted, in a sentence that names it.
    pub fn open(path: &Path, trust: Trust, readers: Readers) -> io::Result<Self> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let handle = match trust {
            Trust::Callers => openat(AT_FDCWD, path, FOLDER, Mode::empty())?,
            Trust::Own => open_trusted(path, readers)?,
        };
        Ok(Folder { path: path.to_owned(), trust, readers, handle })
    }

    /// Replaces a file as a whole, so that a reader finds either the old text or the new one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn replace(&mut self, name: &str, text: &str) -> io::Result<()> {
        let new = format!(".{name}.new");
        let mut file = match Disk::open(self, &new, Open::New) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.remove(&new)?;
                Disk::open(self, &new, Open::New)?
            }
            opened => opened?,
        };
        write_all_at(&mut file, text.as_bytes(), 0)?;
        file.sync_data()?;
        self.rename(&new, name)?;
        Disk::sync(self)
    }

    fn mode(&self) -> Mode {
        mode(self.readers.file_mode())
    }

    fn open_file(&self, name: &str, how: Open) -> io::Result<File> {
        let made = match how {
            Open::Existing => OFlag::empty(),
            Open::Writer => OFlag::O_CREAT,
            Open::New => OFlag::O_CREAT | OFlag::O_EXCL,
        };
        // Not blocking: whoever put a pipe here must not stop the sensor.
        let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | made;
        let file = File::from(openat(&self.handle, name, flags, self.mode())?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("this is no plain file"));
        }
        if self.trust == Trust::Own {
            if metadata.uid() != geteuid().as_raw() || metadata.nlink() > 1 {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "the file belongs to someone else or has a second name",
                ));
            }
            if let Some(group) = self.readers.group().filter(|group| metadata.gid() != group.as_raw()) {
                fchown(&file, None, Some(group))?;
            }
            if metadata.mode() & 0o7777 != self.readers.file_mode() {
                fchmod(&file, self.mode())?;
            }
        }
        if how != Open::Existing {
            file.try_lock().map_err(|error| match error {
                std::fs::TryLockError::WouldBlock => io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    "another process is writing to it; only one may",
                ),
                std::fs::TryLockError::Error(error) => error,
            })?;
        }
        Ok(file)
    }

    /// Moves what stands in a file's place aside: nobody else has a right to this folder.
    fn move_aside(&mut self, name: &str) -> io::Result<()> {
        let aside = format!("{name}.untrusted");
        log::warn!(target: "sensor", "{name} in {}: not the sensor's own; moved to {aside}", self.path.display());
        match unlinkat(&self.handle, aside.as_str(), UnlinkatFlags::NoRemoveDir) {
            // A folder cannot be written over; under another name it can stay.
            Err(Errno::EISDIR | Errno::EPERM) => {
                let older =
                    format!("{aside}.{}", SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos());
                renameat(&self.handle, aside.as_str(), &self.handle, older.as_str())?;
            }
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(renameat(&self.handle, name, &self.handle, aside.as_str())?)
    }
}

impl Disk for Folder {
    type File = File;

    fn open(&mut self, name: &str, how: Open) -> io::Result<File> {
        match self.open_file(name, how) {
            Err(error) if self.trust == Trust::Own && how == Open::Writer && is_imposter(&error) => {
                self.move_aside(name)?;
                self.open_file(name, how)
            }
            result => result,
        }
    }

    fn names(&mut self) -> io::Result<Vec<String>> {
        let mut dir = Dir::openat(&self.handle, ".", FOLDER, Mode::empty())?;
        let mut names = Vec::new();
        for entry in dir.iter() {
            // A name that is no text is none of ours.
            if let Ok(name) = entry?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.handle, from, &self.handle, to)?)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.handle, name, UnlinkatFlags::NoRemoveDir)?)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(fsync(&self.handle)?)
    }

    fn holds(&mut self, name: &str, file: &File) -> io::Result<bool> {
        let open = file.metadata()?;
        match fstatat(AT_FDCWD, &self.path.join(name), AtFlags::AT_SYMLINK_NOFOLLOW) {
            #[allow(clippy::unnecessary_cast, reason = "the types differ by system")]
            Ok(there) => Ok(there.st_dev as u64 == open.dev() && there.st_ino as u64 == open.ino()),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        *self = Folder::open(&self.path, self.trust, self.readers)?;
        Ok(())
    }
}

impl DiskFile for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn read_at(&mut self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn created(&self) -> io::Result<SystemTime> {
        let metadata = self.metadata()?;
        metadata.created().or_else(|_| metadata.modified())
    }
}

const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

fn mode(bits: u32) -> Mode {
    // `mode_t` has 16 bits on a Mac; the permission bits are twelve.
    Mode::from_bits_truncate((bits & 0o7777) as libc::mode_t)
}

/// Opens a folder component by component, each of which must be to be trusted; makes what is missing.
fn open_trusted(path: &Path, readers: Readers) -> io::Result<OwnedFd> {
    if !path.is_absolute() {
        return Err(refused(path, "it must be an absolute path"));
    }
    let components: Vec<Component<'_>> = path.components().collect();
    let mut so_far = PathBuf::from("/");
    let mut handle = openat(AT_FDCWD, "/", FOLDER, Mode::empty())?;
    check(&so_far, &fstat(&handle)?)?;
    for (index, component) in components.iter().enumerate() {
        let name = match component {
            Component::RootDir => continue,
            Component::Normal(name) => Path::new(name),
            _ => return Err(refused(path, "it must not contain `.` or `..`")),
        };
        so_far.push(name);
        let flags = FOLDER | OFlag::O_NOFOLLOW;
        let last = index + 1 == components.len();
        let opened = match openat(&handle, name, flags, Mode::empty()) {
            Err(Errno::ENOENT) => {
                let bits = if last { readers.folder_mode() } else { 0o755 };
                match mkdirat(&handle, name, mode(bits)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(error) => return Err(failed(&so_far, "cannot be made", error)),
                }
                fsync(&handle)?;
                let made = openat(&handle, name, flags, Mode::empty());
                if let Ok(made) = &made {
                    // Whatever the umask says.
                    fchmod(made, mode(bits))?;
                    if let (true, Some(group)) = (last, readers.group()) {
                        fchown(made, None, Some(group))?;
                    }
                }
                made
            }
            opened => opened,
        };
        handle = match opened {
            Ok(handle) => handle,
            Err(Errno::ELOOP | Errno::ENOTDIR) => {
                return Err(refused(&so_far, "this is a link or no folder; name the place that it leads to"));
            }
            Err(error) => return Err(failed(&so_far, "cannot be opened", error)),
        };
        check(&so_far, &fstat(&handle)?)?;
    }
    Ok(handle)
}

/// Whether a folder is such that nobody but root and ourselves can change what is in it.
fn check(path: &Path, stat: &FileStat) -> io::Result<()> {
    if stat.st_uid != 0 && stat.st_uid != geteuid().as_raw() {
        let owner = Uid::from_raw(stat.st_uid);
        return Err(refused(path, &format!("it belongs to user {owner}, not to root; `chown root` it")));
    }
    #[allow(clippy::unnecessary_cast, reason = "the type differs by system")]
    let mode = stat.st_mode as u32;
    let by_group = mode & 0o020 != 0 && !GROUPS_LIKE_ROOT.contains(&stat.st_gid);
    let by_others = mode & 0o002 != 0;
    // In a sticky folder, as /tmp is, only its owner can replace a thing.
    if (by_group || by_others) && mode & 0o1000 == 0 {
        return Err(refused(path, "others may write to it, and so replace what is in it; `chmod go-w` it"));
    }
    Ok(())
}

fn refused(path: &Path, why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("the folder {} is refused: {why}", path.display()),
    )
}

fn failed(path: &Path, what: &str, error: Errno) -> io::Error {
    let error = io::Error::from(error);
    io::Error::new(error.kind(), format!("the folder {} {what}: {error}", path.display()))
}

/// Whether opening failed because what is there is not ours: a link, a folder, a pipe, someone else's file.
fn is_imposter(error: &io::Error) -> bool {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => {
            matches!(errno, Errno::ELOOP | Errno::EISDIR | Errno::ENXIO | Errno::EOPNOTSUPP | Errno::EACCES)
        }
        None => matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Other),
    }
}

#[cfg(test)]
mod tests;
