//! Scenarios that nobody thought of, against the kernel's own account; and input that no kernel writes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::kernel::{EPOCH, Kernel, SECOND, Told, flow};
use super::*;
use crate::observation::{Exec, Image, Token};
use crate::process_table::entity_id;

const MILLISECOND: i64 = SECOND / 1000;

/// What truly was: by pid, the processes that had it.
#[derive(Default)]
struct Account(BTreeMap<u32, Vec<Life>>);

#[derive(Debug)]
struct Life {
    start: i64,
    end: Option<i64>,
    /// The images by name, and from when.
    images: Vec<(i64, String)>,
    /// `(pid, start)`, nearest first.
    ancestors: Vec<(u32, i64)>,
}

impl Account {
    fn living(&self, pid: u32) -> Option<&Life> {
        self.0.get(&pid)?.last().filter(|life| life.end.is_none())
    }

    fn at(&self, pid: u32, time: i64) -> Option<(&Life, &str)> {
        let life = self.0.get(&pid)?.iter().rfind(|life| life.start <= time)?;
        let image = life.images.iter().rfind(|(from, _)| *from <= time)?;
        Some((life, &image.1))
    }
}

/// Turns random numbers into steps that a kernel could take, each a hundredth of a second after the other.
fn script(choices: &[(u8, u8, u8)]) -> (String, Account) {
    let mut account = Account::default();
    account.0.insert(
        10,
        vec![Life {
            start: EPOCH - 50 * SECOND,
            end: None,
            images: vec![(EPOCH - 50 * SECOND, "shell".into())],
            ancestors: vec![(1, EPOCH - 100 * SECOND)],
        }],
    );
    let mut steps = String::from("-50 boot 10 /bin/shell\n");
    for (index, (kind, one, two)) in choices.iter().enumerate() {
        let step = index as i64 + 1;
        let time = EPOCH + step * 10 * MILLISECOND;
        let seconds = format!("{}.{:02}", step / 100, step % 100);
        let (pid, other) = (10 + u32::from(one % 6), 10 + u32::from(two % 6));
        if account.living(pid).is_none() {
            continue;
        }
        match kind % 4 {
            0 | 1 if account.living(other).is_none() => {
                let parent = account.living(pid).unwrap();
                let image = parent.images.last().unwrap().1.clone();
                let mut ancestors = vec![(pid, parent.start)];
                ancestors.extend(parent.ancestors.iter().copied().take(63));
                let life = Life { start: time, end: None, images: vec![(time, image)], ancestors };
                account.0.entry(other).or_default().push(life);
                steps.push_str(&format!("{seconds} fork {pid} {other}\n"));
            }
            // Pid 10 stays, so that there is always one to go on with.
            2 if pid != 10 => {
                account.0.get_mut(&pid).unwrap().last_mut().unwrap().end = Some(time);
                steps.push_str(&format!("{seconds} exit {pid}\n"));
            }
            _ => {
                let life = account.0.get_mut(&pid).unwrap().last_mut().unwrap();
                // As many images as are kept, so that each can be asked for.
                if life.images.len() < 12 {
                    life.images.push((time, format!("image{index}")));
                    steps.push_str(&format!("{seconds} exec {pid} /opt/image{index}\n"));
                }
            }
        }
    }
    (steps, account)
}

fn choices() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    prop::collection::vec(any::<(u8, u8, u8)>(), 0..120)
}

/// Asks for the process of each pid at each step, and compares.
///
/// What came in order has its whole lineage. Otherwise a process may be told of before its grandparent, whose
/// pid is another's by then; but who forked it, the fork message says.
fn check_account(
    normaliser: &mut Normaliser,
    account: &Account,
    steps: usize,
    in_order: bool,
) -> Result<(), TestCaseError> {
    for pid in 10..16 {
        for step in 0..=steps as i64 {
            let time = EPOCH + step * 10 * MILLISECOND + 5 * MILLISECOND;
            let event = normaliser.normalise(9, flow(time, vec![("process.pid", pid.into())])).unwrap();
            let got = event.process().map(|process| (process.start, process.name()));
            let truth = account.at(pid, time).map(|(life, name)| (Some(life.start), Some(name)));
            prop_assert_eq!(got, truth, "pid {} at step {}", pid, step);
            if let (Some(process), Some((life, _))) = (event.process(), account.at(pid, time)) {
                let ids: Vec<&str> = process.ancestry.iter().filter_map(|id| id.as_str()).collect();
                let truth: Vec<_> = life
                    .ancestors
                    .iter()
                    .map(|(pid, start)| entity_id(RECORDED_HOST, *pid, *start))
                    .collect();
                // Of launchd, which said nothing itself, nobody knows when it started.
                let told = truth.len() - 1;
                let compared = if in_order { told.max(ids.len()) } else { told.min(1) };
                let told = truth[..told].iter().map(|id| &**id);
                let ids = ids.into_iter();
                prop_assert!(ids.take(compared).eq(told.take(compared)), "pid {} at step {}", pid, step);
                let attribution = match life.end.is_some_and(|end| end < time) {
                    true => Attribution::PidAfterExit,
                    false => Attribution::Pid,
                };
                prop_assert_eq!(event.who().attribution, Some(attribution));
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_table_agrees_with_the_kernel(choices in choices()) {
        let (steps, account) = script(&choices);
        let mut normaliser = Normaliser::new(Options::default());
        for observation in Kernel::run(Told::Messages, &steps) {
            normaliser.normalise(0, observation);
        }
        check_account(&mut normaliser, &account, choices.len(), true)?;
        prop_assert_eq!(normaliser.gaps().count(), 0);
    }

    #[test]
    fn in_whatever_order_its_messages_come(choices in choices(), seed in any::<u64>()) {
        let (steps, account) = script(&choices);
        let mut observations = Kernel::run(Told::Messages, &steps);
        // Fisher and Yates, with Knuth's numbers. The first stays: it enters pid 10.
        let mut random = seed;
        for at in (2..observations.len()).rev() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            observations.swap(at, 1 + (random >> 33) as usize % at);
        }
        let mut normaliser = Normaliser::new(Options::default());
        for observation in observations {
            normaliser.normalise(0, observation);
        }
        check_account(&mut normaliser, &account, choices.len(), false)?;
    }

    #[test]
    fn nothing_that_a_message_says_breaks_the_table(messages in prop::collection::vec(nonsense(), 0..200)) {
        let limits = Limits { processes: 8, bytes: 64 << 10 };
        let mut normaliser = Normaliser::new(Options { limits, ..Options::default() });
        for observation in messages {
            let event = normaliser.normalise(0, observation);
            prop_assert!(normaliser.table().len() <= 8 && normaliser.table().bytes() <= 64 << 10);
            if let Some(event) = event {
                crate::schema::render(&event);
            }
        }
    }
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![0..4i64, Just(i64::MIN), Just(i64::MAX), any::<i64>()]
}

fn image() -> impl Strategy<Value = Image<'static>> {
    let token =
        || (0..4u32, 0..6u32).prop_map(|(pid, pidversion)| Token { pid, pidversion, ..Token::default() });
    (
        token(),
        prop::option::of(token().prop_map(|token| token.image())),
        prop::option::of(0..4u32),
        prop::option::of(number()),
        "[/\u{0}\né]{0,3}",
    )
        .prop_map(|(token, parent, ppid, start, path)| Image {
            token,
            parent,
            responsible: parent,
            ppid,
            original_ppid: ppid,
            start,
            executable: path.into(),
            is_platform_binary: true,
            signing_id: Some("com.apple.installer".into()),
            ..Image::default()
        })
}

/// Messages and documents that contradict each other and themselves.
fn nonsense() -> impl Strategy<Value = Observation<'static>> {
    let message = (image(), image(), 0..4u8, number(), any::<Option<u64>>()).prop_map(
        |(process, other, kind, time, number)| {
            let event = match kind {
                0 => MessageEvent::Fork { child: other },
                1 => MessageEvent::Exit { status: time as i32 },
                2 => MessageEvent::Other("x".into()),
                _ => MessageEvent::Exec(Box::new(Exec {
                    target: other,
                    args: vec!["\u{1b}[2J".repeat(time as usize % 9_000).into(), "".into()],
                    env: vec![],
                    cwd: None,
                    script: None,
                    dyld_exec_path: None,
                    cpu_type: None,
                })),
            };
            Observation::Message(Box::new(Message {
                time,
                tick: None,
                version: 9,
                event_type: kind.into(),
                seq_num: number,
                global_seq_num: number,
                process,
                event,
            }))
        },
    );
    let actions = prop::sample::select(vec!["exec", "fork", "end", "already_running"]);
    let document = (0..4u32, 0..4u32, actions, number(), any::<bool>(), any::<bool>()).prop_map(
        |(pid, parent, action, time, named, is_flow)| {
            let mut fields = vec![
                ("process.pid", pid.into()),
                ("process.parent.pid", parent.into()),
                ("event.action", action.into()),
            ];
            if named {
                fields.push(("process.entity_id", format!("entity-{}", pid % 2).into()));
                fields.push(("process.start", "9999-99-99T99:99:99Z".into()));
            }
            if is_flow {
                return flow(time, fields);
            }
            fields.push(("event.category", "process".into()));
            super::kernel::document(time, fields)
        },
    );
    prop_oneof![message, document]
}
