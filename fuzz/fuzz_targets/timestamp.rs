//! Whatever reads as a time is written so that it reads as the same time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vedette::timestamp;

fuzz_target!(|text: &str| {
    if let Ok(nanos) = timestamp::parse_value(text) {
        assert_eq!(timestamp::parse(&timestamp::format(nanos)), Ok(nanos));
    }
    if let Ok(number) = text.parse::<f64>() {
        let _ = timestamp::from_millis_f64(number);
    }
});
