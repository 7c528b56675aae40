//! Why a rule did or did not fire, for people.

use serde_json::Value as Json;

use super::Style;
use super::page::{Colour, Page};
use super::text::text;
use crate::explain::report::{
    Condition, Excepted, Explanation, Fired, Miss, Nearest, Sight, Silence, Step, Term, Value,
};

/// Returns the page of an explanation, an empty line last.
pub fn explanation(explanation: &Explanation, style: Style) -> String {
    let mut page = Page::new(style);
    page.is_whole = true;
    let Explanation { rule, events, fired, repeated, withheld, .. } = explanation;
    let word = if *fired > 0 { "FIRED" } else { "DID NOT FIRE" };
    page.title(word, if *fired > 0 { Colour::Red } else { Colour::Bold }, &rule.name);
    page.row("rule", &format!("{} (version {})", rule.id, rule.version));
    page.row("in", &rule.path);
    let mut counts = format!("{}; {}", plural(*events, "event"), plural(*fired, "alert"));
    for (count, what) in [(repeated, "repeated"), (withheld, "withheld by exceptions")] {
        if *count > 0 {
            counts.push_str(&format!(", {count} {what}"));
        }
    }
    page.row("seen", &counts);
    for found in &explanation.matches {
        page.gap();
        page.fired(found);
    }
    let shown = explanation.matches.len() as u64;
    if let Some(more) =
        fired.checked_add(*withheld).and_then(|all| all.checked_sub(shown)).filter(|more| *more > 0)
    {
        page.row("", &format!("and {more} more, of which `vedette replay` tells"));
    }
    for (index, silence) in explanation.silences.iter().enumerate() {
        page.gap();
        page.silence(if index == 0 { "nearest" } else { "then" }, silence, explanation.maxspan_ns);
    }
    for term in &explanation.terms {
        page.gap();
        page.term(term, *fired > 0);
    }
    if !explanation.exceptions.is_empty() {
        page.gap();
    }
    for (index, exception) in explanation.exceptions.iter().enumerate() {
        page.exception(if index == 0 { "excepted" } else { "" }, exception);
    }
    page.finish()
}

/// Returns the nearest that came to firing in a few lines, escaped; where nothing came near, the first term that no event
/// satisfied, and what failed of the event that was closest to it.
pub(crate) fn nearest(explanation: &Explanation) -> Vec<String> {
    let Some(silence) = explanation.silences.first() else {
        let unsatisfied = |term: &&Term| term.role == "occurs" && term.satisfied == 0;
        return explanation.terms.iter().find(unsatisfied).map(unmet).unwrap_or_default();
    };
    let mut lines = vec![super::visible(&why(silence, explanation.maxspan_ns))];
    let seen = |term: usize, event: &Sight| format!("term {term}: {}", event.summary);
    lines.extend(silence.steps.iter().map(|step| seen(step.term, &step.event)));
    if let Some(nearest) = &silence.nearest {
        lines.push(seen(nearest.term, &nearest.event));
        if matches!(nearest.miss, Miss::Conditions { .. }) {
            lines.extend(failing(&nearest.conditions));
        }
    } else if let Some(term) = explanation.terms.iter().find(|term| Some(term.term) == silence.waits_for) {
        lines.extend(unmet(term).into_iter().skip(1));
    }
    lines
}

/// A term that no event satisfied, and what failed of the closest one.
fn unmet(term: &Term) -> Vec<String> {
    let mut lines = vec![super::visible(&format!("no event satisfied term {}: {}", term.term, term.text))];
    if let Some(closest) = term.closest.first().filter(|closest| closest.failed > 0) {
        lines.push(format!("closest: {}", closest.event.summary));
        lines.extend(failing(&closest.conditions));
    }
    lines
}

/// The conditions that do not hold, each with what it found.
fn failing(conditions: &[Condition]) -> impl Iterator<Item = String> {
    conditions.iter().filter(|condition| !condition.holds).map(|condition| {
        let found: Vec<String> = condition.values.iter().map(found).collect();
        super::visible(&format!("fails: {} ({})", condition.text, found.join(", ")))
    })
}

/// What a condition found in a field.
fn found(Value { field, value }: &Value) -> String {
    match value {
        Json::Null => format!("{field} is missing"),
        value => format!("{field} is {}", shown(value)),
    }
}

/// Why something that came near did not fire, in a sentence.
fn why(silence: &Silence, maxspan: Option<i64>) -> String {
    match (&silence.nearest, silence.waits_for) {
        (Some(nearest), _) => because(nearest, maxspan),
        (None, Some(term)) => format!("nothing came near to term {term}, which was waited for"),
        (None, None) => "a term that must be missing came".to_owned(),
    }
}

impl Page {
    fn fired(&mut self, fired: &Fired) {
        let why = match &fired.withheld_by {
            None => format!("all of it held, within {}", duration(fired.span_ns)),
            Some(exception) => {
                format!(
                    "all of it held, within {}; the exception {exception} withheld the alert",
                    duration(fired.span_ns)
                )
            }
        };
        self.wrapped("because", &super::visible(&why));
        self.keys(&fired.keys);
        for step in &fired.steps {
            self.step(step);
            self.conditions(&step.conditions, false);
        }
        self.row("event.id", &fired.id);
    }

    fn silence(&mut self, label: &str, silence: &Silence, maxspan: Option<i64>) {
        self.wrapped(label, &super::visible(&why(silence, maxspan)));
        self.keys(&silence.keys);
        for step in &silence.steps {
            self.step(step);
        }
        if let Some(nearest) = &silence.nearest {
            let came = Step {
                term: nearest.term,
                event: nearest.event.clone(),
                conditions: nearest.conditions.clone(),
            };
            self.step(&came);
            let failed = matches!(nearest.miss, Miss::Conditions { .. });
            if failed {
                self.conditions(&nearest.conditions, true);
            }
        }
        if let (Some(term), Some(until)) =
            (silence.waits_for, silence.until.as_deref().filter(|_| !silence.steps.is_empty()))
        {
            self.row("waited", &format!("for term {term}, until {until}"));
        }
    }

    fn keys(&mut self, keys: &[Value]) {
        let keys: Vec<String> =
            keys.iter().map(|Value { field, value }| format!("{field} = {}", shown(value))).collect();
        if !keys.is_empty() {
            self.hanging("joined by", &keys.join(", "), 0);
        }
    }

    fn step(&mut self, step: &Step) {
        self.hanging(&format!("term {}", step.term), &step.event.summary, 14);
    }

    /// A term and what was closest to it; what satisfied it stands above already where the rule fired.
    fn term(&mut self, term: &Term, fired: bool) {
        let role = match term.role {
            "missing" => ", which must be missing",
            "until" => ", which ends what waits",
            _ => "",
        };
        self.hanging(&format!("term {}", term.term), &term.text, 2);
        let mut counts = format!(
            "line {}{role}: {} of its category, {} satisfied it",
            term.line,
            plural(term.of_category, "event"),
            term.satisfied
        );
        if term.excepted > 0 {
            counts.push_str(&format!(", of which exceptions took {}", term.excepted));
        }
        self.row("", &counts);
        for closest in &term.closest {
            let more = closest.alike - 1;
            let alike = if more > 0 { format!(" (and {more} like it)") } else { String::new() };
            let label = if closest.failed == 0 { "satisfied" } else { "closest" };
            self.hanging(label, &format!("{}{alike}", closest.event.summary), 14);
            if closest.failed > 0 || !fired {
                self.conditions(&closest.conditions, false);
            }
        }
    }

    /// A term's conditions with what they found; those that hold are left out where only the others matter.
    fn conditions(&mut self, conditions: &[Condition], only_failed: bool) {
        for condition in conditions.iter().filter(|condition| !(only_failed && condition.holds)) {
            let word = if condition.holds { "holds" } else { "FAILS" };
            self.hanging("", &format!("  {word}  {}", condition.text), 9);
            for value in &condition.values {
                let Value { field, value: own } = value;
                if condition.holds && condition.text == format!("{field} == {}", shown(own)) {
                    continue;
                }
                self.hanging("", &format!("         {}", found(value)), 11);
            }
        }
    }

    fn exception(&mut self, label: &str, exception: &Excepted) {
        let Excepted { id, owner, reason, expires, events, alerts } = exception;
        let did = format!("{}, {}", plural(*events, "event"), plural(*alerts, "alert"));
        self.hanging(label, &format!("{id}: took {did}; {owner}, until {expires}"), 2);
        self.hanging("", &format!("  {reason}"), 2);
    }
}

/// Why an event did not go on with what waited, in a sentence.
fn because(nearest: &Nearest, maxspan: Option<i64>) -> String {
    let term = nearest.term;
    match &nearest.miss {
        Miss::Late { by_ns, span_ns } => format!(
            "term {term} came {} too late: {} after the first event, and maxspan is {}",
            duration(*by_ns),
            duration(*span_ns),
            maxspan.map_or_else(String::new, duration)
        ),
        Miss::Before { by_ns: 0 } => {
            format!(
                "an event of term {term} came at the same time, but before the event that it should follow"
            )
        }
        Miss::Before { by_ns } => {
            format!(
                "an event of term {term} came {} before the event that it should follow",
                duration(*by_ns)
            )
        }
        Miss::OtherKeys { keys } => {
            let keys: Vec<String> = keys
                .iter()
                .map(|key| {
                    let what = if key.field == "host.id" { "another host" } else { &key.field };
                    format!("{what}: {} was waited for, {} came", shown(&key.waiting), shown(&key.came))
                })
                .collect();
            format!("term {term} came with other join keys: {}", keys.join("; "))
        }
        Miss::NoKey { fields } => {
            format!("an event satisfied term {term}, but it has no {} to join by", fields.join(", "))
        }
        Miss::Conditions { failed } => format!(
            "an event came in time for term {term}, with the same join keys, but {} of its conditions {} not hold",
            failed,
            if *failed == 1 { "does" } else { "do" }
        ),
        Miss::Excepted { by } => format!("the exception {by} took the event of term {term}"),
        Miss::Seen => format!("term {term} must be missing, and it came"),
        Miss::Ended { by } => {
            format!("term {term} came after `until` had ended what waited for it: {}", by.summary)
        }
    }
}

/// A value as it would stand in a rule, escaped.
fn shown(value: &Json) -> String {
    match value {
        Json::String(value) => format!("\"{}\"", text(Some(&Json::from(value.as_str())))),
        Json::Array(values) => {
            format!("({})", values.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        value => text(Some(value)),
    }
}

/// A time span, as exact as it is.
fn duration(nanos: i64) -> String {
    let (sign, nanos) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let trimmed = |whole: u64, part: u64, digits: usize| {
        let fraction = format!("{part:0digits$}");
        let fraction = fraction.trim_end_matches('0');
        if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    };
    match nanos {
        1_000_000_000.. => format!("{} s", trimmed(nanos / 1_000_000_000, nanos % 1_000_000_000, 9)),
        1_000_000.. => format!("{} ms", trimmed(nanos / 1_000_000, nanos % 1_000_000, 6)),
        0 => "0 s".to_owned(),
        _ => format!("{sign}{nanos} ns"),
    }
}

fn plural(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        for (nanos, text) in [
            (0, "0 s"),
            (1, "1 ns"),
            (1_000_000, "1 ms"),
            (1_500_000, "1.5 ms"),
            (30_001_000_000, "30.001 s"),
            (60_000_000_000, "60 s"),
            (-2_000_000, "-2 ms"),
            (i64::MIN, "-9223372036.854775808 s"),
        ] {
            assert_eq!(duration(nanos), text);
        }
    }

    #[test]
    fn values_are_shown_as_a_rule_would_have_them() {
        for (value, text) in [
            (Json::from("a\n\u{1b}[2J"), r#""a\n\u{1b}[2J""#),
            (Json::from(7), "7"),
            (Json::from(vec!["a", "b"]), r#"("a", "b")"#),
        ] {
            assert_eq!(shown(&value), text);
        }
    }
}
