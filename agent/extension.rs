//! The system extension: what macOS answers to a request, as an exit code and a sentence.
//!
//! macOS asks the user, an MDM's profile or its own policy, and answers with numbers; this says what they mean for who
//! must act. The request itself is in `macos::extension`.

use std::fmt;
use std::time::Duration;

/// How long an answer is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The domain of macOS's errors about system extensions, `OSSystemExtensionErrorDomain`.
const DOMAIN: &str = "OSSystemExtensionErrorDomain";

/// What is asked of macOS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// That the extension run, now and after each start of the Mac; that it take the place of another version.
    Activate,
    /// That it end and be removed.
    Deactivate,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// A person or a profile must allow it; macOS does it then by itself.
    NeedsApproval,
    /// It is done when the Mac starts again.
    AfterRestart,
    /// The app is not in /Applications, or the program that asked is in no app.
    NotInApplications,
    /// The program that asked has no entitlement to do so.
    MissingEntitlement,
    /// A profile or macOS's own policy does not allow it.
    Forbidden,
    /// macOS does not take the extension as it is: its number and text.
    Invalid(i64, String),
    /// An administrator must agree, and there is none to ask.
    NeedsAdministrator,
    /// No answer came within [`PATIENCE`].
    TimedOut,
    /// Anything else: domain, number and text as macOS gives them.
    Refused(String, i64, String),
}

impl Outcome {
    /// What a finished request says, an `OSSystemExtensionRequestResult`.
    pub fn finished(result: i64) -> Self {
        match result {
            0 => Self::Done,
            1 => Self::AfterRestart,
            other => Self::Refused(
                DOMAIN.to_owned(),
                other,
                "an answer that this version does not know".to_owned(),
            ),
        }
    }

    /// What a failed request says: an `NSError`'s domain, code and localised description. The codes are those of
    /// `OSSystemExtensionErrorCode` (SystemExtensions.framework, OSSystemExtensionRequest.h).
    pub fn failed(domain: &str, code: i64, text: &str) -> Self {
        if domain != DOMAIN {
            return Self::Refused(domain.to_owned(), code, text.to_owned());
        }
        match code {
            2 => Self::MissingEntitlement,
            3 => Self::NotInApplications,
            // Not found, no id, two of one id, unknown category, signature, validation.
            4..=9 => Self::Invalid(code, text.to_owned()),
            10 => Self::Forbidden,
            13 => Self::NeedsAdministrator,
            _ => Self::Refused(domain.to_owned(), code, text.to_owned()),
        }
    }

    /// The exit code: 0 done, 1 refused for another reason, each other reason its own; 2 stays for what could not run.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused(..) => 1,
            Self::NeedsApproval => 3,
            Self::AfterRestart => 4,
            Self::NotInApplications => 5,
            Self::MissingEntitlement => 6,
            Self::Forbidden => 7,
            Self::Invalid(..) => 8,
            Self::TimedOut => 9,
            Self::NeedsAdministrator => 10,
        }
    }

    /// The exit codes, as help shows them.
    pub const EXIT_CODES: &str = "Exit codes: 0 done; 1 macOS refuses, with its own words; 2 it could not run; 3 someone \
must allow it; 4 done after a restart; 5 the app is not in /Applications; 6 the entitlement is missing; 7 a profile or \
policy forbids it; 8 macOS does not accept the extension; 9 no answer within 60 s; 10 an administrator must agree";

    /// Says what happened to a request and what to do next.
    pub fn sentence<'a>(&'a self, request: Request) -> impl fmt::Display + 'a {
        Sentence { outcome: self, request }
    }
}

struct Sentence<'a> {
    outcome: &'a Outcome,
    request: Request,
}

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let activates = self.request == Request::Activate;
        match self.outcome {
            Outcome::Done if activates => {
                formatter.write_str("the extension is active; what it still needs: `vedette doctor`")
            }
            Outcome::Done => formatter.write_str("the extension is off and removed"),
            Outcome::NeedsApproval if activates => formatter.write_str(
                "the extension waits to be allowed: System Settings, General, Login Items & Extensions, Endpoint \
                 Security Extensions (before macOS 15: Privacy & Security), or a profile (`vedette profile`); macOS then \
                 starts it by itself",
            ),
            Outcome::NeedsApproval => {
                formatter.write_str("macOS asks whether the extension may go; agree, and it is removed")
            }
            Outcome::AfterRestart if activates => {
                formatter.write_str("the extension becomes active when this Mac is restarted")
            }
            Outcome::AfterRestart => formatter.write_str("the extension goes when this Mac is restarted"),
            Outcome::NotInApplications => formatter.write_str(
                "macOS takes an extension only from an app in /Applications: install the package, and run \
                 /Applications/Vedette.app/Contents/MacOS/vedette",
            ),
            Outcome::MissingEntitlement => formatter.write_str(
                "this program has no entitlement to ask for an extension: it needs a build that a team signed, with its \
                 provisioning profile; run /Applications/Vedette.app/Contents/MacOS/vedette of such a package",
            ),
            Outcome::Forbidden if activates => formatter.write_str(
                "a profile or macOS's policy forbids the extension: the profile of kind \
                 com.apple.system-extension-policy must list it with its team (`vedette profile` writes one)",
            ),
            Outcome::Forbidden => formatter.write_str(
                "a profile holds the extension: remove the profile of kind com.apple.system-extension-policy that lists \
                 it, then ask again",
            ),
            Outcome::Invalid(code, text) => write!(
                formatter,
                "macOS does not accept the extension in this app: {text} (number {code}); install the package again, and \
                 see `codesign --verify --deep --strict /Applications/Vedette.app`"
            ),
            Outcome::NeedsAdministrator => {
                formatter.write_str("macOS wants an administrator to agree: run it as root, with sudo")
            }
            Outcome::TimedOut => write!(
                formatter,
                "macOS has not answered for {} s; `systemextensionsctl list` says what it has, and restarting the Mac \
                 ends what hangs",
                PATIENCE.as_secs()
            ),
            Outcome::Refused(domain, code, text) => {
                let verb = if activates { "activate" } else { "deactivate" };
                write!(formatter, "macOS does not {verb} the extension: {text} ({domain} {code})")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every answer that macOS 13 to 27 has, with the exit code that scripts go by.
    #[test]
    fn each_answer_has_its_exit_code() {
        for (code, exit) in [
            (1, 1),
            (2, 6),
            (3, 5),
            (4, 8),
            (5, 8),
            (6, 8),
            (7, 8),
            (8, 8),
            (9, 8),
            (10, 7),
            (11, 1),
            (12, 1),
            (13, 10),
            (99, 1),
            (-1, 1),
        ] {
            assert_eq!(Outcome::failed(DOMAIN, code, "text").exit_code(), exit, "{code}");
        }
        assert_eq!(Outcome::failed("NSCocoaErrorDomain", 3, "text").exit_code(), 1);
        assert_eq!([0, 1, 2].map(|result| Outcome::finished(result).exit_code()), [0, 4, 1]);
        assert_eq!((Outcome::NeedsApproval.exit_code(), Outcome::TimedOut.exit_code()), (3, 9));
    }

    #[test]
    fn each_outcome_has_a_sentence_of_its_own_for_either_request() {
        let outcomes = [
            Outcome::Done,
            Outcome::NeedsApproval,
            Outcome::AfterRestart,
            Outcome::NotInApplications,
            Outcome::MissingEntitlement,
            Outcome::Forbidden,
            Outcome::failed(DOMAIN, 8, "bad signature"),
            Outcome::NeedsAdministrator,
            Outcome::TimedOut,
            Outcome::failed("NSCocoaErrorDomain", 4099, "connection invalidated"),
        ];
        for request in [Request::Activate, Request::Deactivate] {
            let sentences: BTreeSet<String> =
                outcomes.iter().map(|outcome| outcome.sentence(request).to_string()).collect();
            assert_eq!(sentences.len(), outcomes.len());
        }
        let codes: BTreeSet<u8> = outcomes.iter().map(Outcome::exit_code).collect();
        assert_eq!(codes.len(), outcomes.len());
        assert!(!codes.contains(&2), "2 is: it could not run");
    }

    #[test]
    fn macos_words_are_kept() {
        let outcome = Outcome::failed("NSCocoaErrorDomain", 4099, "connection invalidated");
        let sentence = outcome.sentence(Request::Deactivate).to_string();
        assert_eq!(
            sentence,
            "macOS does not deactivate the extension: connection invalidated (NSCocoaErrorDomain 4099)"
        );
    }
}
