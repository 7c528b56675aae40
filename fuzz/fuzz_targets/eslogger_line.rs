//! Any line is answered as an eslogger message, the same with and without its environment variables.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vedette::observation::MessageEvent;
use vedette::source::eslogger;

fuzz_target!(|line: &str| {
    let without = eslogger::decode(line, false);
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
