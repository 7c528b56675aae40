use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

/// Gives its bytes a few at a time, then an error if it has one.
struct Drip {
    bytes: Cursor<Vec<u8>>,
    step: usize,
    error: Option<io::ErrorKind>,
}

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let step = self.step.min(buffer.len());
        match self.bytes.read(&mut buffer[..step])? {
            0 => self.error.take().map_or(Ok(0), |kind| Err(kind.into())),
            read => Ok(read),
        }
    }
}

/// Reads to the end: a line is `NUMBER:TEXT`, a problem as it is displayed.
fn read_all(mut lines: Lines) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(next) = lines.next_line() {
        all.push(match next {
            Ok(line) => format!("{}:{}", line.number, line.text),
            Err(problem) => format!("! {problem}"),
        });
        // To ask, even twice, changes nothing.
        assert_eq!(lines.has_line(), lines.has_line());
    }
    assert!(lines.next_line().is_none(), "the end is the end");
    all
}

fn read(bytes: impl Into<Vec<u8>>) -> Vec<String> {
    read_all(Lines::from_reader("f", Cursor::new(bytes.into())))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// Over a megabyte of lines that do not repeat.
fn many_lines() -> Vec<u8> {
    let mut state = 1_u64;
    let mut text = String::new();
    for number in 1..=40_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("line {number} {state:x}\n"));
    }
    text.into_bytes()
}

#[test]
fn lines_are_numbered_and_blank_ones_are_skipped() {
    for (bytes, expected) in [
        ("", vec![]),
        ("\n\n", vec![]),
        ("a", vec!["1:a"]),
        ("a\n", vec!["1:a"]),
        ("a\r\nb\r\n", vec!["1:a", "2:b"]),
        ("a\n\n \t\r\nb", vec!["1:a", "4:b"]),
        ("\u{feff}a\n\u{feff}b\n", vec!["1:a", "2:\u{feff}b"]),
        ("\u{feff}", vec![]),
        ("a\rb\r\r\n", vec!["1:a\rb\r"]),
        ("\0\0\nb", vec!["1:\0\0", "2:b"]),
    ] {
        assert_eq!(read(bytes), expected, "{bytes:?}");
    }
}

#[test]
fn a_line_that_is_not_utf_8_is_reported_and_skipped() {
    assert_eq!(
        read(*b"a\nb\xff\nc\n\xc3"),
        [
            "1:a",
            "! f:2: not valid UTF-8 at byte 2; the line is skipped",
            "3:c",
            "! f:4: not valid UTF-8 at byte 1; the line is skipped",
        ]
    );
}

#[test]
fn a_line_may_have_16_mib_and_no_more() {
    for first in [b'x', b'{'] {
        a_line_that_begins_with_it_may_have_16_mib(first);
    }
}

fn a_line_that_begins_with_it_may_have_16_mib(first: u8) {
    let mut longest = vec![b'x'; MAX_LINE];
    longest[0] = first;
    for (end, too_long) in
        [("\n", false), ("\r\n", false), ("", false), ("x\n", true), ("x\r\n", true), ("x", true)]
    {
        let more = if end.ends_with('\n') { "b\n" } else { "" };
        let bytes = [b"a\n", &longest[..], end.as_bytes(), more.as_bytes()].concat();
        let mut lines = Lines::from_reader("f", Cursor::new(bytes));
        assert_eq!(lines.next_line().unwrap().unwrap().text, "a");
        let next = lines.next_line().unwrap();
        assert_eq!(next.is_err(), too_long, "{end:?}");
        match next {
            Ok(line) => assert_eq!((line.number, line.text.len()), (2, MAX_LINE)),
            Err(problem) => assert_eq!(problem.to_string(), "f:2: longer than 16 MiB; the line is skipped"),
        }
        if end.ends_with('\n') {
            assert_eq!(lines.next_line().unwrap().unwrap(), Line { number: 3, text: "b" });
        }
        assert!(lines.next_line().is_none());
    }
}

#[test]
fn a_line_that_is_too_long_is_not_held() {
    // A gigabyte of one line, between two others.
    let huge = Cursor::new(&b"a\n"[..]).chain(io::repeat(b'x').take(1 << 30)).chain(Cursor::new(&b"\nb"[..]));
    let mut lines = Lines::from_reader("f", huge);
    assert_eq!(lines.next_line().unwrap().unwrap().text, "a");
    lines.next_line().unwrap().unwrap_err();
    assert!(lines.buffer.len() <= MAX_LINE + 2, "{}", lines.buffer.len());
    assert_eq!(lines.next_line().unwrap().unwrap(), Line { number: 3, text: "b" });
    assert!(lines.next_line().is_none());
    assert!(lines.buffer.capacity() <= 2 * BUFFER, "{}", lines.buffer.capacity());
}

#[test]
fn a_read_error_ends_the_file_after_its_whole_lines() {
    let drip = |error| Drip { bytes: Cursor::new(b"a\nb\nhalf".to_vec()), step: 3, error: Some(error) };
    let all = read_all(Lines::from_reader("f", drip(io::ErrorKind::ConnectionReset)));
    assert_eq!(all[..2], ["1:a", "2:b"]);
    assert_eq!(all[2..], ["! f:3: connection reset; the lines before it were read, nothing after"]);
    let all = read_all(Lines::from_reader("f", drip(io::ErrorKind::Interrupted)));
    assert_eq!(all, ["1:a", "2:b", "3:half"]);
}

#[test]
fn compressed_files_are_told_by_their_content() {
    let parts: [&[u8]; 2] = [b"\xef\xbb\xbfa\nb", b"c\n\nd"];
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    for bytes in [
        parts.concat(),
        gzip(&parts.concat()),
        [gzip(parts[0]), gzip(b""), gzip(parts[1])].concat(),
        zstd(&parts.concat()),
        [zstd(parts[0]), skippable.clone(), zstd(b""), zstd(parts[1])].concat(),
        [skippable.clone(), zstd(&parts.concat()), skippable].concat(),
    ] {
        for step in [1, 3, usize::MAX] {
            let drip = Drip { bytes: Cursor::new(bytes.clone()), step, error: None };
            assert_eq!(read_all(Lines::from_reader("f", drip)), ["1:a", "2:bc", "4:d"], "{bytes:x?}");
        }
    }
}

#[test]
fn a_truncated_compressed_file_gives_its_whole_lines_and_a_problem() {
    let text = many_lines();
    let whole = read(text.clone());
    for (format, packed) in [("gzip", gzip(&text)), ("zstd", zstd(&text))] {
        assert_eq!(read(packed.clone()), whole, "{format}");
        for cut in [packed.len() - 1, packed.len() - 9, packed.len() / 2, packed.len() / 3, 30] {
            let mut all = read(&packed[..cut]);
            let last = all.pop().unwrap();
            assert_eq!(all, whole[..all.len()], "{format} cut at {cut}");
            assert_eq!(
                last,
                format!(
                    "! f:{}: the {format} data is truncated here; the lines before it were read, nothing after",
                    all.len() + 1
                ),
                "cut at {cut}"
            );
            // No window or block is lost with the end: only what is not there.
            let expected = (whole.len() * cut / packed.len()).saturating_sub(6_000);
            assert!(all.len() >= expected, "{format} cut at {cut}: {} lines, not {expected}", all.len());
        }
    }
}

#[test]
fn damage_in_a_compressed_file_is_reported() {
    let text = many_lines();
    for (format, mut packed) in [("gzip", gzip(&text)), ("zstd", zstd(&text))] {
        // The checksum, then the data.
        for at in [if format == "gzip" { packed.len() - 8 } else { packed.len() - 1 }, packed.len() / 2] {
            packed[at] ^= 0x55;
            let all = read(packed.clone());
            let last = all.last().unwrap();
            assert!(last.starts_with("! f:") && last.contains(&format!("the {format} data")), "{last}");
            assert!(last.contains("damaged"), "{last}");
        }
    }
    // Frames that ask for windows of 128 MiB and 3.75 TiB, and one for a dictionary.
    for window in [0x88, 0xff] {
        let all = read([0x28, 0xb5, 0x2f, 0xfd, 0, window, 1, 0, 0]);
        assert!(all[0].contains("needs a window over 100 MiB"), "{all:?}");
    }
    let all = read([0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 1, 1, 0, 0]);
    assert!(all[0].contains("needs a dictionary"), "{all:?}");
}

#[test]
fn a_file_that_cannot_be_opened_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson");
    let failure = |path: &Path| Lines::open(path).err().unwrap().to_string();

    let missing = failure(&path);
    assert!(missing.starts_with("cannot read ") && missing.contains("events.ndjson"), "{missing}");
    assert!(missing.ends_with(": there is no such file; check the path"), "{missing}");
    let directory = failure(folder.path());
    assert!(directory.ends_with(": it is a directory; name the files in it"), "{directory}");

    std::fs::write(&path, "a\n").unwrap();
    assert_eq!(read_all(Lines::open(&path).unwrap()), ["1:a"]);
    std::fs::write(&path, "").unwrap();
    assert!(read_all(Lines::open(&path).unwrap()).is_empty());
    assert_eq!(&**Lines::open(Path::new("-")).unwrap().name(), "-");
}

#[test]
fn a_line_that_was_read_with_the_last_is_known_to_be_there() {
    let mut lines = Lines::from_reader("f", Cursor::new("a\n\nb\nc"));
    let mut there = vec![lines.has_line()];
    while lines.next_line().is_some() {
        there.push(lines.has_line());
    }
    assert_eq!(there, [false, true, false, false], "c may go on");
}

proptest! {
    #[test]
    fn lines_are_those_of_the_text_however_it_is_read(text in "[ab{ \\r\\n]{0,200}", step in 1_usize..9) {
        let expected: Vec<_> = text
            .split('\n')
            .enumerate()
            .map(|(at, line)| (at + 1, line.strip_suffix('\r').unwrap_or(line)))
            .filter(|(_, line)| !line.trim_ascii().is_empty())
            .map(|(number, line)| format!("{number}:{line}"))
            .collect();
        let drip = Drip { bytes: Cursor::new(text.into_bytes()), step, error: None };
        prop_assert_eq!(read_all(Lines::from_reader("f", drip)), expected);
    }

    #[test]
    fn any_bytes_are_answered(
        magic in prop_oneof![Just(vec![]), Just(vec![0x1f, 0x8b, 8]), Just(vec![0x28, 0xb5, 0x2f, 0xfd])],
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        read([magic, bytes].concat());
    }
}
