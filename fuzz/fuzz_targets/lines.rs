//! Any file is read to its end, plain or compressed; every line is counted once.

#![no_main]

use std::io::{Cursor, Read};

use libfuzzer_sys::fuzz_target;
use vedette::source::Lines;

fuzz_target!(|bytes: &[u8]| {
    // A small file can be packed so that it never ends.
    let mut lines = Lines::from_reader("fuzz", Cursor::new(bytes.to_vec()).take(1 << 20));
    let mut last = 0;
    for _ in 0..10_000 {
        let Some(next) = lines.next_line() else { break };
        let number = next.map_or_else(|problem| problem.line, |line| line.number);
        assert!(number > last);
        last = number;
    }
});
