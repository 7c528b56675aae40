//! What an image is, as it is kept: thousands of these are, so their texts lie together.

use std::borrow::Cow;
use std::sync::Arc;

use eql::Scalar;

use super::{Invocation, InvocationParts};

/// What an image is.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// `vedette.executable_truncated`: the kernel gave only the path's beginning.
    pub executable_truncated: bool,
    /// `process.group_leader.pid`.
    pub group_leader_pid: Option<u32>,
    /// `process.session_leader.pid`.
    pub session_leader_pid: Option<u32>,
    /// `process.code_signature.*`, but for its texts.
    pub code_signature: Option<CodeSignature>,
    /// `user.*` and `group.*`; images of one user share it.
    pub user: Option<Arc<User>>,
    /// `vedette.es_client`: it is an Endpoint Security client itself.
    pub es_client: bool,
    /// How it was started; a fork's child shares its parent's. `None` where that is not known.
    pub invocation: Option<Arc<Invocation>>,
    /// Where in the executable the name begins, which hardly ever is a text of its own.
    name: Option<u32>,
    texts: Texts<6>,
}

// Which of a description's texts is which.
const EXECUTABLE: usize = 0;
const NAME: usize = 1;
const TTY: usize = 2;
const SIGNING_ID: usize = 3;
const TEAM_ID: usize = 4;
const CDHASH: usize = 5;

/// What a [`Description`] is made of. Empty text is none.
#[derive(Clone, Debug, Default)]
pub struct DescriptionParts<'a> {
    /// [`Description::executable`].
    pub executable: Option<Cow<'a, str>>,
    /// [`Description::executable_truncated`].
    pub executable_truncated: bool,
    /// [`Description::name`].
    pub name: Option<Cow<'a, str>>,
    /// [`Description::tty`].
    pub tty: Option<Cow<'a, str>>,
    /// [`Description::group_leader_pid`].
    pub group_leader_pid: Option<u32>,
    /// [`Description::session_leader_pid`].
    pub session_leader_pid: Option<u32>,
    /// [`Description::code_signature`].
    pub code_signature: Option<CodeSignature>,
    /// [`Description::signing_id`].
    pub signing_id: Option<Cow<'a, str>>,
    /// [`Description::team_id`].
    pub team_id: Option<Cow<'a, str>>,
    /// [`Description::cdhash`], in either case.
    pub cdhash: Option<Cow<'a, str>>,
    /// [`Description::user`].
    pub user: Option<Arc<User>>,
    /// [`Description::es_client`].
    pub es_client: bool,
    /// [`Description::invocation`].
    pub invocation: Option<InvocationParts<'a>>,
}

impl From<DescriptionParts<'_>> for Description {
    fn from(parts: DescriptionParts<'_>) -> Self {
        let executable = parts.executable.as_deref();
        let own_name = parts.name.as_deref().unwrap_or_default();
        let before_name = executable.and_then(|path| path.strip_suffix(own_name));
        let mut texts = [""; 6];
        texts[EXECUTABLE] = executable.unwrap_or_default();
        texts[NAME] = if before_name.is_none() { own_name } else { "" };
        texts[TTY] = parts.tty.as_deref().unwrap_or_default();
        texts[SIGNING_ID] = parts.signing_id.as_deref().unwrap_or_default();
        texts[TEAM_ID] = parts.team_id.as_deref().unwrap_or_default();
        texts[CDHASH] = parts.cdhash.as_deref().unwrap_or_default();
        let length = texts.iter().map(|text| text.len()).sum();
        let mut texts = Texts::behind(String::with_capacity(length), texts);
        texts.get_mut(CDHASH).make_ascii_lowercase();
        Description {
            executable_truncated: parts.executable_truncated,
            group_leader_pid: parts.group_leader_pid,
            session_leader_pid: parts.session_leader_pid,
            code_signature: parts.code_signature,
            es_client: parts.es_client,
            name: before_name.map(|before| before.len() as u32),
            texts,
            user: parts.user,
            invocation: parts.invocation.map(|parts| Arc::new(parts.into())),
        }
    }
}

impl Description {
    /// Returns `process.executable`.
    pub fn executable(&self) -> Option<&str> {
        self.texts.get(EXECUTABLE)
    }

    /// Returns `process.name`: the executable's last path component, or what a document calls it.
    pub fn name(&self) -> Option<&str> {
        match self.name {
            Some(start) => self.executable()?.get(start as usize..).filter(|name| !name.is_empty()),
            None => self.texts.get(NAME),
        }
    }

    /// Returns `vedette.tty`: the controlling terminal's path. ECS's `process.tty` is an object without a path.
    pub fn tty(&self) -> Option<&str> {
        self.texts.get(TTY)
    }

    /// Returns `process.code_signature.signing_id`.
    pub fn signing_id(&self) -> Option<&str> {
        self.texts.get(SIGNING_ID)
    }

    /// Returns `process.code_signature.team_id`.
    pub fn team_id(&self) -> Option<&str> {
        self.texts.get(TEAM_ID)
    }

    /// Returns `vedette.cdhash`, lower-case hexadecimal.
    pub fn cdhash(&self) -> Option<&str> {
        self.texts.get(CDHASH)
    }

    /// Returns `process.args`, as many as are kept; none where they are not known.
    pub fn args(&self) -> &[Scalar] {
        self.invocation.as_deref().map_or(&[], Invocation::args)
    }

    /// Returns `process.args_count`: how many there were, whether kept or not; unknown where `None`.
    pub fn args_count(&self) -> Option<i64> {
        self.invocation.as_deref()?.args_count
    }

    /// Returns `process.command_line`: the arguments joined by spaces.
    pub fn command_line(&self) -> Option<&str> {
        self.invocation.as_deref()?.command_line()
    }

    /// Returns `process.Ext.command_line_truncated`.
    pub fn command_line_truncated(&self) -> bool {
        self.invocation.as_deref().is_some_and(|invocation| invocation.command_line_truncated)
    }

    /// Returns `process.Ext.script.path`: the file whose `#!` line was run.
    pub fn script(&self) -> Option<&str> {
        self.invocation.as_deref()?.script()
    }

    /// Returns `process.env_vars`; empty unless asked for.
    pub fn env_vars(&self) -> &[Scalar] {
        self.invocation.as_deref().map_or(&[], Invocation::env_vars)
    }

    /// Returns about how many bytes it takes in memory beside itself. What it shares counts in each.
    pub fn weight(&self) -> usize {
        let invocation = self.invocation.as_deref().map_or(0, Invocation::weight);
        self.texts.size() + invocation
    }
}

/// `code_signature.*`, as far as the kernel says, but for its texts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CodeSignature {
    /// `exists`: `CS_SIGNED`.
    pub exists: bool,
    /// `trusted`: signed, valid and not ad hoc.
    pub trusted: bool,
    /// `status`.
    pub status: Option<&'static str>,
    /// `vedette.platform_binary`.
    pub platform_binary: bool,
    /// `vedette.codesigning_flags`.
    pub flags: u32,
    /// `vedette.cs_validation_category`: by whose authority the code runs, as the kernel classes it.
    pub validation_category: Option<i64>,
}

/// `user.*` and `group.*`, ids as decimal text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct User {
    /// `user.id`: effective.
    pub id: Arc<str>,
    /// `user.name`.
    pub name: Option<Arc<str>>,
    /// `user.Ext.real.id`.
    pub real_id: Option<Arc<str>>,
    /// `user.Ext.real.name`.
    pub real_name: Option<Arc<str>>,
    /// `group.id`: effective.
    pub group_id: Option<Arc<str>>,
    /// `group.name`.
    pub group_name: Option<Arc<str>>,
    /// `group.Ext.real.id`.
    pub real_group_id: Option<Arc<str>>,
    /// `group.Ext.real.name`.
    pub real_group_name: Option<Arc<str>>,
    /// `vedette.audit_user_id`: who logged in, unchanged by sudo.
    pub audit_id: Option<Arc<str>>,
}

/// Texts in one piece of memory; one that is empty is none.
#[derive(Clone, Debug)]
pub(super) struct Texts<const N: usize> {
    all: Box<str>,
    /// Where each ends and the next begins.
    ends: [u32; N],
}

impl<const N: usize> Texts<N> {
    /// Copies texts behind what the first of them begins with; they are less than 4 GiB together.
    pub(super) fn behind(mut all: String, texts: [&str; N]) -> Self {
        let ends = texts.map(|text| {
            all.push_str(text);
            all.len() as u32
        });
        Texts { all: all.into(), ends }
    }

    /// Returns one of them.
    pub(super) fn get(&self, number: usize) -> Option<&str> {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        let text = self.all.get(start as usize..self.ends[number] as usize)?;
        (!text.is_empty()).then_some(text)
    }

    /// Returns one of them, to be changed to another of the same length.
    pub(super) fn get_mut(&mut self, number: usize) -> &mut str {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.all.get_mut(start as usize..self.ends[number] as usize).unwrap_or_default()
    }

    /// Returns how many bytes they take beside themselves.
    pub(super) fn size(&self) -> usize {
        self.all.len() + ALLOCATION
    }
}

impl<const N: usize> Default for Texts<N> {
    fn default() -> Self {
        Texts { all: Box::default(), ends: [0; N] }
    }
}

/// About how many bytes a piece of memory takes beside what is in it.
pub(super) const ALLOCATION: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_is_said_whether_the_executable_ends_with_it_or_not() {
        for (executable, name, expected) in [
            (Some("/bin/sh"), Some("sh"), Some("sh")),
            (Some("/bin/bash"), Some("sh"), Some("sh")),
            (Some("/bin/sh"), Some("curl"), Some("curl")),
            (Some("/bin/sh"), Some("/bin/sh"), Some("/bin/sh")),
            (Some("/bin/sh"), None, None),
            (Some("/bin/sh"), Some(""), None),
            (None, Some("sh"), Some("sh")),
            (None, None, None),
        ] {
            let parts = DescriptionParts {
                executable: executable.map(Cow::Borrowed),
                name: name.map(Cow::Borrowed),
                tty: Some("/dev/ttys000".into()),
                ..DescriptionParts::default()
            };
            let description = Description::from(parts);
            let said = (description.executable(), description.name(), description.tty());
            assert_eq!(said, (executable, expected, Some("/dev/ttys000")), "{executable:?} {name:?}");
        }
    }

    #[test]
    fn each_text_is_its_own_and_a_hash_is_in_lower_case() {
        let parts = DescriptionParts {
            executable: Some("/bin/É".into()),
            signing_id: Some("COM.EXAMPLE".into()),
            cdhash: Some("00AAbb".into()),
            ..DescriptionParts::default()
        };
        let description = Description::from(parts);
        assert_eq!(description.executable(), Some("/bin/É"));
        assert_eq!(description.signing_id(), Some("COM.EXAMPLE"));
        assert_eq!((description.tty(), description.team_id()), (None, None));
        assert_eq!(description.cdhash(), Some("00aabb"));
    }
}
