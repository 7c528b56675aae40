//! Where connections come from, and which rules see nothing without them.

use super::Sensor;
use crate::detector::RuleSet;
use crate::health::Health;
use crate::readable::visible;

/// What the status, and problems, call it.
const NAME: &str = "network";

/// The category of a connection's events.
const CATEGORY: &str = "network";

/// How many rules are named in a sentence; the status has all their ids.
const MAX_NAMED: usize = 8;

/// What is known of connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// The rules that need them: id and name.
    rules: Vec<(String, String)>,
    /// Why there are none.
    missing: Option<Missing>,
}

#[derive(Debug)]
struct Missing {
    why: String,
    /// Whether that is a problem: it is not where the configuration wants none.
    problem: bool,
}

impl Connections {
    pub(super) fn new(rules: &RuleSet) -> Self {
        let rules = rules.needing(CATEGORY).map(|rule| (rule.id.clone(), rule.name.clone())).collect();
        Connections { rules, missing: None }
    }

    /// Says why there are none, and what follows.
    fn sentence(&self, why: &str) -> String {
        let named: Vec<String> = self.rules.iter().take(MAX_NAMED).map(|(_, name)| visible(name)).collect();
        let more = match self.rules.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        match named.is_empty() {
            true => format!("no connections are seen: {why}; no rule needs them"),
            false => {
                format!("no connections are seen: {why}; blind without them: {}{more}", named.join(", "))
            }
        }
    }
}

impl Sensor {
    /// Says which source connections come from now on, and why that one. What was said already is not told again.
    pub fn connections_from(&mut self, source: &str, why: &str) {
        self.connections.missing = None;
        self.status.rules.blind = Vec::new();
        let message = format!("{source}, {why}");
        let entry = self.source(NAME);
        if entry.state == "running" && entry.message.as_ref() == Some(&message) {
            return;
        }
        entry.state = "running".to_owned();
        entry.message = Some(message);
        self.report(&Health::source_chosen(source, why));
        self.recover(NAME);
        self.write_status(self.state());
    }

    /// Says that connections are not seen, and why. The sensor is degraded by that, unless it is not a `problem`: its
    /// configuration wants none.
    pub fn no_connections(&mut self, why: &str, problem: bool) {
        self.connections.missing = Some(Missing { why: why.to_owned(), problem });
        self.tell_blind_rules();
    }

    /// Notes which rules need connections, after a reload.
    pub(super) fn take_rules(&mut self, rules: &RuleSet) {
        self.connections.rules = Connections::new(rules).rules;
        self.tell_blind_rules();
    }

    fn tell_blind_rules(&mut self) {
        let Some(missing) = &self.connections.missing else { return };
        let sentence = self.connections.sentence(&missing.why);
        let problem = missing.problem;
        self.status.rules.blind = self.connections.rules.iter().map(|(id, _)| id.clone()).collect();
        let entry = self.source(NAME);
        entry.state = "off".to_owned();
        entry.message = Some(sentence.clone());
        match problem {
            true => self.degrade(NAME, sentence),
            false => self.write_status(self.state()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::sensor::tests::{START, config, documents, start, status_of, temporary};
    use crate::status::State;

    #[test]
    fn without_connections_the_blind_rules_are_named_and_with_them_no_more() {
        let (_folder, folder) = temporary();
        let config = config(&folder);
        let mut sensor = start(&config, START);
        sensor.no_connections("no source works", true);
        sensor.no_connections("no source works", true);
        assert_eq!(sensor.state(), State::Degraded);
        assert_eq!(sensor.status.rules.blind.len(), 2);
        for _ in 0..2 {
            sensor.connections_from("ntstat", "proven at start");
        }
        assert_eq!((sensor.state(), sensor.status.rules.blind.len()), (State::Running, 0));
        assert_eq!(sensor.source("network").message.as_deref(), Some("ntstat, proven at start"));
        assert_eq!(sensor.stop(START, "the test ends"), 0);
        let health = documents(&config.health.file);
        let of = |action: &'static str| {
            health.iter().filter(move |document| document["event"]["action"] == action)
        };
        let degraded: Vec<String> = of("degraded").map(|document| document["message"].to_string()).collect();
        let [degraded] = &degraded[..] else { panic!("told once: {degraded:?}") };
        assert!(
            degraded.contains("no source works") && degraded.contains("blind without them: "),
            "{degraded}"
        );
        assert!(
            degraded.contains("Install Session Connects Out") || degraded.contains("Installer"),
            "{degraded}"
        );
        assert_eq!(of("source_chosen").count(), 1);
        assert_eq!(of("recovered").count(), 1);
    }

    #[test]
    fn where_none_are_wanted_nothing_is_wrong() {
        let (_folder, folder) = temporary();
        let config = config(&folder);
        let mut sensor = start(&config, START);
        sensor.no_connections("the configuration says so", false);
        assert_eq!((sensor.state(), sensor.status.rules.blind.len()), (State::Running, 2));
        sensor.delivery.settle(std::time::Duration::from_secs(60));
        let status = status_of(&config);
        assert_eq!((status.sources["network"].state.as_str(), status.rules.blind.len()), ("off", 2));
        assert_eq!(sensor.stop(START, "the test ends"), 0);
    }
}
