//! What `profiles show -output stdout-xml` says: a property list, `_computerlevel` with a dictionary for each profile,
//! `ProfileItems` in it with `PayloadType` and `PayloadContent`. Apple documents none of it; that is what others read.

use plist::stream::{Event, XmlReader};
use plist::{Dictionary, Value};

/// How deep the list may nest: profiles in a list, payloads in a profile, services, and a payload's own content.
const MAX_DEPTH: usize = 64;

/// The payloads of the profiles that hold for the whole Mac.
#[derive(Clone, Debug, Default)]
pub(super) struct Profiles {
    payloads: Vec<(String, Dictionary)>,
}

/// What the profiles say about the extension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) allowed: bool,
    pub(super) removable: bool,
    pub(super) non_removable: bool,
}

/// A profile's entry for Full Disk Access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) allowed: bool,
    pub(super) requirement: String,
}

impl Profiles {
    /// Reads them.
    ///
    /// # Errors
    /// It is no property list; why.
    pub(super) fn parse(output: &str) -> Result<Self, String> {
        // Without any profile the answer is a sentence.
        let Some(start) = output.find("<?xml").or_else(|| output.find("<plist")) else {
            return Ok(Profiles::default());
        };
        let root = parse_xml(&output.as_bytes()[start..])?;
        let mut payloads = Vec::new();
        for profile in list(root.as_dictionary().and_then(|root| root.get("_computerlevel"))) {
            for item in list(profile.get("ProfileItems")) {
                let content = item.get("PayloadContent").and_then(Value::as_dictionary);
                let kind = item.get("PayloadType").and_then(Value::as_string);
                if let (Some(kind), Some(content)) = (kind, content) {
                    payloads.push((kind.to_owned(), content.clone()));
                }
            }
        }
        Ok(Profiles { payloads })
    }

    /// What all policies together say about a team's extension.
    pub(super) fn policy(&self, team: &str, id: &str) -> Policy {
        let mut policy = Policy::default();
        for payload in self.of("com.apple.system-extension-policy") {
            let names = |key: &str| {
                let ids = payload.get(key).and_then(Value::as_dictionary).and_then(|teams| teams.get(team));
                texts(ids).any(|own| own == id)
            };
            let whole_team = texts(payload.get("AllowedTeamIdentifiers")).any(|own| own == team);
            policy.allowed |= whole_team || names("AllowedSystemExtensions");
            policy.removable |= names("RemovableSystemExtensions");
            policy.non_removable |= names("NonRemovableSystemExtensions");
        }
        policy
    }

    /// The entries that are about the extension's Full Disk Access.
    pub(super) fn full_disk_access(&self, id: &str) -> Vec<Access> {
        let entries = self.of("com.apple.TCC.configuration-profile-policy").flat_map(|payload| {
            let services = payload.get("Services").and_then(Value::as_dictionary);
            list(services.and_then(|services| services.get("SystemPolicyAllFiles")))
        });
        entries
            .filter(|entry| entry.get("Identifier").and_then(Value::as_string) == Some(id))
            .map(|entry| {
                let authorization = entry.get("Authorization").and_then(Value::as_string);
                let allowed = entry.get("Allowed").map(is_true);
                Access {
                    allowed: allowed.unwrap_or(authorization == Some("Allow")),
                    requirement: entry
                        .get("CodeRequirement")
                        .and_then(Value::as_string)
                        .unwrap_or_default()
                        .to_owned(),
                }
            })
            .collect()
    }

    fn of(&self, kind: &str) -> impl Iterator<Item = &Dictionary> {
        self.payloads.iter().filter(move |(own, _)| own == kind).map(|(_, content)| content)
    }
}

/// Reads a property list of the XML kind, which is what macOS's programs and our bundles write.
///
/// # Errors
/// It is none, or nests deeper than what is read here; why.
pub(super) fn parse_xml(bytes: &[u8]) -> Result<Value, String> {
    // In a binary one an object can be in itself.
    if bytes.starts_with(b"bplist") {
        return Err("it is a binary property list".to_owned());
    }
    if !is_shallow(bytes) {
        return Err("it nests deeper than profiles do".to_owned());
    }
    plist::from_bytes(bytes).map_err(|error| error.to_string())
}

/// `Value` has no bound of its own, and what is freed with it is freed by recursion.
fn is_shallow(output: &[u8]) -> bool {
    let mut depth = 0usize;
    for event in XmlReader::new(output) {
        match event {
            Ok(Event::StartArray(_) | Event::StartDictionary(_)) => depth += 1,
            Ok(Event::EndCollection) => depth = depth.saturating_sub(1),
            Ok(_) => {}
            // Where it is broken, that is told by who reads it.
            Err(_) => return true,
        }
        if depth > MAX_DEPTH {
            return false;
        }
    }
    true
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Dictionary> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_dictionary)
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_string)
}

/// `profiles` writes what was a truth in the profile as a number.
fn is_true(value: &Value) -> bool {
    value.as_boolean() == Some(true) || value.as_signed_integer() == Some(1)
}
