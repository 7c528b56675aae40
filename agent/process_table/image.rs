//! Makes a [`Process`] from what a message says of an image, within bounds.

use std::borrow::Cow;
use std::sync::Arc;

use eql::Scalar;
use sha2::{Digest, Sha256};

use super::accounts::{Accounts, SystemAccounts};
use crate::digest::hexadecimal;
use crate::event::{
    ArgsParts, CodeSignature, DescriptionParts, EntityId, InvocationParts, KeptArgs, Process, User,
};
use crate::observation::{Exec, Image, Token};
use crate::seeded::{self, SeededMap};

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

/// Describes images. It keeps the users that images are of, of whom there are few.
#[derive(Debug)]
pub(super) struct Images {
    users: SeededMap<[u32; 5], Arc<User>>,
    pub(super) accounts: Box<dyn Accounts>,
}

/// How many users are kept.
const MAX_USERS: usize = 1024;

impl Default for Images {
    fn default() -> Self {
        Images { users: seeded::map(), accounts: Box::<SystemAccounts>::default() }
    }
}

impl Images {
    /// Returns what `image` says by itself: no arguments, no parent but its pid, no lineage.
    pub(super) fn bare(&mut self, image: &Image<'_>) -> Process {
        process(image, self.describe(image))
    }

    /// Returns the new image of an exec, without parent and lineage. Its environment is kept only if `keep_env` is set.
    pub(super) fn exec(&mut self, exec: &Exec<'_>, keep_env: bool) -> Process {
        let invocation = Some(invocation(exec, keep_env));
        process(&exec.target, DescriptionParts { invocation, ..self.describe(&exec.target) })
    }

    fn describe<'a>(&mut self, image: &'a Image<'_>) -> DescriptionParts<'a> {
        let executable = text(&image.executable);
        DescriptionParts {
            name: executable.and_then(file_name).map(Cow::Borrowed),
            executable: executable.map(Cow::Borrowed),
            executable_truncated: image.executable_truncated,
            tty: image.tty.as_deref().and_then(text).map(Cow::Borrowed),
            group_leader_pid: image.group_id,
            session_leader_pid: image.session_id,
            code_signature: Some(code_signature(image)),
            signing_id: image.signing_id.as_deref().and_then(text).map(Cow::Borrowed),
            team_id: image.team_id.as_deref().and_then(text).map(Cow::Borrowed),
            cdhash: image.cdhash.as_deref().and_then(text).map(Cow::Borrowed),
            user: Some(self.user(&image.token)),
            es_client: image.is_es_client,
            invocation: None,
        }
    }

    /// Returns `user.*` and `group.*` of a token.
    pub(super) fn user(&mut self, token: &Token) -> Arc<User> {
        let Token { auid, euid, egid, ruid, rgid, .. } = *token;
        let name = self.accounts.user(euid);
        let real_name = if ruid == euid { name.clone() } else { self.accounts.user(ruid) };
        let group_name = self.accounts.group(egid);
        let real_group_name = if rgid == egid { group_name.clone() } else { self.accounts.group(rgid) };
        let ids = [auid, euid, egid, ruid, rgid];
        // A name may have come to be known since, or have changed.
        let is_same = |user: &&Arc<User>| {
            user.name == name
                && user.real_name == real_name
                && user.group_name == group_name
                && user.real_group_name == real_group_name
        };
        if let Some(known) = self.users.get(&ids).filter(is_same) {
            return Arc::clone(known);
        }
        let number = |number: u32| -> Arc<str> { number.to_string().into() };
        let user = Arc::new(User {
            id: number(euid),
            name,
            real_id: Some(number(ruid)),
            real_name,
            group_id: Some(number(egid)),
            group_name,
            real_group_id: Some(number(rgid)),
            real_group_name,
            audit_id: (auid != u32::MAX).then(|| number(auid)),
        });
        if self.users.len() == MAX_USERS {
            self.users.clear();
        }
        self.users.insert(ids, Arc::clone(&user));
        user
    }
}

fn process(image: &Image<'_>, description: DescriptionParts<'_>) -> Process {
    Process {
        pid: image.token.pid,
        pidversion: Some(image.token.pidversion),
        start: image.start,
        parent_pid: image.parent.map(|parent| parent.pid).or(image.ppid),
        description: description.into(),
        ..Process::default()
    }
}

/// What only an exec says of its new image.
fn invocation<'a>(exec: &'a Exec<'_>, keep_env: bool) -> InvocationParts<'a> {
    let dyld_exec_path = exec.dyld_exec_path.as_deref();
    InvocationParts {
        args: arguments(&exec.args),
        working_directory: exec.cwd.as_deref().and_then(text).map(Cow::Borrowed),
        script: exec.script.as_deref().and_then(text).map(Cow::Borrowed),
        architecture: match exec.cpu_type {
            Some(CPU_TYPE_ARM64) => Some("arm64"),
            Some(CPU_TYPE_X86_64) => Some("x86_64"),
            _ => None,
        },
        dyld_exec_path: dyld_exec_path
            .filter(|path| *path != exec.target.executable)
            .and_then(text)
            .map(Cow::Borrowed),
        env_vars: if keep_env { bounded(&exec.env).0 } else { Box::default() },
    }
}

/// Returns what is kept of an image's arguments.
pub(super) fn arguments<'a>(all: &'a [Cow<'_, str>]) -> ArgsParts<'a> {
    let length = all.iter().map(|arg| arg.len()).sum::<usize>();
    let (room, of_line) = (length + all.len() * SLOT, (length + all.len()).saturating_sub(1));
    if room <= MAX_ARGS_BYTES && of_line <= MAX_COMMAND_LINE_BYTES {
        return ArgsParts::Whole(all);
    }
    let (args, truncated) = bounded(all);
    let (line, command_line_truncated) = joined(all);
    ArgsParts::Kept(KeptArgs {
        args,
        count: Some(all.len() as i64),
        truncated,
        command_line: Some(line.into()),
        command_line_truncated,
    })
}

/// Returns `process.entity_id`: 16 bytes of SHA-256 over host id, pid and start, in hexadecimal.
pub fn entity_id(host_id: &str, pid: u32, start: i64) -> EntityId {
    let digest = Sha256::new()
        .chain_update(host_id)
        .chain_update([0])
        .chain_update(itoa::Buffer::new().format(pid))
        .chain_update([0])
        .chain_update(itoa::Buffer::new().format(start))
        .finalize();
    hexadecimal(&digest[..16]).as_str().into()
}

/// Returns about how many bytes the texts of `process` hold. Texts that it shares with others (its ancestors'
/// ids) count in each; what a document says of it counts instead of what may be made of that, which hardly ever is.
pub(super) fn weight(process: &Process) -> usize {
    let described = match process.description.excerpt() {
        Some(excerpt) => excerpt.size(),
        None => process.weight(),
    };
    let previous = process.previous_executable.as_ref().map_or(0, |path| path.len() + 16);
    size_of::<Process>() + process.entity_id.len() + process.ancestry.len() * SLOT + previous + described
}

/// Returns a path's last component.
pub(crate) fn file_name(path: &str) -> Option<&str> {
    let start = memchr::memrchr(b'/', path.as_bytes()).map_or(0, |slash| slash + 1);
    path.get(start..).filter(|name| !name.is_empty())
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

/// Returns the text as far as it is kept; empty text is none.
pub(super) fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then(|| cut(text, MAX_TEXT_BYTES))
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
        platform_binary: image.is_platform_binary,
        flags,
        validation_category: image.cs_validation_category,
    }
}
