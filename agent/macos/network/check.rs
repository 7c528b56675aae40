//! The probe of every source, apart from the sensor: for `vedette doctor --probe-network`.
//!
//! Endpoint Security's events are for programs with its entitlement, which of the package only the extension has. So the
//! installed command can try the statistics alone; a development build that is signed with the entitlement tries both.

use std::path::Path;
use std::time::{Duration, Instant};

use super::trial::Trial;
use crate::macos::clock::Timebase;
use crate::macos::endpoint_security::{EndpointSecurity, State};
use crate::macos::ntstat::{self, Ntstat};
use crate::macos::{host, message};
use crate::network::armed::Notes;
use crate::network::es::Payload;
use crate::network::gate::{self, System};
use crate::network::probe::{Outcome, Report, Verdict};
use crate::network::{ES, NTSTAT};
use crate::sink::Trust;
use crate::status::Reason;
use crate::timestamp;

/// How long a source may take to open.
const OPEN_WITHIN: Duration = Duration::from_secs(30);

/// How long nothing may come until the clock is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What a note that is found may mean besides.
const STARTED_NOW: &str = "; or a sensor runs that was started just now: try again in two minutes";

/// Tries each source as the sensor would, whatever its configuration says, and takes the notes back. `status` is the path
/// of the status file, beside which the notes are. It takes some seconds.
pub(crate) fn probe_network(status: &Path) -> Vec<Report> {
    let system = host::system();
    endpoint_sec_version();
    let timebase = Timebase::new();
    let mut notes = match Notes::read(&Notes::beside(status), Trust::Own) {
        Ok(notes) => notes,
        Err(why) => return [ES, NTSTAT].map(|source| Report::off(source, why.clone())).into(),
    };
    let mut reports = Vec::new();
    for (source, check) in
        [(ES, es as fn(&System, Timebase) -> Result<Trial, Outcome>), (NTSTAT, kernel_statistics)]
    {
        let now = timestamp::format(timebase.now().wall);
        let armed = allowed(source, &system).and_then(|()| {
            notes.arm(source, &system.build, &now).map_err(|why| format!("{why}{STARTED_NOW}"))
        });
        if let Err(why) = armed {
            reports.push(Report::off(source, why));
            continue;
        }
        let mut report = match check(&system, timebase) {
            Ok(trial) => report(source, &trial, timebase),
            Err(outcome) => Report::untried(source, outcome),
        };
        // Only what was noted here: a note that is found stays.
        if let Err(error) = notes.disarm(source) {
            report.wrong.push(format!("the note of the use of {source} cannot be taken back: {error}"));
        }
        reports.push(report);
    }
    reports
}

fn endpoint_sec_version() {
    let (major, minor, patch) = host::os_version().unwrap_or(crate::macos::OLDEST);
    endpoint_sec::version::set_runtime_version(major, minor, patch);
}

fn allowed(source: &str, system: &System) -> Result<(), String> {
    match source {
        ES => gate::es(system).map(drop),
        _ => gate::ntstat(system).map(drop),
    }
}

fn report(source: &'static str, trial: &Trial, timebase: Timebase) -> Report {
    let outcome = match trial.verdict(timebase.tick()) {
        Some(Verdict::Proven { silent, .. }) => Outcome::Believed(silent),
        Some(Verdict::Failed(why)) => Outcome::NotBelieved(why),
        None => Outcome::NotBelieved("it ended before its time".to_owned()),
    };
    let probe = trial.probe();
    Report { source, outcome, findings: probe.findings(), wrong: probe.wrong(), raw: probe.raw().to_vec() }
}

fn es(system: &System, timebase: Timebase) -> Result<Trial, Outcome> {
    let not = Outcome::NotBelieved;
    let mut permit = Some(gate::es(system).map_err(not)?);
    let client = EndpointSecurity::start().map_err(|error| not(no_thread(&error)))?;
    let until = Instant::now() + OPEN_WITHIN;
    let mut trial = loop {
        match client.states.recv_deadline(until) {
            Ok(State::Waiting(trouble)) if trouble.reason() == Reason::NotEntitled => {
                return Err(Outcome::NotAllowed);
            }
            Ok(State::Waiting(trouble)) => return Err(not(trouble.to_string())),
            Ok(State::Running(_)) => permit.take().into_iter().for_each(|permit| client.connections(permit)),
            Ok(State::Connections(Ok(()))) => break Trial::start(timebase.tick()).map_err(not)?,
            Ok(State::Connections(Err(_))) => {
                return Err(not("Endpoint Security did not take the subscription".to_owned()));
            }
            Ok(State::Ended) | Err(_) => return Err(not("Endpoint Security does not answer".to_owned())),
        }
    };
    while trial.verdict(timebase.tick()).is_none() {
        let Ok(message) = client.messages.recv_timeout(LOOK) else { continue };
        let Some(bytes) = message::connection(&message) else { continue };
        match Payload::decode(&bytes) {
            Ok(payload) => _ = trial.payload(message.process().audit_token().pid() as u32, &payload, &bytes),
            Err(error) => trial.malformed(error.to_string()),
        }
    }
    client.stop();
    client.join();
    Ok(trial)
}

fn kernel_statistics(system: &System, timebase: Timebase) -> Result<Trial, Outcome> {
    let not = Outcome::NotBelieved;
    let layout = gate::ntstat(system).map_err(not)?;
    let source = Ntstat::start(layout, timebase).map_err(|error| not(no_thread(&error)))?;
    match source.states.recv_timeout(OPEN_WITHIN) {
        Ok(ntstat::State::Open) => {}
        Ok(ntstat::State::Failed(why) | ntstat::State::Malformed(why)) => return Err(not(why)),
        Err(_) => return Err(not("the kernel does not answer".to_owned())),
    }
    let mut trial = Trial::start(timebase.tick()).map_err(not)?;
    while trial.verdict(timebase.tick()).is_none() {
        if let Ok(sighting) = source.sightings.recv_timeout(LOOK) {
            trial.sighting(&sighting);
        }
        match source.states.try_recv() {
            Ok(ntstat::State::Failed(why)) => return Err(not(why)),
            Ok(ntstat::State::Malformed(why)) => trial.malformed(why),
            Ok(ntstat::State::Open) | Err(_) => {}
        }
    }
    Ok(trial)
}

fn no_thread(error: &std::io::Error) -> String {
    format!("the system gives no thread: {error}")
}
