//! Makes a [`Process`] from what a message says of an image, within bounds.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use eql::Scalar;
use sha2::{Digest, Sha256};

use super::accounts::{Accounts, SystemAccounts};
use crate::event::{CodeSignature, Description, Process, User};
use crate::observation::{Exec, Image, Token};

/// How much of the joined command line is kept, in bytes. macOS allows an argv of 1 MiB.
pub const MAX_COMMAND_LINE_BYTES: usize = 32 << 10;

/// How much of the arguments, and again of the environment, is kept, in bytes; each counts its text and
/// the size of a [`Scalar`] for its place.
pub const MAX_ARGS_BYTES: usize = 64 << 10;

/// How much of any other text of an image (a path, a signing id) is kept, in bytes. macOS's longest path has
/// 1,024 bytes.
pub const MAX_TEXT_BYTES: usize = 4 << 10;

/// What an element of an array takes beside its text.
pub(super) const SLOT: usize = size_of::<Scalar>();

// `CS_*` of xnu's osfmk/kern/cs_blobs.h.
const CS_VALID: u32 = 0x1;
const CS_ADHOC: u32 = 0x2;
const CS_SIGNED: u32 = 0x2000_0000;

// `cpu_type_t` of xnu's osfmk/mach/machine.h.
const CPU_TYPE_ARM64: i32 = 0x0100_000c;
const CPU_TYPE_X86_64: i32 = 0x0100_0007;

/// Makes images. It keeps the texts of user ids, of which there are few.
#[derive(Debug)]
pub(super) struct Images {
    numbers: HashMap<u32, Arc<str>>,
    pub(super) accounts: Box<dyn Accounts>,
}

impl Default for Images {
    fn default() -> Self {
        Images { numbers: HashMap::new(), accounts: Box::new(SystemAccounts) }
    }
}

impl Images {
    /// Returns what `image` says by itself: no arguments, no parent but its pid, no lineage.
    pub(super) fn bare(&mut self, image: &Image<'_>) -> Process {
        let executable = text(&image.executable);
        let description = Description {
            name: executable.as_deref().and_then(file_name).map(Arc::from),
            executable_truncated: image.executable_truncated,
            executable,
            tty: image.tty.as_deref().and_then(text),
            group_leader_pid: image.group_id,
            session_leader_pid: image.session_id,
            code_signature: Some(code_signature(image)),
            user: Some(self.user(&image.token)),
            es_client: image.is_es_client,
            ..Description::default()
        };
        Process {
            pid: image.token.pid,
            pidversion: Some(image.token.pidversion),
            start: image.start,
            parent_pid: image.parent_token.map(|token| token.pid).or(image.ppid),
            description: description.into(),
            ..Process::default()
        }
    }

    /// Returns `user.*` and `group.*` of a token.
    pub(super) fn user(&mut self, token: &Token) -> User {
        User {
            id: self.number(token.euid),
            name: self.accounts.user(token.euid),
            real_id: Some(self.number(token.ruid)),
            real_name: self.accounts.user(token.ruid),
            group_id: Some(self.number(token.egid)),
            group_name: self.accounts.group(token.egid),
            real_group_id: Some(self.number(token.rgid)),
            real_group_name: self.accounts.group(token.rgid),
            audit_id: (token.auid != u32::MAX).then(|| self.number(token.auid)),
        }
    }

    fn number(&mut self, number: u32) -> Arc<str> {
        if self.numbers.len() > 1024 {
            self.numbers.clear();
        }
        self.numbers.entry(number).or_insert_with(|| number.to_string().into()).clone()
    }
}

/// Adds what only an exec says of its new image.
pub(super) fn exec(process: &mut Description, exec: &Exec<'_>, keep_env: bool) {
    arguments(process, &exec.args);
    process.working_directory = exec.cwd.as_deref().and_then(text);
    process.script = exec.script.as_deref().and_then(text);
    process.architecture = match exec.cpu_type {
        Some(CPU_TYPE_ARM64) => Some("arm64"),
        Some(CPU_TYPE_X86_64) => Some("x86_64"),
        _ => None,
    };
    if exec.dyld_exec_path.as_deref() != Some(&*exec.target.executable) {
        process.dyld_exec_path = exec.dyld_exec_path.as_deref().and_then(text);
    }
    if keep_env {
        process.env_vars = bounded(&exec.env).0;
    }
}

/// Adds an image's arguments.
pub(super) fn arguments(process: &mut Description, all: &[Cow<'_, str>]) {
    let (args, args_cut) = bounded(all);
    let (command_line, cut) = joined(all);
    process.args = args;
    process.args_truncated = args_cut;
    process.args_count = Some(all.len() as i64);
    process.command_line = (!all.is_empty()).then(|| command_line.into());
    process.command_line_truncated = cut;
}

/// Gives a forked child what it has of its parent's image and no message repeats.
pub(super) fn inherit(child: &mut Description, parent: &Description) {
    child.args = parent.args.clone();
    child.args_count = parent.args_count;
    child.args_truncated = parent.args_truncated;
    child.command_line = parent.command_line.clone();
    child.command_line_truncated = parent.command_line_truncated;
    child.working_directory = parent.working_directory.clone();
    child.script = parent.script.clone();
    child.env_vars = parent.env_vars.clone();
    child.architecture = parent.architecture;
    child.dyld_exec_path = parent.dyld_exec_path.clone();
}

/// Returns `process.entity_id`: 16 bytes of SHA-256 over host id, pid and start, in hexadecimal.
pub fn entity_id(host_id: &str, pid: u32, start: i64) -> Arc<str> {
    let digest = Sha256::new()
        .chain_update(host_id)
        .chain_update([0])
        .chain_update(pid.to_string())
        .chain_update([0])
        .chain_update(start.to_string())
        .finalize();
    let mut id = String::with_capacity(32);
    for byte in &digest[..16] {
        let _ = write!(id, "{byte:02x}");
    }
    id.into()
}

/// Returns about how many bytes the texts of `process` hold. Texts that it shares with others (its ancestors'
/// ids) count in each; a document that describes it counts instead of what may be made of it, which is less.
pub(super) fn weight(process: &Process) -> usize {
    let described = match process.description.document() {
        Some(document) => document.line.len() + document.values.size(),
        None => size_of::<Description>() + weight_of_texts(process),
    };
    let previous = process.previous_executable.as_ref().map_or(0, |path| path.len() + 16);
    size_of::<Process>() + process.entity_id.len() + process.ancestry.len() * SLOT + previous + described
}

fn weight_of_texts(description: &Description) -> usize {
    let text = |text: &Option<Arc<str>>| text.as_ref().map_or(0, |text| text.len() + 16);
    let list = |list: &[Scalar]| list.iter().map(|item| SLOT + item.heap_size()).sum::<usize>();
    let signature = description.code_signature.as_ref();
    text(&description.executable)
        + text(&description.name)
        + text(&description.command_line)
        + text(&description.working_directory)
        + text(&description.script)
        + text(&description.tty)
        + text(&description.dyld_exec_path)
        + signature
            .map_or(0, |signed| text(&signed.signing_id) + text(&signed.team_id) + text(&signed.cdhash))
        + list(&description.args)
        + list(&description.env_vars)
}

/// Returns a path's last component.
pub(crate) fn file_name(path: &str) -> Option<&str> {
    path.rsplit('/').next().filter(|name| !name.is_empty())
}

/// Returns as many of `texts` as [`MAX_ARGS_BYTES`] allows, and whether something was cut.
pub(super) fn bounded<T: AsRef<str>>(texts: &[T]) -> (Box<[Scalar]>, bool) {
    let mut left = MAX_ARGS_BYTES;
    let mut kept = Vec::new();
    for text in texts {
        let text = text.as_ref();
        let Some(room) = left.checked_sub(SLOT) else {
            return (kept.into(), true);
        };
        if text.len() > room {
            kept.push(Scalar::from(cut(text, room)));
            return (kept.into(), true);
        }
        kept.push(Scalar::from(text));
        left = room - text.len();
    }
    (kept.into(), false)
}

/// Returns the arguments joined by spaces, as far as [`MAX_COMMAND_LINE_BYTES`] allows, and whether something
/// was cut.
fn joined(args: &[Cow<'_, str>]) -> (String, bool) {
    let mut line = String::new();
    for (index, arg) in args.iter().enumerate() {
        if index > 0 {
            line.push(' ');
        }
        let room = MAX_COMMAND_LINE_BYTES.saturating_sub(line.len());
        if arg.len() > room {
            line.push_str(cut(arg, room));
            return (line, true);
        }
        line.push_str(arg);
    }
    (line, false)
}

/// Returns the text as it is kept; empty text is none.
pub(super) fn text(text: &str) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| cut(text, MAX_TEXT_BYTES).into())
}

/// Returns at most `room` bytes of `text`, in whole characters.
pub(crate) fn cut(text: &str, room: usize) -> &str {
    &text[..text.floor_char_boundary(room)]
}

/// What the kernel's flags say of the signature, and in the words of Security.framework's error texts.
fn code_signature(image: &Image<'_>) -> CodeSignature {
    let flags = image.codesigning_flags;
    let exists = flags & CS_SIGNED != 0;
    let valid = exists && flags & CS_VALID != 0;
    CodeSignature {
        exists,
        trusted: valid && flags & CS_ADHOC == 0,
        status: Some(match (exists, valid) {
            (true, true) => "No error.",
            (true, false) => "invalid signature (code or signature have been modified)",
            (false, _) => "code object is not signed at all",
        }),
        signing_id: image.signing_id.as_deref().and_then(text),
        team_id: image.team_id.as_deref().and_then(text),
        platform_binary: image.is_platform_binary,
        cdhash: image.cdhash.as_deref().and_then(|hash| text(&hash.to_ascii_lowercase())),
        flags,
        validation_category: image.cs_validation_category,
    }
}
