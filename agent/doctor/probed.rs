//! What came of a probe of the network sources, as checks.

use super::Check;
use super::checks::About;
use crate::digest::hexadecimal;
use crate::network::ES;
use crate::network::probe::{Kind, Report};

/// Makes a check of each source's report. That one of them is not believed is a warning as long as another one is.
pub fn probed(reports: &[Report]) -> Vec<Check> {
    let believed = reports.iter().any(|report| report.outcome.is_ok());
    reports.iter().map(|report| check(report, believed)).collect()
}

fn check(report: &Report, another: bool) -> Check {
    let about = match report.source {
        ES => About { id: "probe_es", title: "probe of es" },
        _ => About { id: "probe_ntstat", title: "probe of ntstat" },
    };
    let send = "send the raw messages, which --json shows, with `sw_vers` and `uname -a`";
    let check = match &report.outcome {
        Ok(silent) if silent.is_empty() => {
            about.pass(format!("it told of all {} connections as they were", report.findings.len()))
        }
        Ok(silent) => {
            let kinds = silent.iter().map(Kind::to_string).collect::<Vec<_>>().join(", ");
            about.warn(format!("it is believed, and silent of {kinds}"), send)
        }
        Err(why) if another => about.warn(why, "none, where the other source works"),
        Err(why) if report.raw.is_empty() => {
            about.fail(why, "`sudo vedette doctor` says what keeps the sensor from it")
        }
        Err(why) => about.fail(why, send),
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

    fn report(source: &'static str, outcome: Result<Vec<Kind>, String>) -> Report {
        let address = "127.0.0.1:80".parse().expect("an address");
        let findings = vec![Finding { kind: Kind::Tcp4, address, told: outcome.is_ok() }];
        Report { source, outcome, findings, wrong: vec!["a port".into()], raw: vec![vec![0, 0xff]] }
    }

    #[test]
    fn one_source_that_is_believed_is_enough() {
        let refused = || report(ES, Err("macOS 15 has no such event".into()));
        let verdicts = |reports: &[Report]| -> Vec<(&str, Verdict)> {
            probed(reports).iter().map(|check| (check.id, check.verdict)).collect()
        };
        assert_eq!(
            verdicts(&[refused(), report(NTSTAT, Ok(vec![]))]),
            [("probe_es", Verdict::Warn), ("probe_ntstat", Verdict::Pass)]
        );
        assert_eq!(
            verdicts(&[refused(), report(NTSTAT, Ok(vec![Kind::Udp6]))]),
            [("probe_es", Verdict::Warn), ("probe_ntstat", Verdict::Warn)]
        );
        assert_eq!(
            verdicts(&[refused(), report(NTSTAT, Err("it told of none".into()))]),
            [("probe_es", Verdict::Fail), ("probe_ntstat", Verdict::Fail)]
        );
        let checks = probed(&[refused(), Report::off(NTSTAT, "not tried".into())]);
        assert_eq!(checks[0].evidence.len(), 3);
        assert_eq!(checks[0].evidence[2], "raw 00ff");
        assert!(checks.iter().all(|check| check.next.is_some()));
        assert!(checks[1].next.as_ref().is_some_and(|next| next.contains("sudo vedette doctor")));
    }
}
