//! Any line is answered by the decoder that tells the forms apart; a document can be put into an alert. A line that comes
//! again and again is the same document, though it is compared at one stroke then.

#![no_main]

use eql::Schema;
use libfuzzer_sys::fuzz_target;
use vedette::observation::Observation;
use vedette::source::{Decoded, Decoder, to_json};

const PATHS: [&str; 8] = [
    "@timestamp",
    "event.category",
    "event.kind",
    "process",
    "process.pid",
    "process.args",
    "process.parent.name",
    "destination.port",
];

/// How often a line comes again: until all of it is known.
const AGAIN: usize = 100;

fuzz_target!(|line: &str| {
    let mut schema = Schema::new();
    for path in PATHS {
        schema.intern(path);
    }
    for mut decoder in [Decoder::recording(schema.paths(), true), Decoder::raw("process.pid", schema.paths())]
    {
        match decoder.decode(line) {
            Ok(Decoded::Observation(Observation::Document(document))) => {
                assert!(document.values.fields().is_sorted());
                for id in document.values.fields() {
                    assert!(!document.get(id).is_missing());
                }
                assert_eq!(document.line(), line);
                let text = serde_json::to_string(&to_json(&document)).unwrap();
                serde_json::from_str::<serde_json::Value>(&text).unwrap();
                for _ in 0..AGAIN {
                    let Ok(Decoded::Observation(Observation::Document(again))) = decoder.decode(line) else {
                        panic!("a document that comes again is none");
                    };
                    assert_eq!((again.time, again.tick), (document.time, document.tick));
                    assert!(again.values.fields().eq(document.values.fields()));
                    for id in document.values.fields() {
                        assert_eq!(again.get(id), document.get(id));
                    }
                }
            }
            Ok(_) => {}
            Err(error) => assert!(!error.to_string().contains(char::is_control)),
        }
    }
});
