//! What a test says happens, as it was written.

use std::collections::BTreeMap;

use eql::{Diagnostic, Span};
use serde_json::{Map, Value as Json};

use super::table::{Placed, Table};

/// What happens in a test: processes by the names that it gives them, and events.
#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) processes: std::sync::Arc<BTreeMap<String, Definition>>,
    pub(super) events: Vec<Happening>,
    /// Whether forks are in the recording, as they are not in that of `eslogger exec`.
    pub(super) forks: bool,
}

/// What is said of a process, under `[processes]` or where it starts; what is not said has a default.
#[derive(Clone, Debug, Default)]
pub(super) struct Definition {
    /// Its executable; where it is said in `[processes]`.
    pub(super) path: Option<String>,
    pub(super) parent: Option<Placed<String>>,
    pub(super) responsible: Option<Placed<String>>,
    pub(super) user: Option<u32>,
    pub(super) args: Option<Vec<String>>,
    /// The package whose install script it runs.
    pub(super) package: Option<String>,
    /// The file whose `#!` line is run; with a package, which of its scripts.
    pub(super) script: Option<String>,
    pub(super) cwd: Option<String>,
    pub(super) signing_id: Option<String>,
    pub(super) team_id: Option<String>,
    pub(super) platform: Option<bool>,
    pub(super) host: Option<Placed<String>>,
}

/// One entry of `events`.
#[derive(Clone, Debug)]
pub(super) struct Happening {
    pub(super) span: Span,
    pub(super) what: What,
    pub(super) when: When,
    pub(super) label: Option<Placed<String>>,
    /// It happens, but the recording lacks it.
    pub(super) lost: bool,
}

/// What happens.
#[derive(Clone, Debug)]
pub(super) enum What {
    Exec {
        program: Placed<String>,
        name: Option<Placed<String>>,
        /// The process whose image is replaced; none is forked.
        within: Option<Placed<String>>,
        /// The ended process whose pid this one has.
        reuses: Option<Placed<String>>,
        definition: Box<Definition>,
    },
    Fork {
        parent: Placed<String>,
        name: Placed<String>,
    },
    Exit {
        process: Placed<String>,
        code: u32,
    },
    Flow {
        process: Placed<String>,
        ends: bool,
        destination: Destination,
        with: Map<String, Json>,
    },
    Raw(Placed<Map<String, Json>>),
}

/// Where a flow goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Destination {
    pub(super) ip: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) port: Option<u32>,
}

/// When it happens, in nanoseconds.
#[derive(Clone, Debug)]
pub(super) enum When {
    /// With what came before it.
    Then,
    /// After the test's start.
    At(Placed<i64>),
    /// After the event before it, or the one that is named.
    After(Placed<i64>, Option<Placed<String>>),
}

/// Where a flow goes that says nothing of it: an address of the range for documentation (RFC 5737).
const DESTINATION: (&str, u32) = ("192.0.2.1", 443);

const DEFINITION: &[&str] = &[
    "path",
    "parent",
    "responsible",
    "user",
    "args",
    "package",
    "script",
    "cwd",
    "signing_id",
    "team_id",
    "platform",
    "host",
];
const COMMON: &[&str] = &["at", "after", "since", "label", "lost"];
const KEYS: &[&str] = &["as", "in", "reuses", "code", "to", "port", "domain", "with"];
const ACTIONS: &[&str] = &["exec", "fork", "exit", "connect", "disconnect", "raw"];

/// Reads `[processes]`.
pub(super) fn processes(table: &mut Table<'_>) -> Result<BTreeMap<String, Definition>, Diagnostic> {
    let mut processes = BTreeMap::new();
    for (name, mut table) in table.named_tables("processes")? {
        let path = table.text("path")?;
        let mut definition = Definition::read(&mut table)?;
        table.finish("a process", DEFINITION)?;
        definition.path = path.map(|path| path.value);
        processes.insert(name.value, definition);
    }
    Ok(processes)
}

impl Definition {
    fn read(table: &mut Table<'_>) -> Result<Self, Diagnostic> {
        let mut text = |name: &str| -> Result<_, Diagnostic> { Ok(table.text(name)?.map(|text| text.value)) };
        let (package, script, cwd) = (text("package")?, text("script")?, text("cwd")?);
        let (signing_id, team_id) = (text("signing_id")?, text("team_id")?);
        Ok(Definition {
            path: None,
            parent: table.text("parent")?,
            responsible: table.text("responsible")?,
            user: table.number("user", u32::MAX)?.map(|user| user.value),
            args: table.words("args")?,
            platform: table.flag("platform")?.map(|flag| flag.value),
            package,
            script,
            cwd,
            signing_id,
            team_id,
            host: table.text("host")?,
        })
    }

    /// Returns what this one says, and what `other` says of the rest.
    pub(super) fn or(&self, other: Option<&Definition>) -> Definition {
        let Some(other) = other else { return self.clone() };
        Definition {
            path: self.path.clone().or_else(|| other.path.clone()),
            parent: self.parent.clone().or_else(|| other.parent.clone()),
            responsible: self.responsible.clone().or_else(|| other.responsible.clone()),
            user: self.user.or(other.user),
            args: self.args.clone().or_else(|| other.args.clone()),
            package: self.package.clone().or_else(|| other.package.clone()),
            script: self.script.clone().or_else(|| other.script.clone()),
            cwd: self.cwd.clone().or_else(|| other.cwd.clone()),
            signing_id: self.signing_id.clone().or_else(|| other.signing_id.clone()),
            team_id: self.team_id.clone().or_else(|| other.team_id.clone()),
            platform: self.platform.or(other.platform),
            host: self.host.clone().or_else(|| other.host.clone()),
        }
    }
}

/// Reads an entry of `events`.
pub(super) fn happening(mut table: Table<'_>) -> Result<Happening, Diagnostic> {
    let span = table.span;
    let named: Vec<(&str, Span)> =
        ACTIONS.iter().filter_map(|action| Some((*action, table.place(action)?))).collect();
    let action = match named.as_slice() {
        [(action, _)] => *action,
        [] => {
            let hint = format!("give it one of {}", ACTIONS.join(", "));
            // A key that is misspelt says more.
            table.finish("an event", &[ACTIONS, COMMON, DEFINITION, KEYS].concat())?;
            return Err(Diagnostic::error(span, "this event does not say what happens").with_hint(hint));
        }
        [.., (action, second)] => {
            let message = format!("an event is one thing: `{}` and `{action}` are two", named[0].0);
            return Err(Diagnostic::error(*second, message));
        }
    };
    let when = when(&mut table)?;
    let label = table.text("label")?;
    let lost = table.flag("lost")?.is_some_and(|lost| lost.value);
    // The key of the action is there, so it gives a value or an error.
    let process = |table: &mut Table<'_>| {
        let missing = || Diagnostic::error(span, format!("`{action}` names a process"));
        table.text(action)?.ok_or_else(missing)
    };
    let (what, article, keys): (What, &str, &[&str]) = match action {
        "exec" => {
            let program = process(&mut table)?;
            let (name, within, reuses) = (table.text("as")?, table.text("in")?, table.text("reuses")?);
            let definition = Box::new(Definition::read(&mut table)?);
            let what = What::Exec { program, name, within, reuses, definition };
            (what, "an exec", &["as", "in", "reuses"])
        }
        "fork" => {
            let parent = process(&mut table)?;
            let hint = "give it `as = \"child\"`: an exec with `in = \"child\"` then says what it becomes";
            let missing = || Diagnostic::error(span, "a fork's child has no name").with_hint(hint);
            let name = table.text("as")?.ok_or_else(missing)?;
            (What::Fork { parent, name }, "a fork", &["as"])
        }
        "exit" => {
            let process = process(&mut table)?;
            let code = table.number("code", 255)?.map_or(0, |code| code.value);
            (What::Exit { process, code }, "an exit", &["code"])
        }
        "raw" => match table.json("raw")? {
            Some(line) => (What::Raw(line), "a raw event", &[]),
            None => return Err(Diagnostic::error(span, "`raw` is a table or text")),
        },
        action => {
            let process = process(&mut table)?;
            let destination = destination(&mut table)?;
            let with = table.json("with")?.map(|with| with.value).unwrap_or_default();
            let ends = action == "disconnect";
            (
                What::Flow { process, ends, destination, with },
                "a connection",
                &["to", "port", "domain", "with"],
            )
        }
    };
    let more: &[&str] = if action == "exec" { &DEFINITION[1..] } else { &[] };
    table.finish(article, &[keys, more, COMMON].concat())?;
    Ok(Happening { span, what, when, label, lost })
}

/// Reads `to`, `port` and `domain`; a flow that says none of them goes somewhere.
fn destination(table: &mut Table<'_>) -> Result<Destination, Diagnostic> {
    let (ip, domain) = (table.text("to")?, table.text("domain")?);
    if let Some(ip) = ip.as_ref().filter(|ip| ip.value.parse::<std::net::IpAddr>().is_err()) {
        let message = format!("`to` is an address, and {:?} is none", ip.value);
        return Err(Diagnostic::error(ip.span, message).with_hint("a name goes under `domain`"));
    }
    let port = table.number("port", u32::from(u16::MAX))?.map(|port| port.value);
    let ip = ip.map(|ip| ip.value);
    let domain = domain.map(|domain| domain.value);
    if ip.is_none() && domain.is_none() {
        return Ok(Destination {
            ip: Some(DESTINATION.0.into()),
            domain,
            port: port.or(Some(DESTINATION.1)),
        });
    }
    Ok(Destination { ip, domain, port: port.or(Some(DESTINATION.1)) })
}

fn when(table: &mut Table<'_>) -> Result<When, Diagnostic> {
    let mut duration = |name: &str| match table.text(name)? {
        None => Ok(None),
        Some(Placed { value, span }) => match nanoseconds(&value) {
            Some(value) => Ok(Some(Placed { value, span })),
            None => {
                let message = format!("{value:?} is no time");
                let hint = "write a number and a unit: 30s, 29.999s, 1ms, 5m or 2h, at most ten years";
                Err(Diagnostic::error(span, message).with_hint(hint))
            }
        },
    };
    let (at, after) = (duration("at")?, duration("after")?);
    let since = table.text("since")?;
    match (at, after, since) {
        (None, None, None) => Ok(When::Then),
        (Some(at), None, None) => Ok(When::At(at)),
        (None, Some(after), since) => Ok(When::After(after, since)),
        (Some(_), Some(after), _) => {
            Err(Diagnostic::error(after.span, "an event is either `at` a time or `after` another event"))
        }
        (_, None, Some(since)) => Err(Diagnostic::error(since.span, "`since` goes with `after`")),
    }
}

/// Returns the nanoseconds of a number and a unit: `29.999s`. At most ten years, and not finer than a nanosecond.
fn nanoseconds(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 4] =
        [("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];
    const LARGEST: i64 = 10 * 366 * 24 * 3_600_000_000_000;
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let unit = UNITS.iter().find(|(name, _)| *name == unit)?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let part = fraction.parse::<i128>().ok()? * i128::from(unit) / 10_i128.pow(fraction.len() as u32);
    let whole = i128::from(whole.parse::<i64>().ok()?) * i128::from(unit);
    i64::try_from(whole + part).ok().filter(|nanoseconds| *nanoseconds <= LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_time() {
        for (text, expected) in [
            ("30s", Some(30_000_000_000)),
            ("29.999s", Some(29_999_000_000)),
            ("1ms", Some(1_000_000)),
            ("0.000000001s", Some(1)),
            ("1.5m", Some(90_000_000_000)),
            ("2h", Some(7_200_000_000_000)),
            ("30", None),
            ("s", None),
            ("-1s", None),
            ("1.s", None),
            (".5s", None),
            ("1d", None),
            ("1.0000000000s", None),
            ("99999999999999999999h", None),
            ("9223372036854775807s", None),
            ("1s ", None),
            ("é", None),
        ] {
            assert_eq!(nanoseconds(text), expected, "{text}");
        }
    }
}
