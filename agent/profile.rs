//! Configuration profiles for an MDM: what a fleet's Macs need before the sensor can work without a person at each.
//!
//! A file for each matter, so that changing one touches no other: removing or replacing the policy that allows the
//! extension can end it (Apple, *SystemExtensions*: "removing a payload that allows the extension deactivates that
//! extension"). Identifiers and UUIDs come from the build's prefix alone, and the same input gives the same bytes.

mod configuration;
mod lint;
#[cfg(test)]
mod tests;
mod uuid;

use plist::{Dictionary, Value};

pub use self::configuration::{Configuration, Unusable};
pub use self::lint::lint;

use crate::code_signature::{CodeSignature, Requirement};
use crate::identity::{self, PREFIX};

/// A configuration profile, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name of its file.
    pub file: &'static str,
    /// Its `PayloadIdentifier`: an MDM puts a profile in the place of one with the same.
    pub identifier: String,
    /// Its `PayloadUUID`.
    pub uuid: String,
    /// The type of its one payload.
    pub payload_type: String,
    /// What it is for, in a sentence.
    pub about: &'static str,
    /// The file, an XML property list.
    pub bytes: Vec<u8>,
}

/// Who signs the sensor, and what its program must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The team, ten letters and digits.
    pub team: String,
    /// What macOS asks of the program before it grants Full Disk Access.
    pub requirement: Requirement,
    /// Whether the requirement is the program's own; else it is made of identifier and team.
    pub designated: bool,
}

/// What an allowed extension may be.
const EXTENSION_TYPE: &str = "EndpointSecurityExtension";

impl Signer {
    /// Takes who signs from a team's name alone: a Developer ID of that team.
    ///
    /// # Errors
    /// It cannot be a team.
    pub fn of_team(team: &str) -> Result<Self, String> {
        if !is_team(team) {
            return Err(
                "a team is ten capital letters and digits, like ABCDE12345: see Membership on developer.apple.com"
                    .to_owned(),
            );
        }
        let requirement = Requirement::developer_id(&identity::sensor_id(), team);
        Ok(Signer { team: team.to_owned(), requirement, designated: false })
    }

    /// Takes who signs from the extension's program, one signature for each architecture. `team` is what was expected,
    /// if anything was.
    ///
    /// # Errors
    /// It is not the extension, not signed by a team, by another one than expected, or its architectures differ.
    pub fn of_program(signatures: &[CodeSignature], team: Option<&str>) -> Result<Self, String> {
        let Some((first, others)) = signatures.split_first() else {
            return Err("the program holds no architecture".to_owned());
        };
        let differs = |other: &CodeSignature| {
            (&other.identifier, &other.team, &other.designated)
                != (&first.identifier, &first.team, &first.designated)
        };
        if others.iter().any(differs) {
            return Err(
                "its architectures are signed differently; sign the universal program as one".to_owned()
            );
        }
        let sensor = identity::sensor_id();
        if first.identifier != sensor {
            return Err(format!(
                "it is signed as `{}`, and the sensor is `{sensor}`: name the program of the extension, and use the \
                 `vedette` of the same build",
                first.identifier
            ));
        }
        let Some(own) = first.team.as_deref().filter(|own| is_team(own) && !first.adhoc) else {
            return Err(
                "no team signed it, so macOS could grant it nothing for longer than this build; sign it with a \
                 Developer ID Application certificate"
                    .to_owned(),
            );
        };
        if let Some(team) = team.filter(|team| *team != own) {
            return Err(format!("the team {own} signed it, and not {team}"));
        }
        match &first.designated {
            Some(designated) if designated.is_for(&sensor, own) => {
                Ok(Signer { team: own.to_owned(), requirement: designated.clone(), designated: true })
            }
            _ => Signer::of_team(own),
        }
    }
}

/// Makes the profiles of a fleet. The order is that in which they are to be deployed.
pub fn deployment(signer: &Signer, configuration: &Configuration) -> Vec<Profile> {
    vec![
        system_extension(signer, "system-extension.mobileconfig", false),
        full_disk_access(signer),
        background_items(signer),
        configuration.profile(),
    ]
}

/// Makes the profile that lets the app remove its extension without a person. It takes the place of the system
/// extension policy, for it has the same identifier: both at once would name the extension as removable and as not,
/// which Apple calls an error, and without either the extension would lose its permission.
pub fn removal(signer: &Signer) -> Profile {
    system_extension(signer, "removal.mobileconfig", true)
}

/// Whether a text can be a team: Apple's have ten capital letters and digits.
pub fn is_team(text: &str) -> bool {
    text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// `com.apple.system-extension-policy`. The non-removable key is for macOS 15 and later; earlier ones do not know it.
fn system_extension(signer: &Signer, file: &'static str, removable: bool) -> Profile {
    let of_team = |values: &[&str]| {
        let values = values.iter().map(|value| Value::from(*value)).collect();
        dictionary([(signer.team.as_str(), Value::Array(values))])
    };
    let sensor = identity::sensor_id();
    let standing = if removable { "RemovableSystemExtensions" } else { "NonRemovableSystemExtensions" };
    let (about, name) = if removable {
        (
            "lets the app remove its extension; takes the place of system-extension, for a while",
            "Vedette: removal",
        )
    } else {
        ("allows the extension, and on macOS 15 and later keeps it from being removed", "Vedette: extension")
    };
    let part = if removable { "removal" } else { "system-extension" };
    Payload {
        file,
        identifier: "system-extension",
        part,
        payload_type: "com.apple.system-extension-policy".to_owned(),
        name,
        about,
        content: vec![
            ("AllowedSystemExtensions", of_team(&[&sensor])),
            ("AllowedSystemExtensionTypes", of_team(&[EXTENSION_TYPE])),
            (standing, of_team(&[&sensor])),
        ],
    }
    .profile()
}

/// `com.apple.TCC.configuration-profile-policy`.
fn full_disk_access(signer: &Signer) -> Profile {
    let service = dictionary([
        ("Allowed", Value::Boolean(true)),
        ("CodeRequirement", signer.requirement.to_string().into()),
        ("Comment", "The sensor: Endpoint Security needs Full Disk Access".into()),
        ("Identifier", identity::sensor_id().into()),
        ("IdentifierType", "bundleID".into()),
        ("StaticCode", Value::Boolean(false)),
    ]);
    Payload {
        file: "full-disk-access.mobileconfig",
        identifier: "full-disk-access",
        part: "full-disk-access",
        payload_type: "com.apple.TCC.configuration-profile-policy".to_owned(),
        name: "Vedette: Full Disk Access",
        about: "gives the sensor Full Disk Access, without which Endpoint Security refuses it",
        content: vec![("Services", dictionary([("SystemPolicyAllFiles", Value::Array(vec![service]))]))],
    }
    .profile()
}

/// `com.apple.servicemanagement`, macOS 13 and later. What the package lets launchd run is a script, which no team signs:
/// it is told by its label.
fn background_items(signer: &Signer) -> Profile {
    let rule = |kind: &str, value: &str| {
        dictionary([("Comment", "Vedette".into()), ("RuleType", kind.into()), ("RuleValue", value.into())])
    };
    let rules = vec![rule("TeamIdentifier", &signer.team), rule("LabelPrefix", &format!("{PREFIX}."))];
    Payload {
        file: "background-items.mobileconfig",
        identifier: "background-items",
        part: "background-items",
        payload_type: "com.apple.servicemanagement".to_owned(),
        name: "Vedette: background items",
        about: "keeps macOS from asking people about what Vedette runs in the background",
        content: vec![("Rules", Value::Array(rules))],
    }
    .profile()
}

/// What a profile is made of.
struct Payload<'a> {
    file: &'static str,
    /// The last part of the profile's identifier.
    identifier: &'static str,
    /// What its UUIDs and the payload's identifier are made of; another one for each file.
    part: &'static str,
    payload_type: String,
    name: &'static str,
    about: &'static str,
    content: Vec<(&'a str, Value)>,
}

impl Payload<'_> {
    fn profile(self) -> Profile {
        let identifier = format!("{PREFIX}.profile.{}", self.identifier);
        let uuid = uuid::of(&format!("{PREFIX}.profile.{}", self.part));
        let inner = format!("{PREFIX}.profile.{}.payload", self.part);
        let header = |name: &str, payload_type: &str, identifier: &str, uuid: &str| {
            [
                ("PayloadDisplayName", Value::from(name)),
                ("PayloadIdentifier", identifier.into()),
                ("PayloadOrganization", "Vedette".into()),
                ("PayloadType", payload_type.into()),
                ("PayloadUUID", uuid.into()),
                ("PayloadVersion", Value::from(1)),
            ]
        };
        let payload_header = header(self.name, &self.payload_type, &inner, &uuid::of(&inner));
        let payload = dictionary(payload_header.into_iter().chain(self.content));
        let about = [
            ("PayloadContent", Value::Array(vec![payload])),
            ("PayloadDescription", self.about.into()),
            ("PayloadScope", "System".into()),
        ];
        let root =
            dictionary(header(self.name, "Configuration", &identifier, &uuid).into_iter().chain(about));
        let mut bytes = Vec::new();
        // Nothing but memory is written to, and a dictionary of texts and numbers is always a property list.
        root.to_writer_xml(&mut bytes).expect("memory takes a property list");
        bytes.push(b'\n');
        Profile {
            file: self.file,
            identifier,
            uuid,
            payload_type: self.payload_type,
            about: self.about,
            bytes,
        }
    }
}

/// A dictionary in the order of its keys, so that the same entries give the same bytes.
fn dictionary<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let mut dictionary: Dictionary =
        entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    dictionary.sort_keys();
    Value::Dictionary(dictionary)
}
