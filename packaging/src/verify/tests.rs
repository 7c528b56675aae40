//! Each check, with a package that is broken in one way; and other programs' opinion of a package.
//!
//! The package is the one that `VEDETTE_PKG` names, as `cargo xtask pkg` makes it with throw-away identities. Without it
//! these tests pass and print that they did not run.

use super::package::{BomLine, Entry, Package};
use super::tree::cksum;
use super::{CHECKS, code, profile};
use crate::pkg::names::STAGING;
use crate::pkg::payload::{APP, hexadecimal};
use crate::signature::digest;
use crate::{command, macos, root};
use apple_xar::reader::XarReader;
use apple_xar::table_of_contents::SignatureStyle;
use std::collections::BTreeSet;
use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::process::Command;

/// A way to break a package, and the checks that must not hold then: those and no others.
struct Case {
    name: &'static str,
    breaks: fn(&mut Package),
    fails: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case { name: "header of another version", breaks: |package| package.archive[7] = 2, fails: &["archive"] },
    Case {
        name: "another checksum of the table of contents",
        breaks: |package| flip(package, |xar| xar.table_of_contents().checksum.offset),
        fails: &["archive", "package signature"],
    },
    Case {
        name: "a byte of the payload",
        breaks: |package| flip(package, |xar| heap(xar, "Vedette.pkg/Payload")),
        fails: &["archive"],
    },
    Case {
        name: "a byte of the signature",
        breaks: |package| flip(package, |xar| signature(xar, SignatureStyle::Rsa)),
        fails: &["package signature"],
    },
    Case {
        name: "a byte of the CMS signature",
        breaks: |package| flip(package, |xar| signature(xar, SignatureStyle::Cms) + 40),
        fails: &["package signature"],
    },
    Case {
        name: "a file that the bill does not list",
        breaks: |package| drop(package.bom.pop()),
        fails: &["bill of materials"],
    },
    Case {
        name: "a file that only the bill lists",
        breaks: |package| {
            package.bom.push(BomLine { path: "./staging/more".to_owned(), ..package.bom[0].clone() })
        },
        fails: &["bill of materials"],
    },
    Case {
        name: "another mode in the bill",
        breaks: |package| package.bom[2].mode ^= 1,
        fails: &["bill of materials"],
    },
    Case {
        name: "another content in the bill",
        breaks: |package| line(package, "activate").checksum = Some(0),
        fails: &["bill of materials"],
    },
    Case {
        name: "writable by all",
        breaks: |package| set_mode(package, "activate", 0o100_757),
        fails: &["modes and owners", "scripts"],
    },
    Case {
        name: "writable by a group",
        breaks: |package| set_mode(package, "activate.plist", 0o100_664),
        fails: &["modes and owners"],
    },
    Case {
        name: "setuid",
        breaks: |package| set_mode(package, "vedette", 0o104_755),
        fails: &["modes and owners"],
    },
    Case {
        name: "another owner",
        breaks: |package| {
            entry(package, "vedette").owner = (501, 20);
            line(package, "vedette").owner = (501, 20);
        },
        fails: &["modes and owners"],
    },
    Case {
        name: "staging for all",
        breaks: |package| set_mode(package, "", 0o040_755),
        fails: &["modes and owners"],
    },
    Case {
        name: "two paths in one",
        breaks: |package| add(package, "./staging/ACTIVATE", 0o100_644, b""),
        fails: &["paths"],
    },
    Case {
        name: "a link",
        breaks: |package| add(package, "./staging/link", 0o120_755, b"/etc"),
        fails: &["paths"],
    },
    Case {
        name: "outside of staging",
        breaks: |package| add(package, "./bin/other", 0o100_644, b""),
        fails: &["paths"],
    },
    Case {
        name: "a path upwards",
        breaks: |package| add(package, "./staging/../x", 0o100_644, b""),
        fails: &["paths"],
    },
    Case {
        name: "a script that cannot run",
        breaks: |package| script(package, "preinstall").mode = 0o100_644,
        fails: &["scripts"],
    },
    Case {
        name: "a script that shellcheck warns of",
        breaks: |package| script(package, "postinstall").data.extend(b"rm $1\n"),
        fails: &["scripts"],
    },
    Case {
        name: "a script without a shell",
        breaks: |package| drop(script(package, "postinstall").data.drain(..10)),
        fails: &["scripts"],
    },
    Case {
        name: "a script that is not named",
        breaks: |package| replace(&mut package.info, "<postinstall file", "<postinstall kile"),
        fails: &["scripts"],
    },
    Case {
        name: "a property list that is none",
        breaks: |package| edit(package, "activate.plist", "</plist>", "</plost>"),
        fails: &["property lists", "ids"],
    },
    Case {
        name: "another label of the daemon",
        breaks: |package| {
            edit(package, "activate.plist", "vedette.activate</string>", "vedette.other</string>")
        },
        fails: &["ids"],
    },
    Case {
        name: "another bundle id of the extension",
        breaks: |package| {
            edit(package, &extension("Info.plist"), "vedette.sensor</string>", "vedette.censor</string>")
        },
        fails: &["ids", "sealed resources"],
    },
    Case {
        name: "another package in the Distribution",
        breaks: |package| replace(&mut package.distribution, "<pkg-ref id=\"dev", "<pkg-ref id=\"com"),
        fails: &["ids"],
    },
    Case {
        name: "another version asked for",
        breaks: |package| edit(package, "activate", "\nversion=\"", "\nversion=\"9"),
        fails: &["versions"],
    },
    Case {
        name: "another version in the app",
        breaks: |package| {
            edit(
                package,
                &app("Info.plist"),
                "<key>CFBundleVersion</key>\n  <string>",
                "<key>CFBundleVersion</key>\n  <string>9",
            )
        },
        fails: &["versions", "sealed resources"],
    },
    Case {
        name: "an older macOS in the Distribution",
        breaks: |package| {
            replace(&mut package.distribution, "os-version min=\"13.0\"", "os-version min=\"12.0\"")
        },
        fails: &["minimum macOS"],
    },
    Case {
        name: "an older macOS in a program",
        breaks: |package| edit_program(package, "vedette", &[0, 0, 13, 0], &[0, 0, 12, 0]),
        fails: &["minimum macOS", "code signatures"],
    },
    Case {
        name: "one processor twice",
        breaks: |package| {
            // The second entry of the table of architectures; the last byte of its processor.
            entry(package, "vedette").data[31] = 7;
            in_bill(package, "vedette");
        },
        fails: &["architectures"],
    },
    Case {
        name: "a byte of code",
        breaks: |package| edit_program(package, &app("MacOS/vedette"), b"vedette: ", b"Vedette: "),
        fails: &["code signatures"],
    },
    Case {
        name: "no hardened runtime",
        breaks: |package| edit_program(package, "vedette", &RUNTIME, &NO_RUNTIME),
        fails: &["code signatures", "hardened runtime"],
    },
    Case {
        name: "other entitlements",
        breaks: |package| {
            edit_program(
                package,
                &extension("MacOS/dev.vedette.sensor"),
                b"endpoint-security.client",
                b"endpoint-security.klient",
            );
        },
        fails: &["code signatures", "entitlements", "sealed resources"],
    },
    Case {
        name: "a file that is not sealed",
        breaks: |package| add(package, "./staging/Vedette.app/Contents/Resources", 0o100_644, b"more"),
        fails: &["sealed resources"],
    },
    Case {
        name: "a profile that is none",
        breaks: |package| {
            add(package, "./staging/Vedette.app/Contents/embedded.provisionprofile", 0o100_644, b"no")
        },
        fails: &["sealed resources", "profiles"],
    },
    Case {
        name: "a path of the build machine",
        breaks: |package| script(package, "preinstall").data.extend(b"# /home/me/.cargo/registry/src\n"),
        fails: &["machine paths"],
    },
];

/// Code directories begin with magic, length, version 2.4.0 (with execSegment) and flags; these are the last two.
const RUNTIME: [u8; 8] = [0, 2, 5, 0, 0, 1, 0, 0];
const NO_RUNTIME: [u8; 8] = [0, 2, 5, 0, 0, 0, 0, 0];

#[test]
fn each_check_fails_for_a_package_that_is_broken_in_its_way_and_no_other_does() {
    let Some((_, whole)) = package() else { return };
    assert_eq!(failing(&whole), BTreeSet::new(), "the package itself");
    let mut wrong = Vec::new();
    for case in CASES {
        let mut broken = whole.clone();
        (case.breaks)(&mut broken);
        let expected: BTreeSet<&str> = case.fails.iter().copied().collect();
        let failing = failing(&broken);
        if failing != expected {
            wrong.push(format!("{}: {failing:?}, not {expected:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let tried: BTreeSet<&str> = CASES.iter().flat_map(|case| case.fails).copied().collect();
    let untried: Vec<&str> =
        CHECKS.iter().map(|check| check.name).filter(|name| !tried.contains(name)).collect();
    // That one needs an identity of Apple's; see below.
    assert_eq!(untried, ["time stamps"]);
}

#[test]
fn what_only_a_real_identity_needs_is_missed() {
    let Some((_, package)) = package() else { return };
    assert_eq!(code::missing_time_stamps(&package).len(), 3);
    assert_eq!(profile::unfit(&package, false).len(), 2);
}

#[test]
fn an_archive_that_is_cut_off_or_not_one_is_refused_with_a_reason() {
    let Some((_, package)) = package() else { return };
    for length in [0, 3, 27, 28, 1000, package.archive.len() / 2] {
        assert!(Package::read(package.archive[..length].to_vec()).is_err(), "{length}");
    }
}

#[test]
fn other_programs_read_the_same() {
    let Some((path, package)) = package() else { return };
    let script = root().join("packaging/tests/read_package.py");
    let python = command::output(Command::new("python3").arg(script).arg(&path)).unwrap();
    let mut expected: Vec<String> = Vec::new();
    for entry in &package.payload {
        let (path, hash) = (entry.path.replace(' ', "\\ "), hexadecimal(&digest(&entry.data)));
        expected.push(format!("cpio {path} {:o} {}:{} {hash}", entry.mode, entry.owner.0, entry.owner.1));
    }
    let lines: Vec<&str> = python.lines().filter(|line| line.starts_with("cpio ")).collect();
    assert_eq!(lines, expected);

    // 7-Zip: checksums hold, and the same files with the same sizes.
    command::output(Command::new("7z").arg("t").arg(&path)).expect("7z of Debian's package p7zip-full");
    let listed = command::output(Command::new("7z").args(["l", "-slt", "-ba"]).arg(&path)).unwrap();
    for line in python.lines().filter_map(|line| line.strip_prefix("xar ")) {
        let (name, size) = line.rsplit_once(' ').unwrap();
        assert!(
            listed.contains(&format!("Path = {name}\n")) && listed.contains(&format!("Size = {size}\n")),
            "{line}"
        );
    }

    // cpio: the same names.
    let unpack = "7z x -so \"$1\" Vedette.pkg/Payload | gunzip | cpio --quiet -it";
    let names = command::output(Command::new("sh").args(["-c", unpack, "sh"]).arg(&path))
        .expect("Debian's package cpio");
    let expected: Vec<&str> = package.payload.iter().map(|entry| entry.path.as_str()).collect();
    let plain = |name: &str| name.trim_start_matches("./").to_owned();
    let names: Vec<String> = names.lines().map(plain).collect();
    assert_eq!(names, expected.into_iter().map(plain).collect::<Vec<_>>());
}

#[test]
fn the_signer_reads_the_same_of_each_program() {
    let Some((_, package)) = package() else { return };
    let rcodesign = macos::cache_folder().unwrap().join("rcodesign-0.29.0/bin/rcodesign");
    let identifiers = ["dev.vedette.app", "dev.vedette.sensor", "dev.vedette.command"];
    for (program, identifier) in package.programs().iter().zip(identifiers) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(package.content(program).unwrap()).unwrap();
        let info =
            command::output(Command::new(&rcodesign).arg("print-signature-info").arg(file.path())).unwrap();
        for line in [
            format!("identifier: {identifier}"),
            "CodeSignatureFlags(RUNTIME)".to_owned(),
            format!("team_name: {}", package.names.team()),
        ] {
            assert_eq!(info.matches(&line).count(), 2, "{program}: {line} for each architecture\n{info}");
        }
    }
}

/// The package under test and where it is.
fn package() -> Option<(PathBuf, Package)> {
    let Some(path) = std::env::var_os("VEDETTE_PKG") else {
        // Not through the test runner, which would swallow it.
        let line =
            b"xtask: no package, so its checks were not tried; `cargo xtask pkg` makes one for VEDETTE_PKG\n";
        let _ = std::io::stderr().write_all(line);
        return None;
    };
    let path = PathBuf::from(path);
    let package = Package::read(std::fs::read(&path).unwrap()).unwrap();
    Some((path, package))
}

fn failing(package: &Package) -> BTreeSet<&'static str> {
    CHECKS.iter().filter(|check| !(check.findings)(package).is_empty()).map(|check| check.name).collect()
}

type Xar<'a> = XarReader<Cursor<&'a Vec<u8>>>;

/// Changes a byte of the archive's heap.
fn flip(package: &mut Package, offset: fn(&Xar<'_>) -> u64) {
    let xar = XarReader::new(Cursor::new(&package.archive)).unwrap();
    let at = usize::try_from(xar.heap_start_offset() + offset(&xar)).unwrap();
    package.archive[at] ^= 1;
}

fn heap(xar: &Xar<'_>, path: &str) -> u64 {
    xar.find_file(path).unwrap().unwrap().data.unwrap().offset + 100
}

fn signature(xar: &Xar<'_>, style: SignatureStyle) -> u64 {
    xar.table_of_contents().find_signature(style).unwrap().offset
}

fn app(path: &str) -> String {
    format!("{APP}/Contents/{path}")
}

fn extension(path: &str) -> String {
    app(&format!("Library/SystemExtensions/dev.vedette.sensor.systemextension/Contents/{path}"))
}

fn staged(path: &str) -> String {
    format!("./{STAGING}/{path}").trim_end_matches('/').to_owned()
}

fn entry<'a>(package: &'a mut Package, path: &str) -> &'a mut Entry {
    package.payload.iter_mut().find(|entry| entry.path == staged(path)).unwrap()
}

fn line<'a>(package: &'a mut Package, path: &str) -> &'a mut BomLine {
    package.bom.iter_mut().find(|line| line.path == staged(path)).unwrap()
}

fn script<'a>(package: &'a mut Package, name: &str) -> &'a mut Entry {
    package.scripts.iter_mut().find(|entry| entry.path.ends_with(name)).unwrap()
}

fn set_mode(package: &mut Package, path: &str, mode: u32) {
    entry(package, path).mode = mode;
    line(package, path).mode = mode;
}

/// Adds an entry, to the bill as well.
fn add(package: &mut Package, path: &str, mode: u32, data: &[u8]) {
    let (path, data) = (path.to_owned(), data.to_vec());
    let (size, checksum) = (data.len() as u64, Some(cksum(&data)));
    package.bom.push(BomLine { path: path.clone(), mode, owner: (0, 0), size, checksum });
    package.payload.push(Entry { path, mode, owner: (0, 0), data });
}

/// Replaces text in a file of the payload, in the bill as well.
fn edit(package: &mut Package, path: &str, from: &str, to: &str) {
    replace(&mut entry(package, path).data, from, to);
    in_bill(package, path);
}

/// The same with bytes, as often as they occur, and as many.
fn edit_program(package: &mut Package, path: &str, from: &[u8], to: &[u8]) {
    let data = &mut entry(package, path).data;
    let starts: Vec<usize> = memchr::memmem::find_iter(data, from).collect();
    assert!(!starts.is_empty(), "{path} has no {from:?}");
    for start in starts {
        data[start..start + to.len()].copy_from_slice(to);
    }
    in_bill(package, path);
}

fn in_bill(package: &mut Package, path: &str) {
    let data = entry(package, path).data.clone();
    let line = line(package, path);
    (line.size, line.checksum) = (data.len() as u64, Some(cksum(&data)));
}

fn replace(data: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(data.clone()).unwrap();
    assert!(text.contains(from), "there is no {from}");
    *data = text.replace(from, to).into_bytes();
}
