//! What the normaliser makes of documents, hosts and clocks.

use eql::Record;
use serde_json::{Value as Json, json};

use super::kernel::{EPOCH, Kernel, SCHEMA, SECOND, Told, document, flow};
use super::*;
use crate::schema::render;

fn normalise(normaliser: &mut Normaliser, observation: Observation<'_>) -> Event {
    normaliser.normalise(0, observation).expect("an event")
}

fn text<'a>(event: &'a Event, path: &str) -> Option<&'a str> {
    event.get(SCHEMA.id(path).unwrap()).as_str()
}

/// An exec document of a process, with more fields.
fn exec(time: i64, pid: u32, path: &str, more: Vec<(&'static str, Json)>) -> Observation<'static> {
    let mut fields = vec![
        ("event.category", json!(["process"])),
        ("event.type", json!(["start"])),
        ("event.action", json!("exec")),
        ("process.pid", json!(pid)),
        ("process.executable", json!(path)),
    ];
    fields.extend(more);
    document(time, fields)
}

#[test]
fn a_host_is_the_documents_own_else_the_one_given() {
    let id = |host: &str, fields: Vec<(&'static str, Json)>| {
        let host = Host { id: host.into(), name: Some("given".into()), ..Host::default() };
        let mut normaliser = Normaliser::new(Options { host, ..Options::default() });
        let event = normalise(&mut normaliser, flow(EPOCH, fields));
        (text(&event, "host.id").map(str::to_owned), text(&event, "host.name").map(str::to_owned))
    };
    let own = |text: &str| Some(text.to_owned());
    assert_eq!(id("", vec![]), (own(RECORDED_HOST), own("given")));
    assert_eq!(id("mac-1", vec![]), (own("mac-1"), own("given")));
    assert_eq!(id("mac-1", vec![("host.id", json!("mac-2"))]), (own("mac-2"), None));
}

#[test]
fn two_hosts_may_have_the_same_pids_and_entity_ids() {
    let mut normaliser = Normaliser::new(Options::default());
    for host in ["mac-1", "mac-2"] {
        let more = vec![("host.id", json!(host)), ("process.entity_id", json!("same"))];
        normalise(&mut normaliser, exec(EPOCH, 11, &format!("/opt/{host}"), more));
    }
    for host in ["mac-2", "mac-1"] {
        for more in [vec![], vec![("process.entity_id", json!("same"))]] {
            let fields = [vec![("host.id", json!(host)), ("process.pid", json!(11))], more].concat();
            let event = normalise(&mut normaliser, flow(EPOCH + SECOND, fields));
            assert_eq!(text(&event, "process.name"), Some(host));
        }
    }
    let stranger = vec![("host.id", json!("mac-3")), ("process.pid", json!(11))];
    assert!(normalise(&mut normaliser, flow(EPOCH + SECOND, stranger)).process().is_none());
}

#[test]
fn a_flow_gets_what_it_lacks_and_keeps_what_it_has() {
    let steps = "-50 boot 10 /usr/bin/zsh
                 1 fork 10 11
                 1.1 exec 11 /usr/bin/curl https://example.com";
    let mut normaliser = Normaliser::new(Options::default());
    for observation in Kernel::run(Told::Messages, steps) {
        normaliser.normalise(0, observation);
    }
    let fields =
        vec![("process.pid", json!(11)), ("user.name", json!("ada")), ("process.parent.pid", json!(7))];
    let json = Json::Object(render(&normalise(&mut normaliser, flow(EPOCH + 2 * SECOND, fields))));
    for (path, expected) in [
        ("/user/name", json!("ada")),
        ("/user/id", json!("501")),
        ("/process/pid", json!(11)),
        ("/process/name", json!("curl")),
        ("/process/executable", json!("/usr/bin/curl")),
        ("/process/args", json!(["/usr/bin/curl", "https://example.com"])),
        ("/process/command_line", json!("/usr/bin/curl https://example.com")),
        ("/process/start", json!("2026-11-24T08:00:01.000Z")),
        ("/process/parent/pid", json!(7)),
        ("/process/parent/executable", json!("/usr/bin/zsh")),
        ("/process/code_signature/trusted", json!(true)),
        ("/process/code_signature/signing_id", json!("com.apple.curl")),
        ("/vedette/platform_binary", json!(true)),
        ("/vedette/attribution", json!("pid")),
        ("/host/id", json!(RECORDED_HOST)),
        ("/host/os/type", json!("macos")),
        ("/event/category", json!("network")),
        ("/destination/ip", json!("203.0.113.7")),
    ] {
        assert_eq!(json.pointer(path), Some(&expected), "{path}");
    }
    // What the document does not say of itself is not put into its mouth.
    for path in ["/event/module", "/event/kind", "/event/action", "/ecs", "/agent"] {
        assert_eq!(json.pointer(path), None, "{path}");
    }
}

#[test]
fn a_document_of_another_system_is_left_its_own() {
    let mut normaliser = Normaliser::new(Options::default());
    let event = normalise(&mut normaliser, flow(EPOCH, vec![("host.os.platform", json!("ubuntu"))]));
    assert_eq!(text(&event, "host.os.type"), None);
    assert_eq!(text(&event, "host.os.platform"), Some("ubuntu"));
}

#[test]
fn alerts_are_not_evaluated_and_other_documents_pass() {
    let mut normaliser = Normaliser::new(Options::default());
    for kind in ["alert", "enrichment"] {
        let fields = vec![("event.kind", json!(kind)), ("process.pid", json!(11))];
        assert!(normaliser.normalise(0, flow(EPOCH, fields)).is_none());
    }
    let file = document(EPOCH, vec![("event.category", json!(["file"])), ("process.pid", json!(11))]);
    assert!(normalise(&mut normaliser, file).process().is_none());
    let nameless = document(EPOCH, vec![("event.category", json!("process"))]);
    assert!(normalise(&mut normaliser, nameless).process().is_none());
    let counts = normaliser.counts();
    assert_eq!((counts.events, counts.alerts), (2, 2));
    assert!(normaliser.table().is_empty());
}

#[test]
fn a_host_that_only_its_childs_document_names_begins_a_session() {
    let mut normaliser = Normaliser::new(Options::default());
    let installer = |trusted: bool| {
        vec![
            ("process.parent.pid", json!(20)),
            ("process.parent.entity_id", json!("p")),
            ("process.parent.executable", json!("/usr/sbin/installer")),
            ("process.parent.name", json!("installer")),
            ("process.parent.code_signature.exists", json!(true)),
            ("process.parent.code_signature.trusted", json!(trusted)),
            ("process.parent.code_signature.signing_id", json!("com.apple.installer")),
        ]
    };
    normalise(&mut normaliser, exec(EPOCH, 21, "/bin/bash", installer(true)));
    normalise(&mut normaliser, exec(EPOCH, 22, "/bin/bash", installer(false)));
    let package = |normaliser: &mut Normaliser, pid: u32| {
        let event = normalise(normaliser, flow(EPOCH + SECOND, vec![("process.pid", json!(pid))]));
        text(&event, "vedette.package.host").map(str::to_owned)
    };
    assert_eq!(package(&mut normaliser, 21).as_deref(), Some("installer"));
    assert_eq!(package(&mut normaliser, 22), None);
}

#[test]
fn what_the_sensor_wrote_reads_back() {
    let steps = "-50 boot 20 /usr/sbin/installer
                 1 fork 20 21
                 1.1 exec 21 /bin/bash /tmp/PKInstallSandbox.Ab12Cd/Scripts/com.example.tool.Xy98Zw/postinstall /a.pkg
                 2 fork 21 22
                 2.1 exec 22 /usr/bin/curl https://example.com
                 3 exit 22";
    let mut live = Normaliser::new(Options::default());
    let mut again = Normaliser::new(Options::default());
    let read: Vec<&str> = FIELDS.iter().map(|field| field.path).collect();
    let mut compared = 0;
    for observation in Kernel::run(Told::Messages, steps) {
        let Some(event) = live.normalise(0, observation) else { continue };
        let written = render(&event);
        // As the source of documents would read it.
        let mut fields = Vec::new();
        for path in &read {
            let pointer = format!("/{}", path.replace('.', "/"));
            if let Some(value) = Json::Object(written.clone()).pointer(&pointer) {
                fields.push((*path, value.clone()));
            }
        }
        let event = normalise(&mut again, document(event.time, fields));
        assert_eq!(Json::Object(render_of(&event, &written)), Json::Object(written));
        compared += 1;
    }
    assert_eq!(compared, 5);
    let fields = vec![("process.pid", json!(22))];
    for normaliser in [&mut live, &mut again] {
        let event = normalise(normaliser, flow(EPOCH + 4 * SECOND, fields.clone()));
        assert_eq!(text(&event, "vedette.package.identifier"), Some("com.example.tool"));
        assert_eq!(text(&event, "process.name"), Some("curl"));
        assert_eq!(text(&event, "user.id"), Some("501"));
        assert_eq!(text(&event, "vedette.attribution"), Some("pid_after_exit"));
    }
}

/// What the event itself holds of the paths that were written: nothing is changed by reading it back.
fn render_of(event: &Event, written: &serde_json::Map<String, Json>) -> serde_json::Map<String, Json> {
    let mut again = render(event);
    again.retain(|key, _| written.contains_key(key));
    again
}

#[test]
fn environments_are_kept_only_if_asked_for() {
    for env_vars in [false, true] {
        let mut normaliser = Normaliser::new(Options { env_vars, ..Options::default() });
        let observations = Kernel::run(Told::Messages, "1 fork 1 11\n1.1 exec 11 /usr/bin/curl");
        let events: Vec<Event> =
            observations.into_iter().filter_map(|observation| normaliser.normalise(0, observation)).collect();
        let kept = !events[1].get(SCHEMA.id("process.env_vars").unwrap()).is_missing();
        assert_eq!(kept, env_vars);
    }
}

#[test]
fn ticks_order_where_every_event_has_one() {
    // A script sets the clock back an hour between its exec and its flow.
    let mut normaliser = Normaliser::new(Options { ticks: true, ..Options::default() });
    for (tick, observation) in
        (1..).zip(Kernel::run(Told::Messages, "1 fork 1 11\n1.1 exec 11 /usr/bin/curl"))
    {
        let Observation::Message(mut message) = observation else { panic!("a message") };
        message.tick = Some(tick * SECOND);
        normalise(&mut normaliser, Observation::Message(message));
    }
    let Observation::Document(mut document) = flow(EPOCH - 3_600 * SECOND, vec![("process.pid", json!(11))])
    else {
        panic!("a document")
    };
    document.tick = Some(3 * SECOND);
    let event = normalise(&mut normaliser, Observation::Document(document));
    assert_eq!(text(&event, "process.name"), Some("curl"));
    assert_eq!((event.order, event.time), (3 * SECOND, EPOCH - 3_600 * SECOND));
}

#[test]
fn lost_messages_are_a_gap_between_those_around_them() {
    let steps = "1 fork 1 11
                 1.1 exec 11 /bin/a
                 lost 2 exec 11 /bin/b
                 3 exec 11 /bin/c
                 4 exec 11 /bin/d";
    let mut normaliser = Normaliser::new(Options::default());
    for observation in Kernel::run(Told::Messages, steps) {
        normaliser.normalise(0, observation);
    }
    let at = |tenths: i64| EPOCH + tenths * SECOND / 10;
    let exec = Gap { event_type: Some(9), from: at(11), to: at(30), missing: Some(1) };
    let all = Gap { event_type: None, ..exec };
    assert_eq!(normaliser.gaps().collect::<Vec<_>>(), [all, exec]);
    for (from, to, within) in [(0, 11, false), (0, 12, true), (15, 15, true), (20, 99, true), (30, 99, false)]
    {
        assert_eq!(normaliser.gap_within(at(from), at(to)), within, "{from} to {to}");
    }
}

#[test]
fn an_event_that_is_kept_says_whose_it_was_then_though_it_is_asked_late() {
    let mut normaliser = Normaliser::new(Options::default());
    let entity = ("process.entity_id", json!("e"));
    normalise(&mut normaliser, exec(EPOCH, 11, "/bin/sh", vec![entity.clone()]));
    let at = |seconds: i64| flow(EPOCH + seconds * SECOND, vec![("process.pid", json!(11))]);
    let kept = [normalise(&mut normaliser, at(1)), normalise(&mut normaliser, at(2))];
    // Its process goes on as another image, and pid and entity id are given to others.
    normalise(&mut normaliser, exec(EPOCH + 2 * SECOND, 11, "/usr/bin/curl", vec![entity.clone()]));
    let later = normalise(&mut normaliser, at(3));
    normalise(
        &mut normaliser,
        exec(EPOCH + 1, 11, "/bin/other", vec![("process.start", json!("2026-11-24T00:00:00Z"))]),
    );
    assert_eq!(kept.each_ref().map(|event| text(event, "process.name")), [Some("sh"); 2]);
    assert_eq!(text(&later, "process.name"), Some("curl"));
    assert_eq!(text(&later, "process.entity_id"), Some("e"));
}

#[test]
fn what_nobody_asks_is_learned_all_the_same() {
    let mut normaliser = Normaliser::new(Options::default());
    for (pid, path) in [(11, "/bin/sh"), (12, "/bin/zsh")] {
        drop(normalise(&mut normaliser, exec(EPOCH, pid, path, vec![])));
    }
    let end = vec![
        ("event.category", json!("process")),
        ("event.type", json!("end")),
        ("process.pid", json!(11)),
        ("process.name", json!("sh")),
    ];
    drop(normalise(&mut normaliser, document(EPOCH + SECOND, end)));
    let whose = |normaliser: &mut Normaliser, pid: u32| {
        let event = normalise(normaliser, flow(EPOCH + 2 * SECOND, vec![("process.pid", json!(pid))]));
        ["process.name", "vedette.attribution"].map(|path| text(&event, path).map(str::to_owned))
    };
    let told = |texts: [&str; 2]| texts.map(|text| Some(text.to_owned()));
    assert_eq!(whose(&mut normaliser, 11), told(["sh", "pid_after_exit"]));
    assert_eq!(whose(&mut normaliser, 12), told(["zsh", "pid"]));
    assert_eq!(normaliser.table().len(), 2);
}
