//! SystemExtensions.framework: requests that are answered as `MACOS_ABI_EXTENSION` says.
//!
//! Its value begins with what must be asked, `activate` or `deactivate`, then what the delegate is told, in this order,
//! after spaces: `replace` (another version is there: it must say replace), `approval`, `finish=RESULT`,
//! `fail=DOMAIN=CODE`. With neither of the last three no answer comes. An id other than the extension's is answered as
//! macOS does, with 4, and anything unexpected with 1. Models: a thread that is not the caller's, the order of the
//! delegate's methods. Not: what becomes of a request later, what macOS checks before.

use super::{BuiltIn, Object, alloc, foundation, get_class, retain, selector, send};
use std::ffi::{CStr, c_char, c_void};
use std::thread;

const DOMAIN: &str = "OSSystemExtensionErrorDomain";
const UNKNOWN: isize = 1;
const NOT_FOUND: isize = 4;
/// OSSystemExtensionReplacementActionReplace.
const REPLACE: isize = 1;

pub(super) fn classes() -> Vec<BuiltIn> {
    vec![
        BuiltIn {
            name: c"OSSystemExtensionRequest",
            size: size_of::<Request>(),
            class_methods: Box::leak(Box::new([
                (c"activationRequestForExtension:queue:", activation as *const () as usize),
                (c"deactivationRequestForExtension:queue:", deactivation as *const () as usize),
            ])),
            methods: Box::leak(Box::new([(c"setDelegate:", set_delegate as *const () as usize)])),
        },
        BuiltIn {
            name: c"OSSystemExtensionManager",
            size: size_of::<Object>(),
            class_methods: Box::leak(Box::new([(c"sharedManager", shared as *const () as usize)])),
            methods: Box::leak(Box::new([(c"submitRequest:", submit as *const () as usize)])),
        },
    ]
}

#[repr(C)]
struct Request {
    object: Object,
    activates: bool,
    known: bool,
    delegate: *mut Object,
}

unsafe extern "C" fn activation(
    _class: *mut Object,
    _name: *const c_char,
    id: *const foundation::Text,
    queue: *mut c_void,
) -> *mut Request {
    request(true, id, queue)
}

unsafe extern "C" fn deactivation(
    _class: *mut Object,
    _name: *const c_char,
    id: *const foundation::Text,
    queue: *mut c_void,
) -> *mut Request {
    request(false, id, queue)
}

unsafe fn request(activates: bool, id: *const foundation::Text, queue: *mut c_void) -> *mut Request {
    assert!(!queue.is_null(), "a request without a queue");
    let request = alloc(get_class(c"OSSystemExtensionRequest".as_ptr())).cast::<Request>();
    (*request).activates = activates;
    (*request).known = foundation::string(id) == "dev.vedette.sensor";
    request
}

/// The framework keeps no reference to the delegate.
unsafe extern "C" fn set_delegate(request: *mut Request, _name: *const c_char, delegate: *mut Object) {
    (*request).delegate = delegate;
}

unsafe extern "C" fn shared(class: *mut Object, _name: *const c_char) -> *mut Object {
    alloc(class.cast())
}

unsafe extern "C" fn submit(_manager: *mut Object, _name: *const c_char, request: *mut Request) {
    let script = std::env::var("MACOS_ABI_EXTENSION").unwrap_or_default();
    // A Mac's framework holds the delegate weakly and takes a reference for each call; this takes one for all.
    let (asked, delegate) = (request as usize, retain((*request).delegate) as usize);
    let (activates, known) = ((*request).activates, (*request).known);
    thread::spawn(move || {
        let mut steps = script.split_whitespace();
        let expected = steps.next() == Some(if activates { "activate" } else { "deactivate" });
        if !known || !expected {
            tell_failure(delegate, asked, DOMAIN, if known { UNKNOWN } else { NOT_FOUND });
            return;
        }
        for step in steps {
            let mut words = step.split('=');
            match (
                words.next().unwrap_or_default(),
                words.next(),
                words.next().and_then(|code| code.parse().ok()),
            ) {
                ("replace", ..) => {
                    let action =
                        tell(delegate, c"request:actionForReplacingExtension:withExtension:", asked, 0);
                    if action != REPLACE {
                        return tell_failure(delegate, asked, DOMAIN, UNKNOWN);
                    }
                }
                ("approval", ..) => drop(tell(delegate, c"requestNeedsUserApproval:", asked, 0)),
                ("finish", Some(result), _) => {
                    let result = result.parse().unwrap_or_default();
                    tell(delegate, c"request:didFinishWithResult:", asked, result);
                }
                ("fail", Some(domain), Some(code)) => tell_failure(delegate, asked, domain, code),
                _ => eprintln!("macos-abi: MACOS_ABI_EXTENSION: {step} is no step"),
            }
        }
    });
}

fn tell_failure(delegate: usize, request: usize, domain: &str, code: isize) {
    // SAFETY: an object made here; the delegate takes a reference if it keeps it.
    let error = unsafe { foundation::failure(domain, code, "The operation couldn\u{2019}t be completed.") };
    tell(delegate, c"request:didFailWithError:", request, error as usize);
}

/// Sends the delegate a message; 0 where the method returns nothing.
fn tell(delegate: usize, name: &CStr, request: usize, second: usize) -> isize {
    let delegate = delegate as *mut Object;
    // SAFETY: the delegate was retained; arguments that a method does not have are in registers that it does not read.
    unsafe {
        let name = selector(name.as_ptr());
        let method: extern "C" fn(*mut Object, *const c_char, usize, usize) -> isize =
            std::mem::transmute(send::method(delegate, name));
        method(delegate, name, request, second)
    }
}
