//! Stand-ins for libSystem, a file for each theme.

pub(crate) mod disk;
pub(crate) mod errors;
pub(crate) mod host;
pub(crate) mod process;

mod directories;
mod dispatch;
mod files;
mod machine;
mod math;
mod memory;
mod processes;
mod signals;
mod sockets;
mod spawn;
mod threads;
mod time;
mod unwind;

pub(crate) use files::Stat;
pub(crate) use processes::names_held;
pub(crate) use time::{fail_once as fail_wall_clock_once, monotonic, pass as pass_time};
pub(crate) use time::{step as step_wall_clock, ticks, wall};

use std::ffi::c_int;

/// The address of the stand-in for `name`, a name without the underscore of C and without variant.
pub(crate) fn symbol(name: &str) -> Option<usize> {
    [
        directories::symbol,
        disk::symbol,
        dispatch::symbol,
        errors::symbol,
        files::symbol,
        machine::symbol,
        math::symbol,
        memory::symbol,
        process::symbol,
        processes::symbol,
        signals::symbol,
        sockets::symbol,
        spawn::symbol,
        threads::symbol,
        time::symbol,
        unwind::symbol,
    ]
    .into_iter()
    .find_map(|symbol| symbol(name))
}

/// Translates a set of flags bit by bit; `None` where one of them is not in the table.
fn flags(darwin: c_int, table: &[(c_int, c_int)]) -> Option<c_int> {
    let mut left = darwin;
    let mut linux = 0;
    for (theirs, ours) in table {
        if left & theirs != 0 {
            linux |= ours;
            left &= !theirs;
        }
    }
    (left == 0).then_some(linux)
}
