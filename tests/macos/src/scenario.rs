//! What Endpoint Security is to tell, as data: `tests/macos/scenarios/*.toml`.

use serde::Deserialize;
use std::sync::OnceLock;

/// A scenario file. `MACOS_ABI_SCENARIO` names it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Scenario {
    /// What es_new_client returns, by `es_new_client_result_t`'s numbers: one for each call, then 0, success.
    pub(super) new_client: Vec<u32>,
    /// What is delivered, in order.
    pub(super) messages: Vec<Message>,
    /// How often the whole of it is delivered; 0 is once.
    pub(super) repeat: u64,
}

/// One message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    /// `exec`, `fork`, `exit`, or a number of `es_event_type_t` that the client does not know.
    pub(super) event: Event,
    /// How long delivery waits before it, in milliseconds.
    #[serde(default)]
    pub(super) after_ms: u64,
    /// The version of its layout.
    #[serde(default = "nine")]
    pub(super) version: u32,
    /// How many messages of its kind, and of all, are lost before it.
    #[serde(default)]
    pub(super) lost_before: u64,
    /// Who acted.
    pub(super) process: Process,
    /// exec: the new image; fork: the child.
    pub(super) target: Option<Process>,
    /// exec: argv.
    #[serde(default)]
    pub(super) args: Vec<String>,
    /// exec: how many bytes an argument has that is appended to `args`.
    #[serde(default)]
    pub(super) long_argument: usize,
    /// exec: the script that is interpreted.
    pub(super) script: Option<String>,
    /// exit: as wait(2) gives it.
    #[serde(default)]
    pub(super) status: i32,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Event {
    Named(Kind),
    Number(u32),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Exec = 9,
    Fork = 11,
    Exit = 15,
}

impl Event {
    /// `es_event_type_t`
    pub(super) fn number(&self) -> u32 {
        match self {
            Self::Named(kind) => *kind as u32,
            Self::Number(number) => *number,
        }
    }
}

/// A process as a message names it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Process {
    pub(super) pid: u32,
    #[serde(default = "one")]
    pub(super) pidversion: u32,
    #[serde(default = "one")]
    pub(super) ppid: u32,
    #[serde(default = "one")]
    pub(super) parent_pidversion: u32,
    /// Itself, where it is left out.
    pub(super) responsible_pid: Option<u32>,
    #[serde(default)]
    pub(super) uid: u32,
    pub(super) path: String,
    #[serde(default)]
    pub(super) path_truncated: bool,
    #[serde(default)]
    pub(super) signing_id: String,
    #[serde(default)]
    pub(super) team_id: String,
    #[serde(default)]
    pub(super) platform: bool,
}

fn one() -> u32 {
    1
}

fn nine() -> u32 {
    9
}

/// The scenario; without a file, nothing happens on the Mac.
///
/// # Panics
/// If the file cannot be read: a test that is set up wrongly must not pass.
pub(super) fn scenario() -> &'static Scenario {
    static SCENARIO: OnceLock<Scenario> = OnceLock::new();
    SCENARIO.get_or_init(|| {
        let Some(path) = std::env::var_os("MACOS_ABI_SCENARIO") else { return Scenario::default() };
        let shown = path.display();
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {shown}: {error}"));
        toml::from_str(&text).unwrap_or_else(|error| panic!("{shown}: {error}"))
    })
}
