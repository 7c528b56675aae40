//! The salt of an installation: what makes the hashes of its marks its own.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::digest::hexadecimal;
use crate::sink::{Disk, Folder, Open, Readers, Trust};

/// The name of the sensor's file, beside its status.
pub const NAME: &str = "redaction.salt";

/// How many random bytes make a new one.
const LENGTH: usize = 32;

/// The most that is read of a file.
const MAX_FILE: u64 = 4096;

/// A salt. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt")
    }
}

impl Salt {
    /// Makes the salt of a text: the same for the same text, spaces around it apart.
    pub fn of(text: &str) -> Self {
        Salt(Sha256::digest(text.trim()).into())
    }

    /// Makes a new one.
    pub fn random() -> Self {
        Self::of(&random_text())
    }

    /// Reads the salt of a file that somebody names.
    ///
    /// # Errors
    /// It cannot be read, or holds nothing.
    pub fn read(path: &Path) -> io::Result<Self> {
        text_of(File::open(path)?).map(|text| Self::of(&text))
    }

    /// Reads the salt beside a status file; where there is none, or no text, makes one: readable by its owner only,
    /// whoever may read the folder.
    ///
    /// # Errors
    /// The folder is not to be trusted, or cannot be written.
    pub fn beside(status: &Path, trust: Trust) -> io::Result<Self> {
        let folder = status.parent().unwrap_or(Path::new("/"));
        // Made for everyone, as the status is, and then opened for files of the owner's.
        Folder::open(folder, trust, Readers::Everyone)?;
        let mut folder = Folder::open(folder, trust, Readers::Nobody)?;
        match Disk::open(&mut folder, NAME, Open::Existing).and_then(text_of) {
            Ok(text) => Ok(Self::of(&text)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                let text = random_text();
                folder.replace(NAME, &format!("{text}\n"))?;
                Ok(Self::of(&text))
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Random bytes as text: the kernel's, `random(4)`, and with them what the standard library takes from the system for its
/// hash tables, should the device not be there.
fn random_text() -> String {
    let mut bytes = [0; LENGTH];
    let _ = File::open("/dev/urandom").and_then(|mut device| device.read_exact(&mut bytes));
    let mut hash = Sha256::new().chain_update(bytes);
    for part in 0..4u8 {
        hash.update(RandomState::new().hash_one(part).to_le_bytes());
    }
    hexadecimal(&hash.finalize())
}

fn text_of(file: File) -> io::Result<String> {
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text)?;
    match text.trim() {
        "" => Err(io::Error::new(io::ErrorKind::InvalidData, "the salt is empty")),
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_salt_is_made_once_and_is_its_owners_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let status = folder.path().canonicalize().expect("a path").join("state/status.json");
        let salt = Salt::beside(&status, Trust::Own).expect("a salt");
        let path = status.with_file_name(NAME);
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("a folder"))), (0o600, 0o755));
        assert_eq!(Salt::beside(&status, Trust::Own).expect("a salt"), salt);
        assert_eq!(Salt::read(&path).expect("it is there"), salt);
        // One that was emptied is made anew; somebody else's is refused, and so is a link.
        fs::write(&path, "\n").expect("it is ours");
        assert_ne!(Salt::beside(&status, Trust::Own).expect("a salt"), salt);
        fs::remove_file(&path).expect("it is ours");
        std::os::unix::fs::symlink("/etc/hostname", &path).expect("a link");
        assert!(Salt::beside(&status, Trust::Own).is_err());
        assert_eq!(format!("{salt:?}"), "Salt");
    }

    #[test]
    fn salts_differ_and_texts_give_theirs() {
        assert_ne!(Salt::random(), Salt::random());
        assert_eq!(Salt::of("a\n"), Salt::of("a"));
        assert_ne!(Salt::of("a"), Salt::of("b"));
    }
}
