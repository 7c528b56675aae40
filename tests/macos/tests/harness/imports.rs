//! What the binary imports is what a person reviewed, exists in libSystem, and is not newer than the oldest macOS.

use super::{Setup, root, shown};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const LIST: &str = "tests/macos/imports.txt";
const HEAD: &str = "\
# What the darwin binaries import, and who answers for it in the harness: `stand-in`, `host` (the host's own function)
# or `unused` (nobody: a call ends the process). `cargo xtask macos test --update-imports` adds and corrects; review it.
";
/// The oldest macOS that the agent supports.
const OLDEST: (u32, u32) = (13, 0);

/// One of the binary's imports.
struct Import {
    /// As in the binary, `$INODE64` and the like included.
    symbol: String,
    library: String,
    standing: String,
}

#[test]
fn imports_are_as_reviewed() {
    let Some(setup) = Setup::from_environment("imports_are_as_reviewed") else { return };
    let path = root().join(LIST);
    let listed = fs::read_to_string(&path).unwrap_or_default();
    let listed: BTreeMap<&str, &str> = listed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .collect();
    // Intel's libSystem has variants of a function where arm64 has but one.
    let found: BTreeMap<String, String> = imports(&setup)
        .into_iter()
        .map(|import| (import.symbol.split('$').next().unwrap_or_default().to_owned(), import.standing))
        .collect();
    let differ: Vec<_> = found
        .iter()
        .filter(|(symbol, standing)| listed.get(symbol.as_str()) != Some(&standing.as_str()))
        .collect();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let owned = listed.iter().map(|(symbol, standing)| ((*symbol).to_owned(), (*standing).to_owned()));
        let all: BTreeMap<String, String> = owned.chain(found).collect();
        let lines: String = all.iter().map(|(symbol, standing)| format!("{symbol} {standing}\n")).collect();
        fs::write(&path, format!("{HEAD}{lines}")).expect("the list can be written");
        return;
    }
    assert!(differ.is_empty(), "{LIST} says otherwise, or nothing, of {differ:?}");
}

#[test]
fn imports_exist_in_libsystem() {
    let Some(setup) = Setup::from_environment("imports_exist_in_libsystem") else { return };
    let tbd = fs::read_to_string(&setup.libsystem_tbd).expect("libSystem.tbd");
    let exported: BTreeSet<&str> = tbd
        .split(|character: char| " ,[]'\"\n".contains(character))
        .filter(|word| word.starts_with('_'))
        .collect();
    assert!(
        exported.contains("_fsync") && exported.len() > 5000,
        "libSystem.tbd has {} names",
        exported.len()
    );
    let imports = imports(&setup);
    let of_libsystem = imports.iter().filter(|import| import.library.ends_with("/libSystem.B.dylib"));
    let unknown: Vec<&str> = of_libsystem
        .map(|import| import.symbol.as_str())
        // What the linker itself makes.
        .filter(|symbol| *symbol != "dyld_stub_binder" && !exported.contains(symbol))
        .collect();
    assert!(unknown.is_empty(), "libSystem does not export {unknown:?}");
}

#[test]
fn imports_are_not_newer_than_the_oldest_macos() {
    let Some(setup) = Setup::from_environment("imports_are_not_newer_than_the_oldest_macos") else { return };
    let mut since = BTreeMap::new();
    read_headers(&setup.headers, &mut since);
    assert!(since.len() > 500, "only {} functions with a mark of availability in the headers", since.len());
    let newer: Vec<String> = imports(&setup)
        .iter()
        .filter_map(|import| {
            let name = import.symbol.strip_prefix('_')?.split('$').next()?;
            let version = since.get(name).filter(|version| **version > OLDEST)?;
            Some(format!("{name} is of macOS {}.{}", version.0, version.1))
        })
        .collect();
    assert!(newer.is_empty(), "{newer:?}");
}

#[test]
fn marks_of_availability_are_read() {
    let text = "int a(int x) __OSX_AVAILABLE_STARTING(__MAC_10_10, __IPHONE_8_0);\n\
                extern int b(void *, size_t)\n  API_AVAILABLE(macos(14.4), ios(17.4));\n\
                int c(void) __API_AVAILABLE(macosx(10.5));\nint d(int);\nint e(void) __OSX_AVAILABLE(15.1);\n\
                /* f() is old; */ API_AVAILABLE(macos(16.0))\nOS_EXPORT void\nf(int); // g();\n";
    let mut since = BTreeMap::new();
    read_marks(text, &mut since);
    let expected = [("a", (10, 10)), ("b", (14, 4)), ("c", (10, 5)), ("e", (15, 1)), ("f", (16, 0))];
    assert_eq!(since, expected.map(|(name, version)| (name.to_owned(), version)).into());
}

fn imports(setup: &Setup) -> Vec<Import> {
    let output = setup.load().arg("--imports").arg(&setup.program).output().expect("the loader starts");
    assert!(output.status.success(), "{}", shown(&output));
    let text = String::from_utf8(output.stdout).expect("names in UTF-8");
    let imports: Vec<Import> = text
        .lines()
        .map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            [symbol, library, standing] => Import {
                symbol: symbol.to_owned(),
                library: library.to_owned(),
                standing: standing.to_owned(),
            },
            _ => panic!("a line of three words: {line:?}"),
        })
        .collect();
    assert!(imports.len() > 50, "{} imports", imports.len());
    imports
}

fn read_headers(folder: &Path, since: &mut BTreeMap<String, (u32, u32)>) {
    for entry in fs::read_dir(folder).expect("a folder of headers") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_headers(&path, since);
        } else if path.extension().is_some_and(|extension| extension == "h") {
            read_marks(&String::from_utf8_lossy(&fs::read(&path).expect("a header")), since);
        }
    }
}

/// The function that each declaration names, and the macOS of its mark. Declarations without one are of any version.
fn read_marks(text: &str, since: &mut BTreeMap<String, (u32, u32)>) {
    for declaration in without_comments(text).split([';', '{', '}']) {
        if let Some((version, name)) = mark(declaration).zip(function(declaration)) {
            since.insert(name.to_owned(), version);
        }
    }
}

/// Text without C's comments and preprocessor lines.
fn without_comments(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        plain.push_str(before);
        rest = comment.split_once("*/").map_or("", |(_, after)| after);
    }
    plain.push_str(rest);
    let lines = plain.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.filter(|line| !line.trim_start().starts_with('#')).flat_map(|line| [line, "\n"]).collect()
}

/// The function that a declaration names: what stands before the first parenthesis that is no attribute's.
fn function(declaration: &str) -> Option<&str> {
    const OF_ATTRIBUTES: [&str; 8] =
        ["macos", "macosx", "ios", "tvos", "watchos", "bridgeos", "visionos", "__attribute__"];
    let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    declaration.match_indices('(').find_map(|(at, _)| {
        let name = declaration[..at].trim_end().rsplit(|character| !is_name(character)).next()?;
        let macro_name = !name.contains(|character: char| character.is_ascii_lowercase());
        (!macro_name && !OF_ATTRIBUTES.contains(&name)).then_some(name)
    })
}

/// The version in `macos(14.4)`, `macosx(10.5)`, `__OSX_AVAILABLE(15.1)` or `__MAC_10_10`.
fn mark(declaration: &str) -> Option<(u32, u32)> {
    ["macos(", "macosx(", "__OSX_AVAILABLE(", "__MAC_"].into_iter().find_map(|opening| {
        let rest = declaration.split_once(opening)?.1;
        let mut numbers = rest.split(|character: char| !character.is_ascii_digit());
        let major = numbers.next()?.parse().ok()?;
        Some((major, numbers.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
    })
}
