//! A probe that runs: its ports, its process, and what the source has told.

use crate::macos::ntstat::Sighting;
use crate::network::connection::{Connection, End};
use crate::network::es::Payload;
use crate::network::ntstat::tracker::What;
use crate::network::probe::{Child, Port, Ports, Probe, Told, Verdict};

/// A probe that runs.
pub(in crate::macos) struct Trial {
    probe: Probe,
    ports: Ports,
    // Ends the process.
    _child: Child,
    /// The first message that was of no known layout.
    malformed: Option<String>,
}

impl Trial {
    /// Opens ports and starts the process that connects to them, at a tick in nanoseconds.
    ///
    /// # Errors
    /// The probe cannot be made, in a sentence.
    pub(in crate::macos) fn start(now: i64) -> Result<Self, String> {
        let why = |error: std::io::Error| format!("its probe cannot be made: {error}");
        let ports = Ports::open().map_err(why)?;
        let program = std::env::current_exe().map_err(why)?;
        let child = Child::start(&program, ports.targets()).map_err(why)?;
        let probe = Probe::new(child.pid(), ports.targets().to_vec(), now);
        Ok(Trial { probe, ports, _child: child, malformed: None })
    }

    /// Takes a payload of event 154, of a process. Returns whether it is of the probe.
    pub(in crate::macos) fn payload(&mut self, pid: u32, payload: &Payload, raw: &[u8]) -> bool {
        let (transport, ip) = (payload.transport, payload.remote.to_canonical());
        self.probe.take(Told { pid, transport, ip, port: Port::Raw(payload.remote_port), raw })
    }

    /// Takes a connection of the statistics. Returns whether it is of the probe.
    pub(in crate::macos) fn sighting(&mut self, sighting: &Sighting) -> bool {
        let open = &sighting.change.open;
        if self.is_answered(&open.connection) {
            // The sensor's own end of it.
            return true;
        }
        let Some(End { ip, port: Some(port) }) = open.connection.remote else { return false };
        let told = Told {
            pid: open.pid,
            transport: open.connection.transport,
            ip,
            port: Port::Known(port),
            raw: &sighting.raw,
        };
        match sighting.change.what {
            What::Began => self.probe.take(told),
            What::Ended(_) => open.pid == self.probe.pid(),
        }
    }

    /// Notes a message of no known layout.
    pub(in crate::macos) fn malformed(&mut self, why: String) {
        self.malformed.get_or_insert(why);
    }

    /// Returns the verdict, once there is one.
    pub(in crate::macos) fn verdict(&self, now: i64) -> Option<Verdict> {
        let verdict = self.probe.verdict(now)?;
        Some(match (verdict, &self.malformed) {
            (Verdict::Failed(why), Some(malformed)) => Verdict::Failed(format!("{why}; {malformed}")),
            (verdict, _) => verdict,
        })
    }

    /// Returns the probe, for what it has found.
    pub(in crate::macos) fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Whether the near end of a connection is one of the probe's ports.
    fn is_answered(&self, connection: &Connection) -> bool {
        self.ports.targets().iter().any(|target| connection.local == Some(End::from(target.address)))
    }
}
