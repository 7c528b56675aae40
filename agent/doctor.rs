//! What keeps the sensor from working: what is, against what should be, each finding with the one next step.
//!
//! What a Mac says comes through [`Mac`]: its own programs and files, or what was recorded of them, so that reading and
//! judging is the same on every system. Nothing here changes anything.

mod checks;
mod extensions;
mod mac;
mod probed;
mod profiles;
mod recorded;
mod system;
#[cfg(test)]
mod tests;

use serde_json::{Value as Json, json};

pub use self::mac::{Mac, Metadata};
pub use self::probed::probed;
pub use self::recorded::Recorded;
pub use self::system::System;

/// What was looked at, and what is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What programs tell it by.
    pub id: &'static str,
    /// What people do.
    pub title: &'static str,
    /// Whether it is as it should be.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// The one next step, where there is one.
    pub next: Option<String>,
    /// What it goes by, a line each, where that is of use to others.
    pub evidence: Vec<String>,
}

/// Whether a thing is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is.
    Pass,
    /// It is not, or not known, and the sensor works all the same.
    Warn,
    /// It keeps the sensor, or its alerts, from working.
    Fail,
}

impl Verdict {
    /// Returns it in a word.
    pub fn text(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        }
    }
}

/// Looks at everything, in the order in which one thing needs another: the first that fails is the one to mend.
pub fn examine(mac: &dyn Mac) -> Vec<Check> {
    checks::all(mac)
}

/// Returns the worst verdict of all.
pub fn worst(checks: &[Check]) -> Verdict {
    checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Pass)
}

/// Returns the checks as one document: `status`, the worst verdict; `next`, the first step; and `checks`.
pub fn document(checks: &[Check]) -> Json {
    let list: Vec<Json> = checks
        .iter()
        .map(|check| {
            let mut document = json!({
                "id": check.id,
                "title": check.title,
                "status": check.verdict.text(),
                "found": check.found,
                "next": check.next,
            });
            if !check.evidence.is_empty() {
                document["evidence"] = check.evidence.clone().into();
            }
            document
        })
        .collect();
    json!({
        "status": worst(checks).text(),
        "version": env!("CARGO_PKG_VERSION"),
        "next": first_step(checks),
        "checks": list,
    })
}

/// Returns the step to take first: of the first check that fails, else of the first that warns.
pub fn first_step(checks: &[Check]) -> Option<&str> {
    let of = |verdict| {
        let mut of_verdict = checks.iter().filter(move |check| check.verdict == verdict);
        of_verdict.find_map(|check| check.next.as_deref())
    };
    of(Verdict::Fail).or_else(|| of(Verdict::Warn))
}
