//! Whatever reads as a time is written so that it reads as the same time, and reads the same after any other.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vedette::timestamp::{self, Day};

fuzz_target!(|text: &str| {
    if let Ok(nanos) = timestamp::parse_value(text) {
        assert_eq!(timestamp::parse(&timestamp::format(nanos)), Ok(nanos));
    }
    let mut day = Day::default();
    for line in text.lines() {
        assert_eq!(day.parse_value(line), timestamp::parse_value(line));
    }
    if let Ok(number) = text.parse::<f64>() {
        let _ = timestamp::from_millis_f64(number);
    }
});
