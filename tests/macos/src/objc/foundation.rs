//! Foundation: NSObject, NSString and NSError as far as they are used. Strings are UTF-8 and never change.

use super::{BuiltIn, Object, alloc, get_class};
use std::ffi::{c_char, c_void};
use std::slice;

/// NSUTF8StringEncoding.
const UTF8: usize = 4;

pub(super) fn classes() -> Vec<BuiltIn> {
    vec![
        BuiltIn {
            name: c"NSObject",
            size: size_of::<Object>(),
            class_methods: &[],
            methods: Box::leak(Box::new([
                (c"init", init as *const () as usize),
                (c"dealloc", dealloc as *const () as usize),
            ])),
        },
        BuiltIn {
            name: c"NSString",
            size: size_of::<Text>(),
            class_methods: &[],
            methods: Box::leak(Box::new([
                (c"initWithBytes:length:encoding:", init_with_bytes as *const () as usize),
                (c"lengthOfBytesUsingEncoding:", length as *const () as usize),
                (c"UTF8String", utf8 as *const () as usize),
                (c"dealloc", dealloc_text as *const () as usize),
            ])),
        },
        BuiltIn {
            name: c"NSError",
            size: size_of::<Failure>(),
            class_methods: &[],
            methods: Box::leak(Box::new([
                (c"domain", domain as *const () as usize),
                (c"code", code as *const () as usize),
                (c"localizedDescription", description as *const () as usize),
            ])),
        },
    ]
}

#[repr(C)]
pub(super) struct Text {
    object: Object,
    /// With a zero behind.
    bytes: *mut c_char,
    length: usize,
}

#[repr(C)]
pub(super) struct Failure {
    object: Object,
    domain: *mut Text,
    code: isize,
    description: *mut Text,
}

/// A string object.
pub(super) unsafe fn text(text: &str) -> *mut Text {
    let object = alloc(get_class(c"NSString".as_ptr())).cast::<Text>();
    init_with_bytes(object, std::ptr::null(), text.as_ptr(), text.len(), UTF8)
}

/// What a string object holds.
pub(super) unsafe fn string(text: *const Text) -> String {
    let bytes = slice::from_raw_parts((*text).bytes.cast::<u8>(), (*text).length);
    String::from_utf8_lossy(bytes).into_owned()
}

/// An error object.
pub(super) unsafe fn failure(domain: &str, code: isize, description: &str) -> *mut Failure {
    let object = alloc(get_class(c"NSError".as_ptr())).cast::<Failure>();
    (*object).domain = text(domain);
    (*object).code = code;
    (*object).description = text(description);
    object
}

extern "C" fn init(object: *mut Object, _name: *const c_char) -> *mut Object {
    object
}

unsafe extern "C" fn dealloc(object: *mut Object, _name: *const c_char) {
    libc::free(object.cast());
}

unsafe extern "C" fn init_with_bytes(
    object: *mut Text,
    _name: *const c_char,
    bytes: *const u8,
    length: usize,
    encoding: usize,
) -> *mut Text {
    assert_eq!(encoding, UTF8, "a string in another encoding than UTF-8");
    let copy = libc::calloc(1, length + 1).cast::<c_char>();
    assert!(!copy.is_null(), "no memory for a string");
    std::ptr::copy_nonoverlapping(bytes.cast::<c_char>(), copy, length);
    (*object).bytes = copy;
    (*object).length = length;
    object
}

unsafe extern "C" fn dealloc_text(object: *mut Text, name: *const c_char) {
    libc::free((*object).bytes.cast::<c_void>());
    dealloc(object.cast(), name);
}

unsafe extern "C" fn length(object: *const Text, _name: *const c_char, _encoding: usize) -> usize {
    (*object).length
}

unsafe extern "C" fn utf8(object: *const Text, _name: *const c_char) -> *const c_char {
    (*object).bytes
}

unsafe extern "C" fn domain(object: *const Failure, _name: *const c_char) -> *mut Text {
    (*object).domain
}

unsafe extern "C" fn code(object: *const Failure, _name: *const c_char) -> isize {
    (*object).code
}

unsafe extern "C" fn description(object: *const Failure, _name: *const c_char) -> *mut Text {
    (*object).description
}
