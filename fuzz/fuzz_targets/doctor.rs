//! Whatever a Mac's programs and files say, doctor has findings of bounded length that only show.

#![no_main]

use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use vedette::alert::is_deceptive;
use vedette::doctor::{self, Mac, Metadata};
use vedette::program::{Output, Take};

/// A Mac that says the same whatever it is asked: the first byte is the exit code and the mode.
struct Any<'a>(&'a [u8]);

impl Mac for Any<'_> {
    fn command(&self, _: &str, _: &[&str], _: Take) -> Result<Output, String> {
        let status = i32::from(self.0.first().copied().unwrap_or(0) & 3);
        Ok(Output { status, text: String::from_utf8_lossy(self.0.get(1..).unwrap_or_default()).into_owned() })
    }

    fn file(&self, _: &Path) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.get(1..).map(<[u8]>::to_vec))
    }

    fn metadata(&self, _: &Path) -> Result<Option<Metadata>, String> {
        let mode = u32::from(self.0.first().copied().unwrap_or(0));
        Ok(Some(Metadata { owner: mode & 1, mode, is_file: mode & 2 == 0 }))
    }

    fn status_file(&self) -> PathBuf {
        PathBuf::from("status.json")
    }

    fn now(&self) -> i64 {
        1_795_000_000_000_000_000
    }

    fn is_root(&self) -> bool {
        true
    }
}

fuzz_target!(|data: &[u8]| {
    for check in doctor::examine(&Any(data)) {
        for text in [Some(&check.found), check.next.as_ref()].into_iter().flatten() {
            assert!(text.len() < 4000 && !text.chars().any(is_deceptive), "{text:?}");
        }
    }
});
