//! How an image was started: what an exec says, and a forked child has of its parent.

use std::borrow::Cow;
use std::sync::OnceLock;

use eql::Scalar;

use super::description::{ALLOCATION, Texts};

/// How an image was started.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    /// `process.args_count`: how many there were, whether kept or not; unknown where `None`.
    pub args_count: Option<i64>,
    /// `vedette.args_truncated`: not all arguments are kept, or not whole.
    pub args_truncated: bool,
    /// `process.Ext.command_line_truncated`.
    pub command_line_truncated: bool,
    /// `vedette.architecture`: what the image was built for, `arm64` or `x86_64`.
    pub architecture: Option<&'static str>,
    args: Args,
    env_vars: Box<[Scalar]>,
    texts: Texts<4>,
}

// Which of an invocation's texts is which.
const COMMAND_LINE: usize = 0;
const WORKING_DIRECTORY: usize = 1;
const SCRIPT: usize = 2;
const DYLD_EXEC_PATH: usize = 3;

/// Arguments as they are kept.
#[derive(Clone, Debug)]
enum Args {
    /// One by one.
    Apart(Box<[Scalar]>),
    /// As the command line, which is all of them with a space between each two: where each ends, unless there is no
    /// other space; and one by one, once somebody has asked.
    Joined { ends: Box<[u32]>, apart: OnceLock<Box<[Scalar]>> },
}

/// What an [`Invocation`] is made of. Empty text is none.
#[derive(Clone, Debug, Default)]
pub struct InvocationParts<'a> {
    /// The arguments.
    pub args: ArgsParts<'a>,
    /// [`Invocation::working_directory`].
    pub working_directory: Option<Cow<'a, str>>,
    /// [`Invocation::env_vars`].
    pub env_vars: Box<[Scalar]>,
    /// [`Invocation::script`].
    pub script: Option<Cow<'a, str>>,
    /// [`Invocation::architecture`].
    pub architecture: Option<&'static str>,
    /// [`Invocation::dyld_exec_path`].
    pub dyld_exec_path: Option<Cow<'a, str>>,
}

/// What an invocation's arguments and its command line are made of.
#[derive(Clone, Debug)]
pub enum ArgsParts<'a> {
    /// All arguments, of which the command line is made; they are less than 4 GiB together.
    Whole(&'a [Cow<'a, str>]),
    /// What is kept of them.
    Kept(KeptArgs<'a>),
}

/// Arguments and a command line of which not all may be known, or kept.
#[derive(Clone, Debug, Default)]
pub struct KeptArgs<'a> {
    /// [`Invocation::args`].
    pub args: Box<[Scalar]>,
    /// [`Invocation::args_count`].
    pub count: Option<i64>,
    /// [`Invocation::args_truncated`].
    pub truncated: bool,
    /// [`Invocation::command_line`].
    pub command_line: Option<Cow<'a, str>>,
    /// [`Invocation::command_line_truncated`].
    pub command_line_truncated: bool,
}

impl Default for ArgsParts<'_> {
    fn default() -> Self {
        ArgsParts::Kept(KeptArgs::default())
    }
}

impl Default for Args {
    fn default() -> Self {
        Args::Apart(Box::default())
    }
}

impl From<InvocationParts<'_>> for Invocation {
    fn from(parts: InvocationParts<'_>) -> Self {
        let texts = [&parts.working_directory, &parts.script, &parts.dyld_exec_path]
            .map(|text| text.as_deref().unwrap_or_default());
        let [working_directory, script, dyld_exec_path] = texts;
        let others = texts.iter().map(|text| text.len()).sum::<usize>();
        let texts = |all: String| Texts::behind(all, ["", working_directory, script, dyld_exec_path]);
        let own = match parts.args {
            ArgsParts::Whole(args) => {
                let length = args.iter().map(|arg| arg.len() + 1).sum::<usize>();
                let mut line = String::with_capacity((length + others).saturating_sub(1));
                for (index, arg) in args.iter().enumerate() {
                    if index > 0 {
                        line.push(' ');
                    }
                    line.push_str(arg);
                }
                let spaces = memchr::memchr_iter(b' ', line.as_bytes()).count();
                let ends = if spaces + 1 == args.len() { Box::default() } else { ends(args) };
                Invocation {
                    args: Args::Joined { ends, apart: OnceLock::new() },
                    args_count: Some(args.len() as i64),
                    texts: texts(line),
                    ..Invocation::default()
                }
            }
            ArgsParts::Kept(kept) => {
                let line = kept.command_line.as_deref().unwrap_or_default();
                let mut all = String::with_capacity(line.len() + others);
                all.push_str(line);
                Invocation {
                    args: Args::Apart(kept.args),
                    args_count: kept.count,
                    args_truncated: kept.truncated,
                    command_line_truncated: kept.command_line_truncated,
                    texts: texts(all),
                    ..Invocation::default()
                }
            }
        };
        Invocation { env_vars: parts.env_vars, architecture: parts.architecture, ..own }
    }
}

impl Invocation {
    /// Returns `process.args`, as many as are kept.
    pub fn args(&self) -> &[Scalar] {
        match &self.args {
            Args::Apart(args) => args,
            Args::Joined { ends, apart } => apart.get_or_init(|| {
                let line = self.texts.get(COMMAND_LINE).unwrap_or_default();
                if ends.is_empty() && self.args_count != Some(0) {
                    return line.split(' ').map(Scalar::from).collect();
                }
                let mut start = 0;
                let apart = ends.iter().map(|end| {
                    let arg = line.get(start..*end as usize).unwrap_or_default();
                    start = *end as usize + 1;
                    Scalar::from(arg)
                });
                apart.collect()
            }),
        }
    }

    /// Returns `process.command_line`: the arguments joined by spaces.
    pub fn command_line(&self) -> Option<&str> {
        match &self.args {
            // A single empty argument is an empty command line.
            Args::Joined { .. } if self.args_count != Some(0) => {
                Some(self.texts.get(COMMAND_LINE).unwrap_or_default())
            }
            _ => self.texts.get(COMMAND_LINE),
        }
    }

    /// Returns `process.working_directory`.
    pub fn working_directory(&self) -> Option<&str> {
        self.texts.get(WORKING_DIRECTORY)
    }

    /// Returns `process.env_vars`; empty unless asked for.
    pub fn env_vars(&self) -> &[Scalar] {
        &self.env_vars
    }

    /// Returns `process.Ext.script.path`: the file whose `#!` line was run.
    pub fn script(&self) -> Option<&str> {
        self.texts.get(SCRIPT)
    }

    /// Returns `vedette.dyld_exec_path`, where it differs from the executable.
    pub fn dyld_exec_path(&self) -> Option<&str> {
        self.texts.get(DYLD_EXEC_PATH)
    }

    /// Returns about how many bytes it takes in memory, with its arguments one by one.
    pub(super) fn weight(&self) -> usize {
        let list = |list: &[Scalar]| {
            let items = list.iter().map(|item| size_of::<Scalar>() + item.heap_size()).sum::<usize>();
            items + ALLOCATION
        };
        let args = match &self.args {
            Args::Apart(args) => list(args),
            Args::Joined { .. } => {
                let each = size_of::<u32>() + size_of::<Scalar>() + 2 * size_of::<usize>();
                let line = self.texts.get(COMMAND_LINE).map_or(0, str::len);
                self.args_count.unwrap_or(0) as usize * each + line + 2 * ALLOCATION
            }
        };
        size_of::<Self>() + self.texts.size() + args + list(&self.env_vars)
    }
}

/// Returns where each of some texts ends that have a space between each two.
fn ends(args: &[Cow<'_, str>]) -> Box<[u32]> {
    let mut end = 0;
    let ends = args.iter().enumerate().map(|(index, arg)| {
        end += arg.len() + usize::from(index > 0);
        end as u32
    });
    ends.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(args: &[&str]) -> Invocation {
        let args: Vec<Cow<'_, str>> = args.iter().map(|arg| Cow::Borrowed(*arg)).collect();
        let parts = InvocationParts {
            args: ArgsParts::Whole(&args),
            working_directory: Some("/tmp".into()),
            script: Some("/tmp/run".into()),
            ..InvocationParts::default()
        };
        parts.into()
    }

    #[test]
    fn arguments_are_what_was_given_wherever_spaces_stand() {
        for args in [&[][..], &[""], &["", ""], &["a"], &["a", "b c", " ", "", "é"], &["sh", "-c", ""]] {
            let invocation = whole(args);
            let apart: Vec<&str> = invocation.args().iter().filter_map(Scalar::as_str).collect();
            assert_eq!(apart, args);
            assert_eq!(invocation.args_count, Some(args.len() as i64));
            let line = (!args.is_empty()).then(|| args.join(" "));
            assert_eq!(invocation.command_line(), line.as_deref());
            let others = [invocation.working_directory(), invocation.script(), invocation.dyld_exec_path()];
            assert_eq!(others, [Some("/tmp"), Some("/tmp/run"), None]);
        }
    }

    #[test]
    fn it_weighs_no_less_once_its_arguments_are_read() {
        let invocation = whole(&["curl", "-o", "/tmp/x", "https://example.com/x"]);
        let read: usize = invocation.args().iter().map(|arg| size_of::<Scalar>() + arg.heap_size()).sum();
        let line = invocation.command_line().map_or(0, str::len);
        assert!(invocation.weight() >= size_of::<Invocation>() + line + read);
    }
}
