//! What the sensor is called on a Mac: ids, paths.
//!
//! An App ID belongs to one team, so all ids come from one prefix that is set when Vedette is built:
//! `VEDETTE_PREFIX=com.example.vedette cargo build`. The folders keep their name.

use std::path::{Path, PathBuf};

/// What all ids begin with: `VEDETTE_PREFIX` at build time, else `dev.vedette`.
pub const PREFIX: &str = match option_env!("VEDETTE_PREFIX") {
    Some(prefix) => prefix,
    None => "dev.vedette",
};

const _: () = assert!(is_prefix(PREFIX), "VEDETTE_PREFIX: letters, digits, `-` and `.`, not at its ends");

/// The sensor's folder: configuration, rules, exceptions, status.
pub const FOLDER: &str = "/Library/Application Support/Vedette";

/// The folder of alerts, health and telemetry.
pub const LOGS: &str = "/Library/Logs/Vedette";

/// The name of the file that is the local configuration.
const CONFIGURATION: &str = "config.toml";

/// Returns the bundle id of the app.
pub fn app_id() -> String {
    format!("{PREFIX}.app")
}

/// Returns the bundle id of the system extension, which is the sensor.
pub fn sensor_id() -> String {
    format!("{PREFIX}.sensor")
}

/// Returns the identifier of a self-test's package, of the number that it is told by; for a number of `*` the pattern of
/// all of them.
pub fn selftest_id(nonce: &str) -> String {
    format!("{PREFIX}.selftest.{nonce}")
}

/// Returns the subsystem of what is written to unified logging.
pub fn subsystem() -> String {
    sensor_id()
}

/// Returns the preferences domain that an MDM profile sets.
pub fn managed_domain() -> String {
    sensor_id()
}

/// Returns the path of the app.
pub fn app() -> PathBuf {
    PathBuf::from("/Applications/Vedette.app")
}

/// Returns the path of the extension's bundle within the app.
pub fn extension() -> PathBuf {
    app().join("Contents/Library/SystemExtensions").join(format!("{}.systemextension", sensor_id()))
}

/// Returns the path of the local configuration.
pub fn configuration() -> PathBuf {
    Path::new(FOLDER).join(CONFIGURATION)
}

/// Returns the path at which macOS keeps the managed preferences of the sensor's domain.
pub fn managed_preferences() -> PathBuf {
    Path::new("/Library/Managed Preferences").join(format!("{}.plist", managed_domain()))
}

/// Whether ids can be made of the prefix: Apple allows letters, digits, hyphens and periods.
const fn is_prefix(prefix: &str) -> bool {
    let bytes = prefix.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        let inner = index > 0 && index + 1 < bytes.len();
        let fits = bytes[index].is_ascii_alphanumeric() || (inner && matches!(bytes[index], b'-' | b'.'));
        if !fits {
            return false;
        }
        index += 1;
    }
    !bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_paths_come_from_the_prefix() {
        assert_eq!(sensor_id(), format!("{PREFIX}.sensor"));
        assert_eq!(app_id(), format!("{PREFIX}.app"));
        let managed = format!("/Library/Managed Preferences/{PREFIX}.sensor.plist");
        assert_eq!(managed_preferences(), Path::new(&managed));
        assert_eq!(configuration(), Path::new("/Library/Application Support/Vedette/config.toml"));
    }

    #[test]
    fn a_prefix_can_be_part_of_an_id_and_a_path() {
        for good in ["dev.vedette", "com.example.it-security", "a"] {
            assert!(is_prefix(good), "{good}");
        }
        for bad in ["", ".dev", "dev.", "a/b", "a b", "é", "-a", "../x"] {
            assert!(!is_prefix(bad), "{bad}");
        }
    }
}
