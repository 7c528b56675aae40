//! The trees of files: payload, scripts, and the bill of materials that lists the payload.

use super::package::{Entry, Package};
use crate::pkg::names::STAGING;
use crate::pkg::payload::SCRIPTS;
use crate::{macos, root, target_folder};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// What the bill of materials says of each path is what the payload has.
pub(super) fn bill_of_materials(package: &Package) -> Vec<String> {
    let mut findings = Vec::new();
    let mut lines: BTreeMap<&str, _> = package.bom.iter().map(|line| (line.path.as_str(), line)).collect();
    for entry in &package.payload {
        let path = &entry.path;
        let Some(line) = lines.remove(path.as_str()) else {
            findings.push(format!("{path} is in the payload only"));
            continue;
        };
        if (line.mode, line.owner) != (entry.mode, entry.owner) {
            findings.push(format!("{path} has another mode or owner in the payload"));
        }
        let (size, checksum) = (entry.data.len() as u64, cksum(&entry.data));
        if entry.is_file() && (line.size, line.checksum) != (size, Some(checksum)) {
            findings.push(format!("{path} has another content in the payload"));
        }
    }
    findings.extend(lines.keys().map(|path| format!("{path} is in the bill of materials only")));
    findings
}

/// All is root's, and nobody else may write to it.
pub(super) fn modes_and_owners(package: &Package) -> Vec<String> {
    let mut findings = Vec::new();
    for entry in package.payload.iter().chain(&package.scripts) {
        let path = &entry.path;
        if entry.owner != (0, 0) {
            findings
                .push(format!("{path} belongs to {}:{}, not to root:wheel", entry.owner.0, entry.owner.1));
        }
        if entry.mode & 0o022 != 0 {
            findings.push(format!(
                "{path} may be written to by others than root (mode {:o})",
                entry.mode & 0o7777
            ));
        }
        if entry.mode & 0o7000 != 0 {
            findings.push(format!(
                "{path} runs as its owner or keeps its group (mode {:o})",
                entry.mode & 0o7777
            ));
        }
    }
    let staging = format!("./{STAGING}");
    if !package.payload.iter().any(|entry| entry.path == staging && entry.mode & 0o7777 == 0o700) {
        findings.push(format!("{staging} is not for root alone (mode 700)"));
    }
    findings
}

/// All lies in the staging folder, no two paths are one where case does not count, and there are but files and folders.
pub(super) fn paths(package: &Package) -> Vec<String> {
    let mut findings = Vec::new();
    for tree in [&package.payload, &package.scripts] {
        let mut seen: BTreeMap<String, &str> = BTreeMap::new();
        for entry in tree {
            let path = entry.path.as_str();
            if let Some(other) = seen.insert(path.to_lowercase(), path) {
                findings.push(format!("{other} and {path} are one path on a Mac"));
            }
            if path != "."
                && (!path.starts_with("./")
                    || path.split('/').skip(1).any(|name| matches!(name, "" | "." | "..")))
            {
                findings.push(format!("{path} is no plain path below the root"));
            }
            if !matches!(entry.mode & 0o170_000, 0o040_000 | 0o100_000) {
                findings.push(format!("{path} is neither a file nor a folder"));
            }
        }
    }
    let inside = |path: &str| {
        path == "." || path == format!("./{STAGING}") || path.starts_with(&format!("./{STAGING}/"))
    };
    let outside = package.payload.iter().filter(|entry| !inside(&entry.path));
    findings.extend(outside.map(|entry| format!("{} does not lie in {STAGING}", entry.path)));
    findings
}

/// Each script is there, may be run, names its shell, and shellcheck has nothing to say.
pub(super) fn scripts(package: &Package) -> Vec<String> {
    let installers = ["preinstall", "postinstall"]
        .map(|name| (name, package.scripts.iter().find(|entry| entry.path.trim_start_matches("./") == name)));
    let payload = SCRIPTS.map(|name| (name, package.file(name)));
    let mut findings = Vec::new();
    for (name, script) in installers.into_iter().chain(payload) {
        if let Err(error) = check_script(script) {
            findings.push(format!("{name}: {error:#}"));
        }
    }
    for name in ["preinstall", "postinstall"] {
        let named = crate::pkg::flat::attribute(&package.info, name, "file");
        if named.ok().as_deref() != Some(&format!("./{name}")) {
            findings.push(format!("PackageInfo does not name {name}"));
        }
    }
    findings
}

/// No path of the machine that built or checks it stands in any file.
pub(super) fn machine_paths(package: &Package) -> Vec<String> {
    let mut paths: Vec<String> = [".cargo/registry", ".rustup/toolchains", "rustlib/src", "/target/release"]
        .map(str::to_owned)
        .to_vec();
    let machine =
        [Some(root().to_owned()), Some(target_folder()), macos::cache_folder().ok(), std::env::home_dir()];
    for path in machine.into_iter().flatten().filter(|path| path.parent().is_some()) {
        paths.push(format!("{}/", path.display()));
    }
    let mut findings = Vec::new();
    for entry in package.payload.iter().chain(&package.scripts) {
        for path in &paths {
            if memchr::memmem::find(&entry.data, path.as_bytes()).is_some() {
                findings.push(format!("{} names {path}", entry.path));
            }
        }
    }
    findings
}

fn check_script(script: Option<&Entry>) -> Result<()> {
    let script = script.context("it is missing")?;
    if script.mode & 0o777 != 0o755 {
        bail!("its mode is {:o}, not 755", script.mode & 0o7777);
    }
    if !script.data.starts_with(b"#!/bin/sh\n") {
        bail!("it does not begin with #!/bin/sh");
    }
    let mut shellcheck = Command::new("shellcheck")
        .args(["--format=gcc", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("shellcheck cannot be started; install Debian's or Homebrew's package shellcheck")?;
    let mut stdin = shellcheck.stdin.take().expect("it is piped");
    stdin.write_all(&script.data).context("shellcheck does not read")?;
    drop(stdin);
    let output = shellcheck.wait_with_output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stdout).trim());
    }
    Ok(())
}

/// The checksum of POSIX `cksum`: CRC-32 with the length behind the content.
pub(super) fn cksum(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = (index as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                value = if value >> 31 == 1 { value << 1 ^ 0x04c1_1db7 } else { value << 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    let step = |sum: u32, byte: &u8| sum << 8 ^ TABLE[(sum >> 24) as usize ^ *byte as usize];
    let length = (data.len() as u64).to_le_bytes();
    let used = length.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    !length[..used].iter().fold(data.iter().fold(0, step), step)
}
