//! The darwin binary, run on Linux. `cargo xtask macos test` builds it and says where it is; without that, these tests
//! pass and print that they did not run.

mod doctor;
mod equality;
mod extension;
mod figures;
mod imports;
mod live;
mod losses;
mod network;
mod probe;
mod recordings;
mod selftest;
mod sensor;
mod trouble;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What `cargo xtask macos test` says in the environment.
struct Setup {
    /// The Mach-O.
    program: PathBuf,
    /// The same sources for Linux.
    linux_program: PathBuf,
    /// ziglang's list of what libSystem exports.
    libsystem_tbd: PathBuf,
    /// ziglang's headers of darwin.
    headers: PathBuf,
    /// What runs a Mach-O: an emulator with its arguments, if any, and the loader.
    loader: Vec<String>,
}

impl Setup {
    /// From the environment; `None`, and a line on stderr that no test runner swallows, where the harness is not set up.
    fn from_environment(test: &str) -> Option<Self> {
        let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let Some(program) = path("MACOS_ABI_PROGRAM") else {
            let line = format!(
                "macos-abi: {test} did not run: no darwin binary; `cargo xtask macos test` builds one\n"
            );
            let _ = std::io::stderr().write_all(line.as_bytes());
            return None;
        };
        let also =
            |name: &str| path(name).unwrap_or_else(|| panic!("MACOS_ABI_PROGRAM is set, but {name} is not"));
        let emulator = std::env::var("MACOS_ABI_EMULATOR").unwrap_or_default();
        let mut loader: Vec<String> = emulator.split_whitespace().map(str::to_owned).collect();
        let own = || env!("CARGO_BIN_EXE_macos-abi").to_owned();
        loader.push(std::env::var("MACOS_ABI_LOADER").unwrap_or_else(|_| own()));
        Some(Self {
            program,
            linux_program: also("MACOS_ABI_LINUX_PROGRAM"),
            libsystem_tbd: also("MACOS_ABI_LIBSYSTEM_TBD"),
            headers: also("MACOS_ABI_HEADERS"),
            loader,
        })
    }

    /// The Mach-O with arguments, from the repository's root.
    fn darwin(&self, arguments: &[&str]) -> Command {
        let mut command = self.load();
        command.arg(&self.program).args(arguments);
        command
    }

    /// The binary for Linux with arguments, from the repository's root.
    fn linux(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.linux_program);
        command.args(arguments).current_dir(root()).stdin(Stdio::null());
        command
    }

    /// The loader, without a program.
    fn load(&self) -> Command {
        let mut command = Command::new(&self.loader[0]);
        command.args(&self.loader[1..]).current_dir(root()).stdin(Stdio::null());
        // For the program to be started by itself.
        command.env("MACOS_ABI_SELF", self.loader.join(" "));
        command
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// What a person needs to see of a run: status, stdout, stderr.
fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n-- stdout\n{}-- stderr\n{}", output.status, text(&output.stdout), text(&output.stderr))
}
