//! The rules and exceptions that a configuration names: built in, in folders, and in the configuration itself.
//!
//! Files that others than root can change are not used: whoever writes a rule or an exception decides what is seen.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::config::{self, Loaded};
use crate::detector::RuleSet;
use crate::digest::hexadecimal;
use crate::exception;
use crate::health::LoadedFile;
use crate::rule::{self, RuleFile};
use crate::schema;

/// What was read, before anything is made of it.
pub struct Texts {
    rules: Vec<Text>,
    exceptions: Vec<Text>,
    builtin: bool,
    /// Sentences about what could not be read.
    problems: Vec<String>,
    /// See [`Self::fingerprint`].
    fingerprint: String,
}

struct Text {
    path: PathBuf,
    ruleset: String,
    text: String,
    owner: Option<u32>,
}

/// Rules that can run, and how they came about.
pub struct Content {
    /// The rules, with the exceptions.
    pub rules: RuleSet,
    /// The files that rules and exceptions come from, without the built-in ones.
    pub files: Vec<LoadedFile>,
    /// What was found wrong, a sentence each: the rest runs.
    pub problems: Vec<String>,
}

/// Reads what a configuration names. A folder that does not exist holds nothing.
pub fn read(loaded: &Loaded) -> Texts {
    let mut problems = Vec::new();
    let mut rules = Vec::new();
    let mut exceptions = Vec::new();
    for (folder, what, texts) in [
        (loaded.rules_folder(), "rules", &mut rules),
        (loaded.exceptions_folder(), "exceptions", &mut exceptions),
    ] {
        if let Some(folder) = folder {
            read_folder(folder, what, texts, &mut problems);
        }
    }
    Texts::new(loaded, rules, exceptions, problems)
}

/// Takes only what stands in a configuration itself: of one for other machines, whose folders are not here.
pub fn inline(loaded: &Loaded) -> Texts {
    Texts::new(loaded, Vec::new(), Vec::new(), Vec::new())
}

impl Texts {
    /// Adds what stands in the configuration itself.
    fn new(loaded: &Loaded, mut rules: Vec<Text>, mut exceptions: Vec<Text>, problems: Vec<String>) -> Self {
        let config = &loaded.config;
        for (inline, what, texts) in [
            (&config.rules.inline, "rules", &mut rules),
            (&config.exceptions.inline, "exceptions", &mut exceptions),
        ] {
            texts.extend(inline.iter().enumerate().map(|(index, text)| Text {
                path: format!("{what}.inline[{index}]").into(),
                ruleset: "inline".to_owned(),
                text: text.clone(),
                owner: None,
            }));
        }
        let fingerprint = fingerprint(loaded, &rules, &exceptions, &problems);
        Texts { rules, exceptions, builtin: config.rules.builtin, problems, fingerprint }
    }

    /// Returns a hash, in hexadecimal, of all that was read, configuration files included: another where any of it is.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Leaves only the built-in rules: for [safe mode](crate::safe_mode).
    pub fn keep_built_in(&mut self) {
        self.rules.clear();
        self.exceptions.clear();
        self.builtin = true;
    }

    /// Makes rules of it. Of rules with one id the last counts: built in, then folder, then inline.
    pub fn compile(self) -> Content {
        let mut problems = self.problems;
        let files = self.rules.iter().chain(&self.exceptions).map(Text::loaded).collect();
        let mut rules = if self.builtin { rule::builtin() } else { Vec::new() };
        rules.extend(self.rules.into_iter().map(|text| RuleFile {
            content: rule::parse(&text.path, &text.text, &text.ruleset),
            path: text.path,
        }));
        let mut exceptions: Vec<exception::Exception> = Vec::new();
        for text in self.exceptions {
            let file = exception::parse(&text.path, &text.text);
            problems.extend(file.findings.iter().map(sentence));
            for exception in file.exceptions {
                if exceptions.iter().any(|other| other.id == exception.id) {
                    problems.push(format!("{}: another exception has its id too", exception.id));
                } else {
                    exceptions.push(exception);
                }
            }
        }
        let rules = RuleSet::load_over(schema::schema(), rules, exceptions);
        problems.extend(rules.findings.iter().filter(|found| found.level == eql::Level::Error).map(sentence));
        Content { rules, files, problems }
    }
}

impl Text {
    fn loaded(&self) -> LoadedFile {
        let sha256 = hexadecimal(&Sha256::digest(&self.text));
        LoadedFile { path: self.path.display().to_string(), sha256, owner: self.owner }
    }
}

/// A look at the files that has found something.
pub struct Look {
    /// The configuration files that were read.
    pub configuration: Vec<LoadedFile>,
    /// What is wrong in them, a sentence each: those keys keep their last good values.
    pub wrong: Vec<String>,
    /// What became of rules and exceptions.
    pub found: Changed,
}

/// What a look has found of rules and exceptions.
pub enum Changed {
    /// Other rules or exceptions, all of which can be used.
    Content(Box<Content>),
    /// Something is wrong with them, a sentence each: what runs goes on.
    Refused(Vec<String>),
}

/// Looks again and again, on a thread of its own, whether rules and exceptions are others now.
///
/// Files are read again rather than their dates compared: whoever can set a date could hide a change. A set in which
/// anything is wrong is refused as a whole, so that a slip of the pen takes no rule away that ran before.
pub struct Watch {
    looks: Receiver<Look>,
}

impl Watch {
    /// Starts the thread. `load` reads the configuration anew; `fingerprint` is of what runs.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        load: impl FnMut() -> Loaded + Send + 'static,
        fingerprint: String,
        every: Duration,
    ) -> io::Result<Self> {
        let (sender, looks) = channel();
        std::thread::Builder::new()
            .name("content".into())
            .spawn(move || watch(load, fingerprint, every, &sender))?;
        Ok(Watch { looks })
    }

    /// Returns the newest look that has found something and has not been taken, without waiting.
    pub fn take(&self) -> Option<Look> {
        self.looks.try_iter().last()
    }
}

fn watch(mut load: impl FnMut() -> Loaded, mut fingerprint: String, every: Duration, sender: &Sender<Look>) {
    loop {
        std::thread::sleep(every);
        let loaded = load();
        let texts = read(&loaded);
        if texts.fingerprint == fingerprint {
            continue;
        }
        fingerprint.clone_from(&texts.fingerprint);
        let content = texts.compile();
        let found = if content.problems.is_empty() {
            Changed::Content(Box::new(content))
        } else {
            Changed::Refused(content.problems)
        };
        let look =
            Look { configuration: configuration_files(&loaded), wrong: configuration_errors(&loaded), found };
        if sender.send(look).is_err() {
            // Whoever waited for it has ended.
            return;
        }
    }
}

/// Returns the configuration files that were read.
pub fn configuration_files(loaded: &Loaded) -> Vec<LoadedFile> {
    let read = loaded.sources.iter().filter(|source| source.state == config::State::Read);
    read.map(|source| LoadedFile {
        path: source.path.display().to_string(),
        sha256: source.sha256.clone().unwrap_or_default(),
        owner: source.owner,
    })
    .collect()
}

/// Returns what is wrong in a configuration, each in a sentence that begins with its place.
pub fn configuration_errors(loaded: &Loaded) -> Vec<String> {
    let errors = loaded.findings.iter().filter(|finding| finding.level == eql::Level::Error);
    errors.filter_map(|finding| finding.rendered.lines().next().map(str::to_owned)).collect()
}

fn read_folder(folder: &Path, what: &str, texts: &mut Vec<Text>, problems: &mut Vec<String>) {
    if !folder.exists() && folder.symlink_metadata().is_err() {
        return;
    }
    let read = match rule::texts(folder, what) {
        Ok(read) => read,
        Err(problem) => return problems.push(problem),
    };
    for (path, text) in read {
        match (config::owner_if_safe(&path), text) {
            (Err(refusal), _) => problems.push(format!("{}: {refusal}", path.display())),
            (_, Err(finding)) => problems.push(sentence(&finding)),
            (Ok(owner), Ok(text)) => {
                let ruleset = path.parent().and_then(Path::file_name);
                let ruleset = ruleset.map_or("local".into(), |name| name.to_string_lossy().into_owned());
                texts.push(Text { path, ruleset, text, owner: Some(owner) });
            }
        }
    }
}

/// `FILE:LINE:COLUMN: error: WHAT`, the first line of how a compiler prints it.
fn sentence(finding: &rule::Finding) -> String {
    finding.rendered.lines().next().unwrap_or(&finding.message).to_owned()
}

fn fingerprint(loaded: &Loaded, rules: &[Text], exceptions: &[Text], problems: &[String]) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    for source in &loaded.sources {
        add(source.sha256.as_deref().unwrap_or_default().as_bytes());
    }
    for texts in [rules, exceptions] {
        add(&(texts.len() as u64).to_le_bytes());
        for text in texts {
            add(text.path.as_os_str().as_encoded_bytes());
            add(text.text.as_bytes());
        }
    }
    // A file that is refused for its mode and then is not any longer is a change too.
    problems.iter().for_each(|problem| add(problem.as_bytes()));
    hexadecimal(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::{Paths, Place};

    const CURL: &str = "[rule]\nrule_id = \"curl\"\nname = \"curl runs\"\nquery = 'process where true'\n";

    /// Reads what a configuration names whose rules lie in a folder with `files`.
    fn texts(files: &[(&str, &str)], more: &str) -> (tempfile::TempDir, Texts) {
        let folder = tempfile::tempdir().expect("a folder");
        let rules = folder.path().join("rules");
        fs::create_dir(&rules).expect("it is new");
        for (name, text) in files {
            fs::write(rules.join(name), text).expect("it can be written");
        }
        let text = format!("[rules]\nfolder = {:?}\n{more}", rules.display().to_string());
        let (loaded, _) = load(folder.path(), &text);
        (folder, read(&loaded))
    }

    fn load(folder: &Path, text: &str) -> (Loaded, PathBuf) {
        let path = folder.join("config.toml");
        fs::write(&path, text).expect("it can be written");
        let place = |path| Place { path, installed: false };
        let paths = Paths { managed: place(folder.join("none.plist")), file: place(path.clone()) };
        (config::load(&paths), path)
    }

    fn ids(content: &Content) -> Vec<&str> {
        content.rules.rules.iter().map(|loaded| &*loaded.rule.id).collect()
    }

    #[test]
    fn folder_and_inline_come_after_the_built_in_rules() {
        let inline = format!("inline = ['''{}''']\n", CURL.replace("curl runs", "inline"));
        let (_folder, texts) = texts(&[("a.toml", CURL), ("b.toml", "not = [toml")], &inline);
        let content = texts.compile();
        assert_eq!(ids(&content).len(), rule::builtin().len() + 1);
        assert_eq!(content.rules.rules.last().expect("a rule").rule.name, "inline");
        assert_eq!((content.files.len(), content.rules.failed, content.problems.len()), (3, 1, 1));
        assert!(content.problems[0].contains("b.toml:1:"), "{:?}", content.problems);
    }

    #[test]
    fn a_rule_that_others_can_write_is_not_used() {
        let (folder, _) = texts(&[("a.toml", CURL), ("b.toml", &CURL.replace("curl", "other"))], "");
        let path = folder.path().join("rules/a.toml");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("it is ours");
        let text = format!("[rules]\nbuiltin = false\nfolder = {:?}\n", folder.path().join("rules"));
        let content = read(&load(folder.path(), &text).0).compile();
        assert_eq!(ids(&content), ["other"]);
        assert!(content.problems[0].contains("a.toml: others than its owner"), "{:?}", content.problems);
    }

    #[test]
    fn safe_mode_has_the_built_in_rules_only() {
        let (_folder, mut texts) = texts(&[("a.toml", CURL)], "builtin = false\n");
        texts.keep_built_in();
        assert_eq!(ids(&texts.compile()).len(), rule::builtin().len());
    }

    #[test]
    fn the_fingerprint_is_another_where_anything_is() {
        let (folder, texts) = texts(&[("a.toml", CURL)], "");
        let again = || {
            let text = fs::read_to_string(folder.path().join("config.toml")).expect("it is there");
            read(&load(folder.path(), &text).0).fingerprint
        };
        assert_eq!(texts.fingerprint(), again());
        fs::write(folder.path().join("rules/b.toml"), CURL).expect("it can be written");
        assert_ne!(texts.fingerprint(), again());
    }

    #[test]
    fn changes_are_seen_and_a_slip_takes_nothing_away() {
        let (folder, texts) = texts(&[("a.toml", CURL)], "");
        let root = folder.path().to_owned();
        let text = fs::read_to_string(root.join("config.toml")).expect("it is there");
        let (loaded_root, loaded_text) = (root.clone(), text);
        let watch = Watch::start(
            move || load(&loaded_root, &loaded_text).0,
            texts.fingerprint.clone(),
            Duration::from_millis(1),
        )
        .expect("a thread");
        let next = || loop {
            match watch.take() {
                Some(look) => return look.found,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        fs::write(root.join("rules/b.toml"), CURL.replace("curl", "other")).expect("it can be written");
        // A look may have found half of a file; the next finds the whole.
        let content = loop {
            match next() {
                Changed::Content(content) if content.files.len() == 2 => break content,
                _ => {}
            }
        };
        assert_eq!(ids(&content).len(), rule::builtin().len() + 2);
        fs::write(root.join("rules/b.toml"), "[rule]\nname = \"half").expect("it can be written");
        let problems = loop {
            match next() {
                Changed::Refused(problems) if problems[0].contains("b.toml:2:") => break problems,
                _ => {}
            }
        };
        assert_eq!(problems.len(), 1);
        fs::remove_file(root.join("rules/b.toml")).expect("it is removed");
        assert!(matches!(next(), Changed::Content(content) if content.files.len() == 1));
    }

    /// A Mac may run for days before it is enrolled, or its profile may simply be slow.
    #[test]
    fn managed_preferences_that_come_late_lock_the_local_folder() {
        let (folder, texts) = texts(&[("a.toml", CURL)], "");
        let builtin = rule::builtin().len();
        assert_eq!(ids(&texts.compile()).len(), builtin + 1);
        let managed = "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict>\
                       <key>health.heartbeat</key><string>10m</string></dict></plist>";
        fs::write(folder.path().join("none.plist"), managed).expect("it can be written");
        let text = fs::read_to_string(folder.path().join("config.toml")).expect("it is there");
        let later = read(&load(folder.path(), &text).0);
        assert_eq!(ids(&later.compile()).len(), builtin);
    }

    #[test]
    fn a_folder_that_is_not_there_holds_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!("[rules]\nfolder = {:?}\n", folder.path().join("none"));
        assert_eq!(read(&load(folder.path(), &text).0).compile().problems, [""; 0]);
    }
}
