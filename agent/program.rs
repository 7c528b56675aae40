//! Running the system's programs: with an environment of our own, and bounded in time and output.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// The most that is read of a program's output, in bytes.
const MAX_OUTPUT: u64 = 16 << 20;

/// How much of a program's output is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// All that it writes to standard output.
    All,
    /// The first line; the program is ended then.
    FirstLine,
    /// All that it writes to standard output and standard error, as it comes.
    WithErrors,
}

/// What a program gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; -1 if a signal ended it.
    pub status: i32,
    /// What it wrote, as far as it was wanted.
    pub text: String,
}

/// A command of an absolute path and with nothing of this program's environment: both may run as root.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// Runs a command to its end, or ends it.
///
/// # Errors
/// It cannot be run, writes too much, or does not end in time: a sentence that names it.
pub(crate) fn run(mut command: Command, take: Take, patience: Duration) -> Result<Output, String> {
    let program = Path::new(command.get_program()).display().to_string();
    let cannot = |error: io::Error| format!("{program} cannot be run: {error}");
    let (reader, writer) = io::pipe().map_err(cannot)?;
    let errors =
        if take == Take::WithErrors { writer.try_clone().map_err(cannot)?.into() } else { Stdio::null() };
    let mut child = command.stdout(writer).stderr(errors).spawn().map_err(cannot)?;
    // It holds ends of the pipe, which would never end then.
    drop(command);
    // On a thread of its own, so that a program that hangs is not waited for, nor one that it left behind.
    let (sender, receiver) = channel();
    let reading = std::thread::Builder::new().name("program".into()).spawn(move || {
        let mut bytes = Vec::new();
        let mut reader = BufReader::new(reader.take(MAX_OUTPUT + 1));
        let read = match take {
            Take::FirstLine => reader.read_until(b'\n', &mut bytes),
            Take::All | Take::WithErrors => reader.read_to_end(&mut bytes),
        };
        let _ = sender.send(read.map(|_| bytes));
    });
    let read = match reading {
        Err(error) => Err(cannot(error)),
        Ok(_) => match receiver.recv_timeout(patience) {
            Ok(Ok(bytes)) if bytes.len() as u64 > MAX_OUTPUT => {
                Err(format!("{program} wrote more than {} MiB", MAX_OUTPUT >> 20))
            }
            Ok(Ok(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Ok(Err(error)) => Err(cannot(error)),
            Err(RecvTimeoutError::Timeout) => {
                Err(format!("{program} did not end within {} s", patience.as_secs()))
            }
            Err(RecvTimeoutError::Disconnected) => Err(format!("{program} cannot be read")),
        },
    };
    if read.is_err() || take == Take::FirstLine {
        // It has ended, or is to.
        let _ = child.kill();
    }
    let status = child.wait().map_err(cannot)?;
    let text = read?;
    let ended_by_us = take == Take::FirstLine && !text.is_empty();
    Ok(Output { status: if ended_by_us { 0 } else { status.code().unwrap_or(-1) }, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, take: Take, patience: Duration) -> Result<Output, String> {
        let mut shell = command(Path::new("/bin/sh"));
        shell.args(["-c", script]);
        run(shell, take, patience)
    }

    #[test]
    fn what_is_wanted_of_the_output_and_the_exit_code() {
        let minute = Duration::from_secs(60);
        let output = |status, text: &str| Ok(Output { status, text: text.to_owned() });
        let script = "echo one; echo two >&2; echo three; exit 3";
        assert_eq!(shell(script, Take::All, minute), output(3, "one\nthree\n"));
        assert_eq!(shell(script, Take::WithErrors, minute), output(3, "one\ntwo\nthree\n"));
        assert_eq!(shell("while echo line; do :; done", Take::FirstLine, minute), output(0, "line\n"));
        assert_eq!(shell("exit 4", Take::FirstLine, minute), output(4, ""));
        assert_eq!(shell("kill -9 $$", Take::All, minute), output(-1, ""));
        assert_eq!(shell("printf '\\377'", Take::All, minute), output(0, "\u{fffd}"));
        assert_eq!(shell("echo ${HOME-none} $LC_ALL", Take::All, minute), output(0, "none C\n"));
    }

    #[test]
    fn a_program_that_hangs_floods_or_is_not_there_is_ended_and_named() {
        let error = shell("exec sleep 600", Take::All, Duration::from_millis(200)).expect_err("it hangs");
        assert!(error.contains("/bin/sh did not end within 0 s"), "{error}");
        let error = shell("exec yes", Take::All, Duration::from_secs(600)).expect_err("it floods");
        assert!(error.contains("wrote more than 16 MiB"), "{error}");
        let missing = command(Path::new("/missing/program"));
        let error = run(missing, Take::All, Duration::from_secs(60)).expect_err("it is not there");
        assert!(error.starts_with("/missing/program cannot be run: "), "{error}");
    }
}
