//! `vedette extension` with a SystemExtensions.framework that answers as it is told: each outcome, its exit code and
//! sentence.

use super::{Setup, shown};

/// What macOS tells the delegate, the exit code, and a word of the sentence.
const ACTIVATE: &[(&str, i32, &str)] = &[
    ("finish=0", 0, "the extension is active"),
    ("replace finish=0", 0, "the extension is active"),
    ("fail=NSCocoaErrorDomain=4099", 1, "(NSCocoaErrorDomain 4099)"),
    ("fail=OSSystemExtensionErrorDomain=1", 1, "(OSSystemExtensionErrorDomain 1)"),
    ("approval", 3, "System Settings"),
    // What comes after the first answer finds nobody.
    ("approval finish=0", 3, "System Settings"),
    ("finish=1", 4, "when this Mac is restarted"),
    ("fail=OSSystemExtensionErrorDomain=3", 5, "in /Applications"),
    ("fail=OSSystemExtensionErrorDomain=2", 6, "has no entitlement"),
    ("fail=OSSystemExtensionErrorDomain=10", 7, "must list it with its team"),
    ("fail=OSSystemExtensionErrorDomain=4", 8, "(number 4)"),
    ("fail=OSSystemExtensionErrorDomain=8", 8, "couldn\u{2019}t be completed. (number 8)"),
    ("fail=OSSystemExtensionErrorDomain=9", 8, "(number 9)"),
    ("fail=OSSystemExtensionErrorDomain=13", 10, "sudo"),
    // Nothing for 60 seconds.
    ("", 9, "has not answered for 60 s"),
];

const DEACTIVATE: &[(&str, i32, &str)] = &[
    ("finish=0", 0, "off and removed"),
    ("finish=1", 4, "goes when this Mac is restarted"),
    ("approval", 3, "asks whether the extension may go"),
    ("fail=OSSystemExtensionErrorDomain=10", 7, "a profile holds the extension"),
    ("fail=OSSystemExtensionErrorDomain=4", 8, "(number 4)"),
];

#[test]
fn each_answer_of_macos_is_an_exit_code_and_a_sentence() {
    let Some(setup) = Setup::from_environment("the system extension") else { return };
    for (verb, answers) in [("activate", ACTIVATE), ("deactivate", DEACTIVATE)] {
        for (answer, code, word) in answers {
            let mut command = setup.darwin(&["extension", verb]);
            command.env("MACOS_ABI_EXTENSION", format!("{verb} {answer}"));
            let output = command.output().expect("the loader starts");
            let said = String::from_utf8_lossy(&output.stderr);
            let one_sentence = said.starts_with("vedette: ") && said.lines().count() == 1;
            let as_expected = output.status.code() == Some(*code) && said.contains(word) && one_sentence;
            assert!(as_expected, "{verb}, {answer:?}: expected {code}, {word:?}\n{}", shown(&output));
            assert!(output.stdout.is_empty(), "{}", shown(&output));
        }
    }
}
