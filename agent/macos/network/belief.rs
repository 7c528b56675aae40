//! Whether a source is believed: the verdict on its probe, and doubt where it has told of nothing for long.

use super::{ES, EndpointSecurity, NTSTAT, Network, Now, Sensor, Trial};
use crate::digest::hexadecimal;
use crate::network::es::PortOrders;
use crate::network::probe::{Kind, Verdict};

/// How long a source that is believed may tell of nothing until it is tried out again, in nanoseconds: where nothing
/// connects there is nothing to tell, and where the source no longer works neither.
const SILENT: i64 = 600_000_000_000;

/// How many bytes of a message stand in a line of the log: unified logging cuts a line at about 1 KiB.
const LOGGED: usize = 256;

/// How far a source is.
pub(super) enum Use {
    /// It is not tried.
    Unused,
    /// It was asked for.
    Opening,
    /// Its probe runs.
    Trial(Box<Trial>),
    /// It is believed.
    Proven {
        /// Kinds of connection that it never tells of.
        silent: Vec<Kind>,
        orders: PortOrders,
        /// When it told of something, or was tried out, on the clock of ticks.
        heard: i64,
        /// The probe that runs because it was silent for long.
        doubt: Option<Box<Trial>>,
    },
    /// It stays off, and why.
    Off(String),
}

impl Use {
    /// Returns the probe that runs.
    pub(super) fn trial(&mut self) -> Option<&mut Trial> {
        match self {
            Use::Trial(trial) => Some(trial),
            Use::Proven { doubt, .. } => doubt.as_deref_mut(),
            Use::Unused | Use::Opening | Use::Off(_) => None,
        }
    }

    /// Takes the verdict on the probe that runs, once there is one. A probe that has failed says to the log what it was
    /// told, for who has to find out why.
    fn take_verdict(&mut self, name: &str, now: i64) -> Option<Result<(), String>> {
        let trial = self.trial()?;
        match trial.verdict(now)? {
            Verdict::Proven { silent, orders } => {
                *self = Use::Proven { silent, orders, heard: now, doubt: None };
                Some(Ok(()))
            }
            Verdict::Failed(why) => {
                for raw in trial.probe().raw() {
                    for (number, part) in raw.chunks(LOGGED).enumerate() {
                        let (at, bytes) = (number * LOGGED, hexadecimal(part));
                        log::warn!(target: "sensor", "{name}: its probe was told, from byte {at} on: {bytes}");
                    }
                }
                Some(Err(format!("its probe failed: {why}")))
            }
        }
    }
}

impl Network {
    /// Ends the probes that can be judged.
    pub(super) fn judge(&mut self, now: Now, sensor: &mut Sensor, client: &EndpointSecurity) {
        if let Some(verdict) = self.es.take_verdict(ES, now.tick) {
            match verdict {
                Ok(()) => self.evaluate_held(sensor),
                Err(why) => {
                    client.no_connections();
                    self.take_back(ES);
                    self.held_messages = Vec::new();
                    self.es = Use::Off(why);
                }
            }
            self.go_on(sensor);
        }
        if let Some(verdict) = self.ntstat.take_verdict(NTSTAT, now.tick) {
            match verdict {
                Ok(()) => {
                    self.want_raw(false);
                    for sighting in std::mem::take(&mut self.held_flows) {
                        self.wait(sighting);
                    }
                }
                Err(why) => self.drop_ntstat(why),
            }
            self.go_on(sensor);
        }
    }

    /// Tries a source out again that is believed and has told of nothing for long.
    pub(super) fn doubt(&mut self, now: i64) {
        for name in [ES, NTSTAT] {
            let source = if name == ES { &mut self.es } else { &mut self.ntstat };
            let Use::Proven { heard, doubt: doubt @ None, .. } = source else { continue };
            if now.saturating_sub(*heard) < SILENT {
                continue;
            }
            *heard = now;
            match Trial::start(now) {
                Ok(trial) => {
                    *doubt = Some(Box::new(trial));
                    if name == NTSTAT {
                        self.want_raw(true);
                    }
                }
                Err(why) => log::warn!(target: "sensor", "{name} has been silent, and {why}"),
            }
        }
    }

    /// Uses the statistics no more.
    pub(super) fn drop_ntstat(&mut self, why: String) {
        self.source = None;
        self.held_flows = Vec::new();
        self.take_back(NTSTAT);
        self.ntstat = Use::Off(why);
    }

    /// Whether the statistics come with the bytes that told of each connection.
    fn want_raw(&self, wanted: bool) {
        if let Some(source) = &self.source {
            source.want_raw(wanted);
        }
    }
}
