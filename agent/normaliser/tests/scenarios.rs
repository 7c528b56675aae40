//! Whose an event is, told in many ways: the same scenario gives the same answer, whatever reports it.

use std::collections::HashMap;

use eql::{Record, Scalar};

use super::kernel::{Kernel, SCHEMA, Told};
use super::*;

const ALL: &[Told] = &[
    Told::Messages,
    Told::MessagesWithoutForks,
    Told::Documents,
    Told::DocumentsOfPids,
    Told::DocumentsOfBarePids,
];
const MESSAGES: &[Told] = &[Told::Messages, Told::MessagesWithoutForks];
const WITH_FORKS: &[Told] =
    &[Told::Messages, Told::Documents, Told::DocumentsOfPids, Told::DocumentsOfBarePids];

const SERVICE: &str = "/System/Library/PrivateFrameworks/PackageKit.framework/Versions/A/XPCServices/\
                       package_script_service.xpc/Contents/MacOS/package_script_service";
const SCRIPT: &str = "/tmp/PKInstallSandbox.Ab12Cd/Scripts/com.example.tool.Xy98Zw/postinstall";

/// Runs a scenario as each of `told` would report it, and compares what becomes of its execs and flows with
/// `expected`, a line each: `KIND PID NAME < PARENT ^ ANCESTORS # PACKAGE`. Processes are lettered in the
/// order in which they first appear.
#[track_caller]
fn check(told: &[Told], steps: &str, expected: &str) {
    let steps = steps.replace("SERVICE", SERVICE).replace("SCRIPT", SCRIPT);
    for told in told {
        let mut normaliser = Normaliser::new(Options::default());
        let mut letters = Letters::default();
        let mut lines = Vec::new();
        for observation in Kernel::run(*told, &steps) {
            if let Some(event) = normaliser.normalise(0, observation) {
                lines.extend(letters.line(&event));
            }
        }
        let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert!(lines == expected, "{told:?}\n   got {lines:#?}\nwanted {expected:#?}");
    }
}

#[derive(Default)]
struct Letters(HashMap<String, char>);

impl Letters {
    fn line(&mut self, event: &Event) -> Option<String> {
        let text = |path: &str| {
            let value = event.get(SCHEMA.id(path).unwrap());
            value.to_scalar().map(|scalar| match scalar {
                Scalar::Str(text) => text.to_string(),
                Scalar::Int(number) => number.to_string(),
                other => format!("{other:?}"),
            })
        };
        let action = text("event.action").unwrap_or_else(|| "flow".into());
        let mut line = match &*action {
            "exec" | "flow" => format!("{action} {}", text("process.pid")?),
            _ => return None,
        };
        line.push_str(&format!(" {}", text("process.name").unwrap_or_else(|| "?".into())));
        if let Some(id) = text("process.entity_id") {
            line.push_str(&format!(" {}", self.of(id)));
        }
        if let Some(parent) = text("process.parent.executable") {
            line.push_str(&format!(" < {}", parent.rsplit('/').next().unwrap()));
        } else if let Some(parent) = text("process.parent.pid") {
            line.push_str(&format!(" < {parent}"));
        }
        let ancestry = event.process().map(|process| process.ancestry.clone()).unwrap_or_default();
        // launchd heads every chain and tells nothing.
        let launchd = |id: &&Scalar| id.as_str().is_some_and(|id| !self.0.contains_key(id));
        let known: String =
            ancestry.iter().filter(|id| !launchd(id)).filter_map(|id| self.0.get(id.as_str()?)).collect();
        if !known.is_empty() {
            line.push_str(&format!(" ^ {known}"));
        }
        if let Some(session) = text("vedette.package.session") {
            let package = text("vedette.package.identifier").or_else(|| text("vedette.package.host"));
            line.push_str(&format!(" # {}:{}", self.of(session), package.unwrap_or_default()));
        }
        Some(line)
    }

    fn of(&mut self, id: String) -> char {
        let next = char::from(b'a' + u8::try_from(self.0.len()).unwrap());
        *self.0.entry(id).or_insert(next)
    }
}

#[test]
fn exec_in_place_keeps_identity_and_lineage() {
    check(
        ALL,
        "-50 boot 10 /usr/bin/zsh
         1 exec 10 /usr/bin/zsh
         2 fork 10 11
         2.1 exec 11 /bin/bash -c curl
         2.2 exec 11 /usr/bin/curl https://example.com
         3 flow 11",
        "exec 10 zsh a < launchd
         exec 11 bash b < zsh ^ a
         exec 11 curl b < zsh ^ a
         flow 11 curl b < zsh ^ a",
    );
}

#[test]
fn sh_execs_bash() {
    check(
        ALL,
        "-50 boot 20 SERVICE
         1 fork 20 21
         1.1 exec 21 /bin/sh SCRIPT /tmp/a.pkg / / /
         1.2 exec 21 /bin/bash SCRIPT /tmp/a.pkg / / /
         2 fork 21 22
         2.1 exec 22 /usr/bin/curl https://example.com
         3 flow 22",
        "exec 21 sh a < package_script_service # a:com.example.tool
         exec 21 bash a < package_script_service # a:com.example.tool
         exec 22 curl b < bash ^ a # a:com.example.tool
         flow 22 curl b < bash ^ a # a:com.example.tool",
    );
}

#[test]
fn xpcproxy_becomes_the_service() {
    check(
        ALL,
        "1 fork 1 20
         1.1 exec 20 /usr/libexec/xpcproxy com.apple.package_script_service
         1.2 exec 20 SERVICE
         2 fork 20 21
         2.1 exec 21 /bin/bash SCRIPT /tmp/a.pkg / / /
         3 flow 21",
        "exec 20 xpcproxy a < launchd
         exec 20 package_script_service a < launchd
         exec 21 bash b < package_script_service ^ a # b:com.example.tool
         flow 21 bash b < package_script_service ^ a # b:com.example.tool",
    );
}

#[test]
fn the_parent_execs_between_fork_and_exec() {
    check(
        ALL,
        "-50 boot 10 /usr/bin/zsh
         1 exec 10 /usr/bin/zsh
         2 fork 10 11
         3 exec 10 /usr/bin/perl
         4 exec 11 /usr/bin/curl
         5 flow 11",
        "exec 10 zsh a < launchd
         exec 10 perl a < launchd
         exec 11 curl b < perl ^ a
         flow 11 curl b < perl ^ a",
    );
}

#[test]
fn the_parents_exec_comes_late_or_not_at_all() {
    // The token names an image that nobody has told of: the fork message's process has the pid.
    let steps = "-50 boot 10 /usr/bin/zsh
                 2 fork 10 11
                 lost 3 exec 10 /usr/bin/perl
                 4 exec 11 /usr/bin/curl";
    check(&[Told::Messages], steps, "exec 11 curl a < zsh");
    // Where the parent's own next message shows the image, it is that.
    let seen = "-50 boot 10 /usr/bin/zsh
                2 fork 10 11
                late 3 exec 10 /usr/bin/perl
                3.5 fork 10 12
                4 exec 11 /usr/bin/curl
                then 5 flow 10";
    check(
        &[Told::Messages],
        seen,
        "exec 11 curl a < perl
         exec 10 perl b < launchd
         flow 10 perl b < launchd",
    );
}

#[test]
fn a_parent_that_has_gone_still_is_the_ancestor() {
    check(
        WITH_FORKS,
        "-50 boot 10 /usr/bin/zsh
         1 exec 10 /usr/bin/zsh
         2 fork 10 11
         2.5 exec 11 /bin/bash
         3 exit 10
         4 fork 11 12
         5 exit 11
         6 exec 12 /usr/bin/curl
         7 flow 12",
        "exec 10 zsh a < launchd
         exec 11 bash b < zsh ^ a
         exec 12 curl c < launchd ^ ba
         flow 12 curl c < launchd ^ ba",
    );
}

#[test]
fn an_orphan_first_seen_at_its_exec_knows_its_original_parent() {
    check(
        &[Told::MessagesWithoutForks],
        "-50 boot 20 SERVICE
         1 fork 20 21
         1.1 exec 21 /bin/bash SCRIPT /tmp/a.pkg / / /
         2 fork 21 22
         3 exit 21
         4 exec 22 /usr/bin/curl
         5 flow 22",
        "exec 21 bash a < package_script_service # a:com.example.tool
         exec 22 curl b < launchd ^ a # a:com.example.tool
         flow 22 curl b < launchd ^ a # a:com.example.tool",
    );
}

#[test]
fn a_reused_pid_is_another_process() {
    check(
        ALL,
        "-50 boot 10 /usr/bin/zsh
         1 fork 10 11
         1.1 exec 11 /usr/bin/curl
         2 exit 11
         3 fork 10 11
         3.1 exec 11 /usr/bin/nc
         4 flow 11
         1.5 flow 11
         2.5 flow 11",
        "exec 11 curl a < zsh
         exec 11 nc b < zsh
         flow 11 nc b < zsh
         flow 11 curl a < zsh
         flow 11 curl a < zsh",
    );
    // The predecessor's end was lost: the fork of its pid closes it.
    check(
        ALL,
        "-50 boot 10 /usr/bin/zsh
         1 fork 10 11
         1.1 exec 11 /usr/bin/curl
         lost 2 exit 11
         3 fork 10 11
         3.1 exec 11 /usr/bin/nc
         2.5 flow 11
         4 flow 11",
        "exec 11 curl a < zsh
         exec 11 nc b < zsh
         flow 11 curl a < zsh
         flow 11 nc b < zsh",
    );
}

#[test]
fn a_flow_after_the_end_is_still_its_process() {
    check(
        ALL,
        "1 fork 1 11
         1.1 exec 11 /usr/bin/curl
         1.2 exit 11
         4.7 flow 11",
        "exec 11 curl a < launchd
         flow 11 curl a < launchd",
    );
}

#[test]
fn a_flow_before_the_exec_is_of_the_image_before() {
    check(
        WITH_FORKS,
        "-50 boot 10 /usr/bin/zsh
         1 fork 10 11
         3 exec 11 /usr/bin/curl
         2 flow 11
         0.5 flow 11",
        "exec 11 curl a < zsh
         flow 11 zsh a < zsh
         flow 11 ?",
    );
}

#[test]
fn what_a_flow_says_itself_is_not_contradicted() {
    let steps = "1 fork 1 11
                 1.1 exec 11 /usr/bin/curl
                 2 flow 11 name=curl
                 2 flow 11 executable=/usr/bin/curl
                 2 flow 11 name=wget
                 2 flow 11 executable=/opt/curl
                 2 flow 12";
    check(
        ALL,
        steps,
        "exec 11 curl a < launchd
         flow 11 curl a < launchd
         flow 11 curl a < launchd
         flow 11 wget
         flow 11 ?
         flow 12 ?",
    );
}

#[test]
fn an_entity_id_goes_before_a_pid() {
    // Pid 11 is nc by now; the flow names the curl that had it.
    let flow = format!("4 flow 11 entity=entity-11-{}", super::kernel::EPOCH + super::kernel::SECOND);
    let steps = format!(
        "-50 boot 10 /usr/bin/zsh
         1 fork 10 11
         1.1 exec 11 /usr/bin/curl
         2 exit 11
         3 fork 10 11
         3.1 exec 11 /usr/bin/nc
         {flow}
         4 flow 11 entity=unheard-of"
    );
    check(
        &[Told::Documents],
        &steps,
        "exec 11 curl a < zsh
         exec 11 nc b < zsh
         flow 11 curl a < zsh
         flow 11 ? c",
    );
}

#[test]
fn a_late_exec_does_not_overwrite_a_newer_image() {
    check(
        MESSAGES,
        "-50 boot 10 /usr/bin/zsh
         1 fork 10 11
         late 2 exec 11 /bin/sh
         3 exec 11 /bin/bash
         then 4 flow 11
         2.5 flow 11",
        "exec 11 bash a < zsh
         exec 11 sh a < zsh
         flow 11 bash a < zsh
         flow 11 sh a < zsh",
    );
}

#[test]
fn a_late_fork_tells_the_lineage_after_all() {
    check(
        &[Told::Messages],
        "-50 boot 20 SERVICE
         1 fork 20 21
         1.1 exec 21 /bin/bash SCRIPT /tmp/a.pkg / / /
         late 2 fork 21 22
         2.1 exit 21
         2.2 exec 22 /usr/bin/perl
         then 3 flow 22",
        "exec 21 bash a < package_script_service # a:com.example.tool
         exec 22 perl b < launchd ^ a # a:com.example.tool
         flow 22 perl b < launchd ^ a # a:com.example.tool",
    );
}

#[test]
fn a_host_is_not_told_by_its_name() {
    let steps = "-50 boot 20 SERVICE forged
                 1 fork 20 21
                 1.1 exec 21 /bin/bash SCRIPT /tmp/a.pkg / / /
                 2 flow 21";
    check(
        ALL,
        steps,
        "exec 21 bash a < package_script_service
         flow 21 bash a < package_script_service",
    );
    check(
        ALL,
        "-50 boot 10 /usr/bin/zsh
         1 fork 10 11
         1.1 exec 11 /tmp/package_script_service
         2 fork 11 12
         2.1 exec 12 /bin/bash SCRIPT /tmp/a.pkg / / /",
        "exec 11 package_script_service a < zsh
         exec 12 bash b < package_script_service ^ a",
    );
}

#[test]
fn an_installer_within_a_script_begins_a_session_of_its_own() {
    check(
        ALL,
        "-50 boot 20 SERVICE
         1 fork 20 21
         1.1 exec 21 /bin/bash SCRIPT /tmp/a.pkg / / /
         2 fork 21 22
         2.1 exec 22 /usr/sbin/installer -pkg /tmp/inner.pkg -target /
         3 fork 22 23
         3.1 exec 23 /bin/bash -c true
         4 fork 23 24
         4.1 exec 24 /usr/bin/curl",
        "exec 21 bash a < package_script_service # a:com.example.tool
         exec 22 installer b < bash ^ a # a:com.example.tool
         exec 23 bash c < installer ^ ba # c:installer
         exec 24 curl d < bash ^ cba # c:installer",
    );
}

#[test]
fn each_child_of_a_host_begins_a_session() {
    check(
        ALL,
        "-50 boot 20 SERVICE
         1 fork 20 21
         1.1 exec 21 /bin/bash SCRIPT /tmp/a.pkg / / /
         2 exit 21
         3 fork 20 22
         3.1 exec 22 /bin/bash /tmp/own/script",
        "exec 21 bash a < package_script_service # a:com.example.tool
         exec 22 bash b < package_script_service # b:package_script_service",
    );
}
