//! libobjc: classes, selectors, messages, reference counts.
//!
//! Models: classes that the image makes, with one instance variable after the other's end, methods by selector, classes
//! above; classes of our own (`foundation`, `system_extensions`); retain and release, with `dealloc` at the last one.
//! Messages to nil give 0. Not: autorelease, whose objects stay; protocols, which are names; categories, forwarding,
//! exceptions, weak references, type encodings.

mod foundation;
mod send;
mod system_extensions;

use crate::symbols::exports;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

exports! {
    "class_addIvar" => class_add_ivar,
    "class_addMethod" => class_add_method,
    "class_addProtocol" => class_add_protocol,
    "class_getInstanceVariable" => class_get_instance_variable,
    "class_getName" => class_get_name,
    "class_getSuperclass" => class_get_superclass,
    "ivar_getOffset" => ivar_get_offset,
    "objc_alloc" => alloc,
    "objc_allocateClassPair" => allocate_class_pair,
    "objc_autorelease" => identity,
    "objc_autoreleasePoolPop" => pool_pop,
    "objc_autoreleasePoolPush" => pool_push,
    "objc_autoreleaseReturnValue" => identity,
    "objc_claimAutoreleasedReturnValue" => retain,
    "objc_getClass" => get_class,
    "objc_getProtocol" => get_protocol,
    "objc_lookUpClass" => get_class,
    "objc_msgSend" => send::message,
    "objc_msgSendSuper" => send::message_to_super,
    "objc_registerClassPair" => register_class_pair,
    "objc_release" => release,
    "objc_retain" => retain,
    "objc_retainAutoreleasedReturnValue" => retain,
    "object_getClass" => object_get_class,
    "sel_getName" => identity,
    "sel_registerName" => selector,
}

/// An object: its first word leads to its class.
#[repr(C)]
pub(super) struct Object {
    class: *const Class,
}

/// A class, itself an object of its metaclass, whose methods are the class's own.
#[repr(C)]
pub(super) struct Class {
    metaclass: *const Class,
    above: *const Class,
    name: CString,
    size: Mutex<usize>,
    /// By selector, which is one pointer for each name.
    methods: Mutex<BTreeMap<usize, usize>>,
    /// Offsets from the object's start.
    variables: Mutex<BTreeMap<CString, usize>>,
}

/// The runtime's tables. Pointers in them are addresses of what is never freed.
#[derive(Default)]
struct Tables {
    classes: BTreeMap<CString, usize>,
    protocols: BTreeMap<CString, usize>,
    selectors: BTreeMap<CString, usize>,
    /// References to each object that was allocated and still lives.
    references: BTreeMap<usize, usize>,
}

fn tables() -> MutexGuard<'static, Tables> {
    static TABLES: OnceLock<Mutex<Tables>> = OnceLock::new();
    locked(TABLES.get_or_init(Mutex::default))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A class of our own, made at its first use: instance size, methods of the class, methods of its objects.
struct BuiltIn {
    name: &'static CStr,
    size: usize,
    class_methods: &'static [(&'static CStr, usize)],
    methods: &'static [(&'static CStr, usize)],
}

/// The class of a name: the image's own, or one of ours.
unsafe extern "C" fn get_class(name: *const c_char) -> *const Class {
    if let Some(class) = tables().classes.get(CStr::from_ptr(name)) {
        return *class as *const Class;
    }
    let built_in = foundation::classes().into_iter().chain(system_extensions::classes());
    let Some(found) = built_in.into_iter().find(|class| class.name == CStr::from_ptr(name)) else {
        return ptr::null();
    };
    let above = if found.name == c"NSObject" { ptr::null() } else { get_class(c"NSObject".as_ptr()) };
    let class = allocate_class_pair(above, name, 0);
    *locked(&(*class).size) = found.size;
    for (holder, methods) in [((*class).metaclass, found.class_methods), (class, found.methods)] {
        for (name, function) in methods {
            locked(&(*holder).methods).insert(selector(name.as_ptr()) as usize, *function);
        }
    }
    register_class_pair(class);
    class
}

unsafe extern "C" fn allocate_class_pair(
    above: *const Class,
    name: *const c_char,
    _extra: usize,
) -> *const Class {
    let name = CStr::from_ptr(name).to_owned();
    let size = if above.is_null() { size_of::<Object>() } else { *locked(&(*above).size) };
    let new = |metaclass, above, size| {
        let (methods, variables) = Default::default();
        Box::into_raw(Box::new(Class {
            metaclass,
            above,
            name: name.clone(),
            size: Mutex::new(size),
            methods,
            variables,
        }))
    };
    let metaclass_above = if above.is_null() { ptr::null() } else { (*above).metaclass };
    let metaclass = new(ptr::null(), metaclass_above, 0);
    new(metaclass, above, size)
}

unsafe extern "C" fn register_class_pair(class: *const Class) {
    tables().classes.insert((*class).name.clone(), class as usize);
}

/// Adds a variable behind what is there; `alignment` is a power of two's exponent.
unsafe extern "C" fn class_add_ivar(
    class: *const Class,
    name: *const c_char,
    size: usize,
    alignment: u8,
    _types: *const c_char,
) -> bool {
    let mut end = locked(&(*class).size);
    let offset = end.next_multiple_of(1 << alignment);
    *end = offset + size;
    locked(&(*class).variables).insert(CStr::from_ptr(name).to_owned(), offset).is_none()
}

/// The variable, by its offset plus one: an address that is not null.
unsafe extern "C" fn class_get_instance_variable(class: *const Class, name: *const c_char) -> *const c_void {
    let offset = locked(&(*class).variables).get(CStr::from_ptr(name)).copied();
    offset.map_or(ptr::null(), |offset| ptr::without_provenance(offset + 1))
}

extern "C" fn ivar_get_offset(variable: *const c_void) -> isize {
    variable.addr() as isize - 1
}

unsafe extern "C" fn class_add_method(
    class: *const Class,
    name: usize,
    function: usize,
    _types: *const c_char,
) -> bool {
    locked(&(*class).methods).insert(name, function).is_none()
}

extern "C" fn class_add_protocol(_class: *const Class, _protocol: *const c_void) -> bool {
    true
}

unsafe extern "C" fn class_get_name(class: *const Class) -> *const c_char {
    (*class).name.as_ptr()
}

unsafe extern "C" fn class_get_superclass(class: *const Class) -> *const Class {
    (*class).above
}

unsafe extern "C" fn object_get_class(object: *const Object) -> *const Class {
    if object.is_null() { ptr::null() } else { (*object).class }
}

unsafe extern "C" fn get_protocol(name: *const c_char) -> *const c_void {
    let name = CStr::from_ptr(name).to_owned();
    let interned = *tables().protocols.entry(name.clone()).or_insert_with(|| name.into_raw() as usize);
    interned as *const c_void
}

/// A selector: the one copy of its name.
unsafe extern "C" fn selector(name: *const c_char) -> *const c_char {
    let name = CStr::from_ptr(name).to_owned();
    let interned = *tables().selectors.entry(name.clone()).or_insert_with(|| name.into_raw() as usize);
    interned as *const c_char
}

/// A new object of a class, all of it zero but the class.
unsafe extern "C" fn alloc(class: *const Class) -> *mut Object {
    let object = libc::calloc(1, *locked(&(*class).size)).cast::<Object>();
    assert!(!object.is_null(), "no memory for an object");
    (*object).class = class;
    tables().references.insert(object as usize, 1);
    object
}

unsafe extern "C" fn retain(object: *mut Object) -> *mut Object {
    if let Some(count) = tables().references.get_mut(&(object as usize)) {
        *count += 1;
    }
    object
}

/// The last reference's end is a message `dealloc`; NSObject's frees the memory.
unsafe extern "C" fn release(object: *mut Object) {
    {
        let mut tables = tables();
        // Classes and what lives for ever are in no table.
        let Some(count) = tables.references.get_mut(&(object as usize)) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        tables.references.remove(&(object as usize));
    }
    let name = selector(c"dealloc".as_ptr());
    let dealloc: extern "C" fn(*mut Object, *const c_char) = std::mem::transmute(send::method(object, name));
    dealloc(object, name);
}

extern "C" fn identity(object: *mut c_void) -> *mut c_void {
    object
}

extern "C" fn pool_push() -> *mut c_void {
    ptr::without_provenance_mut(1)
}

extern "C" fn pool_pop(_pool: *mut c_void) {}
