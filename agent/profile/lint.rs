//! What is looked at before a profile is written: an MDM and macOS refuse some faults late, and others never.

use std::collections::BTreeSet;

use plist::{Dictionary, Value};

use super::{Profile, is_team};
use crate::identity::PREFIX;

/// The most that managed preferences may be, in bytes: the sensor refuses more.
const MAX_PREFERENCES: usize = 1 << 20;

/// Keys that map teams to bundle ids.
const BY_TEAM: [&str; 3] =
    ["AllowedSystemExtensions", "NonRemovableSystemExtensions", "RemovableSystemExtensions"];

/// Looks at profiles that are to be deployed together, and returns what is wrong, a sentence each.
pub fn lint(profiles: &[Profile]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for profile in profiles {
        let root = match parse(&profile.bytes) {
            Ok(root) => root,
            Err(reason) => {
                problems.push(format!("{}: {reason}", profile.file));
                continue;
            }
        };
        let payloads = root.get("PayloadContent").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let payloads: Vec<&Dictionary> = payloads.iter().filter_map(Value::as_dictionary).collect();
        let mut say = |problem: String| problems.push(format!("{}: {problem}", profile.file));
        if text(&root, "PayloadType") != "Configuration" || payloads.len() != 1 {
            say("it is no configuration of one payload".to_owned());
        }
        for dictionary in std::iter::once(&root).chain(payloads.iter().copied()) {
            for problem in header(dictionary, &mut seen) {
                say(problem);
            }
        }
        for payload in payloads {
            for problem in teams(payload) {
                say(problem);
            }
        }
    }
    problems
}

/// Looks at the profile of the managed configuration alone.
pub(super) fn managed(bytes: &[u8]) -> Vec<String> {
    if bytes.len() <= MAX_PREFERENCES {
        return Vec::new();
    }
    vec![format!(
        "the configuration is of {} KiB with its rules and exceptions, and the sensor takes {} KiB; bring rules by a \
         package, and name their folder in `rules.folder`",
        bytes.len() >> 10,
        MAX_PREFERENCES >> 10
    )]
}

fn parse(bytes: &[u8]) -> Result<Dictionary, String> {
    let value: Value =
        plist::from_bytes(bytes).map_err(|error| format!("it is no property list: {error}"))?;
    value.into_dictionary().ok_or_else(|| "it is no dictionary".to_owned())
}

/// The keys that every profile and payload has.
fn header(dictionary: &Dictionary, seen: &mut BTreeSet<String>) -> Vec<String> {
    let mut problems = Vec::new();
    let (identifier, uuid) = (text(dictionary, "PayloadIdentifier"), text(dictionary, "PayloadUUID"));
    if !identifier.starts_with(&format!("{PREFIX}.")) {
        problems.push(format!("the identifier `{identifier}` does not begin with `{PREFIX}.`"));
    }
    if !is_uuid(uuid) {
        problems.push(format!("`{uuid}` is no UUID"));
    }
    for unique in [identifier, uuid] {
        if !seen.insert(unique.to_owned()) {
            problems.push(format!("`{unique}` is used twice"));
        }
    }
    for key in ["PayloadDisplayName", "PayloadType"] {
        if text(dictionary, key).is_empty() {
            problems.push(format!("{key} is missing"));
        }
    }
    if dictionary.get("PayloadVersion").and_then(Value::as_signed_integer) != Some(1) {
        problems.push("PayloadVersion is not 1".to_owned());
    }
    problems
}

/// Apple, *SystemExtensions*: "It's an error for the same mapping to appear in the dictionary values corresponding to
/// RemovableSystemExtensions and NonRemovableSystemExtensions keys."
fn teams(payload: &Dictionary) -> Vec<String> {
    let mut problems = Vec::new();
    let [_, fixed, removable] = BY_TEAM.map(|key| pairs(payload, key));
    for (team, id) in fixed.intersection(&removable) {
        problems.push(format!("{id} of {team} is removable and non-removable at once"));
    }
    for (team, _) in BY_TEAM.into_iter().flat_map(|key| pairs(payload, key)) {
        if !is_team(&team) {
            problems.push(format!("`{team}` is no team"));
        }
    }
    problems
}

fn pairs(payload: &Dictionary, key: &str) -> BTreeSet<(String, String)> {
    let teams = payload.get(key).and_then(Value::as_dictionary).into_iter().flatten();
    teams
        .flat_map(|(team, ids)| {
            let ids = ids.as_array().map_or(&[][..], Vec::as_slice);
            ids.iter().filter_map(Value::as_string).map(|id| (team.clone(), id.to_owned()))
        })
        .collect()
}

fn text<'a>(dictionary: &'a Dictionary, key: &str) -> &'a str {
    dictionary.get(key).and_then(Value::as_string).unwrap_or_default()
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}
