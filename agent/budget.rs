//! The alert budget: what a rule may say in a minute. Of more only the number is told, so that one noisy rule, or
//! someone who makes it noisy, drowns nothing.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::json;

use crate::alert::{Alert, AlertKind, own_document};
use crate::event::Event;
use crate::rule::Rule;
use crate::timestamp;

/// A minute, in nanoseconds.
const MINUTE: i64 = 60_000_000_000;

/// How many different executables a summary names.
const MAX_EXECUTABLES: usize = 16;

/// How many alerts each rule has given in its current minute.
#[derive(Debug)]
pub struct Budget {
    per_minute: u32,
    rules: HashMap<String, Minute>,
}

#[derive(Debug)]
struct Minute {
    /// When it began, on the clock that orders events.
    began: i64,
    given: u32,
    left_out: Option<LeftOut>,
    /// The last alert that was given.
    last: String,
}

#[derive(Debug)]
struct LeftOut {
    rule: Arc<Rule>,
    count: u64,
    host: String,
    /// Wall times of the first and the last.
    from: i64,
    to: i64,
    executables: BTreeSet<String>,
    more_executables: bool,
}

impl Budget {
    /// Makes a budget of `per_minute` alerts for each rule.
    pub fn new(per_minute: u32) -> Self {
        Budget { per_minute, rules: HashMap::new() }
    }

    /// Returns whether `rule` may alert of `event`, the last of a match, at `now` on the clock that orders events;
    /// if not, it is counted. The summary of a minute that has passed is appended to `summaries`.
    pub fn admits(&mut self, rule: &Arc<Rule>, event: &Event, now: i64, summaries: &mut Vec<Alert>) -> bool {
        let minute = self.rules.entry(rule.id.clone()).or_insert_with(|| Minute {
            began: now,
            given: 0,
            left_out: None,
            last: String::new(),
        });
        minute.roll(now, summaries);
        if minute.given < self.per_minute {
            minute.given += 1;
            return true;
        }
        minute.left_out.get_or_insert_with(|| LeftOut::new(rule, event)).count(event);
        false
    }

    /// Remembers the `event.id` of an alert that was admitted.
    pub fn given(&mut self, rule: &Rule, id: &str) {
        if let Some(minute) = self.rules.get_mut(&rule.id) {
            minute.last = id.to_owned();
        }
    }

    /// Appends the summaries of the minutes that have passed at `now`.
    pub fn advance(&mut self, now: i64, summaries: &mut Vec<Alert>) {
        for minute in self.rules.values_mut().filter(|minute| minute.left_out.is_some()) {
            minute.roll(now, summaries);
        }
    }

    /// Appends the summaries of all minutes, whether they have passed or not: nothing more will come.
    pub fn finish(&mut self, summaries: &mut Vec<Alert>) {
        for minute in self.rules.values_mut() {
            summaries.extend(minute.left_out.take().map(|left_out| left_out.summary(&minute.last)));
        }
    }
}

impl Minute {
    fn roll(&mut self, now: i64, summaries: &mut Vec<Alert>) {
        // A clock that is far behind, as a late event's may be, begins no new minute.
        if now.saturating_sub(self.began) < MINUTE {
            return;
        }
        summaries.extend(self.left_out.take().map(|left_out| left_out.summary(&self.last)));
        self.began = now;
        self.given = 0;
    }
}

impl LeftOut {
    fn new(rule: &Arc<Rule>, event: &Event) -> Self {
        let host = eql::Record::get(event, crate::schema::id("host.id"));
        LeftOut {
            rule: rule.clone(),
            count: 0,
            host: host.as_str().unwrap_or_default().to_owned(),
            from: event.time,
            to: event.time,
            executables: BTreeSet::new(),
            more_executables: false,
        }
    }

    fn count(&mut self, event: &Event) {
        self.count += 1;
        self.from = self.from.min(event.time);
        self.to = self.to.max(event.time);
        let executable = eql::Record::get(event, crate::schema::id("process.executable"));
        let Some(executable) = executable.as_str().filter(|text| !self.executables.contains(*text)) else {
            return;
        };
        if self.executables.len() < MAX_EXECUTABLES {
            self.executables.insert(executable.to_owned());
        } else {
            self.more_executables = true;
        }
    }

    fn summary(self, last: &str) -> Alert {
        let Rule { id, name, .. } = &*self.rule;
        let document = own_document(
            self.to,
            "enrichment",
            json!({
                "event": { "action": "alerts_left_out" },
                "host": { "id": self.host },
                "vedette": {
                    "follows": last,
                    "left_out": {
                        "rule": { "id": id, "name": name },
                        "count": self.count,
                        "from": timestamp::format(self.from),
                        "to": timestamp::format(self.to),
                        "executables": self.executables,
                        "more_executables": self.more_executables,
                    },
                },
            }),
        );
        Alert::new(last.to_owned(), AlertKind::Summary, self.rule, document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DescriptionParts, Fields, Process, Who};
    use crate::rule::{Content, builtin};
    use std::rc::Rc;

    const SECOND: i64 = 1_000_000_000;

    fn rule() -> Arc<Rule> {
        let rule = builtin().into_iter().find_map(|file| match file.content {
            Content::Rule(rule) => Some(Arc::new(*rule)),
            _ => None,
        });
        rule.expect("a built-in rule")
    }

    fn event(second: i64, executable: &str) -> Event {
        let executable = Some(executable.into());
        let description = DescriptionParts { executable, ..DescriptionParts::default() };
        let process = Process { description: description.into(), ..Process::default() };
        let time = second * SECOND;
        let who = Who { process: Some(Rc::new(process)), ..Who::default() };
        Event::new(Fields { time, order: time, ..Fields::default() }, who)
    }

    #[test]
    fn a_minute_then_one_counted_summary() {
        let rule = rule();
        let mut budget = Budget::new(3);
        let mut summaries = Vec::new();
        for second in 0..30 {
            let event = event(second, &format!("/tmp/{}", second % 20));
            let admitted = budget.admits(&rule, &event, second * SECOND, &mut summaries);
            assert_eq!(admitted, second < 3);
            if admitted {
                budget.given(&rule, &format!("id-{second}"));
            }
        }
        budget.advance(59 * SECOND, &mut summaries);
        assert!(summaries.is_empty());
        budget.advance(60 * SECOND, &mut summaries);
        let [summary] = &summaries[..] else { panic!("{summaries:?}") };
        let said = &summary.document()["vedette"];
        assert_eq!((summary.kind, said["follows"].as_str()), (AlertKind::Summary, Some("id-2")));
        assert_eq!(said["left_out"]["count"], 27);
        assert_eq!(said["left_out"]["from"], "1970-01-01T00:00:03.000Z");
        assert_eq!(said["left_out"]["executables"].as_array().map(Vec::len), Some(16));
        assert_eq!(said["left_out"]["more_executables"], true);
        // The next minute has a budget of its own; nothing left out, nothing said.
        assert!(budget.admits(&rule, &event(61, "/tmp/x"), 61 * SECOND, &mut summaries));
        budget.advance(200 * SECOND, &mut summaries);
        budget.finish(&mut summaries);
        assert_eq!(summaries.len(), 1);
    }

    #[test]
    fn what_is_left_out_at_the_end_is_told() {
        let rule = rule();
        let mut budget = Budget::new(0);
        let mut summaries = Vec::new();
        assert!(!budget.admits(&rule, &event(0, "/a"), 0, &mut summaries));
        // A late event of long ago is no new minute.
        assert!(!budget.admits(&rule, &event(-500, "/a"), -500 * SECOND, &mut summaries));
        budget.finish(&mut summaries);
        assert_eq!(summaries.len(), 1);
        assert_eq!(summaries[0].document()["vedette"]["left_out"]["count"], 2);
    }
}
