//! Managed configuration: the keys of a config.toml, rules and exceptions as text, in the sensor's own domain.

use std::path::{Path, PathBuf};

use plist::Value;

use super::{Payload, Profile, dictionary};
use crate::config::{self, Config, KEYS, Loaded, Origin, SECTIONS};
use crate::detector::RuleSet;
use crate::identity;
use crate::rule::{self, Content, RuleFile};
use crate::{content, exception, schema};

/// What the managed preferences of a fleet's sensors hold.
#[derive(Clone, Debug)]
pub struct Configuration {
    config: Config,
    /// The keys that are set, as `section.key`.
    keys: Vec<&'static str>,
    /// What a person should know of it, a sentence each.
    pub notes: Vec<String>,
}

/// Why a configuration cannot be rolled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// A path cannot be read, in a sentence.
    Unreadable(String),
    /// The sensor would refuse some of it: what, each as it is shown to people.
    Refused(Vec<String>),
}

impl Configuration {
    /// Makes it from a configuration file and files or folders of rules and exceptions, whose texts it carries. Without
    /// a file it names the folders of rules and exceptions, so that what packages bring there goes on to count.
    ///
    /// # Errors
    /// Something cannot be read, or the sensor would refuse it: what reaches every Mac has to be right.
    pub fn new(file: Option<&Path>, rules: &[PathBuf], exceptions: &[PathBuf]) -> Result<Self, Unusable> {
        let mut made = match file {
            Some(file) => Self::from_file(file)?,
            None => Configuration {
                config: Config::default(),
                keys: vec!["rules.folder", "exceptions.folder"],
                notes: Vec::new(),
            },
        };
        let mut refused = Vec::new();
        let mut files = Vec::new();
        for path in rules {
            for (path, text) in rule::texts(path, "rules").map_err(Unusable::Unreadable)? {
                match text.map(|text| (rule::parse(&path, &text, "inline"), text)) {
                    Ok((Content::Skipped { reason, .. }, _)) => {
                        made.notes.push(format!("{}: left out: {reason}", path.display()));
                    }
                    Ok((content, text)) => {
                        made.config.rules.inline.push(text);
                        files.push(RuleFile { path, content });
                    }
                    Err(finding) => refused.push(finding.rendered),
                }
            }
        }
        // Once by themselves, so that what is wrong is told by the file in which it stands.
        let loaded = RuleSet::load_over(schema::schema(), files, Vec::new());
        let errors = loaded.findings.into_iter().filter(|found| found.level == eql::Level::Error);
        refused.extend(errors.map(|finding| finding.rendered));
        for path in exceptions {
            for (file, text) in rule::texts(path, "exceptions").map_err(Unusable::Unreadable)? {
                match text {
                    Ok(text) => {
                        let findings = exception::parse(&file, &text).findings;
                        let errors = findings.into_iter().filter(|found| found.level == eql::Level::Error);
                        refused.extend(errors.map(|finding| finding.rendered));
                        made.config.exceptions.inline.push(text);
                    }
                    Err(finding) => refused.push(finding.rendered),
                }
            }
        }
        for (key, list) in [
            ("rules.inline", &made.config.rules.inline),
            ("exceptions.inline", &made.config.exceptions.inline),
        ] {
            if !list.is_empty() && !made.keys.contains(&key) {
                made.keys.push(key);
            }
        }
        if refused.is_empty() { made.checked() } else { Err(Unusable::Refused(refused)) }
    }

    fn from_file(file: &Path) -> Result<Self, Unusable> {
        if let Err(error) = file.symlink_metadata() {
            let reason = format!("{}: the configuration cannot be read: {error}", file.display());
            return Err(Unusable::Unreadable(reason));
        }
        let loaded = config::load_file(file);
        let refused = errors(&loaded);
        if !refused.is_empty() {
            return Err(Unusable::Refused(refused));
        }
        let set = KEYS.iter().filter(|key| loaded.origin(key) == Origin::File).map(|key| key.path);
        let keys: Vec<&'static str> = set.collect();
        // Who owns the file here says nothing about the Macs.
        let mut notes: Vec<String> = loaded
            .findings
            .iter()
            .filter(|finding| finding.position.is_some())
            .map(|finding| finding.rendered.trim_end().to_owned())
            .collect();
        for (what, key) in [("rules", "rules.folder"), ("exceptions", "exceptions.folder")] {
            if !keys.contains(&key) {
                notes.push(format!(
                    "{what} that lie on the Macs will not count; where packages bring them, set `{key}`"
                ));
            }
        }
        Ok(Configuration { config: loaded.config, keys, notes })
    }

    /// Lets the sensor read what it will be given.
    fn checked(self) -> Result<Self, Unusable> {
        let bytes = self.profile().bytes;
        let mut refused = super::lint::managed(&bytes);
        if refused.is_empty() {
            let loaded = config::load_managed(Path::new("configuration.mobileconfig"), self.preferences());
            refused = errors(&loaded);
            if refused.is_empty() {
                refused = content::inline(&loaded).compile().problems;
            }
        }
        if refused.is_empty() { Ok(self) } else { Err(Unusable::Refused(refused)) }
    }

    /// Returns the property list that macOS will make of the profile, as the sensor reads it.
    fn preferences(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Nothing but memory is written to.
        dictionary(self.sections()).to_writer_xml(&mut bytes).expect("memory takes a property list");
        bytes
    }

    pub(super) fn profile(&self) -> Profile {
        Payload {
            file: "configuration.mobileconfig",
            identifier: "configuration",
            part: "configuration",
            payload_type: identity::managed_domain(),
            name: "Vedette: configuration",
            about: "configures the sensor, with its rules and exceptions, in the place of local files",
            content: self.sections(),
        }
        .profile()
    }

    /// Returns a dictionary for each section of which a key is set.
    fn sections(&self) -> Vec<(&'static str, Value)> {
        let keys = |section: &str| {
            let of_section =
                KEYS.iter().filter(|key| key.names().0 == section && self.keys.contains(&key.path));
            of_section.map(|key| (key.names().1, property(key.value(&self.config)))).collect::<Vec<_>>()
        };
        let sections = SECTIONS.iter().map(|section| (section.name, keys(section.name)));
        sections.filter(|(_, keys)| !keys.is_empty()).map(|(name, keys)| (name, dictionary(keys))).collect()
    }
}

fn errors(loaded: &Loaded) -> Vec<String> {
    let errors = loaded.findings.iter().filter(|finding| finding.level == eql::Level::Error);
    errors.map(|finding| finding.rendered.clone()).collect()
}

/// A key's value is a text, a number, a truth, or a list of texts: see `agent/config/setting.rs`.
fn property(value: toml::Value) -> Value {
    match value {
        toml::Value::Boolean(value) => Value::Boolean(value),
        toml::Value::Integer(value) => Value::from(value),
        toml::Value::Array(items) => Value::Array(items.into_iter().map(property).collect()),
        toml::Value::String(text) => Value::String(text),
        other => Value::String(other.to_string()),
    }
}
