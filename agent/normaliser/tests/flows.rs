//! Live flows: whose they are.

use super::*;
use crate::event::Network;
use crate::observation::{Exec, Token};
use crate::schema;
use eql::Record;

const SECOND: i64 = 1_000_000_000;

/// The wall clock at tick 0.
const EPOCH: i64 = 1_795_507_200 * SECOND;

/// Forked at a second, with its pidversion and its parent's.
#[derive(Clone, Copy)]
struct Run {
    pid: u32,
    pidversion: u32,
    start: i64,
    path: &'static str,
}

impl Run {
    fn image(self) -> Image<'static> {
        let token = Token { pid: self.pid, pidversion: self.pidversion, ..Token::default() };
        let start = Some(EPOCH + self.start * SECOND);
        Image { token, ppid: Some(1), executable: self.path.into(), start, ..Image::default() }
    }
}

/// What is told, second by second.
struct Told {
    normaliser: Normaliser,
}

impl Told {
    fn new() -> Self {
        let host = Host { id: "mac".into(), ..Host::default() };
        let normaliser = Normaliser::new(Options { host, ticks: true, ..Options::default() });
        Told { normaliser }
    }

    fn message(&mut self, second: i64, process: Image<'_>, event: MessageEvent<'_>) -> Event {
        let message = Message {
            time: EPOCH + second * SECOND,
            tick: Some(second * SECOND),
            version: 9,
            event_type: 0,
            seq_num: None,
            global_seq_num: None,
            process,
            event,
        };
        self.normaliser.normalise(0, Observation::Message(Box::new(message))).expect("an event")
    }

    fn exec(&mut self, second: i64, from: Run, to: Run) {
        let exec = Exec {
            target: to.image(),
            args: vec!["argument".into()],
            env: Vec::new(),
            cwd: None,
            script: None,
            dyld_exec_path: None,
            cpu_type: None,
        };
        self.message(second, from.image(), MessageEvent::Exec(Box::new(exec)));
    }

    fn exit(&mut self, second: i64, run: Run) {
        self.message(second, run.image(), MessageEvent::Exit { status: 0 });
    }

    /// A flow of a second: its process's executable and attribution.
    fn flow(&mut self, second: i64, owner: Owner) -> (Option<String>, Option<&'static str>) {
        let flow = Flow {
            time: EPOCH + second * SECOND,
            tick: Some(second * SECOND),
            ended: false,
            network: network(),
            owner,
        };
        shown(&self.normaliser.flow(flow))
    }
}

fn network() -> Network {
    Network { transport: Some("tcp"), source: Some("ntstat"), ..Network::default() }
}

fn shown(event: &Event) -> (Option<String>, Option<&'static str>) {
    let executable = event.process().and_then(|process| process.executable().map(str::to_owned));
    (executable, event.who().attribution.map(Attribution::as_str))
}

fn is(executable: &str, attribution: &'static str) -> (Option<String>, Option<&'static str>) {
    (Some(executable.to_owned()), Some(attribution))
}

const SHELL: Run = Run { pid: 500, pidversion: 10, start: 1, path: "/bin/sh" };
const CURL: Run = Run { pid: 500, pidversion: 11, start: 1, path: "/usr/bin/curl" };
/// The next process of the pid.
const NEXT: Run = Run { pid: 500, pidversion: 90, start: 20, path: "/usr/bin/nc" };

#[test]
fn the_image_is_that_of_the_flows_time() {
    let mut told = Told::new();
    told.exec(5, SHELL, CURL);
    for second in [6, 4] {
        // The second one comes late, from before the exec.
        let image = if second == 6 { "/usr/bin/curl" } else { "/bin/sh" };
        let start = EPOCH + SECOND;
        assert_eq!(told.flow(second, Owner::Process { pid: 500, start }), is(image, "named"));
        let began = second * SECOND;
        assert_eq!(told.flow(second, Owner::Pid { pid: 500, began }), is(image, "pid"));
    }
}

#[test]
fn after_its_exit_a_process_is_still_known() {
    let mut told = Told::new();
    told.exec(5, SHELL, CURL);
    told.exit(7, CURL);
    assert_eq!(told.flow(6, Owner::Pid { pid: 500, began: 6 * SECOND }), is("/usr/bin/curl", "pid"));
    assert_eq!(
        told.flow(8, Owner::Pid { pid: 500, began: 8 * SECOND }),
        is("/usr/bin/curl", "pid_after_exit")
    );
    assert_eq!(
        told.flow(8, Owner::Process { pid: 500, start: EPOCH + SECOND }),
        is("/usr/bin/curl", "named")
    );
}

#[test]
fn a_reused_pid_is_not_confused() {
    let mut told = Told::new();
    told.exec(5, SHELL, CURL);
    told.exit(7, CURL);
    told.exec(21, Run { path: "/bin/zsh", pidversion: 89, ..NEXT }, NEXT);
    assert_eq!(told.flow(6, Owner::Pid { pid: 500, began: 6 * SECOND }), is("/usr/bin/curl", "pid"));
    assert_eq!(told.flow(22, Owner::Pid { pid: 500, began: 22 * SECOND }), is("/usr/bin/nc", "pid"));
    // It began while the one had the pid, and ends while the other has it.
    assert_eq!(told.flow(23, Owner::Pid { pid: 500, began: 6 * SECOND }), is("/usr/bin/curl", "pid"));
    // Whatever the time says: the start names the process.
    assert_eq!(
        told.flow(22, Owner::Process { pid: 500, start: EPOCH + SECOND }),
        is("/usr/bin/curl", "named")
    );
    assert_eq!(
        told.flow(22, Owner::Process { pid: 500, start: EPOCH + 20 * SECOND }),
        is("/usr/bin/nc", "named")
    );
}

#[test]
fn of_a_process_that_nothing_was_told_of_its_entity_id_is_known_and_nothing_else() {
    let mut told = Told::new();
    told.exec(5, SHELL, CURL);
    let flow = |told: &mut Told, owner| {
        let flow = Flow { time: EPOCH, tick: Some(0), ended: true, network: network(), owner };
        told.normaliser.flow(flow)
    };
    let event = flow(&mut told, Owner::Process { pid: 500, start: EPOCH + 20 * SECOND });
    assert_eq!(shown(&event), (None, Some("named")));
    let early = event.process().expect("a process").entity_id.clone();
    told.exec(21, Run { path: "/bin/zsh", pidversion: 89, ..NEXT }, NEXT);
    let event = flow(&mut told, Owner::Process { pid: 500, start: EPOCH + 20 * SECOND });
    assert_eq!(event.process().expect("a process").entity_id, early);
    assert_eq!(shown(&flow(&mut told, Owner::Pid { pid: 600, began: 0 })), (None, None));
}

#[test]
fn event_154_names_its_process_and_enters_one_that_is_new() {
    let mut told = Told::new();
    let network = Network { source: Some("es"), ..network() };
    let event = told.message(6, CURL.image(), MessageEvent::Connect(Box::new(network)));
    assert_eq!(shown(&event), is("/usr/bin/curl", "named"));
    assert_eq!(event.action, Action::ConnectionAttempted);
    assert_eq!(event.get(schema::EVENT_CATEGORY).as_str(), Some("network"));
    assert_eq!(told.normaliser.table().len(), 1);
    // What follows by another source is of the same process.
    assert_eq!(told.flow(7, Owner::Pid { pid: 500, began: 7 * SECOND }), is("/usr/bin/curl", "pid"));
}
