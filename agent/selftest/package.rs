//! The package: made in a temporary folder, installed, forgotten.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::Programs;
use crate::program::{self, Take};
use crate::{identity, timestamp};

/// How long a program other than the installer may take.
const MAX_TIME: Duration = Duration::from_secs(60);

/// A temporary folder that only who made it may enter; it goes with all that is in it.
pub(super) struct Folder {
    path: PathBuf,
    nonce: String,
}

impl Folder {
    /// Makes the folder, and in it the script. It must not exist: its name cannot be guessed.
    pub(super) fn make(within: &Path, nonce: &str, port: u16) -> io::Result<Self> {
        let path = within.join(format!("vedette-selftest.{nonce}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Folder { path, nonce: nonce.to_owned() };
        DirBuilder::new().mode(0o700).create(folder.scripts())?;
        let mut script = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o700)
            .open(folder.scripts().join("postinstall"))?;
        script.write_all(script_text(nonce, port).as_bytes())?;
        Ok(folder)
    }

    fn scripts(&self) -> PathBuf {
        self.path.join("scripts")
    }

    fn package(&self) -> PathBuf {
        self.path.join("selftest.pkg")
    }

    /// Builds the package.
    pub(super) fn build(&self, pkgbuild: &Path) -> Result<(), String> {
        let mut command = program::command(pkgbuild);
        command
            .args(["--nopayload", "--version", "1", "--identifier"])
            .arg(identity::selftest_id(&self.nonce));
        command.arg("--scripts").arg(self.scripts()).arg(self.package());
        let output = program::run(command, Take::WithErrors, MAX_TIME)?;
        if output.status == 0 {
            Ok(())
        } else {
            Err(format!("{} failed: {}", pkgbuild.display(), output.text.trim()))
        }
    }

    /// Begins to install it.
    pub(super) fn install<'a>(&self, programs: &'a Programs) -> Result<Running<'a>, String> {
        let mut command = program::command(&programs.installer);
        command.arg("-pkg").arg(self.package()).args(["-target", "/"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| format!("{} cannot be run: {error}", programs.installer.display()))?;
        Ok(Running { child, programs, package: identity::selftest_id(&self.nonce) })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The installer at work.
pub(super) struct Running<'a> {
    child: Child,
    programs: &'a Programs,
    package: String,
}

impl Running<'_> {
    /// Returns why the installation failed, if it has.
    pub(super) fn failure(&mut self) -> Option<String> {
        let installer = self.programs.installer.display();
        match self.child.try_wait() {
            Ok(Some(status)) if !status.success() => {
                Some(format!("{installer} failed ({status}): see the end of /var/log/install.log"))
            }
            Err(error) => Some(format!("{installer}: {error}")),
            Ok(_) => None,
        }
    }

    /// Lets the installer end, or ends it after a while, and lets macOS forget the package.
    pub(super) fn end(&mut self, grace: Duration) {
        let until = Instant::now() + grace;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(super::INTERVAL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A package without payload leaves no receipt on most versions of macOS: that there is none is no failure.
        let mut forget = program::command(&self.programs.pkgutil);
        forget.arg("--forget").arg(&self.package);
        let _ = program::run(forget, Take::All, MAX_TIME);
    }
}

/// Returns when unified logging got an alert's line, which begins with the alert's `event.id`.
pub(super) fn logged(log: &Path, event_id: &str) -> Option<SystemTime> {
    // It becomes part of a predicate: the sensor's own ids are letters and digits.
    if !event_id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let predicate = format!(
        "subsystem == \"{}\" AND category == \"alert\" AND eventMessage BEGINSWITH \"{event_id}\"",
        identity::subsystem()
    );
    let mut command = program::command(log);
    command.args(["show", "--last", "5m", "--style", "ndjson", "--predicate", &predicate]);
    let output = program::run(command, Take::All, MAX_TIME).ok()?;
    output.text.lines().find_map(|line| {
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        let message = entry.get("eventMessage")?.as_str()?;
        let time = timestamp::parse_log(entry.get("timestamp")?.as_str()?)?;
        let since = Duration::from_nanos(u64::try_from(time).ok()?);
        message.starts_with(event_id).then(|| SystemTime::UNIX_EPOCH + since)
    })
}

/// The script: it connects, says its number, and whatever comes of that is no failure of the installation.
fn script_text(nonce: &str, port: u16) -> String {
    format!(
        "#!/bin/sh\n\
         # The self-test of Vedette: it connects to `vedette selftest` on this Mac, and does nothing else.\n\
         /usr/bin/curl --silent --noproxy '*' --max-time 10 --output /dev/null http://127.0.0.1:{port}/{nonce}\n\
         exit 0\n"
    )
}
