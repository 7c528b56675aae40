use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::*;
use crate::event::{
    Action, ArgsParts, Attribution, CodeSignature, DescriptionParts, Fields, Host, InvocationParts, KeptArgs,
    Loss, Network, Package, Process, User, Who,
};

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

/// Every key that eslogger writes of a message and of exec, fork and exit, message versions 6 to 11. Each is
/// mapped or dropped with a reason, and nothing else is listed.
#[test]
fn every_key_of_eslogger_has_a_fate() {
    let written = [
        (
            "envelope",
            "action action.result action.result.result action.result.result.auth action.result.result.flags \
             action.result.result_type action_type event event_type global_seq_num mach_time process \
             schema_version seq_num thread thread.thread_id time version",
        ),
        (
            "process",
            "audit_token cdhash codesigning_flags cs_validation_category executable group_id is_es_client \
             is_platform_binary original_ppid parent_audit_token ppid responsible_audit_token session_id \
             signing_id start_time team_id tty",
        ),
        ("file", "path path_truncated stat"),
        (
            "stat",
            "st_atimespec st_birthtimespec st_blksize st_blocks st_ctimespec st_dev st_flags st_gen st_gid \
             st_ino st_mode st_mtimespec st_nlink st_rdev st_size st_uid",
        ),
        ("audit_token", "asid auid egid euid pid pidversion rgid ruid"),
        (
            "exec",
            "args cwd dyld_exec_path entitlements env fds fds[] fds[].fd fds[].fdtype fds[].pipe \
             fds[].pipe.pipe_id image_cpusubtype image_cputype last_fd script target",
        ),
        ("fork", "child"),
        ("exit", "stat"),
    ];
    let written: HashSet<(&str, &str)> =
        written.iter().flat_map(|(object, keys)| keys.split(' ').map(|key| (*object, key))).collect();
    let listed: HashSet<(&str, &str)> = KEYS.iter().map(|key| (key.object, key.key)).collect();
    assert_eq!(listed, written);
    assert_eq!(listed.len(), KEYS.len(), "a key has two fates");
    for key in KEYS {
        match &key.fate {
            // `vedette.gap` is of alerts.
            Fate::Field(fields) => {
                assert!(!fields.is_empty() && fields.iter().all(|field| is_field(field)), "{key:?}");
            }
            Fate::Used(what) | Fate::Dropped(what) => assert!(!what.is_empty(), "{key:?}"),
        }
    }
}

fn is_field(path: &str) -> bool {
    path == "vedette.gap" || matches!(lookup(path), Known::Observed(_))
}

/// Each field that Elastic's own macOS sensor documents for processes and network flows is observed, or it is
/// said why not.
#[test]
fn elastics_fields_are_all_accounted_for() {
    let fields = "@timestamp Effective_process.pid Target.process.executable Target.process.name \
        Target.process.pid agent.id agent.type agent.version data_stream.dataset data_stream.namespace \
        data_stream.type destination.address destination.bytes destination.domain destination.ip \
        destination.port ecs.version elastic.agent.id event.action event.category event.created \
        event.dataset event.id event.kind event.module event.outcome event.sequence event.type \
        group.Ext.real.id group.Ext.real.name group.id group.name host.architecture host.hostname host.id \
        host.ip host.mac host.name host.os.Ext.variant host.os.family host.os.full host.os.kernel \
        host.os.name host.os.platform host.os.type host.os.version message network.direction \
        network.transport network.type process.Ext.ancestry process.Ext.command_line_truncated \
        process.Ext.effective_parent.entity_id process.Ext.effective_parent.executable \
        process.Ext.effective_parent.name process.Ext.effective_parent.pid process.Ext.script.content \
        process.Ext.script.path process.Ext.trusted process.Ext.trusted_descendant \
        process.ai_agent.is_descendant process.ai_agent.name process.args process.args_count \
        process.code_signature.exists process.code_signature.signing_id process.code_signature.status \
        process.code_signature.subject_name process.code_signature.team_id process.code_signature.trusted \
        process.command_line process.entity_id process.env_vars process.executable process.exit_code \
        process.hash.md5 process.hash.sha1 process.hash.sha256 process.name process.parent.args_count \
        process.parent.code_signature.exists process.parent.code_signature.signing_id \
        process.parent.code_signature.status process.parent.code_signature.subject_name \
        process.parent.code_signature.team_id process.parent.code_signature.trusted \
        process.parent.command_line process.parent.entity_id process.parent.executable process.parent.name \
        process.parent.pid process.pid process.group_leader.pid process.session_leader.pid source.address \
        source.bytes source.ip source.port user.Ext.real.id user.Ext.real.name user.id user.name";
    let unknown: Vec<&str> =
        fields.split_whitespace().filter(|path| matches!(lookup(path), Known::Unknown)).collect();
    assert_eq!(unknown, [""; 0]);
}

#[test]
fn an_event_of_nothing_renders() {
    for action in [Action::Exec, Action::Fork, Action::End, Action::ConnectionAttempted, Action::Document] {
        let event = Event::new(Fields { action, ..Fields::default() }, Who::default());
        let json = render(&event);
        assert!(json.keys().all(|key| !key.contains('.')), "{json:?}");
    }
}

#[test]
fn a_field_has_the_type_that_it_is_listed_with() {
    let event = event_of_everything();
    let mut missing = Vec::new();
    for field in FIELDS {
        let value = (field.read)(&event);
        if value.is_missing() {
            missing.push(field.path);
        }
        let fits = value.any(|value| match field.kind {
            Kind::Keyword | Kind::Ip => matches!(value, Value::Str(_)),
            Kind::Date => value.as_str().is_some_and(|text| crate::timestamp::parse(text).is_ok()),
            Kind::Long => matches!(value, Value::Int(_)),
            Kind::Boolean => matches!(value, Value::Bool(_)),
        });
        assert!(fits || value.is_missing(), "{}: {value:?}", field.path);
        assert!(field.array || !matches!(value, Value::List(_)), "{} is an array", field.path);
    }
    assert_eq!(missing, [""; 0], "an event of everything has every field");
    let json = serde_json::Value::Object(render(&event));
    for field in FIELDS {
        let value = json.pointer(&format!("/{}", field.path.replace('.', "/")));
        let value = value.unwrap_or_else(|| panic!("{} is not rendered", field.path));
        assert_eq!(value.is_array(), field.array, "{}", field.path);
    }
}

/// No real event is an exit with a flow; it is here so that each reader reads something.
fn event_of_everything() -> Event {
    let text = |text: &str| -> Option<Arc<str>> { Some(text.into()) };
    let list = |text: &str| -> Box<[eql::Scalar]> { Box::new([eql::Scalar::from(text)]) };
    let signature =
        CodeSignature { status: Some("No error."), validation_category: Some(6), ..CodeSignature::default() };
    let user = User {
        id: "0".into(),
        name: text("root"),
        real_id: text("0"),
        real_name: text("root"),
        group_id: text("0"),
        group_name: text("wheel"),
        real_group_id: text("0"),
        real_group_name: text("wheel"),
        audit_id: text("501"),
    };
    let args = KeptArgs {
        args: list("x"),
        count: Some(1),
        truncated: true,
        command_line: Some("x".into()),
        command_line_truncated: true,
    };
    let invocation = InvocationParts {
        args: ArgsParts::Kept(args),
        working_directory: Some("/".into()),
        env_vars: list("K=v"),
        script: Some("/x".into()),
        architecture: Some("arm64"),
        dyld_exec_path: Some("/x".into()),
    };
    let description = DescriptionParts {
        executable: Some("/bin/x".into()),
        executable_truncated: true,
        name: Some("x".into()),
        tty: Some("/dev/ttys000".into()),
        group_leader_pid: Some(1),
        session_leader_pid: Some(1),
        code_signature: Some(signature),
        signing_id: Some("com.example.x".into()),
        team_id: Some("ABCDE12345".into()),
        cdhash: Some("ab".into()),
        user: Some(Arc::new(user)),
        es_client: true,
        invocation: Some(invocation),
    };
    let process = Process {
        pid: 10,
        pidversion: Some(1),
        entity_id: "e".into(),
        start: Some(1),
        parent_pid: Some(1),
        parent_entity_id: Some("p".into()),
        ancestry: Arc::from(list("p")),
        package: Some(Arc::new(Package {
            host: "installer".into(),
            host_entity_id: "h".into(),
            identifier: text("com.example"),
            script: text("/s"),
            path: text("/p"),
            claimed: list("path"),
            session: "s".into(),
        })),
        previous_executable: text("/bin/y"),
        weight: 0,
        description: description.into(),
    };
    let process = Rc::new(process);
    let fields = Fields {
        action: Action::Exec,
        tick: Some(1),
        sequence: Some(1),
        host: Arc::new(Host {
            id: "h".into(),
            name: text("mac"),
            architecture: text("arm64"),
            os_version: text("15.5"),
            os_full: text("macOS 15.5"),
            os_kernel: text("24.5.0"),
            ip: list("192.0.2.1"),
            mac: list("00-00-5E-00-53-23"),
            os_recorded: false,
        }),
        exit_code: Some(0),
        network: Some(Box::new(Network {
            direction: Some("egress"),
            transport: Some("tcp"),
            kind: Some("ipv4"),
            source_ip: text("192.0.2.1"),
            source_port: Some(50_000),
            source_bytes: Some(1),
            destination_ip: text("203.0.113.7"),
            destination_port: Some(443),
            destination_domain: text("example.com"),
            destination_bytes: Some(1),
            source: Some("es"),
        })),
        loss: Some(Box::new(Loss {
            of_busiest: Some(1),
            package: process.package.clone(),
            ..Loss::default()
        })),
        ..Fields::default()
    };
    let who = Who {
        process: Some(process.clone()),
        parent: Some(process.clone()),
        effective_parent: Some(process),
        attribution: Some(Attribution::Named),
    };
    Event::new(fields, who)
}
