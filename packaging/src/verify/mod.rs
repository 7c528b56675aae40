//! `cargo xtask verify-pkg`: takes a package apart and checks each part, on any system.
//!
//! Nothing that signed or wrote the package is asked whether it did so well: signatures are read by xnu's own layout
//! (`crate::signature`).

mod archive;
mod bundles;
mod code;
mod package;
mod profile;
mod tree;

#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail};
use clap::Args;
use package::Package;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct VerifyArgs {
    /// A package that `cargo xtask pkg` made.
    package: PathBuf,
}

/// A thing that must hold of every package.
struct Check {
    name: &'static str,
    /// Says all that does not hold.
    findings: fn(&Package) -> Vec<String>,
}

const CHECKS: &[Check] = &[
    Check { name: "archive", findings: archive::integrity },
    Check { name: "package signature", findings: archive::signature },
    Check { name: "bill of materials", findings: tree::bill_of_materials },
    Check { name: "modes and owners", findings: tree::modes_and_owners },
    Check { name: "paths", findings: tree::paths },
    Check { name: "scripts", findings: tree::scripts },
    Check { name: "property lists", findings: bundles::property_lists },
    Check { name: "ids", findings: bundles::ids },
    Check { name: "versions", findings: bundles::versions },
    Check { name: "minimum macOS", findings: bundles::minimum_macos },
    Check { name: "architectures", findings: code::architectures },
    Check { name: "code signatures", findings: code::signatures },
    Check { name: "hardened runtime", findings: code::hardened_runtime },
    Check { name: "sealed resources", findings: code::resources },
    Check { name: "entitlements", findings: code::entitlements },
    Check { name: "profiles", findings: profile::profiles },
    Check { name: "time stamps", findings: code::time_stamps },
    Check { name: "machine paths", findings: tree::machine_paths },
];

pub(crate) fn run(arguments: &VerifyArgs) -> Result<()> {
    package(&arguments.package)
}

/// Checks a package and says for each check whether it holds.
///
/// # Errors
/// If the package cannot be read, or a check does not hold.
pub(crate) fn package(path: &Path) -> Result<()> {
    let data = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let package =
        Package::read(data).with_context(|| format!("{} is no package of Vedette's", path.display()))?;
    let mut failed = 0;
    for check in CHECKS {
        let findings = (check.findings)(&package);
        println!("{:6} {}", if findings.is_empty() { "ok" } else { "FAILED" }, check.name);
        for finding in &findings {
            // Names in a package are whatever its maker chose.
            println!("       {}", finding.escape_debug());
        }
        failed += usize::from(!findings.is_empty());
    }
    if failed > 0 {
        bail!("{}: {failed} of {} checks do not hold", path.display(), CHECKS.len());
    }
    Ok(())
}

/// What a check that may stop early found.
fn found(result: Result<()>) -> Vec<String> {
    result.err().map(|error| format!("{error:#}")).into_iter().collect()
}
