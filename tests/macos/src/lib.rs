//! Runs the unmodified darwin binary of Vedette on Linux, against stand-ins for the libraries of macOS.
//!
//! Only for tests, and only on Linux; elsewhere this crate is empty. A Mach-O is mapped where it wants to be (`image`),
//! each of its imports is bound to a function here that has the import's name and darwin's calling convention,
//! constants and structures (`symbols`), and its entry point is called. Nothing is emulated: the code runs as it is, on
//! a processor of its own kind. One file stands in for one library, or one theme of libSystem, and says at its head
//! what it models and what not.
//!
//! What this shows: that the binary's own code, and the layouts, numbers and conventions by which it talks to the
//! system, agree with what is written here from Apple's and xnu's text. What it does not: that macOS behaves so.
//!
//! # Safety of the stand-ins
//!
//! Each is called by the image as the C function whose name it bears, and trusts its arguments exactly as that
//! function does: pointers are valid for what the C contract says, strings end with a zero. A caller that breaks the
//! contract is broken on a Mac too; to crash is then the result that a test wants.
#![cfg(target_os = "linux")]
// The contract above holds for the whole body of each stand-in (`extern "C"`); a block around each line would say nothing
// more. Other unsafe functions say what they ask for.
#![allow(unsafe_op_in_unsafe_fn)]

mod blocks;
mod bsm;
mod endpoint_security;
mod image;
mod libsystem;
mod macho;
mod measure;
mod memory;
mod objc;
mod os_log;
mod scenario;
mod started;
mod statistics;
mod symbols;
mod tlv;

use memory::OwnMemory;

pub use image::run;
pub use macho::{Error, Import, Macho};
pub use symbols::{Standing, standing};

/// What the harness allocates, the program's memory is not.
#[global_allocator]
static OWN_MEMORY: OwnMemory = OwnMemory::new();
