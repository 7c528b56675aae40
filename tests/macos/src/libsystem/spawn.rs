//! Programs that the image runs: posix_spawn, waitpid. The image itself is run by the harness's loader, as it was; where it
//! is the process of a network source's probe, the sources are told.
//!
//! Models: file actions of dup2; the attributes flags, group, default signals and signal mask, by darwin's numbers
//! (`<spawn.h>`); a program of the Mac is looked for below the folder that stands for its root, and runs on the host;
//! the status of `<sys/wait.h>`, whose layout is the same, with darwin's numbers for signals. Not: other file actions,
//! scheduling, darwin's own flags.

use super::errors::{self, fail};
use super::flags;
use super::process;
use super::signals;
use crate::scenario::{Connection, mac_root};
use crate::symbols::exports;
use crate::{endpoint_security, statistics};
use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_short};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

exports! {
    "posix_spawn" => posix_spawn,
    "posix_spawn_file_actions_adddup2" => file_actions_adddup2,
    "posix_spawn_file_actions_destroy" => file_actions_destroy,
    "posix_spawn_file_actions_init" => file_actions_init,
    "posix_spawnattr_destroy" => attributes_destroy,
    "posix_spawnattr_init" => attributes_init,
    "posix_spawnattr_setflags" => attributes_setflags,
    "posix_spawnattr_setpgroup" => attributes_setpgroup,
    "posix_spawnattr_setsigdefault" => attributes_setsigdefault,
    "posix_spawnattr_setsigmask" => attributes_setsigmask,
    "posix_spawnp" => posix_spawn,
    "waitpid" => waitpid,
}

const EINVAL: c_int = 22;

/// `<sys/spawn.h>`: the flags that std sets.
const FLAGS: &[(c_int, c_int)] = &[
    (0x2, libc::POSIX_SPAWN_SETPGROUP),
    (0x4, libc::POSIX_SPAWN_SETSIGDEF),
    (0x8, libc::POSIX_SPAWN_SETSIGMASK),
];

/// What darwin's `posix_spawnattr_t`, a pointer, points to here.
#[derive(Default)]
struct Attributes {
    flags: c_int,
    group: libc::pid_t,
    defaults: u32,
    mask: u32,
}

/// What darwin's `posix_spawn_file_actions_t`, a pointer, points to here.
type FileActions = Vec<(c_int, c_int)>;

unsafe extern "C" fn file_actions_init(out: *mut *mut FileActions) -> c_int {
    *out = Box::into_raw(Box::default());
    0
}

unsafe extern "C" fn file_actions_destroy(actions: *mut *mut FileActions) -> c_int {
    drop(Box::from_raw(*actions));
    0
}

unsafe extern "C" fn file_actions_adddup2(actions: *mut *mut FileActions, from: c_int, to: c_int) -> c_int {
    (**actions).push((from, to));
    0
}

unsafe extern "C" fn attributes_init(out: *mut *mut Attributes) -> c_int {
    *out = Box::into_raw(Box::default());
    0
}

unsafe extern "C" fn attributes_destroy(attributes: *mut *mut Attributes) -> c_int {
    drop(Box::from_raw(*attributes));
    0
}

unsafe extern "C" fn attributes_setflags(attributes: *mut *mut Attributes, darwin: c_short) -> c_int {
    match flags(darwin.into(), FLAGS) {
        Some(flags) => {
            (**attributes).flags = flags;
            0
        }
        None => EINVAL,
    }
}

unsafe extern "C" fn attributes_setpgroup(attributes: *mut *mut Attributes, group: libc::pid_t) -> c_int {
    (**attributes).group = group;
    0
}

unsafe extern "C" fn attributes_setsigdefault(attributes: *mut *mut Attributes, set: *const u32) -> c_int {
    (**attributes).defaults = *set;
    0
}

unsafe extern "C" fn attributes_setsigmask(attributes: *mut *mut Attributes, set: *const u32) -> c_int {
    (**attributes).mask = *set;
    0
}

/// The path on the host of a program that is absolute on the Mac.
fn on_mac(program: &CStr) -> CString {
    let path = Path::new(OsStr::from_bytes(program.to_bytes()));
    let moved = mac_root().zip(path.strip_prefix("/").ok()).map(|(root, below)| root.join(below));
    // What a test has put beside the Mac's own is meant as it stands.
    match moved.filter(|moved| moved.exists() || path.starts_with("/usr")) {
        Some(moved) => CString::new(moved.as_os_str().as_bytes()).expect("no zero in a path"),
        None => program.to_owned(),
    }
}

unsafe extern "C" fn posix_spawn(
    pid: *mut libc::pid_t,
    program: *const c_char,
    actions: *const *const FileActions,
    attributes: *const *const Attributes,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    let mut own_arguments = None;
    let program = match CStr::from_ptr(program) {
        own if own == process::path() => through_loader(arguments, &mut own_arguments),
        other => on_mac(other),
    };
    let mut host_actions = MaybeUninit::<libc::posix_spawn_file_actions_t>::zeroed();
    let mut host_attributes = MaybeUninit::<libc::posix_spawnattr_t>::zeroed();
    libc::posix_spawn_file_actions_init(host_actions.as_mut_ptr());
    libc::posix_spawnattr_init(host_attributes.as_mut_ptr());
    if !actions.is_null() {
        for (from, to) in &**actions {
            libc::posix_spawn_file_actions_adddup2(host_actions.as_mut_ptr(), *from, *to);
        }
    }
    if !attributes.is_null() {
        let Attributes { flags, group, defaults, mask } = &**attributes;
        let attributes = host_attributes.as_mut_ptr();
        libc::posix_spawnattr_setflags(attributes, *flags as c_short);
        libc::posix_spawnattr_setpgroup(attributes, *group);
        libc::posix_spawnattr_setsigdefault(attributes, &signals::host_set(*defaults));
        libc::posix_spawnattr_setsigmask(attributes, &signals::host_set(*mask));
    }
    let result = libc::posix_spawn(
        pid,
        program.as_ptr(),
        host_actions.as_ptr(),
        host_attributes.as_ptr(),
        own_arguments.as_ref().map_or(arguments, |(_, pointers)| pointers.as_ptr()),
        environment,
    );
    libc::posix_spawn_file_actions_destroy(host_actions.as_mut_ptr());
    libc::posix_spawnattr_destroy(host_attributes.as_mut_ptr());
    if let Some((arguments, _)) = own_arguments.filter(|_| result == 0) {
        tell_of_probe(*pid as u32, &arguments);
    }
    // An error number, and errno as it was.
    errors::to_darwin(result)
}

/// Arguments, and the array of pointers to them.
type Arguments = (Vec<CString>, Vec<*mut c_char>);

/// Puts what ran this program before its arguments, and returns what is to be started.
unsafe fn through_loader(arguments: *const *mut c_char, all: &mut Option<Arguments>) -> CString {
    let words = std::env::var("MACOS_ABI_SELF").expect("MACOS_ABI_SELF says how the program is run");
    let mut texts: Vec<CString> =
        words.split(' ').map(|word| CString::new(word).expect("a word has no zero in it")).collect();
    let mut next = arguments;
    while !(*next).is_null() {
        texts.push(CStr::from_ptr(*next).to_owned());
        next = next.add(1);
    }
    let pointers = texts.iter().map(|text| text.as_ptr().cast_mut()).chain([std::ptr::null_mut()]).collect();
    let program = texts[0].clone();
    *all = Some((texts, pointers));
    program
}

/// Tells the sources what the probe's process will do: `… probe-connect tcp:127.0.0.1:5000 …`.
fn tell_of_probe(pid: u32, arguments: &[CString]) {
    let texts: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str().ok()).collect();
    let Some(at) = texts.iter().position(|text| *text == "probe-connect") else { return };
    let target = |text: &&str| {
        let (transport, to) = text.split_once(':')?;
        Some(Connection { to: to.parse().ok()?, udp: transport == "udp", ..Connection::default() })
    };
    let connections: Vec<Connection> = texts[at + 1..].iter().filter_map(target).collect();
    static PROBES: AtomicU32 = AtomicU32::new(0);
    let probe = PROBES.fetch_add(1, Ordering::SeqCst);
    statistics::probed(probe, pid, &connections);
    endpoint_security::probed(probe, pid, connections);
}

/// `WNOHANG` and `WUNTRACED` are 1 and 2 on both.
unsafe extern "C" fn waitpid(pid: libc::pid_t, status: *mut c_int, options: c_int) -> libc::pid_t {
    if options & !3 != 0 {
        return fail(EINVAL);
    }
    let mut host: c_int = 0;
    let waited = libc::waitpid(pid, &raw mut host, options);
    if waited > 0 && !status.is_null() {
        *status = if libc::WIFSIGNALED(host) {
            host & !0x7f | signals::to_darwin(libc::WTERMSIG(host)).unwrap_or(0)
        } else {
            host
        };
    }
    waited
}
