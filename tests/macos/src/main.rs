//! `macos-abi PROGRAM [ARGUMENTS…]`: runs a darwin binary on Linux. `macos-abi --imports PROGRAM`: what it imports.

#[cfg(target_os = "linux")]
fn main() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let list = arguments.first().is_some_and(|first| first == "--imports");
    if list {
        arguments.remove(0);
    }
    let Some(program) = arguments.first() else {
        eprintln!("usage: macos-abi [--imports] PROGRAM [ARGUMENTS…]");
        std::process::exit(2);
    };
    let macho = std::fs::read(program)
        .map_err(|error| error.to_string())
        .and_then(|bytes| macos_abi::Macho::parse(bytes).map_err(|error| error.to_string()))
        .unwrap_or_else(|error| {
            eprintln!("macos-abi: cannot load {}: {error}", program.display());
            std::process::exit(2);
        });
    if list {
        for import in macho.imports() {
            println!("{} {} {}", import.symbol, import.library, macos_abi::standing(&import.symbol));
        }
        return;
    }
    macos_abi::run(&macho, arguments.into_iter().map(OsString::into_vec).collect())
}

/// There is nothing to stand in for where this is no Linux.
#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("macos-abi stands in for macOS on Linux only");
}
