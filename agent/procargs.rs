//! Decodes what the sysctl `kern.procargs2` says of a process: the path that was exec'd, and its arguments.
//!
//! ```text
//! argc (32 bits, host order) · path NUL · NULs up to a multiple of 8 · argc × (argument NUL) · environment …
//! ```
//!
//! As xnu's `sysctl_procargsx` (bsd/kern/kern_sysctl.c) and `exec_extract_strings` (bsd/kern/kern_exec.c) lay it out. The
//! bytes lie in the process's own memory, so it can have rewritten all but the count.

/// What a process was started with, as it stands in its memory.
#[derive(Debug, PartialEq, Eq)]
pub struct ProcArgs<'a> {
    /// The path that was given to exec, which may be relative.
    pub path: &'a [u8],
    /// The arguments; `None` where they cannot be told from the environment. Fewer than were counted where the buffer
    /// ends before.
    pub args: Option<Vec<&'a [u8]>>,
    /// How many arguments the kernel counted.
    pub count: u32,
}

/// What the path is padded to, in bytes: a pointer.
const ALIGNMENT: usize = 8;

/// Decodes a buffer as the kernel filled it; `None` if it is none of that.
pub fn parse(buffer: &[u8]) -> Option<ProcArgs<'_>> {
    let (count, rest) = buffer.split_first_chunk::<4>()?;
    let count = u32::try_from(i32::from_ne_bytes(*count)).ok()?;
    let end = memchr::memchr(0, rest)?;
    let path = &rest[..end];
    let padding = rest[end..].iter().take_while(|byte| **byte == 0).count();
    let padded = (end + 1).next_multiple_of(ALIGNMENT);
    // More NULs than the padding has: the first arguments are empty, and how many of the NULs are arguments is told by
    // nothing but the alignment, which is no promise of xnu's. Then the environment might be taken for arguments.
    let told_apart = end + padding <= padded;
    let args = told_apart.then(|| strings(&rest[end + padding..], count));
    Some(ProcArgs { path, args, count })
}

/// The first `count` strings. The count is not trusted with memory.
fn strings(mut rest: &[u8], count: u32) -> Vec<&[u8]> {
    let mut strings = Vec::new();
    for _ in 0..count {
        let Some(end) = memchr::memchr(0, rest) else { break };
        strings.push(&rest[..end]);
        rest = &rest[end + 1..];
    }
    strings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(count: i32, path: &str, args: &[&str], environment: &[&str]) -> Vec<u8> {
        let mut bytes = count.to_ne_bytes().to_vec();
        bytes.extend(path.as_bytes());
        bytes.resize(4 + (path.len() + 1).next_multiple_of(ALIGNMENT), 0);
        for text in args.iter().chain(environment) {
            bytes.extend(text.as_bytes());
            bytes.push(0);
        }
        bytes
    }

    fn args(bytes: &[u8]) -> Option<Vec<&[u8]>> {
        parse(bytes).expect("it has a path").args
    }

    #[test]
    fn arguments_end_where_the_environment_begins() {
        for path in ["/bin/sh", "/bin/bash", "/usr/bin/python3", "x", ""] {
            let bytes = buffer(3, path, &["sh", "", "-c"], &["PATH=/bin", "HOME=/"]);
            let parsed = parse(&bytes).expect("it has a path");
            assert_eq!(parsed.path, path.as_bytes());
            assert_eq!(parsed.args, Some(vec![&b"sh"[..], b"", b"-c"]), "{path}");
            assert_eq!(parsed.count, 3);
        }
    }

    #[test]
    fn an_empty_first_argument_does_not_make_the_environment_arguments() {
        assert_eq!(args(&buffer(2, "/bin/sh", &["", "a"], &["SECRET=1"])), None);
        assert_eq!(args(&buffer(2, "/bin/bash", &["", ""], &["SECRET=1"])), None);
    }

    #[test]
    fn a_count_that_lies_gives_what_is_there() {
        assert_eq!(args(&buffer(i32::MAX, "/bin/sh", &["sh"], &[])), Some(vec![&b"sh"[..]]));
        assert_eq!(args(&buffer(0, "/bin/sh", &["sh"], &[])), Some(vec![]));
    }

    #[test]
    fn a_string_without_end_is_left_out() {
        let mut bytes = buffer(2, "/bin/sh", &["sh"], &[]);
        bytes.extend(b"cut");
        assert_eq!(args(&bytes), Some(vec![&b"sh"[..]]));
    }

    #[test]
    fn bytes_that_are_no_text_are_kept() {
        let mut bytes = buffer(1, "/bin/sh", &[], &[]);
        bytes.extend(b"\xff\n\x1b[2J\0");
        assert_eq!(args(&bytes), Some(vec![&b"\xff\n\x1b[2J"[..]]));
    }

    #[test]
    fn what_is_no_such_buffer_is_none() {
        for bytes in
            [&b""[..], b"\x01\0\0", b"\x01\0\0\0", b"\x01\0\0\0/bin/sh", b"\xff\xff\xff\xff/bin/sh\0"]
        {
            assert_eq!(parse(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn any_beginning_and_any_changed_byte_is_read_without_a_panic() {
        let whole = buffer(3, "/usr/bin/python3", &["python3", "-c", "x"], &["A=b"]);
        for end in 0..whole.len() {
            let _ = parse(&whole[..end]);
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = whole.clone();
                changed[end] = value;
                let _ = parse(&changed);
            }
        }
    }
}
