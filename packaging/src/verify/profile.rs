//! Provisioning profiles: what Apple allows a team's app to ask for.

use super::archive::throw_away;
use super::package::Package;
use super::{bundles, found};
use crate::pkg::payload::{APP, template_text};
use crate::pkg::sign::entitlement_files;
use crate::root;
use anyhow::{Context, Result, bail};
use cryptographic_message_syntax::SignedData;
use plist::{Dictionary, Value};
use std::time::SystemTime;

/// Where a bundle has a profile, its entitlements lie within it. With an identity that is more than a throw-away one both
/// bundles have one, of the team and not expired: macOS ends a program whose restricted entitlements no profile backs.
pub(super) fn profiles(package: &Package) -> Vec<String> {
    unfit(package, throw_away(package))
}

/// The same, for an identity that is a throw-away one or not.
pub(super) fn unfit(package: &Package, throw_away: bool) -> Vec<String> {
    let bundles = [APP.to_owned(), format!("{APP}/{}", package.names.extension())];
    let mut findings = Vec::new();
    for (bundle, entitlements) in bundles.iter().zip(entitlement_files()) {
        let result = check(package, bundle, entitlements, throw_away).with_context(|| bundle.clone());
        findings.extend(found(result));
    }
    findings
}

fn check(package: &Package, bundle: &str, entitlements: &str, throw_away: bool) -> Result<()> {
    let path = format!("{bundle}/Contents/embedded.provisionprofile");
    let Some(file) = package.file(&path) else {
        if throw_away {
            return Ok(());
        }
        bail!("it has no provisioning profile, without which macOS does not run it");
    };
    let profile = SignedData::parse_ber(&file.data).context("its profile is no CMS message")?;
    let profile = bundles::parse(profile.signed_content().context("its profile has no content")?)?;
    let wanted = bundles::parse(template_text(root(), &package.names, entitlements)?.as_bytes())?;
    let allowed = profile.get("Entitlements").and_then(Value::as_dictionary);
    within(&wanted, allowed.context("its profile allows nothing")?)?;
    let teams =
        profile.get("TeamIdentifier").and_then(Value::as_array).context("its profile names no team")?;
    if !teams.iter().any(|team| team.as_string() == Some(package.names.team())) {
        bail!("its profile is of another team than {}", package.names.team());
    }
    let expires = profile.get("ExpirationDate").and_then(Value::as_date).context("its profile has no end")?;
    if !throw_away && SystemTime::from(expires) < SystemTime::now() {
        bail!("its profile has expired on {}", expires.to_xml_format());
    }
    Ok(())
}

/// Whether each entitlement is in the profile, with its value or a pattern such as `TEAM.*` that fits it.
fn within(wanted: &Dictionary, allowed: &Dictionary) -> Result<()> {
    for (key, value) in wanted {
        let fits = match (value, allowed.get(key)) {
            (Value::String(value), Some(Value::String(allowed))) => match allowed.strip_suffix('*') {
                Some(start) => value.starts_with(start),
                None => value == allowed,
            },
            (value, Some(allowed)) => value == allowed,
            (_, None) => false,
        };
        if !fits {
            bail!("its profile does not allow {key}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dictionary(text: &str) -> Dictionary {
        bundles::parse(format!("<plist version=\"1.0\"><dict>{text}</dict></plist>").as_bytes()).unwrap()
    }

    #[test]
    fn an_entitlement_is_allowed_by_its_value_or_a_pattern_and_not_by_another_key() {
        let wanted = dictionary("<key>id</key><string>T.dev.app</string><key>may</key><true/>");
        for (good, allowed) in [
            (true, "<key>id</key><string>T.dev.app</string><key>may</key><true/><key>more</key><true/>"),
            (true, "<key>id</key><string>T.*</string><key>may</key><true/>"),
            (false, "<key>id</key><string>U.*</string><key>may</key><true/>"),
            (false, "<key>id</key><string>T.dev.app2</string><key>may</key><true/>"),
            (false, "<key>id</key><string>T.*</string><key>may</key><false/>"),
            (false, "<key>id</key><string>T.*</string>"),
        ] {
            assert_eq!(within(&wanted, &dictionary(allowed)).is_ok(), good, "{allowed}");
        }
    }
}
