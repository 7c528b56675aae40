//! Reading a file that decides what root does: whose it is counts as much as what it says.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

/// The largest file that is read, in bytes. Rules can stand in it, at some KiB each.
pub(super) const MAX_FILE: u64 = 1 << 20;

/// What was read.
pub(super) struct Source {
    pub(super) bytes: Vec<u8>,
    /// SHA-256 of the bytes, in hexadecimal.
    pub(super) sha256: String,
    /// The uid that owns the file.
    pub(super) owner: u32,
    /// Why the file would be refused where the sensor reads it.
    pub(super) unsafe_because: Option<Refusal>,
}

/// Why a file is not used, and what to do.
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) hint: String,
}

/// Reads a file; `None` if there is none. If it is where the sensor reads it (`installed`), it must not be a link, and
/// nobody but root, or who runs this, may be able to change it: not by its owner, its mode, or those of the folders
/// above it. Access control lists are not looked at.
pub(super) fn read(path: &Path, installed: bool) -> Result<Option<Source>, Refusal> {
    let cannot = |error: std::io::Error| Refusal {
        reason: format!("the file cannot be read: {error}"),
        hint: "the sensor reads it as root: try with sudo, and see whether its volume is in order".into(),
    };
    // A pipe must not keep the sensor waiting, nor a link lead it elsewhere.
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | if installed { libc::O_NOFOLLOW } else { 0 };
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound && !is_link(path) => return Ok(None),
        Err(_) if is_link(path) => {
            return Err(Refusal {
                reason: "this is a symbolic link; what it points to may be anyone's".into(),
                hint: "put the file itself here".into(),
            });
        }
        Err(error) => return Err(cannot(error)),
    };
    let metadata = file.metadata().map_err(cannot)?;
    if !metadata.is_file() {
        return Err(Refusal {
            reason: "this is a folder, a pipe, a device or a socket, not a file".into(),
            hint: "put a file here, or nothing".into(),
        });
    }
    let mut unsafe_because = writable_by_others(path, &metadata).or_else(|| above(path));
    if let Some(refusal) = unsafe_because.take_if(|_| installed) {
        return Err(refusal);
    }
    let bytes = bytes(&file).map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Refusal {
            reason: format!("the file is larger than {} MiB", MAX_FILE >> 20),
            hint: "rules can stand in a folder instead, see rules.folder".into(),
        });
    }
    let sha256 = crate::digest::hexadecimal(&Sha256::digest(&bytes));
    Ok(Some(Source { bytes, sha256, owner: metadata.uid(), unsafe_because }))
}

/// Says of a file why others than root, or who runs this, can change it, and what to do; else whose it is.
pub(super) fn owner(path: &Path) -> Result<u32, Refusal> {
    let cannot = |error: std::io::Error| Refusal {
        reason: format!("the file cannot be looked at: {error}"),
        hint: "the sensor reads it as root: try with sudo".into(),
    };
    // What a link leads to counts, and so do the folders on the way.
    let real = path.canonicalize().map_err(cannot)?;
    let metadata = real.metadata().map_err(cannot)?;
    match writable_by_others(&real, &metadata).or_else(|| above(path)).or_else(|| above(&real)) {
        Some(refusal) => Err(refusal),
        None => Ok(metadata.uid()),
    }
}

fn bytes(file: &File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Looks at the folders above a file: those of its path as it is written, and those to which links in it lead.
fn above(path: &Path) -> Option<Refusal> {
    let cannot = |folder: &Path, error: std::io::Error| Refusal {
        reason: format!("the folder {} cannot be looked at: {error}", folder.display()),
        hint: "the file is used only if it is sure that nobody else can replace it".into(),
    };
    let path = match std::path::absolute(path) {
        Ok(path) => path,
        Err(error) => return Some(cannot(path, error)),
    };
    let folder = path.parent()?;
    let real = match folder.canonicalize() {
        Ok(real) => real,
        Err(error) => return Some(cannot(folder, error)),
    };
    folder.ancestors().chain(real.ancestors()).find_map(|folder| match folder.symlink_metadata() {
        Ok(metadata) => writable_by_others(folder, &metadata),
        Err(error) => Some(cannot(folder, error)),
    })
}

/// Says why others can change a file, or what is in a folder. In a folder with the sticky bit, as `/tmp` is one, they
/// can add to it but neither remove nor replace what is not theirs. A link's own mode means nothing.
fn writable_by_others(path: &Path, metadata: &Metadata) -> Option<Refusal> {
    let what = match metadata.file_type() {
        kind if kind.is_dir() => "folder",
        kind if kind.is_symlink() => "link",
        _ => "file",
    };
    let shown = path.display();
    if metadata.uid() != 0 && metadata.uid() != effective_user() {
        return Some(Refusal {
            reason: format!("the {what} {shown} belongs to the user with uid {}", metadata.uid()),
            hint: format!("`sudo chown root '{shown}'`, after a look at what it says"),
        });
    }
    let sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
    if metadata.mode() & 0o022 != 0 && !sticky && !metadata.is_symlink() {
        return Some(Refusal {
            reason: format!(
                "others than its owner may write the {what} {shown} (mode {:04o})",
                metadata.mode() & 0o7777
            ),
            hint: format!("`sudo chmod go-w '{shown}'`, after a look at what it says"),
        });
    }
    None
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink())
}

/// Returns the effective uid, which is what a file of one's own has for its owner.
fn effective_user() -> u32 {
    nix::unistd::geteuid().as_raw()
}
