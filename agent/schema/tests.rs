use std::collections::HashSet;
use std::path::Path;

use super::*;
use crate::event::{Action, Fields};

#[test]
fn the_field_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fields.md");
    let text = reference();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &text).expect("a writable docs/fields.md");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == text, "docs/fields.md is old; UPDATE_EXPECT=1 cargo test --lib writes it anew");
}

#[test]
fn ids_are_places_in_the_table() {
    let schema = schema();
    assert_eq!(schema.len(), FIELDS.len(), "a path stands twice in the table");
    for (index, field) in FIELDS.iter().enumerate() {
        assert_eq!(schema.id(field.path), Some(FieldId(index as u32)));
    }
    assert_eq!(schema.path(EVENT_CATEGORY), "event.category");
    assert_eq!(id("process.parent.name"), schema.id("process.parent.name").unwrap());
}

#[test]
fn a_field_is_observed_or_not() {
    let observed: HashSet<&str> = FIELDS.iter().map(|field| field.path).collect();
    for field in NOT_OBSERVED {
        assert!(!observed.contains(field.path), "{} stands in both tables", field.path);
        assert!(!field.why.is_empty());
    }
    assert!(matches!(lookup("process.name"), Known::Observed(_)));
    assert!(matches!(lookup("file.path"), Known::NotObserved(_)));
    assert!(matches!(lookup("process.nmae"), Known::Unknown));
    assert!(matches!(lookup("filename"), Known::Unknown));
}

/// The keys of eslogger's envelope, process, file, token, exec, fork and exit, one by one (message versions 6
/// to 11). Each must be mapped or dropped with a reason.
#[test]
fn every_key_of_eslogger_has_a_fate() {
    const NAMES: [(&str, &[&str]); 6] = [
        (
            "envelope",
            &[
                "action",
                "action_type",
                "event",
                "event_type",
                "global_seq_num",
                "mach_time",
                "process",
                "schema_version",
                "seq_num",
                "thread",
                "time",
                "version",
            ],
        ),
        (
            "process",
            &[
                "audit_token",
                "cdhash",
                "codesigning_flags",
                "cs_validation_category",
                "executable",
                "group_id",
                "is_es_client",
                "is_platform_binary",
                "original_ppid",
                "parent_audit_token",
                "ppid",
                "responsible_audit_token",
                "session_id",
                "signing_id",
                "start_time",
                "team_id",
                "tty",
            ],
        ),
        ("audit_token", &["asid", "auid", "egid", "euid", "pid", "pidversion", "rgid", "ruid"]),
        ("file", &["path", "path_truncated", "stat"]),
        (
            "exec",
            &[
                "args",
                "cwd",
                "dyld_exec_path",
                "entitlements",
                "env",
                "fds",
                "image_cpusubtype",
                "image_cputype",
                "last_fd",
                "script",
                "target",
            ],
        ),
        ("fork, exit", &["child", "stat"]),
    ];
    let text = reference();
    for (group, names) in NAMES {
        for name in names {
            assert!(
                text.lines().any(|line| line.starts_with('|') && line.contains(&format!("{name}`"))
                    || line.contains(&format!("`{name}"))),
                "{group}: {name} is neither mapped nor dropped"
            );
        }
    }
    let keys: HashSet<String> = KEYS.iter().map(|key| format!("{key:?}")).collect();
    assert_eq!(keys.len(), KEYS.len(), "a key has two fates");
}

#[test]
fn an_event_of_nothing_renders() {
    for action in [Action::Exec, Action::Fork, Action::End, Action::ConnectionAttempted, Action::Document] {
        let event = Event::new(Fields { action, ..Fields::default() });
        let json = render(&event);
        assert!(json.keys().all(|key| !key.contains('.')), "{json:?}");
    }
}
