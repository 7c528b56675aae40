//! Any line is answered as an eslogger message, the same with and without its environment variables, and the same by the
//! places of its values as by serde.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vedette::observation::{MessageEvent, Observation};
use vedette::source::{Decoded, Decoder, eslogger};

/// How often a line comes: until all of it is known.
const AGAIN: usize = 100;

fuzz_target!(|line: &str| {
    let without = eslogger::decode(line, false);
    let mut decoder = Decoder::recording([], false);
    // What stands between values is known the second time, and later the values themselves.
    for _ in 0..AGAIN {
        if let (Ok(Decoded::Observation(Observation::Message(places))), Ok(serde)) =
            (decoder.decode(line), &without)
        {
            assert_eq!(*places, *serde);
        }
    }
    match (eslogger::decode(line, true), without) {
        (Ok(mut with), Ok(without)) => {
            if let MessageEvent::Exec(exec) = &mut with.event {
                exec.env.clear();
            }
            assert_eq!(with, without);
        }
        // `env` may hold something else than texts where nobody looks.
        (Err(error), _) => assert!(error.to_string().len() < 8 << 10),
        (Ok(_), Err(error)) => panic!("fails only without env: {error}"),
    }
});
