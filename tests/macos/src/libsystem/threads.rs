//! pthreads, with darwin's sizes and signatures (`<sys/_pthread/_pthread_types.h>`).
//!
//! Models: threads, mutexes (a signature in front of the host's mutex, in darwin's 64 bytes), conditions (a signature
//! and a pointer to the host's, in 48 bytes), keys of 8 bytes, names, stack bounds, destructors of thread-local
//! variables. Not: cancellation, priorities, mutexes between processes.

use super::errors::{EINVAL, to_darwin};
use crate::symbols::exports;
use crate::tlv;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::{MaybeUninit, size_of};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

exports! {
    "_tlv_atexit" => tlv_atexit,
    "_tlv_bootstrap" => tlv::thunk_address(),
    "pthread_attr_setstacksize" => pthread_attr_setstacksize,
    "pthread_cond_broadcast" => pthread_cond_broadcast,
    "pthread_cond_destroy" => pthread_cond_destroy,
    "pthread_cond_init" => pthread_cond_init,
    "pthread_cond_signal" => pthread_cond_signal,
    "pthread_cond_timedwait_relative_np" => pthread_cond_timedwait_relative_np,
    "pthread_cond_wait" => pthread_cond_wait,
    "pthread_create" => pthread_create,
    "pthread_detach" => pthread_detach,
    "pthread_get_stackaddr_np" => pthread_get_stackaddr_np,
    "pthread_get_stacksize_np" => pthread_get_stacksize_np,
    "pthread_getspecific" => pthread_getspecific,
    "pthread_join" => pthread_join,
    "pthread_key_create" => pthread_key_create,
    "pthread_key_delete" => pthread_key_delete,
    "pthread_mutex_destroy" => pthread_mutex_destroy,
    "pthread_mutex_init" => pthread_mutex_init,
    "pthread_mutex_lock" => pthread_mutex_lock,
    "pthread_mutex_trylock" => pthread_mutex_trylock,
    "pthread_mutex_unlock" => pthread_mutex_unlock,
    "pthread_mutexattr_destroy" => pthread_mutexattr_destroy,
    "pthread_mutexattr_init" => pthread_mutexattr_init,
    "pthread_mutexattr_settype" => pthread_mutexattr_settype,
    "pthread_setname_np" => pthread_setname_np,
    "pthread_setspecific" => pthread_setspecific,
    "pthread_threadid_np" => pthread_threadid_np,
}

type Start = extern "C" fn(*mut c_void) -> *mut c_void;

unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    to_darwin(libc::pthread_create(thread, attributes, start, argument))
}

unsafe extern "C" fn pthread_join(thread: libc::pthread_t, result: *mut *mut c_void) -> c_int {
    to_darwin(libc::pthread_join(thread, result))
}

unsafe extern "C" fn pthread_detach(thread: libc::pthread_t) -> c_int {
    to_darwin(libc::pthread_detach(thread))
}

unsafe extern "C" fn pthread_attr_setstacksize(attributes: *mut libc::pthread_attr_t, size: usize) -> c_int {
    // The loader's own frames, and the host's thread-local storage, lie on the same stack.
    to_darwin(libc::pthread_attr_setstacksize(attributes, size.max(64 << 10)))
}

/// The lowest address and the size.
///
/// # Safety
/// The thread is running, or not yet joined.
unsafe fn stack(thread: libc::pthread_t) -> (usize, usize) {
    let mut attributes = MaybeUninit::zeroed();
    let (mut lowest, mut size) = (ptr::null_mut(), 0);
    libc::pthread_getattr_np(thread, attributes.as_mut_ptr());
    libc::pthread_attr_getstack(attributes.as_ptr(), &mut lowest, &mut size);
    libc::pthread_attr_destroy(attributes.as_mut_ptr());
    (lowest as usize, size)
}

/// The highest address, unlike Linux's lowest.
unsafe extern "C" fn pthread_get_stackaddr_np(thread: libc::pthread_t) -> usize {
    let (lowest, size) = stack(thread);
    lowest + size
}

unsafe extern "C" fn pthread_get_stacksize_np(thread: libc::pthread_t) -> usize {
    stack(thread).1
}

/// Names the calling thread; Linux keeps 15 bytes of a name.
unsafe extern "C" fn pthread_setname_np(name: *const c_char) -> c_int {
    let name = CStr::from_ptr(name).to_bytes();
    let name = CString::new(&name[..name.len().min(15)]).expect("a C string has no zero in it");
    to_darwin(libc::pthread_setname_np(libc::pthread_self(), name.as_ptr()))
}

unsafe extern "C" fn pthread_threadid_np(_thread: libc::pthread_t, id: *mut u64) -> c_int {
    *id = libc::gettid() as u64;
    0
}

// ------------------------------------------------------------------------------------------------ mutexes

#[repr(C)]
struct Mutex {
    signature: u64,
    host: libc::pthread_mutex_t,
}

const _: () = assert!(size_of::<Mutex>() <= 64);

const MUTEX: u64 = 0x4d55_5458;
/// Of `PTHREAD_MUTEX_INITIALIZER`; the rest is zero, as is the host's initialiser.
const MUTEX_STATIC: u64 = 0x32aa_aba7;

/// The host's mutex within one of darwin's; none where that was not initialised.
///
/// # Safety
/// `mutex` is a `pthread_mutex_t` of the image's.
unsafe fn host_mutex(mutex: *mut Mutex) -> Option<*mut libc::pthread_mutex_t> {
    matches!((*mutex).signature, MUTEX | MUTEX_STATIC).then_some(&raw mut (*mutex).host)
}

unsafe extern "C" fn pthread_mutex_init(
    mutex: *mut Mutex,
    attributes: *const libc::pthread_mutexattr_t,
) -> c_int {
    (*mutex).signature = MUTEX;
    to_darwin(libc::pthread_mutex_init(&raw mut (*mutex).host, attributes))
}

unsafe extern "C" fn pthread_mutex_destroy(mutex: *mut Mutex) -> c_int {
    host_mutex(mutex).map_or(EINVAL, |host| to_darwin(libc::pthread_mutex_destroy(host)))
}

unsafe extern "C" fn pthread_mutex_lock(mutex: *mut Mutex) -> c_int {
    host_mutex(mutex).map_or(EINVAL, |host| to_darwin(libc::pthread_mutex_lock(host)))
}

unsafe extern "C" fn pthread_mutex_trylock(mutex: *mut Mutex) -> c_int {
    host_mutex(mutex).map_or(EINVAL, |host| to_darwin(libc::pthread_mutex_trylock(host)))
}

unsafe extern "C" fn pthread_mutex_unlock(mutex: *mut Mutex) -> c_int {
    host_mutex(mutex).map_or(EINVAL, |host| to_darwin(libc::pthread_mutex_unlock(host)))
}

unsafe extern "C" fn pthread_mutexattr_init(attributes: *mut libc::pthread_mutexattr_t) -> c_int {
    to_darwin(libc::pthread_mutexattr_init(attributes))
}

unsafe extern "C" fn pthread_mutexattr_destroy(attributes: *mut libc::pthread_mutexattr_t) -> c_int {
    to_darwin(libc::pthread_mutexattr_destroy(attributes))
}

unsafe extern "C" fn pthread_mutexattr_settype(
    attributes: *mut libc::pthread_mutexattr_t,
    kind: c_int,
) -> c_int {
    let kind = match kind {
        1 => libc::PTHREAD_MUTEX_ERRORCHECK,
        2 => libc::PTHREAD_MUTEX_RECURSIVE,
        _ => libc::PTHREAD_MUTEX_NORMAL,
    };
    to_darwin(libc::pthread_mutexattr_settype(attributes, kind))
}

// --------------------------------------------------------------------------------------------- conditions

#[repr(C)]
struct Condition {
    signature: AtomicU64,
    host: AtomicPtr<libc::pthread_cond_t>,
}

const CONDITION: u64 = 0x434f_4e44;
/// Of `PTHREAD_COND_INITIALIZER`.
const CONDITION_STATIC: u64 = 0x3cb0_b1bb;

fn new_condition() -> *mut libc::pthread_cond_t {
    let mut attributes = MaybeUninit::zeroed();
    let host = Box::into_raw(Box::new(libc::PTHREAD_COND_INITIALIZER));
    // SAFETY: the attributes and the condition are ours; the first call initialises the attributes.
    unsafe {
        libc::pthread_condattr_init(attributes.as_mut_ptr());
        libc::pthread_condattr_setclock(attributes.as_mut_ptr(), libc::CLOCK_MONOTONIC);
        libc::pthread_cond_init(host, attributes.as_ptr());
    }
    host
}

/// The host's condition; made at the first use of one that is initialised statically.
///
/// # Safety
/// `condition` is a `pthread_cond_t` of the image's.
unsafe fn host_condition(condition: *mut Condition) -> *mut libc::pthread_cond_t {
    let condition = &*condition;
    if condition.signature.load(Ordering::Acquire) == CONDITION_STATIC {
        let new = new_condition();
        let swapped =
            condition.host.compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire);
        if swapped.is_err() {
            drop(Box::from_raw(new));
        }
        condition.signature.store(CONDITION, Ordering::Release);
    }
    condition.host.load(Ordering::Acquire)
}

unsafe extern "C" fn pthread_cond_init(condition: *mut Condition, _attributes: *const c_void) -> c_int {
    (*condition).host.store(new_condition(), Ordering::Release);
    (*condition).signature.store(CONDITION, Ordering::Release);
    0
}

unsafe extern "C" fn pthread_cond_destroy(condition: *mut Condition) -> c_int {
    let host = host_condition(condition);
    let result = libc::pthread_cond_destroy(host);
    drop(Box::from_raw(host));
    to_darwin(result)
}

unsafe extern "C" fn pthread_cond_signal(condition: *mut Condition) -> c_int {
    to_darwin(libc::pthread_cond_signal(host_condition(condition)))
}

unsafe extern "C" fn pthread_cond_broadcast(condition: *mut Condition) -> c_int {
    to_darwin(libc::pthread_cond_broadcast(host_condition(condition)))
}

unsafe extern "C" fn pthread_cond_wait(condition: *mut Condition, mutex: *mut Mutex) -> c_int {
    host_mutex(mutex)
        .map_or(EINVAL, |mutex| to_darwin(libc::pthread_cond_wait(host_condition(condition), mutex)))
}

unsafe extern "C" fn pthread_cond_timedwait_relative_np(
    condition: *mut Condition,
    mutex: *mut Mutex,
    relative: *const libc::timespec,
) -> c_int {
    let Some(mutex) = host_mutex(mutex) else { return EINVAL };
    let mut until = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut until);
    let nanoseconds = until.tv_nsec + (*relative).tv_nsec;
    until.tv_sec =
        until.tv_sec.saturating_add((*relative).tv_sec).saturating_add(nanoseconds / 1_000_000_000);
    until.tv_nsec = nanoseconds % 1_000_000_000;
    to_darwin(libc::pthread_cond_timedwait(host_condition(condition), mutex, &until))
}

// -------------------------------------------------------------------------------- thread-specific values

unsafe extern "C" fn pthread_key_create(
    key: *mut u64,
    destructor: Option<unsafe extern "C" fn(*mut c_void)>,
) -> c_int {
    let mut host = 0;
    let result = libc::pthread_key_create(&mut host, destructor);
    *key = host.into();
    to_darwin(result)
}

unsafe extern "C" fn pthread_key_delete(key: u64) -> c_int {
    to_darwin(libc::pthread_key_delete(key as libc::pthread_key_t))
}

unsafe extern "C" fn pthread_getspecific(key: u64) -> *mut c_void {
    libc::pthread_getspecific(key as libc::pthread_key_t)
}

unsafe extern "C" fn pthread_setspecific(key: u64, value: *const c_void) -> c_int {
    to_darwin(libc::pthread_setspecific(key as libc::pthread_key_t, value))
}

unsafe extern "C" {
    fn __cxa_thread_atexit_impl(
        destructor: extern "C" fn(*mut c_void),
        object: *mut c_void,
        image: *const c_void,
    ) -> c_int;
}

unsafe extern "C" fn tlv_atexit(destructor: extern "C" fn(*mut c_void), object: *mut c_void) {
    // glibc wants an address in an image that is loaded: one of this program's.
    __cxa_thread_atexit_impl(destructor, object, tlv_atexit as *const c_void);
}
