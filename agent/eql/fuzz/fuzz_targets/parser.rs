//! Any text: no panic, spans within it, and what parses prints as the same tree.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match eql::parse(text) {
        Ok(query) => {
            let printed = query.to_string();
            // Parentheses that make the text plain nest deeper than the tree.
            let limits = eql::Limits { depth: 512, text: 8 << 20, list: 1 << 16, ..eql::Limits::default() };
            let again =
                eql::parse_within(&printed, &limits).unwrap_or_else(|error| panic!("{printed}: {error:?}"));
            assert_eq!(printed, again.to_string());
            let mut schema = eql::Schema::new();
            let _ = eql::Program::new(text, &mut schema, &eql::Options::default());
        }
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            for diagnostic in diagnostics {
                assert!(diagnostic.span.start <= diagnostic.span.end && diagnostic.span.end <= text.len());
                diagnostic.render("fuzz", eql::Position::START, text);
            }
        }
    }
});
