//! Any text: no panic, spans within it, and what parses prints as the same tree.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match eql::parse(text) {
        Ok(query) => {
            let printed = query.to_string();
            let again = eql::parse(&printed).unwrap_or_else(|error| panic!("{printed}: {error:?}"));
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
