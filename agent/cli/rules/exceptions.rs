//! What `vedette rules check --exceptions` says.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use eql::Level;
use serde_json::json;

use crate::alert::json_line;
use crate::cli::{output, status};
use crate::exception::{self, Exception, Scope, Standing, standing};
use crate::readable::visible;
use crate::rule::Finding;
use crate::timestamp;

/// What there is to say about one exception, or about a file in which there is something wrong.
pub(super) struct Report {
    path: PathBuf,
    exception: Option<(Exception, Standing, Option<u64>)>,
    findings: Vec<Finding>,
}

/// Reads exceptions and says how each stands. How often one was hit is asked of a running sensor's status, if there
/// is one.
pub(super) fn check(paths: &[PathBuf], status: Option<&Path>) -> anyhow::Result<Vec<Report>> {
    if paths.is_empty() {
        return Ok(Vec::new());
    }
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos() as i64;
    let hits: Option<BTreeMap<String, u64>> =
        status::read(&status::path(status))?.map(|status| status.exceptions);
    let mut reports = Vec::new();
    for path in paths {
        for file in exception::load(path).map_err(anyhow::Error::msg)? {
            for exception in file.exceptions {
                let own = hits.as_ref().map(|hits| hits.get(&exception.id).copied().unwrap_or(0));
                let standing = standing(&exception, now, hits.as_ref());
                reports.push(Report {
                    path: file.path.clone(),
                    exception: Some((exception, standing, own)),
                    findings: Vec::new(),
                });
            }
            if !file.findings.is_empty() {
                reports.push(Report { path: file.path, exception: None, findings: file.findings });
            }
        }
    }
    Ok(reports)
}

/// Says on standard error how many stand how.
pub(super) fn summarise(reports: &[Report]) {
    let count = |wanted: Standing| {
        reports
            .iter()
            .filter(|report| report.exception.as_ref().is_some_and(|(_, own, _)| *own == wanted))
            .count()
    };
    if !reports.is_empty() {
        output::say(format_args!(
            "{} exceptions hold, {} have expired, {} have never been hit, {} are switched off\n",
            count(Standing::InUse) + count(Standing::NeverHit),
            count(Standing::Expired),
            count(Standing::NeverHit),
            count(Standing::Off)
        ));
    }
}

impl Report {
    pub(super) fn failed(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Error)
    }

    pub(super) fn write(&self, output: &mut impl Write, readable: bool) -> std::io::Result<()> {
        if !readable {
            return writeln!(output, "{}", json_line(&self.to_json()));
        }
        if let Some((exception, standing, hits)) = &self.exception {
            let Exception { id, owner, reason, .. } = exception;
            writeln!(output, "{:<8} {}", word(*standing), visible(id))?;
            let expires = timestamp::format(exception.expires);
            let hits =
                hits.map_or(String::new(), |hits| format!(", hit {hits} times since the sensor started"));
            writeln!(output, "         {} until {expires}{hits}", visible(owner))?;
            writeln!(output, "         {}", visible(reason))?;
        }
        self.findings.iter().try_for_each(|finding| write!(output, "{}", finding.rendered))
    }

    fn to_json(&self) -> serde_json::Value {
        let diagnostics: Vec<_> = self
            .findings
            .iter()
            .map(|finding| {
                json!({
                    "level": finding.level.to_string(), "message": finding.message,
                    "line": finding.position.line, "column": finding.position.column, "hint": finding.hint,
                })
            })
            .collect();
        let mut document = json!({
            "path": self.path.display().to_string(),
            "kind": "exception",
            "status": if self.failed() { "error" } else { "ok" },
            "diagnostics": diagnostics,
        });
        if let Some((exception, standing, hits)) = &self.exception {
            document["id"] = exception.id.as_str().into();
            document["owner"] = exception.owner.as_str().into();
            document["reason"] = exception.reason.as_str().into();
            document["expires"] = timestamp::format(exception.expires).into();
            document["standing"] = word(*standing).into();
            document["hits"] = (*hits).into();
            document["rules"] = match &exception.scope {
                Scope::All => json!(["*"]),
                Scope::Rules(ids) => json!(ids),
            };
        }
        document
    }
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::InUse => "ok",
        Standing::Off => "off",
        Standing::Expired => "EXPIRED",
        Standing::NeverHit => "unused",
    }
}
