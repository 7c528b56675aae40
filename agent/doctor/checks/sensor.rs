//! What the sensor itself says.

use super::{About, Check, Facts};
use crate::status::{Reason, STALE, Source, State, Status};
use crate::timestamp;

/// From which uid on a file's owner is not root.
const ROOT: u32 = 0;

/// The status, what lets the sensor see, what it lost, and what it writes.
pub(super) fn checks(facts: &Facts<'_>) -> Vec<Check> {
    let (status, alive) = match &facts.status {
        Ok(Some(status)) => (status, said(facts, status)),
        Ok(None) => {
            let found = "the sensor has never written one";
            return vec![about_status().fail(found, "mend what is told above; then it starts by itself")];
        }
        Err(reason) => {
            return vec![
                about_status().fail(reason, "look at the file: a sensor that runs writes it anew every 10 s"),
            ];
        }
    };
    vec![
        alive,
        entitlement(status),
        full_disk_access(status),
        endpoint_security(status),
        network(status),
        losses(status),
        blind_windows(status),
        alert_file(facts, status),
    ]
}

fn about_status() -> About {
    About { id: "status", title: "status" }
}

fn said(facts: &Facts<'_>, status: &Status) -> Check {
    let about = about_status();
    let written = timestamp::parse(&status.timestamp).ok();
    let age = written.map(|written| facts.mac.now().saturating_sub(written) / 1_000_000_000);
    let restart = "restart the Mac; if it happens again, send the crash report of the extension from /Library/Logs/DiagnosticReports";
    let problems = || {
        let list: Vec<String> = status.problems.iter().map(|(what, why)| format!("{what}: {why}")).collect();
        list.join("; ")
    };
    match (status.state, age) {
        (State::Stopped, _) => {
            about.fail(format!("it was stopped at {}", status.timestamp), "`sudo vedette extension activate`")
        }
        (_, None) => about.fail("its time makes no sense", restart),
        (_, Some(age)) if age < -5 => {
            about.fail("it is of a time to come", "set the Mac's clock, and look again in a minute")
        }
        (_, Some(age)) if age > STALE as i64 => {
            about.fail(format!("the sensor has been silent for {age} s"), restart)
        }
        (State::Running, Some(age)) => {
            about.pass(format!("{} runs; written {} s ago", status.version, age.max(0)))
        }
        (State::Degraded, _) => {
            let of_content =
                ["configuration", "rules"].iter().any(|what| status.problems.contains_key(*what));
            let next =
                if of_content { "`sudo vedette run --check-config`" } else { "mend what is told below" };
            about.warn(format!("it runs, and not all of it works: {}", problems()), next)
        }
        (State::SafeMode, _) => about.fail(
            format!("safe mode, with built-in rules only: {}", problems()),
            "install a newer version, or change what you last changed in the configuration",
        ),
    }
}

fn source<'a>(status: &'a Status, name: &str) -> Option<&'a Source> {
    status.sources.get(name)
}

fn entitlement(status: &Status) -> Check {
    let about = About { id: "entitlement", title: "entitlement" };
    match source(status, "endpoint_security") {
        Some(source) if source.reason == Some(Reason::NotEntitled) => about.fail(
            "macOS does not see Apple's Endpoint Security entitlement in the sensor's signature",
            "install a package that is signed with it and with its provisioning profile",
        ),
        Some(source) if source.state == "running" => about.pass("macOS took it"),
        Some(source) if source.reason.is_some() => about.pass("it is not what keeps the sensor"),
        _ => about.warn("not known yet", "look again in a minute"),
    }
}

fn full_disk_access(status: &Status) -> Check {
    let about = About { id: "full_disk_access", title: "Full Disk Access" };
    match source(status, "endpoint_security") {
        Some(source) if source.reason == Some(Reason::NotPermitted) => about.fail(
            "the sensor lacks it",
            "allow it in System Settings > Privacy & Security > Full Disk Access, or deploy full-disk-access.mobileconfig \
             by MDM; the sensor then starts by itself",
        ),
        Some(source) if source.state == "running" => about.pass("the sensor has it"),
        _ => about.warn("not known, for something else keeps the sensor", "mend that first, and look again"),
    }
}

fn endpoint_security(status: &Status) -> Check {
    let about = About { id: "endpoint_security", title: "Endpoint Security" };
    let Some(source) = source(status, "endpoint_security") else {
        return about.warn("the sensor says nothing of it", "look again in a minute");
    };
    let message = source.message.clone().unwrap_or_default();
    match (source.state.as_str(), source.reason) {
        ("running", _) => about.pass(format!("{} messages received", source.received)),
        (_, Some(Reason::NotEntitled | Reason::NotPermitted)) => {
            about.fail("it is refused for what is told above", "mend that; the sensor tries again every 15 s")
        }
        (_, Some(Reason::NotPrivileged)) => {
            about.fail(message, "install the package: its system extension runs as root")
        }
        (_, Some(Reason::TooManyClients)) => {
            about.fail(message, "end or remove another security product, or restart the Mac")
        }
        ("starting", _) => about.warn("it is being started", "look again in a minute"),
        _ => about.fail(message, "restart the Mac; if it stays so, look for a newer version of Vedette"),
    }
}

fn network(status: &Status) -> Check {
    let about = About { id: "network", title: "network source" };
    let Some(source) = source(status, "network") else {
        return about.warn("the sensor says nothing of it", "look again in a minute");
    };
    let message = source.message.clone().unwrap_or_else(|| source.state.clone());
    match source.state.as_str() {
        "running" => about.pass(format!("{message}; {} received", source.received)),
        "off" => about.fail(
            format!("{message}: no rule on connections fires"),
            "set `network.source` to \"auto\", if it is set; then restart the Mac",
        ),
        _ => {
            let next =
                "look again in a minute; `sudo vedette doctor --probe-network` tries the sources by itself";
            about.warn(message, next)
        }
    }
}

fn losses(status: &Status) -> Check {
    let about = About { id: "losses", title: "losses" };
    let of = |unreadable: bool| -> u64 {
        let all = status.sources.values().flat_map(|source| &source.dropped);
        all.filter(|(kind, _)| (*kind == "malformed") == unreadable).map(|(_, count)| count).sum()
    };
    let (dropped, unreadable) = (of(false), of(true));
    let unwritten: u64 = status.files.values().map(|file| file.lost).sum();
    let counts = [
        (unwritten, "documents that no disk took"),
        (dropped, "events dropped because the sensor was too slow"),
        (status.events.missing, "events that macOS never sent"),
        (unreadable, "messages of a network source that could not be read"),
        (status.memory.partials_evicted, "partial matches dropped for want of room"),
        (status.events.alerts_left_out, "alerts beyond their rules' budget"),
    ];
    let lost: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if lost.is_empty() {
        return about.pass(format!("none of {} events", status.events.evaluated));
    }
    let found = format!("since {}: {}", status.started, lost.join(", "));
    if unwritten > 0 {
        return about.fail(found, "make room on the disk of the alert file");
    }
    let next = if dropped + status.events.missing > 0 {
        "see in the health file when it was, and what ran then: alerts of that time carry `vedette.gap`"
    } else if unreadable > 0 {
        "send what `sudo vedette doctor --probe-network --json` says: this macOS may have another layout"
    } else {
        "see which rule it is with `vedette status`, and except what is known: docs/exceptions.md"
    };
    about.warn(found, next)
}

fn blind_windows(status: &Status) -> Check {
    let about = About { id: "blind_windows", title: "blind windows" };
    match status.blind_windows.as_slice() {
        [] => about.pass("none since the start"),
        [.., last] => about.warn(
            format!(
                "{}, the last from {} to {}: {}",
                status.blind_windows.len(),
                last.from,
                last.to,
                last.why
            ),
            "see whether somebody stopped the sensor then; recordings of that time can be replayed",
        ),
    }
}

fn alert_file(facts: &Facts<'_>, status: &Status) -> Check {
    let about = About { id: "alert_file", title: "alert file" };
    let Some(file) = status.files.get("alerts") else {
        return about.warn("the sensor says nothing of it", "look again in a minute");
    };
    let path = std::path::Path::new(&file.path);
    if let Some(error) = &file.error {
        return about.fail(error, "make room, or mend the folder: what waits is written then");
    }
    if !facts.mac.is_root() {
        return about.warn("only root sees it", "run this with sudo");
    }
    let found = match facts.mac.metadata(path) {
        Ok(found) => found,
        Err(reason) => return about.warn(format!("{}: {reason}", file.path), "look at the folder"),
    };
    match found {
        None if file.delivered > 0 => about.fail(
            format!("{} is gone, with {} alerts written to it", file.path, file.delivered),
            "find out who removed it; the sensor makes a new one with the next alert",
        ),
        None => about.pass(format!("{} is made with the first alert", file.path)),
        Some(found) if !found.is_file || found.owner != ROOT || found.mode & 0o022 != 0 => about.fail(
            format!(
                "{} can be changed by others than root (uid {}, mode {:04o})",
                file.path, found.owner, found.mode
            ),
            format!(
                "find out who did that; then `sudo chown root {0} && sudo chmod 600 {0}`",
                super::quoted(path)
            ),
        ),
        Some(_) if file.replaced > 0 => about.warn(
            format!("{} was removed or exchanged by someone else, {} times", file.path, file.replaced),
            "find out who did that: `ls -l` of its folder shows what was moved aside",
        ),
        Some(_) => about.pass(format!("{}, {} written since the start", file.path, file.delivered)),
    }
}
