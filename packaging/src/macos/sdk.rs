//! A stub SDK: for each library that the agent links, the text file (.tbd) that tells a linker what it exports.
//!
//! A stub has names only; what a Mac's own library does with them, a link says nothing about. libSystem's list is
//! ziglang's; the others are below and name what the agent's crates refer to.

use super::ziglang::Ziglang;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A library that is no part of libSystem.
struct Stub {
    /// Below the SDK's root.
    path: &'static str,
    /// Where the library lies on a Mac.
    install_name: &'static str,
    /// Without the leading underscore that C adds.
    symbols: &'static [&'static str],
    classes: &'static [&'static str],
}

/// The folder's own files: text, written anew at each build.
///
/// # Errors
/// If ziglang's libSystem.tbd cannot be read, or a file cannot be written.
pub(super) fn write(folder: &Path, ziglang: &Ziglang) -> Result<()> {
    let path = ziglang.libsystem_tbd();
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = known_targets(&text);
    for name in ["libSystem", "libc", "libm"] {
        write_file(&folder.join(format!("usr/lib/{name}.tbd")), &text)?;
    }
    for stub in STUBS {
        write_file(&folder.join(stub.path), &stub.text())?;
    }
    Ok(())
}

/// The folder in the repository that holds the headers which ziglang lacks.
pub(super) fn include_folder() -> PathBuf {
    crate::root().join("packaging/sdk/include")
}

/// The targets of a .tbd in terms that rust-lld knows: arm64e's variants become plain arm64.
fn known_targets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("targets:") {
        let Some((open, close)) = rest[start..].find('[').zip(rest[start..].find(']')) else { break };
        let mut targets: Vec<String> = Vec::new();
        for target in rest[start + open + 1..start + close].split(',') {
            let target = target.trim().replace("arm64e.x1-", "arm64-").replace("arm64e-", "arm64-");
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        out.push_str(&rest[..=start + open]);
        out.push_str(&format!(" {} ", targets.join(", ")));
        rest = &rest[start + close..];
    }
    out.push_str(rest);
    out
}

impl Stub {
    fn text(&self) -> String {
        let targets = "[ x86_64-macos, arm64-macos ]";
        let symbols: Vec<String> = self.symbols.iter().map(|name| format!("_{name}")).collect();
        let mut text = format!(
            "--- !tapi-tbd\ntbd-version: 4\ntargets: {targets}\ninstall-name: '{}'\ncurrent-version: 1\n",
            self.install_name
        );
        if !symbols.is_empty() || !self.classes.is_empty() {
            text.push_str(&format!("exports:\n  - targets: {targets}\n"));
            for (key, names) in [("symbols", symbols.join(", ")), ("objc-classes", self.classes.join(", "))] {
                if !names.is_empty() {
                    text.push_str(&format!("    {key}: [ {names} ]\n"));
                }
            }
        }
        text.push_str("...\n");
        text
    }
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().expect("a file of the SDK lies in a folder");
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

const fn library(path: &'static str, install_name: &'static str, symbols: &'static [&'static str]) -> Stub {
    Stub { path, install_name, symbols, classes: &[] }
}

/// A framework of which only classes are used, that are looked up at run time.
macro_rules! framework {
    ($name:literal, $version:literal) => {
        library(
            concat!("System/Library/Frameworks/", $name, ".framework/", $name, ".tbd"),
            concat!("/System/Library/Frameworks/", $name, ".framework/Versions/", $version, "/", $name),
            &[],
        )
    };
}

const STUBS: &[Stub] = &[
    // endpoint-sec-sys up to its feature macos_13_3_0 declares these.
    library(
        "usr/lib/libEndpointSecurity.tbd",
        "/usr/lib/libEndpointSecurity.dylib",
        &[
            "es_new_client",
            "es_delete_client",
            "es_subscribe",
            "es_unsubscribe",
            "es_unsubscribe_all",
            "es_subscriptions",
            "es_respond_auth_result",
            "es_respond_flags_result",
            "es_mute_process",
            "es_unmute_process",
            "es_muted_processes",
            "es_mute_process_events",
            "es_unmute_process_events",
            "es_muted_processes_events",
            "es_release_muted_processes",
            "es_mute_path",
            "es_mute_path_events",
            "es_mute_path_literal",
            "es_mute_path_prefix",
            "es_unmute_path",
            "es_unmute_path_events",
            "es_unmute_all_paths",
            "es_unmute_all_target_paths",
            "es_muted_paths_events",
            "es_release_muted_paths",
            "es_invert_muting",
            "es_muting_inverted",
            "es_clear_cache",
            "es_message_size",
            "es_copy_message",
            "es_free_message",
            "es_retain_message",
            "es_release_message",
            "es_exec_arg",
            "es_exec_arg_count",
            "es_exec_env",
            "es_exec_env_count",
            "es_exec_fd",
            "es_exec_fd_count",
        ],
    ),
    library(
        "usr/lib/libbsm.tbd",
        "/usr/lib/libbsm.0.dylib",
        &[
            "audit_token_to_au32",
            "audit_token_to_auid",
            "audit_token_to_euid",
            "audit_token_to_egid",
            "audit_token_to_ruid",
            "audit_token_to_rgid",
            "audit_token_to_pid",
            "audit_token_to_asid",
            "audit_token_to_pidversion",
        ],
    ),
    // std links it; nothing of it is called.
    library("usr/lib/libiconv.tbd", "/usr/lib/libiconv.2.dylib", &["iconv", "iconv_open", "iconv_close"]),
    Stub {
        path: "usr/lib/libobjc.tbd",
        install_name: "/usr/lib/libobjc.A.dylib",
        // What objc2 0.6 refers to, `define_class!` included.
        symbols: &[
            "class_addIvar",
            "class_addMethod",
            "class_addProtocol",
            "class_conformsToProtocol",
            "class_getClassMethod",
            "class_getInstanceMethod",
            "class_getInstanceSize",
            "class_getInstanceVariable",
            "class_getMethodImplementation",
            "class_getName",
            "class_getSuperclass",
            "class_isMetaClass",
            "class_respondsToSelector",
            "ivar_getName",
            "ivar_getOffset",
            "ivar_getTypeEncoding",
            "method_getImplementation",
            "method_getName",
            "method_getNumberOfArguments",
            "method_getTypeEncoding",
            "objc_alloc",
            "objc_allocWithZone",
            "objc_allocateClassPair",
            "objc_autorelease",
            "objc_autoreleasePoolPop",
            "objc_autoreleasePoolPush",
            "objc_autoreleaseReturnValue",
            "objc_begin_catch",
            "objc_claimAutoreleasedReturnValue",
            "objc_copyClassList",
            "objc_disposeClassPair",
            "objc_end_catch",
            "objc_exception_throw",
            "objc_getClass",
            "objc_getMetaClass",
            "objc_getProtocol",
            "objc_lookUpClass",
            "objc_msgSend",
            "objc_msgSendSuper",
            "objc_msgSendSuper_stret",
            "objc_msgSend_fpret",
            "objc_msgSend_stret",
            "objc_opt_class",
            "objc_opt_isKindOfClass",
            "objc_opt_new",
            "objc_opt_respondsToSelector",
            "objc_opt_self",
            "objc_registerClassPair",
            "objc_release",
            "objc_retain",
            "objc_retainAutorelease",
            "objc_retainAutoreleaseReturnValue",
            "objc_retainAutoreleasedReturnValue",
            "objc_retainBlock",
            "object_getClass",
            "object_getClassName",
            "object_setClass",
            "protocol_getName",
            "protocol_getMethodDescription",
            "sel_getName",
            "sel_isEqual",
            "sel_registerName",
        ],
        classes: &["NSObject"],
    },
    framework!("Foundation", "C"),
    framework!("CoreFoundation", "A"),
    framework!("Security", "A"),
    framework!("SystemExtensions", "A"),
    framework!("NetworkExtension", "A"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arm64e_alone_becomes_arm64_once() {
        let text = "targets:  [ x86_64-macos, arm64e-macos, \n   arm64e.x1-macos ]\nsymbols: [ _a, _b ]\n";
        assert_eq!(known_targets(text), "targets:  [ x86_64-macos, arm64-macos ]\nsymbols: [ _a, _b ]\n");
    }

    #[test]
    fn a_framework_without_symbols_has_no_exports() {
        let stub = STUBS.iter().find(|stub| stub.path.ends_with("Foundation.tbd")).unwrap();
        assert!(!stub.text().contains("exports"), "{}", stub.text());
        assert!(stub.text().contains("Foundation.framework/Versions/C/Foundation'"), "{}", stub.text());
    }
}
