//! Recordings that are measured with.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::contenders::Contents;
use crate::corpus::{self, Corpus};

/// A recording in a file.
pub(crate) struct Recording {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) contents: Contents,
}

impl Recording {
    /// Makes one in `folder`.
    pub(crate) fn make(folder: &Path, corpus: Corpus) -> anyhow::Result<Self> {
        let path = folder.join(format!("{:?}-{}.ndjson", corpus.form, corpus.lines).to_lowercase());
        let mut out = BufWriter::new(File::create(&path).context("cannot write a recording")?);
        let planted = corpus::write(corpus, &mut out).and_then(|planted| out.flush().map(|()| planted))?;
        if planted.is_empty() {
            bail!("{} lines have room for no attack; there must be 10,000 or more", corpus.lines);
        }
        let bytes = fs::metadata(&path)?.len();
        Ok(Recording { path, bytes, contents: Contents { lines: corpus.lines, planted } })
    }

    /// Makes one without a line.
    pub(crate) fn empty(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join("empty.ndjson");
        File::create(&path).context("cannot write a recording")?;
        Ok(Recording { path, bytes: 0, contents: Contents { lines: 0, planted: Vec::new() } })
    }

    /// Says what it is, for people.
    pub(crate) fn described(&self) -> String {
        let Contents { lines, planted } = &self.contents;
        format!(
            "{lines} lines of {} bytes on average, {} planted attacks.",
            self.bytes / lines.max(&1),
            planted.len()
        )
    }

    /// Deals its lines out to two files, so that both are of the same time. Lines of one time go to the same file: which
    /// of two files comes first is no more their order then.
    pub(crate) fn dealt_out(&self, folder: &Path) -> anyhow::Result<[PathBuf; 2]> {
        let (mut last, mut at) = (Vec::<u8>::new(), 1);
        self.split(folder, "dealt", |_, line| {
            let time = time(line);
            if time != last.as_slice() {
                last.clear();
                last.extend_from_slice(time);
                at = 1 - at;
            }
            at
        })
    }

    /// Cuts it in two, one after the other.
    pub(crate) fn cut_in_two(&self, folder: &Path) -> anyhow::Result<[PathBuf; 2]> {
        let half = self.contents.lines / 2;
        self.split(folder, "half", |number, _| usize::from(number >= half))
    }

    fn split(
        &self,
        folder: &Path,
        name: &str,
        mut which: impl FnMut(u64, &[u8]) -> usize,
    ) -> anyhow::Result<[PathBuf; 2]> {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let paths = [0, 1].map(|part| folder.join(format!("{stem}-{name}-{part}.ndjson")));
        let open = |path| File::create(path).map(BufWriter::new);
        let mut files = [open(&paths[0])?, open(&paths[1])?];
        let mut reader = BufReader::new(File::open(&self.path)?);
        let (mut line, mut number) = (Vec::new(), 0);
        while reader.read_until(b'\n', &mut line)? > 0 {
            files[which(number, &line)].write_all(&line)?;
            number += 1;
            line.clear();
        }
        for file in &mut files {
            file.flush()?;
        }
        Ok(paths)
    }
}

/// The time in a line, as the corpus writes it.
fn time(line: &[u8]) -> &[u8] {
    for key in [br#""@timestamp":""#.as_slice(), br#","time":""#] {
        if let Some(at) = memchr::memmem::find(line, key) {
            let start = at + key.len();
            return line.get(start..start + 24).unwrap_or_default();
        }
    }
    &[]
}
