//! What came of a probe of the network sources, as checks.

use super::Check;
use super::checks::About;
use crate::digest::hexadecimal;
use crate::network::ES;
use crate::network::probe::{Kind, Outcome, Report};

/// Makes a check of each source's report. That one of them is not believed is a warning as long as another one is.
pub fn probed(reports: &[Report]) -> Vec<Check> {
    let believed = reports.iter().any(|report| matches!(report.outcome, Outcome::Believed(_)));
    reports.iter().map(|report| check(report, believed)).collect()
}

fn check(report: &Report, another: bool) -> Check {
    let about = match report.source {
        ES => About { id: "probe_es", title: "probe of es" },
        _ => About { id: "probe_ntstat", title: "probe of ntstat" },
    };
    let send = "send the raw messages, which --json shows, with `sw_vers` and `uname -a`";
    let check = match &report.outcome {
        Outcome::Believed(silent) if silent.is_empty() => {
            about.pass(format!("it told of all {} connections as they were", report.findings.len()))
        }
        Outcome::Believed(silent) => {
            let kinds = silent.iter().map(Kind::to_string).collect::<Vec<_>>().join(", ");
            about.warn(format!("it is believed, and silent of {kinds}"), send)
        }
        Outcome::NotAllowed => about.warn(
            "not tried: of the package only the extension has Apple's Endpoint Security entitlement, and this command \
             has not",
            "see what the sensor's own probe at its start came to: `network source` above, and health.ndjson",
        ),
        Outcome::NotBelieved(why) if another => about.warn(why, "none, where the other source works"),
        Outcome::NotBelieved(why) if report.raw.is_empty() => {
            about.fail(why, "`sudo vedette doctor` says what keeps the sensor from it")
        }
        Outcome::NotBelieved(why) => about.fail(why, send),
    };
    Check { evidence: evidence(report), ..check }
}

/// The connections that were made, what was told wrongly, and the first messages.
fn evidence(report: &Report) -> Vec<String> {
    let made = report.findings.iter().map(|finding| {
        let told = if finding.told { "told" } else { "not told" };
        format!("{} to {}: {told}", finding.kind, finding.address)
    });
    let raw = report.raw.iter().map(|message| format!("raw {}", hexadecimal(message)));
    made.chain(report.wrong.iter().map(|wrong| format!("wrong: {wrong}"))).chain(raw).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::network::NTSTAT;
    use crate::network::probe::Finding;

    fn report(source: &'static str, outcome: Outcome) -> Report {
        let address = "127.0.0.1:80".parse().expect("an address");
        let told = matches!(outcome, Outcome::Believed(_));
        let findings = vec![Finding { kind: Kind::Tcp4, address, told }];
        Report { source, outcome, findings, wrong: vec!["a port".into()], raw: vec![vec![0, 0xff]] }
    }

    #[test]
    fn one_source_that_is_believed_is_enough() {
        let believed = |silent| report(NTSTAT, Outcome::Believed(silent));
        let silent = || report(NTSTAT, Outcome::NotBelieved("it told of none".into()));
        let refused = || report(ES, Outcome::NotBelieved("macOS 15 has no such event".into()));
        let not_allowed = || Report::untried(ES, Outcome::NotAllowed);
        let verdicts = |reports: &[Report]| -> Vec<(&str, Verdict)> {
            probed(reports).iter().map(|check| (check.id, check.verdict)).collect()
        };
        assert_eq!(
            verdicts(&[refused(), believed(vec![])]),
            [("probe_es", Verdict::Warn), ("probe_ntstat", Verdict::Pass)]
        );
        assert_eq!(
            verdicts(&[refused(), believed(vec![Kind::Udp6])]),
            [("probe_es", Verdict::Warn), ("probe_ntstat", Verdict::Warn)]
        );
        assert_eq!(
            verdicts(&[refused(), silent()]),
            [("probe_es", Verdict::Fail), ("probe_ntstat", Verdict::Fail)]
        );
        for other in [believed(vec![]), silent()] {
            assert_eq!(verdicts(&[not_allowed(), other])[0], ("probe_es", Verdict::Warn));
        }
        let checks = probed(&[refused(), Report::off(NTSTAT, "not tried".into())]);
        assert_eq!(checks[0].evidence.len(), 3);
        assert_eq!(checks[0].evidence[2], "raw 00ff");
        assert!(checks.iter().all(|check| check.next.is_some()));
        assert!(checks[1].next.as_ref().is_some_and(|next| next.contains("sudo vedette doctor")));
    }
}
