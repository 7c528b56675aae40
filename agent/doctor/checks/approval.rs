//! What an administrator has to allow, and whether it is allowed to the program that is installed.

use super::super::extensions::Extension;
use super::super::profiles::Access;
use super::{About, Check, Facts, installed_program, installed_signature, quoted};
use crate::code_signature::CodeSignature;
use crate::identity;
use crate::program::Take;

/// The policy for the extension, and the profile for Full Disk Access.
pub(super) fn checks(facts: &Facts<'_>) -> Vec<Check> {
    vec![policy(facts), requirement(facts)]
}

fn policy(facts: &Facts<'_>) -> Check {
    let about = About { id: "approval", title: "approval" };
    let profiles = match &facts.profiles {
        Ok(profiles) => profiles,
        Err(reason) => return about.warn(reason, super::to_see_profiles(facts.mac)),
    };
    let extensions = facts.extensions.as_deref().unwrap_or_default();
    let current = extensions.iter().find(|extension| !extension.is_left_over());
    let team =
        current.map(|extension| extension.team.clone()).or_else(|| installed_signature(facts.mac).ok()?.team);
    let Some(team) = team else {
        return about.warn("no team is known, for nothing is installed", "install the package");
    };
    let policy = profiles.policy(&team, &identity::sensor_id());
    if policy.removable && policy.non_removable {
        return about.fail(
            "profiles name the extension as removable and as non-removable, which macOS takes for an error",
            "let removal.mobileconfig take the place of system-extension.mobileconfig, or remove it",
        );
    }
    let by_person = current.is_some_and(Extension::runs);
    match (policy.allowed, policy.removable) {
        (true, true) => about.warn(
            "a profile allows the extension, and lets it be removed",
            "deploy system-extension.mobileconfig again, unless you are removing it",
        ),
        (true, false) => about.pass(format!("a profile allows {team}'s extension")),
        (false, _) if by_person => about.warn(
            "a person allowed the extension, and no profile does: who may administer this Mac can switch it off",
            "deploy system-extension.mobileconfig, on a Mac that an MDM manages",
        ),
        (false, _) => about.fail(
            format!("no profile allows {team}'s extension"),
            format!("deploy system-extension.mobileconfig by MDM, or allow it in {}", super::settings(facts.macos)),
        ),
    }
}

fn requirement(facts: &Facts<'_>) -> Check {
    let about = About { id: "requirement", title: "profile and program" };
    let profiles = match &facts.profiles {
        Ok(profiles) => profiles,
        Err(reason) => return about.warn(reason, super::to_see_profiles(facts.mac)),
    };
    let entries = profiles.full_disk_access(&identity::sensor_id());
    let granted: Vec<&Access> = entries.iter().filter(|entry| entry.allowed).collect();
    if granted.is_empty() {
        let (found, next) = if entries.is_empty() {
            (
                "no profile grants Full Disk Access",
                "deploy full-disk-access.mobileconfig, on a Mac that an MDM manages",
            )
        } else {
            ("a profile denies Full Disk Access", "deploy full-disk-access.mobileconfig in its place")
        };
        return about.warn(found, next);
    }
    let signature = match installed_signature(facts.mac) {
        Ok(signature) => signature,
        Err(reason) => return about.warn(reason, "install the package"),
    };
    let results: Vec<Result<i32, String>> =
        granted.iter().map(|access| satisfies(facts, &access.requirement)).collect();
    if results.contains(&Ok(0)) {
        return about.pass("the profile for Full Disk Access fits the installed extension");
    }
    match results.into_iter().next().unwrap_or(Ok(-1)) {
        Err(reason) => about.warn(reason, "see whether /usr/bin/codesign runs"),
        // codesign(1): "3 if the requirement is not satisfied", 1 if the signature is not valid.
        Ok(3) => about.fail(
            format!("the profile asks for another program than {}", described(&signature)),
            format!(
                "make the profile anew and deploy it: `vedette profile --signed-binary {}`",
                quoted(&installed_program())
            ),
        ),
        Ok(2) => about.fail(
            "the profile's code requirement is no requirement",
            "make the profile anew with `vedette profile`, and deploy it",
        ),
        Ok(_) => about.fail("the installed extension's signature is not valid", "install the package anew"),
    }
}

/// Lets macOS itself say whether the installed extension satisfies a requirement.
fn satisfies(facts: &Facts<'_>, requirement: &str) -> Result<i32, String> {
    let bundle = identity::extension();
    let arguments = ["--verify", &format!("-R={requirement}"), &bundle.to_string_lossy()];
    Ok(facts.mac.command("/usr/bin/codesign", &arguments, Take::All)?.status)
}

fn described(signature: &CodeSignature) -> String {
    match &signature.team {
        Some(team) => format!("{} of {team}, which is installed", signature.identifier),
        None => format!("{}, which is installed and which no team signed", signature.identifier),
    }
}
