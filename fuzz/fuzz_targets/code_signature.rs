//! Any bytes, as a program, give its signatures or a sentence, and a requirement that only shows.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vedette::alert::is_deceptive;
use vedette::code_signature;

fuzz_target!(|data: &[u8]| {
    match code_signature::parse(data) {
        Ok(signatures) => {
            for signature in signatures {
                let requirement = signature.designated.map(|one| one.to_string()).unwrap_or_default();
                for text in [signature.identifier, signature.team.unwrap_or_default(), requirement] {
                    assert!(!text.chars().any(is_deceptive), "{text:?}");
                }
            }
        }
        Err(reason) => assert!(!reason.is_empty() && !reason.chars().any(is_deceptive)),
    }
});
