//! Signals: darwin's numbers, sets of 32 bits, `struct sigaction` and siginfo_t (`<sys/signal.h>`).
//!
//! Models: handlers with three arguments, sa_flags, alternative stacks, the mask during a handler. Not: ucontext_t,
//! which a handler gets in the host's layout; what a signal was sent with beside pid, uid and address.

use super::errors::{EINVAL, fail};
use super::flags;
use crate::symbols::exports;
use std::ffi::{c_int, c_void};
use std::mem::{MaybeUninit, size_of};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

exports! {
    "kill" => kill,
    "pthread_sigmask" => pthread_sigmask,
    "raise" => raise,
    "sigaction" => sigaction,
    "sigaddset" => sigaddset,
    "sigaltstack" => sigaltstack,
    "sigemptyset" => sigemptyset,
    "signal" => signal,
}

/// Darwin's number and Linux's, where they differ.
const NUMBERS: &[(c_int, c_int)] = &[
    (10, libc::SIGBUS),
    (12, libc::SIGSYS),
    (16, libc::SIGURG),
    (17, libc::SIGSTOP),
    (18, libc::SIGTSTP),
    (19, libc::SIGCONT),
    (20, libc::SIGCHLD),
    (23, libc::SIGIO),
    (30, libc::SIGUSR1),
    (31, libc::SIGUSR2),
];
/// SIGEMT and SIGINFO, which Linux has not.
const DARWIN_ONLY: [c_int; 2] = [7, 29];

const FLAGS: &[(c_int, c_int)] = &[
    (0x1, libc::SA_ONSTACK),
    (0x2, libc::SA_RESTART),
    (0x4, libc::SA_RESETHAND),
    (0x8, libc::SA_NOCLDSTOP),
    (0x10, libc::SA_NODEFER),
    (0x20, libc::SA_NOCLDWAIT),
    (0x40, libc::SA_SIGINFO),
];

fn to_linux(darwin: c_int) -> Option<c_int> {
    if !(1..32).contains(&darwin) || DARWIN_ONLY.contains(&darwin) {
        return None;
    }
    Some(NUMBERS.iter().find(|(theirs, _)| *theirs == darwin).map_or(darwin, |(_, ours)| *ours))
}

pub(super) fn to_darwin(linux: c_int) -> Option<c_int> {
    (1..32).find(|darwin| to_linux(*darwin) == Some(linux))
}

pub(super) fn host_set(darwin: u32) -> libc::sigset_t {
    let mut set = MaybeUninit::zeroed();
    let signals = (1..32).filter(|signal| darwin >> (signal - 1) & 1 != 0).filter_map(to_linux);
    // SAFETY: the set is ours, and initialised by the first call.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

fn darwin_set(host: &libc::sigset_t) -> u32 {
    // SAFETY: reads a set that is initialised.
    let holds = |linux| unsafe { libc::sigismember(host, linux) == 1 };
    let set = (1..32).filter(|darwin| to_linux(*darwin).is_some_and(holds));
    set.fold(0, |set, darwin| set | 1 << (darwin - 1))
}

/// `struct sigaction` of darwin, 16 bytes.
#[repr(C)]
struct Sigaction {
    handler: usize,
    mask: u32,
    flags: c_int,
}

const _: () = assert!(size_of::<Sigaction>() == 16);

/// The image's handlers, by the host's number; 0 where it set none.
static HANDLERS: [AtomicUsize; 65] = [const { AtomicUsize::new(0) }; 65];

/// Calls the image's handler with darwin's number and siginfo_t (104 bytes).
unsafe extern "C" fn trampoline(linux: c_int, host: *const libc::siginfo_t, context: *mut c_void) {
    let handler = HANDLERS[linux as usize].load(Ordering::Acquire);
    let darwin = to_darwin(linux).unwrap_or(0);
    let mut information = [0_u64; 13];
    let words = information.as_mut_ptr().cast::<i32>();
    *words = darwin;
    *words.add(2) = (*host).si_code;
    if matches!(linux, libc::SIGSEGV | libc::SIGBUS | libc::SIGILL | libc::SIGFPE) {
        information[3] = (*host).si_addr() as u64;
    } else {
        *words.add(3) = (*host).si_pid();
        *words.add(4) = (*host).si_uid() as i32;
    }
    let handler: extern "C" fn(c_int, *mut c_void, *mut c_void) = std::mem::transmute(handler);
    handler(darwin, information.as_mut_ptr().cast(), context);
}

unsafe extern "C" fn sigaction(darwin: c_int, new: *const Sigaction, old: *mut Sigaction) -> c_int {
    let Some(linux) = to_linux(darwin) else { return fail(EINVAL) };
    let mut host: MaybeUninit<libc::sigaction> = MaybeUninit::zeroed();
    if libc::sigaction(linux, ptr::null(), host.as_mut_ptr()) != 0 {
        return -1;
    }
    if !old.is_null() {
        // SIG_DFL and SIG_IGN are 0 and 1 on both. A handler of the harness's own runtime is none of the image's.
        let current = host.assume_init_ref();
        let handler = match current.sa_sigaction {
            known @ 0..=1 => known,
            _ => HANDLERS[linux as usize].load(Ordering::Acquire),
        };
        let back = FLAGS.iter().filter(|(_, ours)| current.sa_flags & ours != 0);
        let flags = back.fold(0, |flags, (theirs, _)| flags | theirs);
        *old = Sigaction { handler, mask: darwin_set(&current.sa_mask), flags };
    }
    if new.is_null() {
        return 0;
    }
    let Some(host_flags) = flags((*new).flags, FLAGS) else { return fail(EINVAL) };
    let host = host.assume_init_mut();
    host.sa_mask = host_set((*new).mask);
    host.sa_flags = host_flags;
    if (*new).handler > 1 {
        HANDLERS[linux as usize].store((*new).handler, Ordering::Release);
        host.sa_sigaction = trampoline as *const () as usize;
        host.sa_flags |= libc::SA_SIGINFO;
    } else {
        host.sa_sigaction = (*new).handler;
    }
    libc::sigaction(linux, host, ptr::null_mut())
}

/// The former handler, or SIG_ERR.
unsafe extern "C" fn signal(darwin: c_int, handler: usize) -> usize {
    let mut old = Sigaction { handler: 0, mask: 0, flags: 0 };
    let restart = 0x2;
    match sigaction(darwin, &Sigaction { handler, mask: 0, flags: restart }, &mut old) {
        0 => old.handler,
        _ => usize::MAX,
    }
}

/// `stack_t` of darwin: the size before the flags.
#[repr(C)]
struct Stack {
    lowest: *mut c_void,
    size: usize,
    flags: c_int,
}

unsafe extern "C" fn sigaltstack(new: *const Stack, old: *mut Stack) -> c_int {
    const DISABLE: c_int = 4;
    let host_new = new.as_ref().map(|new| libc::stack_t {
        ss_sp: new.lowest,
        ss_flags: if new.flags & DISABLE != 0 { libc::SS_DISABLE } else { 0 },
        ss_size: new.size,
    });
    let mut host_old: MaybeUninit<libc::stack_t> = MaybeUninit::zeroed();
    let result =
        libc::sigaltstack(host_new.as_ref().map_or(ptr::null(), ptr::from_ref), host_old.as_mut_ptr());
    if result == 0 && !old.is_null() {
        let host = host_old.assume_init();
        let disabled = if host.ss_flags & libc::SS_DISABLE != 0 { DISABLE } else { 0 };
        *old = Stack {
            lowest: host.ss_sp,
            size: host.ss_size,
            flags: disabled | host.ss_flags & libc::SS_ONSTACK,
        };
    }
    result
}

unsafe extern "C" fn sigemptyset(set: *mut u32) -> c_int {
    *set = 0;
    0
}

unsafe extern "C" fn sigaddset(set: *mut u32, signal: c_int) -> c_int {
    if !(1..=32).contains(&signal) {
        return fail(EINVAL);
    }
    *set |= 1 << (signal - 1);
    0
}

unsafe extern "C" fn pthread_sigmask(how: c_int, new: *const u32, old: *mut u32) -> c_int {
    let host_new = new.as_ref().map(|set| host_set(*set));
    let mut host_old: MaybeUninit<libc::sigset_t> = MaybeUninit::zeroed();
    // SIG_BLOCK, SIG_UNBLOCK and SIG_SETMASK begin with 1, not with 0.
    let new = host_new.as_ref().map_or(ptr::null(), ptr::from_ref);
    let result = libc::pthread_sigmask(how - 1, new, host_old.as_mut_ptr());
    if !old.is_null() {
        *old = darwin_set(host_old.assume_init_ref());
    }
    super::errors::to_darwin(result)
}

unsafe extern "C" fn kill(process: c_int, darwin: c_int) -> c_int {
    match to_linux(darwin) {
        Some(linux) => libc::kill(process, linux),
        None if darwin == 0 => libc::kill(process, 0),
        None => fail(EINVAL),
    }
}

unsafe extern "C" fn raise(darwin: c_int) -> c_int {
    to_linux(darwin).map_or_else(|| fail(EINVAL), |linux| libc::raise(linux))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_goes_there_and_back() {
        for darwin in (1..32).filter(|darwin| !DARWIN_ONLY.contains(darwin)) {
            let linux = to_linux(darwin).unwrap();
            assert_eq!(to_darwin(linux), Some(darwin), "Linux's {linux}");
        }
    }
}
