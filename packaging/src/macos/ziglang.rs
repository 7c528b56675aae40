//! PyPI's `ziglang`: a C compiler for darwin, and the text of libSystem's interface.

use super::MINIMUM_MACOS;
use crate::command;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The version that builds are made with. Its libSystem.tbd is the list of what a Mac exports.
const VERSION: &str = "0.17.1";

/// An unpacked wheel of `ziglang`.
pub(super) struct Ziglang {
    folder: PathBuf,
}

impl Ziglang {
    /// Finds it in the user's cache folder, or installs it there with pip.
    ///
    /// # Errors
    /// If python3 or pip is missing, or the wheel cannot be fetched.
    pub(super) fn find_or_install() -> Result<Self> {
        let cache = cache_folder()?;
        let site = cache.join(format!("ziglang-{VERSION}"));
        let found = Self { folder: site.join("ziglang") };
        if found.libsystem_tbd().is_file() {
            return Ok(found);
        }
        eprintln!("xtask: installing ziglang {VERSION} into {}", site.display());
        // Into a folder of its own, then renamed: a broken connection leaves nothing that looks installed.
        let unfinished = cache.join(format!("ziglang-{VERSION}.{}", std::process::id()));
        let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", "--target"];
        command::run(Command::new("python3").args(pip).arg(&unfinished).arg(format!("ziglang=={VERSION}")))
            .context("cannot install ziglang; it needs python3 with pip (Debian: python3-pip)")?;
        if fs::rename(&unfinished, &site).is_err() && !found.libsystem_tbd().is_file() {
            bail!("cannot move {} to {}; remove the latter", unfinished.display(), site.display());
        }
        Ok(found)
    }

    /// The compiler's program.
    pub(super) fn zig(&self) -> PathBuf {
        self.folder.join("zig")
    }

    /// What libSystem and all that it re-exports offers, as text (tapi v4, several documents).
    pub(super) fn libsystem_tbd(&self) -> PathBuf {
        self.folder.join("lib/libc/darwin/libSystem.tbd")
    }

    /// The folder of darwin's headers, whose marks say since when a function exists.
    pub(super) fn headers(&self) -> PathBuf {
        self.folder.join("lib/libc/include/any-darwin-any")
    }

    /// Writes a program that compiles C for `arch` (zig's name) on macOS: a script, as some callers take one word only.
    ///
    /// # Errors
    /// If the script cannot be written.
    pub(super) fn write_cc(&self, folder: &Path, arch: &str) -> Result<PathBuf> {
        let arguments = format!("cc -target {arch}-macos.{MINIMUM_MACOS}");
        self.write_script(&folder.join(format!("cc-{arch}")), &arguments)
    }

    /// Writes a program that makes archives of darwin's object files.
    ///
    /// # Errors
    /// If the script cannot be written.
    pub(super) fn write_ar(&self, folder: &Path) -> Result<PathBuf> {
        self.write_script(&folder.join("ar"), "ar")
    }

    /// Writes a linker for Linux on arm64, for the harness itself.
    ///
    /// # Errors
    /// If the script cannot be written.
    pub(super) fn write_linux_arm64_linker(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join("cc-linux-aarch64");
        // Rust asks for libgcc_s, which zig has under another name.
        let text = format!(
            "#!/bin/sh\nfor word do\n  shift\n  [ \"$word\" = -lgcc_s ] || set -- \"$@\" \"$word\"\ndone\n\
             exec '{}' cc -target aarch64-linux-gnu.2.36 \"$@\" -lunwind\n",
            self.zig().display()
        );
        write_executable(&path, &text)?;
        Ok(path)
    }

    fn write_script(&self, path: &Path, arguments: &str) -> Result<PathBuf> {
        write_executable(path, &format!("#!/bin/sh\nexec '{}' {arguments} \"$@\"\n", self.zig().display()))?;
        Ok(path.to_owned())
    }
}

/// The folder in the user's cache that tools are kept in; it exists.
///
/// # Errors
/// If the user has none, or it cannot be made.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME is set; tools are kept in the cache folder")?
        .join("vedette");
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    Ok(cache)
}

fn write_executable(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", path.display()))
}
