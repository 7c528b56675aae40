//! The rules to measure with, in the language of each program.

use std::fs;
use std::path::Path;

/// The seed rule: a package's script starts a shell, and a download tool of the same user connects out.
pub(crate) const SEED: &str = r#"sequence by host.id, user.id with maxspan=30s
  [process where event.type == "start" and event.action == "exec" and process.name in ("bash", "sh", "zsh") and process.parent.name == "package_script_service"]
  [network where event.type == "start" and event.action == "connection_attempted" and process.name in ("curl", "osascript")]"#;

/// The seed rule's id in Vedette.
pub(crate) const SEED_ID: &str = "00000000-0000-4000-8000-000000000000";

/// The seed rule in Sigma: each term a rule, and a correlation of both. rsigma correlates only rules with ids, and
/// measures windows in whole seconds.
pub(crate) const SIGMA: &str = r#"title: A package's script starts a shell
id: 00000000-0000-4000-8000-00000000000a
name: shell
status: test
logsource: {product: macos, category: process_creation}
detection:
  selection:
    event.category: process
    event.type: start
    event.action: exec
    process.name: [bash, sh, zsh]
    process.parent.name: package_script_service
  condition: selection
level: informational
---
title: A download tool connects out
id: 00000000-0000-4000-8000-00000000000b
name: download
status: test
logsource: {product: macos, category: network_connection}
detection:
  selection:
    event.category: network
    event.type: start
    event.action: connection_attempted
    process.name: [curl, osascript]
  condition: selection
level: informational
---
title: A package's script starts a shell, and a download tool of the same user connects out
id: 00000000-0000-4000-8000-000000000000
name: seed
status: test
correlation:
  type: temporal_ordered
  rules: [shell, download]
  group-by: [host.id, user.id]
  timespan: 30s
level: high
"#;

/// Which of a term's conditions comes first. All rules share the values of `event.action`; of `process.name` none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// `event.action`, `process.name`.
    Action,
    /// `process.name`, `event.action`.
    Name,
}

impl Order {
    /// Returns which it is.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Order::Action => "action",
            Order::Name => "name",
        }
    }
}

/// Writes the seed rule and `others` generated ones into `folder`, which is made anew.
pub(crate) fn write(folder: &Path, others: usize, order: Order) -> std::io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    fs::write(folder.join("seed.toml"), rule("seed", 0, SEED))?;
    for number in 1..=others {
        let query = generated(number, order);
        fs::write(folder.join(format!("generated-{number}.toml")), rule("generated", number, &query))?;
    }
    Ok(())
}

/// The query of a generated rule, by its number from 1: a tool runs, and a program of its own connects out.
pub(crate) fn generated(number: usize, order: Order) -> String {
    let term = |category: &str, action: &str, name: &str| {
        let action = format!(r#"event.action == "{action}""#);
        let name = format!(r#"process.name == "{name}-{number}""#);
        match order {
            Order::Action => format!(r#"{category} where {action} and {name}"#),
            Order::Name => format!(r#"{category} where {name} and {action}"#),
        }
    };
    format!(
        "sequence by host.id, user.id with maxspan=30s\n  [{}]\n  [{}]",
        term("process", "exec", "tool"),
        term("network", "connection_attempted", "fetch")
    )
}

fn rule(name: &str, number: usize, query: &str) -> String {
    format!(
        "[rule]\nrule_id = \"00000000-0000-4000-8000-{number:012}\"\nname = \"{name} {number}\"\n\
         description = \"Made to measure with.\"\nlanguage = \"eql\"\ntype = \"eql\"\nrisk_score = 21\n\
         severity = \"low\"\nversion = 1\nquery = '''\n{query}\n'''\n"
    )
}
