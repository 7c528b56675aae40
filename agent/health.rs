//! Health documents: what the sensor says about itself (`event.kind: state`).

use serde_json::{Map, Value as Json, json};

use crate::alert::own_document;
use crate::event::Host;
use crate::timestamp;

/// One thing that the sensor says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// `event.action`: what happened, one word for programs.
    pub action: &'static str,
    /// `message`: a sentence for people.
    pub message: String,
    /// `vedette.health`: the facts, an object.
    pub facts: Json,
}

impl Health {
    /// The sensor runs.
    pub fn start(pid: u32) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Health {
            action: "start",
            message: format!("the sensor {version} runs as process {pid}"),
            facts: json!({ "version": version, "pid": pid }),
        }
    }

    /// The sensor ends, and why.
    pub fn stop(why: &str) -> Self {
        Health { action: "stop", message: format!("the sensor ends: {why}"), facts: json!({ "why": why }) }
    }

    /// Nothing was seen from one wall time to another (nanoseconds since 1970), and why.
    pub fn blind(from: i64, to: i64, why: &str) -> Self {
        let (from, to) = (timestamp::format(from), timestamp::format(to));
        Health {
            action: "blind_window",
            message: format!("nothing was seen from {from} to {to}: {why}"),
            facts: json!({ "from": from, "to": to, "why": why }),
        }
    }

    /// Something did not reach the rules or a file since the last such document: how many of what.
    pub fn loss(lost: &[(&'static str, u64)]) -> Self {
        let counts: Vec<String> = lost.iter().map(|(what, count)| format!("{count} {what}")).collect();
        Health {
            action: "loss",
            message: format!("lost: {}", counts.join(", ")),
            facts: lost.iter().map(|(what, count)| ((*what).to_owned(), Json::from(*count))).collect(),
        }
    }

    /// The wall clock was set, by so many nanoseconds.
    pub fn clock_step(by: i64) -> Self {
        let seconds = by as f64 / 1e9;
        Health {
            action: "clock_step",
            message: format!("the clock was set by {seconds:+.3} s; windows are measured by another one"),
            facts: json!({ "by_ns": by }),
        }
    }

    /// Something does not work, by a key that stays the same, and why.
    pub fn degraded(what: &str, why: &str) -> Self {
        Health {
            action: "degraded",
            message: format!("{what}: {why}"),
            facts: json!({ "what": what, "why": why }),
        }
    }

    /// What did not work works again.
    pub fn recovered(what: &str) -> Self {
        Health {
            action: "recovered",
            message: format!("{what}: works again"),
            facts: json!({ "what": what }),
        }
    }

    /// A network source was chosen, or none, and why.
    pub fn source_chosen(source: &str, why: &str) -> Self {
        Health {
            action: "source_chosen",
            message: format!("network connections come from {source}: {why}"),
            facts: json!({ "source": source, "why": why }),
        }
    }

    /// Configuration or rules were loaded: what, and for each file its path, SHA-256 and owner's uid.
    pub fn loaded(what: &'static str, files: &[LoadedFile]) -> Self {
        let action = if what == "rules" { "rules_loaded" } else { "configuration_loaded" };
        let files: Vec<Json> = files
            .iter()
            .map(|file| json!({ "path": file.path, "sha256": file.sha256, "owner": file.owner }))
            .collect();
        Health {
            action,
            message: format!("{what} loaded from {} files", files.len()),
            facts: json!({ "files": files }),
        }
    }

    /// The sensor ends by an error of its own.
    pub fn panic(reason: &str) -> Self {
        Health { action: "panic", message: reason.to_owned(), facts: json!({ "reason": reason }) }
    }

    /// Three panics in five minutes: built-in rules and documented sources only.
    pub fn safe_mode(why: &str) -> Self {
        Health {
            action: "safe_mode",
            message: format!("safe mode, built-in rules and documented sources only: {why}"),
            facts: json!({ "why": why }),
        }
    }

    /// All is as the facts say.
    pub fn heartbeat(facts: Json) -> Self {
        Health { action: "heartbeat", message: "the sensor runs".to_owned(), facts }
    }

    /// Returns the document, at a wall time in nanoseconds since 1970.
    pub fn document(&self, time: i64, host: &Host) -> Map<String, Json> {
        own_document(
            time,
            "state",
            json!({
                "event": { "action": self.action },
                "message": self.message,
                "agent": { "type": "vedette", "version": env!("CARGO_PKG_VERSION") },
                "host": { "id": &*host.id, "name": host.name.as_deref() },
                "vedette": { "health": self.facts },
            }),
        )
    }
}

/// A file that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedFile {
    /// Its path; for what is built in, its path in the source tree.
    pub path: String,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
    /// The uid of its owner; none for what is built in or managed.
    pub owner: Option<u32>,
}
