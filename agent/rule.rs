//! Rules: what they say and where they come from.
//!
//! Two public containers are read, told apart by their keys: Elastic's detection-rules TOML and
//! protections-artifacts TOML. Both have `[rule]` with a query; the rest is what an alert says about it.

mod files;
mod lint;

use std::path::{Path, PathBuf};

use eql::{Level, Position};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use toml::Spanned;

use crate::readable::visible;

pub(crate) use files::{FileText, rule_of, strays, tests_of, texts};
pub use lint::lint;

/// A rule, ready to be compiled.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `rule.id`.
    pub id: String,
    /// `rule.name`.
    pub name: String,
    /// `rule.description`.
    pub description: String,
    /// `rule.version`; 1 where the file has none.
    pub version: String,
    /// `rule.ruleset`: `vedette` for what is built in.
    pub ruleset: String,
    /// How bad a match is.
    pub severity: Severity,
    /// `event.risk_score`, 0 to 100.
    pub risk_score: i64,
    /// Tags.
    pub tags: Vec<String>,
    /// Where to read more.
    pub references: Vec<String>,
    /// What else may look like this.
    pub false_positives: Vec<String>,
    /// What to do about a match, in Markdown.
    pub note: Option<String>,
    /// `threat`, an object for each tactic, as alerts carry it.
    pub threat: Vec<Json>,
    /// What a protections-artifacts rule asks to be done. Reported, never done: the sensor observes.
    pub actions: Vec<String>,
    /// The query, in EQL.
    pub query: String,
    /// Where the query's first character stands in the file.
    pub query_position: Position,
    /// The file; for what is built in, its path in the source tree.
    pub path: PathBuf,
}

/// How bad a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// 21
    Low,
    /// 47
    Medium,
    /// 73
    High,
    /// 99
    Critical,
}

impl Severity {
    /// Returns `event.severity`.
    pub fn number(self) -> i64 {
        match self {
            Severity::Low => 21,
            Severity::Medium => 47,
            Severity::High => 73,
            Severity::Critical => 99,
        }
    }

    /// Returns the word.
    pub fn text(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }

    /// Returns the severity of a word, in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        [Severity::Low, Severity::Medium, Severity::High, Severity::Critical]
            .into_iter()
            .find(|severity| severity.text() == text)
    }
}

/// A rule file and what came of reading it.
#[derive(Clone, Debug)]
pub struct RuleFile {
    /// The file.
    pub path: PathBuf,
    /// What it holds.
    pub content: Content,
}

/// What a rule file holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// A rule.
    Rule(Box<Rule>),
    /// A rule that is not in EQL.
    Skipped {
        /// `rule_id`, if it has one.
        id: Option<String>,
        /// Its name, if it has one.
        name: Option<String>,
        /// Why, for people.
        reason: String,
    },
    /// It could not be read.
    Broken(Finding),
}

/// Something about a rule file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether the rule is lost by it.
    pub level: Level,
    /// Where in the file.
    pub position: Position,
    /// What, and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The same as a compiler prints it, with the line and a caret; several lines.
    pub rendered: String,
}

/// A rule that is compiled in: its path in the source tree, its text, and its tests.
pub(crate) struct Builtin {
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
    pub(crate) tests: &'static str,
}

macro_rules! builtin {
    ($($name:literal),+ $(,)?) => {
        [$(Builtin {
            path: concat!("rules/macos/", $name, ".toml"),
            text: include_str!(concat!("../rules/macos/", $name, ".toml")),
            tests: include_str!(concat!("../rules/macos/", $name, ".tests.toml")),
        }),+]
    };
}

/// The built-in rules.
pub(crate) const BUILTIN: &[Builtin] = &builtin![
    "execution_installer_package_spawned_network_event",
    "command_and_control_install_session_network_connection",
    "defense_evasion_events_lost_during_install",
];

/// Returns the rules that are compiled into the binary.
pub fn builtin() -> Vec<RuleFile> {
    BUILTIN
        .iter()
        .map(|Builtin { path, text, .. }| RuleFile {
            path: path.into(),
            content: parse(Path::new(path), text, "vedette"),
        })
        .collect()
}

/// Reads a rule file, or all of a folder and the folders in it: `*.toml`, but not `*.tests.toml`, by name.
///
/// # Errors
/// The path itself cannot be read, in one sentence. A file in a folder that cannot be is a broken rule.
pub fn load(path: &Path) -> Result<Vec<RuleFile>, String> {
    Ok(texts(path, "rules")?
        .into_iter()
        .map(|(file, text)| {
            let content = match text {
                Ok(text) => parse(&file, &text, &ruleset_of(&file)),
                Err(finding) => Content::Broken(*finding),
            };
            RuleFile { path: file, content }
        })
        .collect())
}

/// Returns the `rule.ruleset` of a file's rule: the name of its folder.
pub(crate) fn ruleset_of(file: &Path) -> String {
    file.parent().and_then(Path::file_name).map_or("local".into(), |name| name.to_string_lossy().into_owned())
}

/// What is read of either container.
#[derive(Deserialize)]
struct RawFile {
    rule: RawRule,
    #[serde(default)]
    threat: Vec<RawThreat>,
    #[serde(default)]
    actions: Vec<RawAction>,
}

#[derive(Deserialize)]
struct RawRule {
    rule_id: Option<Spanned<String>>,
    id: Option<Spanned<String>>,
    name: Option<String>,
    description: Option<String>,
    version: Option<toml::Value>,
    language: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    query: Option<Spanned<String>>,
    severity: Option<Spanned<String>>,
    risk_score: Option<Spanned<i64>>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    references: Vec<String>,
    #[serde(default)]
    reference: Vec<String>,
    #[serde(default)]
    false_positives: Vec<String>,
    note: Option<String>,
    #[serde(default)]
    threat: Vec<RawThreat>,
}

#[derive(Deserialize)]
struct RawThreat {
    framework: Option<String>,
    tactic: Option<RawName>,
    #[serde(default)]
    technique: Vec<RawTechnique>,
}

#[derive(Deserialize)]
struct RawTechnique {
    #[serde(flatten)]
    name: RawName,
    #[serde(default)]
    subtechnique: Vec<RawName>,
}

#[derive(Deserialize)]
struct RawName {
    id: Option<String>,
    name: Option<String>,
    reference: Option<String>,
}

#[derive(Deserialize)]
struct RawAction {
    action: Option<String>,
    field: Option<String>,
}

/// Parses a rule file.
pub fn parse(path: &Path, text: &str, ruleset: &str) -> Content {
    let raw: RawFile = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(_) if holds_instead(text, "exceptions") => {
            return skipped("these are exceptions, not a rule; `--exceptions` reads them");
        }
        Err(_) if holds_instead(text, "tests") => {
            return skipped("these are a rule's tests; `rules test` runs them");
        }
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().lines().next().unwrap_or("this is not TOML").to_owned();
            return Content::Broken(finding(path, text, at, message, None));
        }
    };
    let rule = raw.rule;
    let id = rule.rule_id.or(rule.id);
    let language = rule.language.as_deref().unwrap_or("eql");
    if language != "eql" || rule.kind.as_deref().is_some_and(|kind| kind != "eql") {
        let what = if language == "eql" { rule.kind.unwrap_or_default() } else { language.to_owned() };
        return Content::Skipped {
            id: id.map(Spanned::into_inner),
            name: rule.name,
            reason: format!("the rule is written in {what}; only EQL runs here"),
        };
    }
    let broken = |at: usize, message: String, hint: Option<&str>| {
        Content::Broken(finding(path, text, at, message, hint.map(str::to_owned)))
    };
    let rule_at = text.find("[rule]").unwrap_or(0);
    let Some(id) = id.filter(|id| !id.get_ref().trim().is_empty()) else {
        return broken(
            rule_at,
            "the rule has no id".into(),
            Some("add `rule_id = \"…\"`, a UUID of its own"),
        );
    };
    let Some(name) = rule.name.filter(|name| !name.trim().is_empty()) else {
        return broken(rule_at, "the rule has no name".into(), Some("add `name = \"…\"`"));
    };
    let Some(query) = rule.query else {
        return broken(rule_at, "the rule has no query".into(), Some("add `query = '''…'''` in EQL"));
    };
    let severity = match &rule.severity {
        None => Severity::Medium,
        Some(severity) => match Severity::parse(severity.get_ref()) {
            Some(parsed) => parsed,
            None => {
                let message = format!("{:?} is not a severity", severity.get_ref());
                return broken(severity.span().start, message, Some("use low, medium, high or critical"));
            }
        },
    };
    if let Some(score) = rule.risk_score.as_ref().filter(|score| !(0..=100).contains(score.get_ref())) {
        return broken(score.span().start, "a risk score is a number from 0 to 100".into(), None);
    }
    let mut references = rule.references;
    references.extend(rule.reference);
    Content::Rule(Box::new(Rule {
        id: id.into_inner(),
        name,
        description: rule.description.unwrap_or_default().trim().to_owned(),
        version: match rule.version {
            None => "1".to_owned(),
            Some(toml::Value::String(version)) => version,
            Some(version) => version.to_string(),
        },
        ruleset: ruleset.to_owned(),
        severity,
        risk_score: rule.risk_score.map_or(severity.number(), Spanned::into_inner),
        tags: rule.tags,
        references,
        false_positives: rule.false_positives,
        note: rule.note,
        threat: rule.threat.iter().chain(&raw.threat).map(RawThreat::to_json).collect(),
        actions: raw.actions.iter().map(RawAction::describe).collect(),
        query_position: Position::of(content_start(text, query.span().start), text),
        query: query.into_inner(),
        path: path.to_owned(),
    }))
}

/// Whether a file holds something else under this key, and no rule.
fn holds_instead(text: &str, key: &str) -> bool {
    let table: Result<toml::Table, _> = toml::from_str(text);
    table.is_ok_and(|table| table.contains_key(key) && !table.contains_key("rule"))
}

fn skipped(reason: &str) -> Content {
    Content::Skipped { id: None, name: None, reason: reason.to_owned() }
}

/// Returns where a TOML string's content begins: after its quotes, and after the line break that may follow
/// three of them.
pub(crate) fn content_start(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or("");
    if rest.starts_with("'''") || rest.starts_with("\"\"\"") {
        let after = &rest[3..];
        let line_break = if after.starts_with("\r\n") { 2 } else { usize::from(after.starts_with('\n')) };
        at + 3 + line_break
    } else {
        at + 1
    }
}

impl RawThreat {
    /// The tactic and its techniques as ECS's `threat.*` has them.
    fn to_json(&self) -> Json {
        let list = |names: Vec<&RawName>| {
            json!({
                "id": names.iter().map(|name| name.id.clone()).collect::<Vec<_>>(),
                "name": names.iter().map(|name| name.name.clone()).collect::<Vec<_>>(),
                "reference": names.iter().map(|name| name.reference.clone()).collect::<Vec<_>>(),
            })
        };
        let mut threat = json!({ "framework": self.framework.as_deref().unwrap_or("MITRE ATT&CK") });
        if let Some(tactic) = &self.tactic {
            threat["tactic"] = list(vec![tactic]);
        }
        if !self.technique.is_empty() {
            threat["technique"] = list(self.technique.iter().map(|technique| &technique.name).collect());
            let subtechniques: Vec<&RawName> = self.technique.iter().flat_map(|t| &t.subtechnique).collect();
            if !subtechniques.is_empty() {
                threat["technique"]["subtechnique"] = list(subtechniques);
            }
        }
        threat
    }
}

impl RawAction {
    fn describe(&self) -> String {
        let action = self.action.as_deref().unwrap_or("unknown");
        match &self.field {
            Some(field) => format!("{action} {field}"),
            None => action.to_owned(),
        }
    }
}

fn finding(path: &Path, text: &str, at: usize, message: String, hint: Option<String>) -> Finding {
    let mut diagnostic = eql::Diagnostic::error(eql::Span::new(at, at), message);
    diagnostic.hint = hint;
    Finding::new(path, Position::START, text, &diagnostic)
}

impl Finding {
    /// Makes a finding of a diagnostic about `text`, which begins at `origin` in the file. Names and messages
    /// may quote what others wrote: it is made visible.
    pub fn new(path: &Path, origin: Position, text: &str, diagnostic: &eql::Diagnostic) -> Self {
        let mut diagnostic = diagnostic.clone();
        diagnostic.message = visible(&diagnostic.message);
        diagnostic.hint = diagnostic.hint.as_deref().map(visible);
        let rendered = diagnostic.render(&visible(&path.display().to_string()), origin, text);
        Finding {
            level: diagnostic.level,
            position: Position::of(diagnostic.span.start, text).after(origin),
            message: diagnostic.message,
            hint: diagnostic.hint,
            rendered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str) -> String {
        match parse(Path::new("r.toml"), text, "local") {
            Content::Broken(finding) => format!("{} {}", finding.position, finding.message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn built_in_rules_are_rules() {
        for file in builtin() {
            let Content::Rule(rule) = file.content else { panic!("{}", file.path.display()) };
            assert_eq!(rule.ruleset, "vedette");
            assert!(!rule.threat.is_empty() && !rule.false_positives.is_empty() && rule.note.is_some());
        }
    }

    #[test]
    fn what_is_wrong_and_where() {
        assert_eq!(broken("[rule\n"), "1:6 unclosed table, expected `]`");
        assert_eq!(broken("x = 1\n[rule]\nname = \"n\"\n"), "2:1 the rule has no id");
        assert_eq!(broken("[rule]\nrule_id = \"i\"\n"), "1:1 the rule has no name");
        assert_eq!(broken("[rule]\nrule_id = \"i\"\nname = \"n\""), "1:1 the rule has no query");
        assert_eq!(
            broken("[rule]\nrule_id = \"i\"\nname = \"n\"\nquery = \"q\"\nseverity = \"bad\""),
            "5:12 \"bad\" is not a severity"
        );
        assert_eq!(
            broken("[rule]\nrule_id = \"i\"\nname = \"n\"\nquery = \"q\"\nrisk_score = 101"),
            "5:14 a risk score is a number from 0 to 100"
        );
        assert!(broken("[rule]\nrule_id = 5").starts_with("2:11 invalid type"));
    }

    #[test]
    fn another_language_is_skipped() {
        for text in
            ["[rule]\nlanguage = \"kuery\"", "[rule]\nlanguage = \"esql\"", "[rule]\ntype = \"threshold\""]
        {
            assert!(matches!(parse(Path::new("r"), text, "x"), Content::Skipped { .. }), "{text}");
        }
    }

    #[test]
    fn the_query_is_found_in_its_file() {
        for (query, expected) in [
            ("query = '''\nany where x'''", "4:1"),
            ("query = \"any where x\"", "3:10"),
            ("query = \"\"\"any where x\"\"\"", "3:12"),
        ] {
            let text = format!("[rule]\nid = \"i\"\n{query}\nname = \"n\"");
            let Content::Rule(rule) = parse(Path::new("r"), &text, "x") else { panic!("{text}") };
            assert_eq!(rule.query_position.to_string(), expected);
        }
    }

    #[test]
    fn the_other_container() {
        let text = "[rule]\nid = \"i\"\nname = \"n\"\nquery = \"q\"\n[[actions]]\naction = \"kill_process\"\n\
                    field = \"process.entity_id\"\n[[threat]]\nframework = \"MITRE ATT&CK\"\n\
                    [threat.tactic]\nid = \"TA0002\"\nname = \"Execution\"\nreference = \"r\"\n";
        let Content::Rule(rule) = parse(Path::new("r"), text, "x") else { panic!() };
        assert_eq!(rule.actions, ["kill_process process.entity_id"]);
        assert_eq!(rule.threat[0]["tactic"]["id"], json!(["TA0002"]));
    }
}
