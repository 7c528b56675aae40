//! What stands above an entry of BENCHMARKS.md: when, what, and on which machine.

use std::fs;

use crate::contenders::output;

/// Prints date, versions and machine; `command` is what was run, `peers` are those that were found, with their versions.
pub(crate) fn print(command: &str, peers: &[String]) {
    let (commit, changes) = (
        output(&["git", "rev-parse", "--short", "HEAD"]).unwrap_or_else(|| "unknown".into()),
        output(&["git", "status", "--porcelain", "--untracked-files=no"]),
    );
    let changed = if changes.is_some_and(|changes| !changes.is_empty()) { ", with changes" } else { "" };
    let date = output(&["date", "-u", "+%F"]).unwrap_or_default();
    let rust = output(&["rustc", "--version"]).unwrap_or_else(|| "rustc unknown".into());
    println!("### {}: `cargo xtask bench`, one core\n", date);
    let mut versions =
        vec![format!("sonic-rs {}", locked("sonic-rs")), format!("serde_json {}", locked("serde_json"))];
    versions.extend_from_slice(peers);
    println!("- {commit}{changed}, {rust}, `cargo build --release`; {}.", versions.join(", "));
    println!(
        "- {}, {} cores, {}, {}, Linux {}; load at the start {}.",
        processor(),
        cores(),
        ram(),
        system(),
        kernel(),
        load()
    );
    println!("- Command: `{command}`.");
}

/// How many cores this program may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The load of the last minute.
pub(crate) fn load() -> String {
    first_word(&read("/proc/loadavg"))
}

/// The version of a library that this program was built with.
fn locked(name: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let entry = lock.split_once(&format!("name = \"{name}\"\nversion = \""));
    entry.and_then(|(_, rest)| rest.split_once('"')).map_or("unknown", |(version, _)| version)
}

fn processor() -> String {
    value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn ram() -> String {
    let kib =
        value(&read("/proc/meminfo"), "MemTotal").and_then(|size| first_word(&size).parse::<u64>().ok());
    kib.map_or_else(|| "memory unknown".into(), |kib| format!("{} GiB", (kib + (1 << 19)) >> 20))
}

fn system() -> String {
    let release = read("/etc/os-release");
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".into(), |name| name.trim_matches('"').to_owned())
}

fn kernel() -> String {
    read("/proc/sys/kernel/osrelease").trim().to_owned()
}

/// The first value of `name: value` lines.
fn value(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim().to_owned())
    })
}

fn first_word(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
