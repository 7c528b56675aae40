//! The lines here have the shape of eslogger's own: its keys, their types, some slashes escaped.

use proptest::prelude::*;

use super::*;
use crate::source::shape::{self, Found, Read, Wanted};

/// Reads a line by the places of its values; `None` where that is left to serde.
fn by_places(line: &str, environment: bool) -> Option<Message<'_>> {
    let mut wanted = Wanted::recording([]).with_messages(environment);
    match shape::read(line, &mut wanted, &mut Found::default()) {
        Some(Read::Message(message)) => Some(*message),
        _ => None,
    }
}

/// Reads a line in both ways, which must agree.
fn decode(line: &str, environment: bool) -> Result<Message<'_>, LineError> {
    let result = super::decode(line, environment);
    if let Some(message) = by_places(line, environment) {
        assert_eq!(Ok(&message), result.as_ref().map_err(ToString::to_string));
    }
    result
}

const TOKEN: &str =
    r#"{"auid":501,"euid":0,"egid":20,"ruid":502,"rgid":21,"pid":700,"asid":100003,"pidversion":1500}"#;
const TOKEN_ARRAY: &str = "[501,0,20,502,21,700,100003,1500]";

fn token() -> Token {
    Token { auid: 501, euid: 0, egid: 20, ruid: 502, rgid: 21, pid: 700, asid: 100003, pidversion: 1500 }
}

fn file(path: &str) -> String {
    format!(
        r#"{{"path_truncated":false,"stat":{{"st_ino":1152921500312606511,"st_dev":-16777231,"st_mtimespec":"2026-01-01T00:00:00.000000000Z"}},"path":"{path}"}}"#
    )
}

/// A process with every key of message version 10.
fn process(token: &str, path: &str) -> String {
    format!(
        r#"{{"codesigning_flags":637618689,"ppid":1,"original_ppid":650,"group_id":700,"session_id":1,"is_platform_binary":true,"is_es_client":false,"cdhash":"00112233445566778899AABBCCDDEEFF00112233","signing_id":"com.apple.bash","team_id":null,"executable":{},"tty":{},"start_time":"2026-11-24T07:59:59.250001Z","audit_token":{token},"parent_audit_token":{token},"responsible_audit_token":{token},"cs_validation_category":1}}"#,
        file(path),
        file("\\/dev\\/ttys009"),
    )
}

fn message(version: u32, event_type: u32, process: &str, event: &str) -> String {
    format!(
        r#"{{"schema_version":1,"action_type":1,"thread":{{"thread_id":54501}},"action":{{"result":{{"result_type":0,"result":{{"auth":0}}}}}},"mach_time":2321412313,"seq_num":3,"global_seq_num":17,"event":{{{event}}},"event_type":{event_type},"process":{process},"version":{version},"time":"2026-11-24T08:00:00.123456789Z"}}"#
    )
}

fn exec(rest: &str) -> String {
    let target = process(TOKEN, "/bin/bash");
    let event = format!(
        r#""exec":{{"target":{target},"fds":[{{"fd":0,"fdtype":1}},{{"fd":1,"fdtype":6,"pipe":{{"pipe_id":7}}}}],"last_fd":1,"image_cputype":16777228,"image_cpusubtype":-2147483646,"cwd":{},{rest}}}"#,
        file("/private/tmp"),
    );
    message(10, 9, &process(TOKEN, "/bin/sh"), &event)
}

fn failure(line: &str) -> String {
    decode(line, true).unwrap_err().to_string()
}

#[test]
fn an_exec_is_read_whole() {
    let line = exec(
        r#""args":["/bin/sh","-c","echo \"a\"\n\u00e9"],"env":["PATH=/bin","X=\t"],"script":null,"dyld_exec_path":"/bin/bash""#,
    );
    let decoded = decode(&line, true).unwrap();
    assert_eq!(
        (decoded.time, decoded.tick, decoded.version, decoded.event_type),
        (1_795_507_200_123_456_789, None, 10, 9)
    );
    assert_eq!((decoded.seq_num, decoded.global_seq_num), (Some(3), Some(17)));
    assert_eq!(decoded.process.executable, "/bin/sh");

    let MessageEvent::Exec(exec) = decoded.event else { panic!("{:?}", decoded.event) };
    assert_eq!(exec.args, ["/bin/sh", "-c", "echo \"a\"\né"]);
    assert_eq!(exec.env, ["PATH=/bin", "X=\t"]);
    assert_eq!(exec.cwd.as_deref(), Some("/private/tmp"));
    assert_eq!((exec.script, exec.dyld_exec_path.as_deref()), (None, Some("/bin/bash")));
    assert_eq!(exec.cpu_type, Some(16777228));
    assert_eq!(
        exec.target,
        Image {
            token: token(),
            parent: Some(token().image()),
            responsible: Some(token().image()),
            ppid: Some(1),
            original_ppid: Some(650),
            group_id: Some(700),
            session_id: Some(1),
            codesigning_flags: 637618689,
            is_platform_binary: true,
            is_es_client: false,
            cdhash: Some("00112233445566778899AABBCCDDEEFF00112233".into()),
            signing_id: Some("com.apple.bash".into()),
            team_id: None,
            cs_validation_category: Some(1),
            executable: "/bin/bash".into(),
            executable_truncated: false,
            tty: Some("/dev/ttys009".into()),
            start: Some(1_795_507_199_250_001_000),
        }
    );
}

#[test]
fn good_lines_are_read_by_places() {
    for line in [
        exec(r#""args":["/bin/sh","-c","echo \"a\"\né"],"env":["A=1"]"#),
        exec(r#""args":["sh"],"env":["A=1","B=\t"],"script":{"path":"/x"},"dyld_exec_path":"/bin/bash""#),
        exec(r#""args":[],"script":null"#).replace(TOKEN, TOKEN_ARRAY),
        message(8, 15, &process(TOKEN, "/bin/sh"), r#""exit":{"stat":256}"#),
        message(8, 10, &process(TOKEN, "/bin/sh"), r#""open":{"file":[[{}]],"fflag":1}"#),
        message(8, 10, &process(TOKEN, "/bin/sh"), r#""fork":{"child":CHILD}"#)
            .replace("CHILD", &process(TOKEN, "/bin/sh")),
    ] {
        for environment in [false, true] {
            assert!(by_places(&line, environment).is_some(), "{line}");
            decode(&line, environment).unwrap();
        }
    }
}

proptest! {
    /// Whatever becomes of a line, it is read in both ways or the places leave it to serde. Only what is null or missing
    /// in an object is treated more kindly by places.
    #[test]
    fn both_ways_agree(
        kind in 0..3, at in any::<prop::sample::Index>(), length in 0..40usize,
        with in prop_oneof![Just(""), Just("1"), Just("\"x\""), Just("{}"), Just("[]"), Just("-1"), Just("1e9"), Just("true,"), Just("\\u0041"), Just("\\ud800")],
    ) {
        let line = match kind {
            0 => exec(r#""args":["/bin/sh","a\\b"],"env":["A=1","B=2"],"script":null"#),
            1 => message(8, 15, &process(TOKEN, "/bin/sh"), r#""exit":{"stat":256}"#),
            _ => message(8, 10, &process(TOKEN_ARRAY, "/bin/sh"), r#""open":{"file":7}"#),
        };
        let at = at.index(line.len());
        let end = (at + length).min(line.len());
        let Some((head, tail)) = line.get(..at).zip(line.get(end..)) else { return Ok(()) };
        let line = format!("{head}{with}{tail}");
        for environment in [false, true] {
            if let (Some(places), Ok(serde)) = (by_places(&line, environment), super::decode(&line, environment)) {
                prop_assert_eq!(places, serde, "{}", line);
            }
        }
    }
}

#[test]
fn environment_variables_are_kept_only_on_request() {
    let line = exec(r#""args":["sh"],"env":["SECRET=1"]"#);
    let env = |environment| match decode(&line, environment).unwrap().event {
        MessageEvent::Exec(exec) => exec.env,
        other => panic!("{other:?}"),
    };
    assert!(env(false).is_empty());
    assert_eq!(env(true), ["SECRET=1"]);
}

#[test]
fn unescaped_text_is_borrowed() {
    let line = exec(r#""args":["plain","es\/caped"]"#);
    let message = decode(&line, false).unwrap();
    let MessageEvent::Exec(exec) = message.event else { panic!() };
    assert!(matches!(exec.target.executable, Cow::Borrowed(_)));
    assert!(matches!(exec.target.signing_id, Some(Cow::Borrowed(_))));
    assert!(matches!(exec.args[0], Cow::Borrowed(_)));
    assert!(matches!(exec.args[1], Cow::Owned(_)));
}

#[test]
fn fork_exit_and_other_kinds() {
    let fork = message(
        8,
        11,
        &process(TOKEN, "/bin/sh"),
        &format!(r#""fork":{{"child":{}}}"#, process(TOKEN, "/bin/sh")),
    );
    let MessageEvent::Fork { child } = decode(&fork, false).unwrap().event else { panic!() };
    assert_eq!(child.token, token());

    let exit = message(8, 15, &process(TOKEN, "/bin/sh"), r#""exit":{"stat":256}"#);
    assert_eq!(decode(&exit, false).unwrap().event, MessageEvent::Exit { status: 256 });

    // What another kind holds is not looked at.
    let open = message(8, 10, &process(TOKEN, "/bin/sh"), r#""open":{"file":[[{}]],"fflag":1,"exec":7}"#);
    assert_eq!(decode(&open, false).unwrap().event, MessageEvent::Other("open".into()));
}

#[test]
fn both_forms_of_audit_token_are_the_same() {
    let line = exec(r#""args":[]"#);
    assert_eq!(decode(&line, false), decode(&line.replace(TOKEN, TOKEN_ARRAY), false));
    let with_uuid = line.replace(r#""pidversion":1500}"#, r#""pidversion":1500,"uuid":"7BFEA529"}"#);
    assert_eq!(decode(&line, false), decode(&with_uuid, false));
}

/// Each message version's optional keys, and keys that are not there yet.
#[test]
fn every_message_version_reads() {
    for (version, exec_keys, gone) in [
        (6, "", r#","cs_validation_category":1"#),
        (7, r#","dyld_exec_path":"/bin/bash""#, r#","cs_validation_category":1"#),
        (9, r#","dyld_exec_path":"/bin/bash""#, r#","cs_validation_category":1"#),
        (11, r#","dyld_exec_path":"/bin/bash","entitlements":{"com.apple.x":[true,{"time":"never"}]}"#, ""),
        (4711, r#","unheard_of":[{"a":[1e999]}],"script":null"#, ""),
    ] {
        let line = exec(&format!(r#""args":["sh"]{exec_keys}"#))
            .replace(r#""version":10"#, &format!(r#""version":{version}"#))
            .replace(gone, "");
        let message = decode(&line, true).unwrap_or_else(|error| panic!("version {version}: {error}"));
        assert_eq!(message.version, version);
        let MessageEvent::Exec(exec) = message.event else { panic!() };
        assert_eq!(exec.dyld_exec_path.is_some(), exec_keys.contains("dyld"));
        assert_eq!(exec.target.cs_validation_category.is_some(), gone.is_empty());
    }
}

/// Jamf leaves nulls out, shortens a key and has times of milliseconds.
#[test]
fn jamf_telemetry_reads() {
    let line = r#"{"action":{"result":{"auth":0},"result_type":0},"action_type":1,"deadline":0,"event":{"exit":{"stat":9}},"event_type":15,"glob_seq_num":716,"host":{"hostname":"mac","ips":["192.0.2.1"]},"mach_time":20629270564,"metadata":{"vendor":"Jamf"},"process":{"audit_token":{"asid":1,"auid":4294967295,"egid":0,"euid":0,"pid":962,"pidversion":2527,"rgid":0,"ruid":0,"uuid":"93DD5608"},"executable":{"path":"/usr/libexec/x","path_truncated":true},"signing_id":"","start_time":"2026-11-24T07:59:59.001Z"},"seq_num":672,"thread":{"thread_id":1,"uuid":"F1"},"time":"2026-11-24T08:00:00.832Z","uuid":"1755D61B","version":7}"#;
    let message = decode(line, false).unwrap();
    assert_eq!(message.time, 1_795_507_200_832_000_000);
    assert_eq!(message.global_seq_num, Some(716));
    assert_eq!(message.process.token.auid, u32::MAX);
    assert!(message.process.executable_truncated);
    assert_eq!((message.process.signing_id, message.process.tty, message.process.ppid), (None, None, None));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let line = exec(r#""args":["sh"]"#);
    let replaced = |from: &str, to: &str| {
        assert!(line.contains(from), "{from}");
        failure(&line.replacen(from, to, 1))
    };
    for (error, parts) in [
        (
            replaced(r#""pid":700"#, r#""pid":"700""#),
            ["event.exec.target.audit_token", r#"invalid type: string "700", expected u32"#],
        ),
        (
            replaced(r#""pid":700"#, r#""pid":-1"#),
            ["event.exec.target.audit_token", "invalid value: integer `-1`, expected u32"],
        ),
        (
            replaced(r#""pid":700"#, r#""pid":1e30"#),
            ["event.exec.target.audit_token", "invalid type: floating point"],
        ),
        (
            replaced(r#""pid":700"#, r#""pid":7.5"#),
            ["event.exec.target.audit_token", "invalid type: floating point"],
        ),
        (replaced(r#""pid":700"#, r#""pid":4294967296"#), ["event.exec.target.audit_token", "expected u32"]),
        (replaced(r#""pid":700,"#, ""), ["event.exec.target.audit_token", "missing field `pid`"]),
        (
            replaced(TOKEN, "[1,2,3,4,5,6,7]"),
            ["event.exec.target.audit_token", "expected an audit token, an object or an array of 8 numbers"],
        ),
        (
            replaced(TOKEN, "[1,2,3,4,5,6,7,8,9]"),
            ["event.exec.target.audit_token", "expected an audit token"],
        ),
        (replaced(TOKEN, "17"), ["event.exec.target.audit_token", "expected an audit token"]),
        (replaced(r#""ppid":1"#, r#""ppid":"1""#), ["event.exec.target.ppid", "expected a process id"]),
        (
            replaced(r#""args":["sh"]"#, r#""args":["sh",5]"#),
            ["event.exec.args[1]", "invalid type: integer `5`, expected text"],
        ),
        (replaced(r#""args":["sh"]"#, r#""args":["\ud800"]"#), ["event.exec.args[0]", "hex escape"]),
        (replaced("2026-11-24T08:00:00.123456789Z", "yesterday"), ["time", r#""yesterday" is not a time"#]),
        (
            replaced("2026-11-24T08:00:00.123456789Z", "0001-01-01T00:00:00Z"),
            ["time", "outside the years 1677 to 2262"],
        ),
        (
            replaced("2026-11-24T08:00:00.123456789Z", "9999-12-31T23:59:59Z"),
            ["time", "outside the years 1677 to 2262"],
        ),
        (
            replaced(r#""time":"2026-11-24T08:00:00.123456789Z""#, r#""time":292277026596"#),
            ["time", "expected a time of the form 2026-11-24"],
        ),
        (
            replaced(r#""event":{"exec""#, r#""event":{"x":1,"exec""#),
            ["event", "expected an object with one key, the kind of event"],
        ),
    ] {
        for part in parts {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
        assert!(error.starts_with("eslogger message: "), "{error}");
        assert!(error.contains(" (column "), "{error}");
        assert!(!error.contains("line 1"), "{error}");
    }
}

#[test]
fn a_number_that_is_no_process_id_loses_only_itself() {
    let line = exec(r#""args":["sh"]"#).replace(r#""session_id":1"#, r#""session_id":-1"#);
    let MessageEvent::Exec(exec) = decode(&line, false).unwrap().event else { panic!() };
    assert_eq!(exec.target.session_id, None);
    assert_eq!(exec.target.group_id, Some(700));
}

#[test]
fn no_prefix_of_a_line_is_a_message() {
    let line = exec(r#""args":["sh","é"]"#);
    assert!(decode(&line, true).is_ok());
    for (at, _) in line.char_indices() {
        assert!(decode(&line[..at], true).is_err(), "{at}");
    }
    assert!(decode(&format!("{line}{line}"), true).is_err());
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let deep = "[".repeat(100_000);
    for line in [
        deep.clone(),
        r#"{"event":"#.repeat(100_000),
        exec(&format!(r#""args":{deep}"#)),
        exec(&format!(r#""unknown":{deep}"#)),
        exec(r#""args":["sh"]"#).replacen(TOKEN, &deep, 1),
    ] {
        decode(&line, true).unwrap_err();
    }
    // Where nobody looks, depth does no harm.
    let closed = format!("{deep}{}", "]".repeat(100_000));
    assert!(decode(&exec(&format!(r#""args":["sh"],"unknown":{closed}"#)), true).is_ok());
}

#[test]
fn a_megabyte_of_argument_is_not_quoted_in_the_error() {
    let line = exec(&format!(r#""args":"{}""#, "a".repeat(1 << 20)));
    let error = failure(&line);
    assert!(error.len() < 500, "{} bytes", error.len());
    assert!(error.contains("event.exec.args"), "{error}");
}
