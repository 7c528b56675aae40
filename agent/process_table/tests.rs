use super::*;

const HOST: HostRef<'static> = HostRef { number: 0, id: "h" };
const SECOND: i64 = 1_000_000_000;

fn at(seconds: i64) -> At {
    At { time: seconds * SECOND, order: seconds * SECOND }
}

/// An image of `pid` that began at `start` seconds.
fn image(pid: u32, pidversion: u32, start: i64, path: &'static str, parent: (u32, u32)) -> Image<'static> {
    Image {
        token: Token { pid, pidversion, ..Token::default() },
        parent_token: Some(Token { pid: parent.0, pidversion: parent.1, ..Token::default() }),
        ppid: Some(parent.0),
        original_ppid: Some(parent.0),
        executable: path.into(),
        start: Some(start * SECOND),
        is_platform_binary: path.contains("/System/"),
        ..Image::default()
    }
}

fn exec(target: Image<'static>) -> Exec<'static> {
    Exec {
        target,
        args: vec!["x".into()],
        env: vec![],
        cwd: None,
        script: None,
        dyld_exec_path: None,
        cpu_type: None,
    }
}

fn table(processes: usize) -> ProcessTable {
    ProcessTable::new(Limits { processes, ..Limits::default() }, false)
}

const LAUNCHD: (u32, u32) = (1, 1);

#[test]
fn exec_in_place_keeps_the_process() {
    let mut table = table(100);
    let bash = image(10, 5, 1, "/bin/bash", LAUNCHD);
    let before = table.exec(HOST, &image(10, 4, 1, "/sbin/x", LAUNCHD), &exec(bash.clone()), at(2)).process;
    let curl = image(10, 6, 1, "/usr/bin/curl", LAUNCHD);
    let after = table.exec(HOST, &bash, &exec(curl), at(3)).process;
    assert_eq!(before.entity_id, after.entity_id);
    assert_eq!(after.previous_executable.as_deref(), Some("/bin/bash"));
    // At each time the image of that time.
    let name = |table: &mut ProcessTable, seconds| {
        table.at(HOST, 10, at(seconds).order, 0).unwrap().process.name.clone()
    };
    assert_eq!(name(&mut table, 2).as_deref(), Some("bash"));
    assert_eq!(name(&mut table, 3).as_deref(), Some("curl"));
}

#[test]
fn the_parent_is_the_image_that_the_token_names() {
    let mut table = table(100);
    let proxy = image(10, 1, 1, "/usr/libexec/xpcproxy", LAUNCHD);
    let child = image(11, 1, 2, "/usr/libexec/xpcproxy", (10, 1));
    table.fork(HOST, &proxy, &child, at(2));
    // The parent execs between its fork and the child's exec.
    let service = image(10, 2, 1, "/System/x/service", LAUNCHD);
    table.exec(HOST, &proxy, &exec(service.clone()), at(3));
    let by_old = table.exec(HOST, &child, &exec(image(11, 2, 2, "/bin/sh", (10, 1))), at(4));
    assert_eq!(by_old.parent.unwrap().name.as_deref(), Some("xpcproxy"));
    let again = image(11, 3, 2, "/bin/bash", (10, 2));
    let by_new = table.exec(HOST, &image(11, 2, 2, "/bin/sh", (10, 2)), &exec(again), at(5));
    assert_eq!(by_new.parent.unwrap().name.as_deref(), Some("service"));
}

#[test]
fn a_reused_pid_is_another_process() {
    let mut table = table(100);
    let first = image(10, 1, 1, "/bin/first", LAUNCHD);
    let old = table.other(HOST, &first, at(1)).process;
    table.exit(HOST, &first, at(5));
    let second = image(10, 9, 7, "/bin/second", LAUNCHD);
    let new = table.other(HOST, &second, at(7)).process;
    assert_ne!(old.entity_id, new.entity_id);
    for (seconds, name, ended) in [(4, "first", false), (6, "first", true), (8, "second", false)] {
        let seen = table.at(HOST, 10, at(seconds).order, 0).unwrap();
        assert_eq!((seen.process.name.as_deref(), seen.ended), (Some(name), ended), "at {seconds}");
    }
    assert!(table.at(HOST, 10, 0, 0).is_none(), "before it began there was none");
}

#[test]
fn a_late_exec_goes_in_at_its_own_time() {
    let mut table = table(100);
    let one = image(10, 1, 1, "/bin/one", LAUNCHD);
    let three = image(10, 3, 1, "/bin/three", LAUNCHD);
    let two = image(10, 2, 1, "/bin/two", LAUNCHD);
    table.other(HOST, &one, at(1));
    table.exec(HOST, &two, &exec(three), at(9));
    table.exec(HOST, &one, &exec(two), at(5));
    let name = |table: &mut ProcessTable, s| table.at(HOST, 10, at(s).order, 0).unwrap().process.name.clone();
    assert_eq!(name(&mut table, 6).as_deref(), Some("two"));
    assert_eq!(name(&mut table, 10).as_deref(), Some("three"));
}

#[test]
fn ancestry_is_from_fork_and_survives_the_parents_end() {
    let mut table = table(100);
    let shell = image(10, 1, 1, "/bin/sh", LAUNCHD);
    let child = image(11, 2, 2, "/bin/sh", (10, 1));
    let shell_id = table.other(HOST, &shell, at(1)).process.entity_id.clone();
    table.fork(HOST, &shell, &child, at(2));
    table.exit(HOST, &shell, at(3));
    // Orphaned: the kernel now says that launchd is the parent.
    let orphan = Image { original_ppid: Some(10), ..image(11, 3, 2, "/bin/tool", LAUNCHD) };
    let seen = table.exec(HOST, &child, &exec(orphan), at(4));
    assert_eq!(seen.process.ancestry.first().and_then(Scalar::as_str), Some(&*shell_id));
    assert_eq!(seen.parent.unwrap().pid, 1);
}

#[test]
fn the_table_is_bounded_and_sessions_go_last() {
    let mut table = table(1_000);
    let service = "/System/Library/PrivateFrameworks/PackageKit.framework/Versions/A/XPCServices/\
                   package_script_service.xpc/Contents/MacOS/package_script_service";
    let host = image(2, 1, 1, service, LAUNCHD);
    let script = image(3, 1, 2, service, (2, 1));
    table.fork(HOST, &host, &script, at(2));
    for number in 0..100_000u32 {
        let parent = image(4, 1, 1, "/bin/forker", LAUNCHD);
        let child = image(10 + number, 1, 3, "/bin/forker", (4, 1));
        table.fork(HOST, &parent, &child, at(3));
        assert!(table.len() <= 1_000);
    }
    assert!(table.counts().evicted > 90_000);
    let kept = table.at(HOST, 3, at(4).order, 0).expect("a process of an install session");
    assert!(kept.process.package.is_some());
}

#[test]
fn ended_processes_go_after_the_window_but_not_by_one_far_time() {
    let mut table = table(100);
    table.set_largest_window(30 * SECOND);
    let gone = image(10, 1, 1, "/bin/gone", LAUNCHD);
    table.exit(HOST, &gone, at(2));
    for number in 0..64 {
        table.advance(if number % 4 == 0 { i64::MAX } else { 3 * SECOND });
    }
    assert!(table.at(HOST, 10, at(3).order, 0).is_some());
    for seconds in 100..200 {
        table.advance(seconds * SECOND);
    }
    assert!(table.at(HOST, 10, at(3).order, 0).is_none());
    assert_eq!(table.counts().expired, 1);
}

#[test]
fn a_megabyte_of_arguments_is_cut_and_counted() {
    let mut table = table(100);
    let target = image(10, 2, 1, "/bin/echo", LAUNCHD);
    let mut message = exec(target);
    message.args = (0..1_000).map(|_| "é".repeat(1_000).into()).collect();
    let process = table.exec(HOST, &image(10, 1, 1, "/bin/sh", LAUNCHD), &message, at(2)).process;
    assert_eq!(process.args_count, Some(1_000));
    assert!(process.args_truncated && process.command_line_truncated);
    assert!(process.command_line.as_ref().unwrap().len() <= MAX_COMMAND_LINE_BYTES);
    assert!(table.bytes() < 1 << 20);
}

#[test]
fn hosts_do_not_share_pids() {
    let mut table = table(100);
    table.other(HOST, &image(10, 1, 1, "/bin/here", LAUNCHD), at(1));
    let other = HostRef { number: 1, id: "other" };
    assert!(table.at(other, 10, at(2).order, 0).is_none());
    let there = table.other(other, &image(10, 1, 1, "/bin/there", LAUNCHD), at(1)).process;
    let here = table.at(HOST, 10, at(2).order, 0).unwrap().process;
    assert_ne!(here.entity_id, there.entity_id);
}

#[test]
fn messages_of_any_kind_enter_a_process() {
    let mut table = table(100);
    // A process that was running before the sensor is known from its first message.
    table.other(HOST, &image(10, 1, 1, "/bin/old", LAUNCHD), at(50));
    assert_eq!(table.counts().first_seen_alive, 1);
    assert!(table.at(HOST, 10, at(2).order, 0).is_some(), "it had begun long before");
}
