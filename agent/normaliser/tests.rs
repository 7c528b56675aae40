use super::*;

#[test]
fn exit_codes_are_those_of_shells() {
    for (status, code) in [(0, 0), (256, 1), (0xff00, 255), (9, 137), (0x8b, 139)] {
        assert_eq!(exit_code(status), code, "{status:#x}");
    }
}

#[test]
fn a_time_may_have_been_as_late_as_its_digits_leave_open() {
    assert_eq!(slack(1_000_000_000), 999_999);
    assert_eq!(slack(1_000_000_000 + 5_000), 999);
    assert_eq!(slack(1_000_000_001), 0);
}

#[test]
fn what_is_read_is_in_the_schema() {
    for (path, id) in wanted() {
        assert_eq!(FIELDS[id.index()].path, path);
    }
}

#[test]
fn more_hosts_than_are_kept_do_not_grow_the_table() {
    let mut hosts = Hosts::new(Host::default());
    for number in 0..10 * MAX_HOSTS {
        hosts.of(Some(&format!("host-{number}")));
    }
    assert!(hosts.by_id.len() <= MAX_HOSTS + 1);
    assert_eq!(&*hosts.own().described.id, RECORDED_HOST);
}

mod described;
mod flows;
mod kernel;
mod random;
mod recordings;
mod scenarios;
