//! Decodes eslogger's JSON: one Endpoint Security message a line.
//!
//! Nearly every line is read by the places of its values (`places`); what is here, by serde, decides where
//! that does not, and says what is wrong. Keys come in any order; those that are not used are skipped
//! without being built. Message versions 6 to 11 (macOS 13 to 27) differ in keys that are optional here, and
//! a later version is read by the keys that it still has. Audit tokens are objects or, in some releases of
//! macOS 26, arrays. Jamf's telemetry, which leaves out what is null, reads too.
//!
//! `mach_time` is left alone: its unit is the recording Mac's clock tick (24 MHz on Apple silicon, 1 GHz on
//! Intel), which no line names.

pub(super) mod places;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use super::problem::LineError;
use crate::observation::{Exec, Image, Message, MessageEvent, Token};
use crate::timestamp;

/// Decodes one line; the message borrows from it what needs no unescaping. Environment variables are kept
/// only if `environment` is set.
pub fn decode(line: &str, environment: bool) -> Result<Message<'_>, LineError> {
    if environment { decode_as::<Vec<Text<'_>>>(line) } else { decode_as::<Dropped>(line) }
}

fn decode_as<'a, E: Environment<'a> + Deserialize<'a>>(line: &'a str) -> Result<Message<'a>, LineError> {
    match serde_json::from_str::<Envelope<'a, E>>(line) {
        Ok(envelope) => Ok(envelope.into_message()),
        Err(error) => {
            // Only now is it worth knowing where: a second, slower decoding tracks the path of keys.
            let mut deserializer = serde_json::Deserializer::from_str(line);
            Err(match serde_path_to_error::deserialize::<_, Envelope<'a, E>>(&mut deserializer) {
                Err(located) => {
                    let path = located.path().to_string();
                    LineError::json("eslogger message", path.trim_matches('.'), located.inner())
                }
                // It is whole, so what follows it is wrong.
                Ok(_) => LineError::json("eslogger message", "", &error),
            })
        }
    }
}

/// Text that is borrowed where JSON did not escape anything in it. (`Option<Cow<str>>` never borrows.)
#[derive(Debug)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

/// How `env` is read: as texts, or not at all.
trait Environment<'a>: Default {
    fn into_texts(self) -> Vec<Cow<'a, str>>;
}

/// Environment variables that nobody asked for.
#[derive(Default, Deserialize)]
#[serde(transparent)]
struct Dropped(IgnoredAny);

#[derive(Deserialize)]
#[serde(bound(deserialize = "E: Environment<'a> + Deserialize<'de>, 'de: 'a"))]
struct Envelope<'a, E> {
    time: Time,
    #[serde(default)]
    version: u32,
    #[serde(default)]
    event_type: u32,
    #[serde(default)]
    seq_num: Option<u64>,
    /// Jamf shortens the name.
    #[serde(default, alias = "glob_seq_num")]
    global_seq_num: Option<u64>,
    process: Process<'a>,
    event: Event<'a, E>,
}

#[derive(Deserialize)]
struct Process<'a> {
    audit_token: AuditToken,
    #[serde(default)]
    parent_audit_token: Option<AuditToken>,
    #[serde(default)]
    responsible_audit_token: Option<AuditToken>,
    #[serde(default)]
    ppid: Pid,
    #[serde(default)]
    original_ppid: Pid,
    #[serde(default)]
    group_id: Pid,
    #[serde(default)]
    session_id: Pid,
    #[serde(default)]
    codesigning_flags: u32,
    #[serde(default)]
    is_platform_binary: bool,
    #[serde(default)]
    is_es_client: bool,
    #[serde(default, borrow)]
    cdhash: Option<Text<'a>>,
    #[serde(default, borrow)]
    signing_id: Option<Text<'a>>,
    #[serde(default, borrow)]
    team_id: Option<Text<'a>>,
    #[serde(default)]
    cs_validation_category: Option<i64>,
    #[serde(borrow)]
    executable: File<'a>,
    #[serde(default, borrow)]
    tty: Option<File<'a>>,
    #[serde(default)]
    start_time: Option<Time>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    path: Text<'a>,
    #[serde(default)]
    path_truncated: bool,
}

/// The object under `event`, whose one key names the kind of event.
enum Event<'a, E> {
    Exec(Box<ExecEvent<'a, E>>),
    Fork(Box<ForkEvent<'a>>),
    Exit(ExitEvent),
    Other(Cow<'a, str>),
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "E: Environment<'a> + Deserialize<'de>, 'de: 'a"))]
struct ExecEvent<'a, E> {
    target: Process<'a>,
    #[serde(default)]
    args: Vec<Text<'a>>,
    #[serde(default)]
    env: E,
    #[serde(default)]
    cwd: Option<File<'a>>,
    #[serde(default)]
    script: Option<File<'a>>,
    #[serde(default)]
    dyld_exec_path: Option<Text<'a>>,
    #[serde(default)]
    image_cputype: Option<i32>,
}

#[derive(Deserialize)]
struct ForkEvent<'a> {
    #[serde(borrow)]
    child: Process<'a>,
}

#[derive(Deserialize)]
struct ExitEvent {
    stat: i32,
}

/// Nanoseconds since 1970, from RFC 3339 text.
struct Time(i64);

/// A process id that is context only: a number that cannot be one (the kernel gives -1 for the session of a
/// process that has none) counts as absent, and so does null.
#[derive(Default)]
struct Pid(Option<u32>);

struct AuditToken(Token);

impl<'a, E: Environment<'a>> Envelope<'a, E> {
    fn into_message(self) -> Message<'a> {
        Message {
            time: self.time.0,
            tick: None,
            version: self.version,
            event_type: self.event_type,
            seq_num: self.seq_num,
            global_seq_num: self.global_seq_num,
            process: self.process.into_image(),
            event: match self.event {
                Event::Exec(exec) => MessageEvent::Exec(Box::new(exec.into_exec())),
                Event::Fork(fork) => MessageEvent::Fork { child: fork.child.into_image() },
                Event::Exit(exit) => MessageEvent::Exit { status: exit.stat },
                Event::Other(name) => MessageEvent::Other(name),
            },
        }
    }
}

impl<'a, E: Environment<'a>> ExecEvent<'a, E> {
    fn into_exec(self) -> Exec<'a> {
        Exec {
            target: self.target.into_image(),
            args: into_texts(self.args),
            env: self.env.into_texts(),
            cwd: self.cwd.map(|file| file.path.0),
            script: self.script.map(|file| file.path.0),
            dyld_exec_path: self.dyld_exec_path.map(|text| text.0),
            cpu_type: self.image_cputype,
        }
    }
}

impl<'a> Process<'a> {
    fn into_image(self) -> Image<'a> {
        Image {
            token: self.audit_token.0,
            parent: self.parent_audit_token.map(|token| token.0.image()),
            responsible: self.responsible_audit_token.map(|token| token.0.image()),
            ppid: self.ppid.0,
            original_ppid: self.original_ppid.0,
            group_id: self.group_id.0,
            session_id: self.session_id.0,
            codesigning_flags: self.codesigning_flags,
            is_platform_binary: self.is_platform_binary,
            is_es_client: self.is_es_client,
            cdhash: present(self.cdhash),
            signing_id: present(self.signing_id),
            team_id: present(self.team_id),
            cs_validation_category: self.cs_validation_category,
            executable: self.executable.path.0,
            executable_truncated: self.executable.path_truncated,
            tty: self.tty.map(|file| file.path.0),
            start: self.start_time.map(|time| time.0),
        }
    }
}

/// Empty counts as absent: Endpoint Security has no other way to say it.
fn present(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.map(|text| text.0).filter(|text| !text.is_empty())
}

fn into_texts(texts: Vec<Text<'_>>) -> Vec<Cow<'_, str>> {
    texts.into_iter().map(|text| text.0).collect()
}

impl<'a> Environment<'a> for Vec<Text<'a>> {
    fn into_texts(self) -> Vec<Cow<'a, str>> {
        into_texts(self)
    }
}

impl<'a> Environment<'a> for Dropped {
    fn into_texts(self) -> Vec<Cow<'a, str>> {
        Vec::new()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'de: 'a, 'a, E: Environment<'a> + Deserialize<'de>> Deserialize<'de> for Event<'a, E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EventVisitor<'a, E>(PhantomData<(&'a str, E)>);

        impl<'de: 'a, 'a, E: Environment<'a> + Deserialize<'de>> Visitor<'de> for EventVisitor<'a, E> {
            type Value = Event<'a, E>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object with one key, the kind of event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let Some(Text(kind)) = map.next_key()? else {
                    return Err(Error::invalid_length(0, &self));
                };
                let event = match &*kind {
                    "exec" => Event::Exec(map.next_value()?),
                    "fork" => Event::Fork(map.next_value()?),
                    "exit" => Event::Exit(map.next_value()?),
                    _ => {
                        map.next_value::<IgnoredAny>()?;
                        Event::Other(kind)
                    }
                };
                match map.next_key::<IgnoredAny>()? {
                    None => Ok(event),
                    Some(_) => Err(Error::invalid_length(2, &self)),
                }
            }
        }

        deserializer.deserialize_map(EventVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeVisitor;

        impl Visitor<'_> for TimeVisitor {
            type Value = Time;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a time of the form 2026-11-24T08:00:00.123456789Z")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Time, E> {
                timestamp::parse(text).map(Time).map_err(|error| E::custom(format!("\"{text}\" is {error}")))
            }
        }

        deserializer.deserialize_str(TimeVisitor)
    }
}

impl<'de> Deserialize<'de> for Pid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PidVisitor;

        impl Visitor<'_> for PidVisitor {
            type Value = Pid;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a process id")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Pid, E> {
                Ok(Pid(u32::try_from(number).ok()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Pid, E> {
                Ok(Pid(u32::try_from(number).ok()))
            }

            fn visit_unit<E: Error>(self) -> Result<Pid, E> {
                Ok(Pid(None))
            }
        }

        deserializer.deserialize_any(PidVisitor)
    }
}

impl<'de> Deserialize<'de> for AuditToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            auid: u32,
            euid: u32,
            egid: u32,
            ruid: u32,
            rgid: u32,
            pid: u32,
            asid: u32,
            pidversion: u32,
        }

        struct TokenVisitor;

        impl<'de> Visitor<'de> for TokenVisitor {
            type Value = AuditToken;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an audit token, an object or an array of 8 numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AuditToken, A::Error> {
                let fields = Fields::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                let Fields { auid, euid, egid, ruid, rgid, pid, asid, pidversion } = fields;
                Ok(AuditToken(Token { auid, euid, egid, ruid, rgid, pid, asid, pidversion }))
            }

            /// The order is the kernel's, that of `audit_token_t.val`.
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<AuditToken, A::Error> {
                let mut values = [0; 8];
                for (at, value) in values.iter_mut().enumerate() {
                    *value = seq.next_element()?.ok_or_else(|| Error::invalid_length(at, &self))?;
                }
                if seq.next_element::<IgnoredAny>()?.is_some() {
                    return Err(Error::invalid_value(Unexpected::Other("more than 8 values"), &self));
                }
                let [auid, euid, egid, ruid, rgid, pid, asid, pidversion] = values;
                Ok(AuditToken(Token { auid, euid, egid, ruid, rgid, pid, asid, pidversion }))
            }
        }

        deserializer.deserialize_any(TokenVisitor)
    }
}

#[cfg(test)]
mod tests;
