use super::*;
use crate::observation::Token;

const HOST: HostRef<'static> = HostRef { number: 0, id: "h" };
const SECOND: i64 = 1_000_000_000;

fn at(seconds: i64) -> At {
    At { time: seconds * SECOND, order: seconds * SECOND }
}

/// An image of `pid` that began at `start` seconds.
fn image(pid: u32, pidversion: u32, start: i64, path: &'static str, parent: (u32, u32)) -> Image<'static> {
    Image {
        token: Token { pid, pidversion, ..Token::default() },
        parent: Some(ImageId { pid: parent.0, pidversion: parent.1 }),
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
        table.at(HOST, 10, at(seconds).order, 0).unwrap().process.name().map(str::to_owned)
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
    assert_eq!(by_old.parent.unwrap().name(), Some("xpcproxy"));
    let again = image(11, 3, 2, "/bin/bash", (10, 2));
    let by_new = table.exec(HOST, &image(11, 2, 2, "/bin/sh", (10, 2)), &exec(again), at(5));
    assert_eq!(by_new.parent.unwrap().name(), Some("service"));
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
        assert_eq!((seen.process.name(), seen.ended), (Some(name), ended), "at {seconds}");
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
    let name = |table: &mut ProcessTable, s| {
        table.at(HOST, 10, at(s).order, 0).unwrap().process.name().map(str::to_owned)
    };
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
    assert_eq!(process.args_count(), Some(1_000));
    assert!(process.invocation.as_ref().unwrap().args_truncated && process.command_line_truncated());
    assert!(process.command_line().unwrap().len() <= MAX_COMMAND_LINE_BYTES);
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

#[test]
fn what_has_ended_goes_first_then_what_was_not_used_then_sessions() {
    let mut table = table(4);
    let service = "/System/Library/PrivateFrameworks/PackageKit.framework/Versions/A/XPCServices/\
                   package_script_service.xpc/Contents/MacOS/package_script_service";
    let left = |table: &ProcessTable| {
        let pids = 1..100;
        pids.filter(|pid| !table.store.by_pid(0, *pid).is_empty()).collect::<Vec<u32>>()
    };
    // 2 is a host and 3 its session; 10 and 11 live; 12 and 13 have ended, 13 first.
    let host = image(2, 1, 1, service, LAUNCHD);
    table.fork(HOST, &host, &image(3, 1, 1, service, (2, 1)), at(1));
    table.limits.processes = 6;
    for pid in [10, 11, 12, 13] {
        table.other(HOST, &image(pid, 1, 2, "/bin/x", LAUNCHD), at(2));
    }
    table.exit(HOST, &image(13, 1, 2, "/bin/x", LAUNCHD), at(3));
    table.exit(HOST, &image(12, 1, 2, "/bin/x", LAUNCHD), at(4));
    // A flow's look at what has ended does not keep it.
    assert!(table.at(HOST, 13, at(5).order, 0).is_some());
    let mut gone: Vec<u32> = Vec::new();
    let mut before = left(&table);
    for pid in 50..56 {
        table.other(HOST, &host, at(5));
        table.at(HOST, 10, at(5).order, 0);
        table.other(HOST, &image(pid, 1, 5, "/bin/new", LAUNCHD), at(5));
        let after = left(&table);
        gone.extend(before.iter().copied().filter(|pid| !after.contains(pid)));
        before = after;
    }
    assert_eq!(gone, [13, 12, 11, 50, 51, 52], "10 and the host are used, 3 is a session");
    assert_eq!(table.counts().evicted, 6);
    // Where there is nothing else, sessions go too: what has ended of them first.
    table.exit(HOST, &image(3, 1, 1, service, (2, 1)), at(6));
    table.fork(HOST, &host, &image(4, 1, 6, service, (2, 1)), at(6));
    table.limits.processes = 2;
    table.other(HOST, &host, at(6));
    assert_eq!(left(&table), [3, 4]);
    table.limits.processes = 1;
    table.enforce();
    assert_eq!(left(&table), [4]);
}

#[test]
fn bytes_are_bounded_as_well() {
    let mut table = ProcessTable::new(Limits { bytes: 1 << 20, ..Limits::default() }, true);
    for pid in 10..200 {
        let mut message = exec(image(pid, 2, 1, "/bin/echo", LAUNCHD));
        message.args = vec!["x".repeat(100_000).into(); 10];
        message.env = vec!["K=v".repeat(100_000).into(); 10];
        message.cwd = Some("/".repeat(100_000).into());
        message.script = Some("/".repeat(100_000).into());
        let shell = image(pid, 1, 1, "/bin/sh", LAUNCHD);
        let process = table.exec(HOST, &shell, &message, at(2)).process;
        assert!(process.weight < 256 << 10, "{}", process.weight);
        assert!(table.bytes() <= 1 << 20);
    }
    assert!(table.len() > 1 && table.counts().evicted > 0);
    let sum: usize = (10..200)
        .flat_map(|pid| table.store.by_pid(0, pid).iter().map(|id| table.store.get(*id).weight()))
        .sum();
    assert_eq!(sum, table.bytes(), "what goes is taken off");
}

#[test]
fn a_process_that_execs_without_end_keeps_its_newest_images() {
    let mut table = table(100);
    for pidversion in 1..1_000u32 {
        let (old, new) =
            (image(10, pidversion, 1, "/bin/a", LAUNCHD), image(10, pidversion + 1, 1, "/bin/a", LAUNCHD));
        table.exec(HOST, &old, &exec(new), at(pidversion.into()));
    }
    assert_eq!(table.len(), 1);
    let id = table.store.by_pid(0, 10)[0];
    assert_eq!(table.store.get(id).versions.len(), MAX_IMAGES);
    assert_eq!(table.store.by_token(0, 10, 1_000), Some(id));
    assert_eq!(table.store.by_token(0, 10, 1), None);
}

#[test]
fn ancestry_is_bounded() {
    let mut table = table(1_000);
    let mut parent = image(100, 1, 1, "/bin/a", LAUNCHD);
    for pid in 101..300u32 {
        let child = image(pid, 1, i64::from(pid), "/bin/a", (pid - 1, 1));
        let seen = table.fork(HOST, &parent, &child, at(pid.into()));
        assert_eq!(seen.process.ancestry.len(), MAX_ANCESTRY.min(pid as usize - 100));
        parent = child;
    }
}

#[test]
fn a_token_is_answered_as_well_as_can_be() {
    let mut table = table(100);
    table.exec(HOST, &image(10, 3, 1, "/bin/a", LAUNCHD), &exec(image(10, 5, 1, "/bin/b", LAUNCHD)), at(5));
    let parent = |table: &mut ProcessTable, pid: u32, token: (u32, u32), seconds: i64| {
        let seen = table.other(HOST, &image(pid, 1, seconds, "/bin/c", token), at(seconds));
        let parent = seen.parent.expect("a parent");
        (parent.pid, parent.name().map(str::to_owned))
    };
    let name = |name: &str| Some(name.to_owned());
    for (what, pid, token, expected) in [
        ("the image itself", 20, (10, 3), (10, name("a"))),
        ("an image in between: the one before it", 21, (10, 4), (10, name("a"))),
        ("a newer image, not told of", 22, (10, 6), (10, name("b"))),
        ("an image of an earlier process of the pid", 23, (10, 2), (10, None)),
        ("a pid that nobody has told of", 24, (99, 1), (99, None)),
        ("launchd, which is always pid 1", 25, (1, 77), (1, name("launchd"))),
    ] {
        assert_eq!(parent(&mut table, pid, token, 6), expected, "{what}");
    }
    // One that has ended was nobody's parent later on.
    table.exit(HOST, &image(10, 5, 1, "/bin/b", LAUNCHD), at(7));
    assert_eq!(parent(&mut table, 26, (10, 9), 8), (10, None));
}

#[test]
fn the_responsible_process_is_another() {
    let mut table = table(100);
    let named = |pid, pidversion| Some(ImageId { pid, pidversion });
    table.other(HOST, &image(10, 5, 1, "/Applications/T.app/Contents/MacOS/T", LAUNCHD), at(1));
    let child = Image { responsible: named(10, 5), ..image(11, 1, 2, "/bin/sh", LAUNCHD) };
    let seen = table.other(HOST, &child, at(2));
    assert_eq!(seen.effective_parent.unwrap().name(), Some("T"));
    // Its own token may be of its image before.
    let own = Image { responsible: named(12, 1), ..image(12, 2, 2, "/bin/sh", LAUNCHD) };
    assert!(table.other(HOST, &own, at(2)).effective_parent.is_none());
}

#[test]
fn setuid_changes_the_user_without_an_exec() {
    let mut table = table(100);
    let before = image(10, 1, 1, "/usr/bin/su", LAUNCHD);
    let root = table.other(HOST, &before, at(1)).process;
    assert_eq!(root.user.as_ref().unwrap().name.as_deref(), Some("root"));
    let mut after = before;
    after.token.euid = 501;
    let user = table.other(HOST, &after, at(2)).process.user.clone().unwrap();
    assert_eq!((&*user.id, user.name.as_deref(), user.real_id.as_deref()), ("501", None, Some("0")));
}

#[test]
fn the_kernels_flags_say_what_a_signature_is_worth() {
    let mut images = Images::default();
    for (what, flags, exists, trusted, status) in [
        ("unsigned", 0, false, false, "code object is not signed at all"),
        ("valid bit alone", 0x1, false, false, "code object is not signed at all"),
        ("ad hoc", 0x2000_0003, true, false, "No error."),
        ("signed", 0x2000_0001, true, true, "No error."),
        ("tampered", 0x2000_0000, true, false, "invalid signature (code or signature have been modified)"),
    ] {
        let image = Image {
            codesigning_flags: flags,
            cdhash: Some("AB".into()),
            team_id: Some("".into()),
            ..image(1, 1, 1, "/x", LAUNCHD)
        };
        let process = images.bare(&image);
        let signature = process.code_signature.unwrap();
        assert_eq!(
            (signature.exists, signature.trusted, signature.status),
            (exists, trusted, Some(status)),
            "{what}"
        );
        assert_eq!((process.cdhash(), process.team_id()), (Some("ab"), None), "{what}");
    }
}

#[test]
fn entity_ids_are_what_the_reference_says() {
    // printf 'host\0%s\0%s' 10 1000 | sha256sum | cut -c-32
    assert_eq!(&*entity_id("host", 10, 1000), "ad26047df170f848a28aa0139b218988");
}

/// What a system's list of processes says: no parent token.
fn listed(pid: u32, pidversion: u32, start: i64, path: &'static str, parent: u32) -> Image<'static> {
    let image = image(pid, pidversion, start, path, (parent, 0));
    Image { parent: None, original_ppid: None, ..image }
}

const SERVICE: &str = "/System/Library/PrivateFrameworks/PackageKit.framework/Versions/A/XPCServices/\
                       package_script_service.xpc/Contents/MacOS/package_script_service";

#[test]
fn what_already_runs_is_a_parent_with_arguments() {
    let mut table = table(100);
    assert!(table.already_running(HOST, &listed(10, 5, 1, "/bin/zsh", 1), Some(&["-zsh".into()]), at(100)));
    let child = image(11, 1, 101, "/bin/zsh", (10, 5));
    let seen = table.fork(HOST, &image(10, 5, 1, "/bin/zsh", LAUNCHD), &child, at(101));
    let parent = seen.parent.expect("it was listed");
    assert_eq!((parent.command_line(), parent.start), (Some("-zsh"), Some(SECOND)));
    assert_eq!(seen.process.parent_entity_id.as_ref(), Some(&parent.entity_id));
    assert_eq!(table.len(), 2);
}

#[test]
fn a_list_says_nothing_over_what_messages_told() {
    let mut table = table(100);
    let old = image(10, 5, 1, "/bin/sh", LAUNCHD);
    table.exec(HOST, &old, &exec(image(10, 6, 1, "/usr/bin/curl", LAUNCHD)), at(100));
    // Listed before its exec, and another as an exit had come already.
    assert!(!table.already_running(HOST, &listed(10, 5, 1, "/bin/sh", 1), Some(&["sh".into()]), at(101)));
    assert!(!table.already_running(HOST, &listed(10, 6, 1, "/tmp/other", 1), Some(&["y".into()]), at(101)));
    let now = table.at(HOST, 10, at(101).order, 0).expect("it runs").process;
    assert_eq!((now.name(), now.command_line()), (Some("curl"), Some("x")));
    let gone = image(12, 1, 2, "/bin/gone", LAUNCHD);
    table.exit(HOST, &gone, at(100));
    assert!(!table.already_running(HOST, &listed(12, 1, 2, "/bin/gone", 1), Some(&["gone".into()]), at(101)));
    assert!(table.at(HOST, 12, at(102).order, 0).expect("it is known").ended);
}

#[test]
fn an_installer_host_that_already_runs_has_sessions() {
    let mut table = table(100);
    table.already_running(HOST, &listed(2, 1, 1, SERVICE, 1), None, at(100));
    // One session is under way, and one begins.
    table.already_running(HOST, &listed(3, 1, 50, "/bin/bash", 2), None, at(100));
    let host = Image { is_platform_binary: true, ..image(2, 1, 1, SERVICE, LAUNCHD) };
    let new = table.fork(HOST, &host, &image(4, 1, 101, SERVICE, (2, 1)), at(101)).process;
    let running = table.at(HOST, 3, at(101).order, 0).expect("it runs").process;
    for process in [&new, &running] {
        let package = process.package.as_ref().expect("a session");
        assert_eq!((&*package.host, &*package.session), ("package_script_service", &*process.entity_id));
    }
}

#[test]
fn a_pid_that_is_younger_than_its_child_is_not_its_parent() {
    let mut table = table(100);
    table.already_running(HOST, &listed(2, 9, 80, SERVICE, 1), None, at(100));
    table.already_running(HOST, &listed(3, 1, 50, "/bin/bash", 2), None, at(100));
    let child = table.at(HOST, 3, at(100).order, 0).expect("it runs").process;
    assert!(child.package.is_none() && child.ancestry.is_empty());
}

#[test]
fn an_install_session_that_was_there_before_has_its_package_by_the_scripts_arguments() {
    const SCRIPT: &str = "/tmp/PKInstallSandbox.Ab12Cd/Scripts/com.example.tool.Ef34Gh/postinstall";
    let mut table = table(100);
    table.already_running(HOST, &listed(2, 1, 1, SERVICE, 1), None, at(100));
    let args = ["/bin/bash".into(), SCRIPT.into(), "/tmp/tool.pkg".into()];
    table.already_running(HOST, &listed(3, 1, 50, "/bin/bash", 2), Some(&args), at(100));
    let script = image(3, 1, 50, "/bin/bash", (2, 1));
    let child = table.fork(HOST, &script, &image(4, 1, 101, "/bin/bash", (3, 1)), at(101)).process;
    let running = table.at(HOST, 3, at(101).order, 0).expect("it runs").process;
    for process in [&child, &running] {
        let package = process.package.as_ref().expect("a session");
        assert_eq!(package.identifier.as_deref(), Some("com.example.tool"));
        assert_eq!(package.path.as_deref(), Some("/tmp/tool.pkg"));
    }
}

#[test]
fn users_and_groups_have_the_names_that_the_mac_knows() {
    #[derive(Debug)]
    struct Ann;
    impl Accounts for Ann {
        fn user(&mut self, id: u32) -> Option<std::sync::Arc<str>> {
            (id == 501).then(|| "ann".into())
        }
        fn group(&mut self, id: u32) -> Option<std::sync::Arc<str>> {
            (id == 20).then(|| "staff".into())
        }
    }
    let mut table = table(100);
    table.set_accounts(Box::new(Ann));
    let mut image = image(10, 1, 1, "/bin/sh", LAUNCHD);
    image.token = Token { euid: 501, ruid: 502, egid: 20, rgid: 21, ..image.token };
    let user = table.other(HOST, &image, at(2)).process.user.clone().expect("a token has one");
    let names = [&user.name, &user.real_name, &user.group_name, &user.real_group_name].map(Option::as_deref);
    assert_eq!(names, [Some("ann"), None, Some("staff"), None]);
}
