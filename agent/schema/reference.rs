//! The field reference, `docs/fields.md`, written from the tables.

use std::fmt::Write;

use super::{FIELDS, Fate, FieldSpec, KEYS, Kind, NOT_OBSERVED, On, Source};

const OPENING: &str = "# Fields

Generated from the sensor's tables (`agent/schema/`); `UPDATE_EXPECT=1 cargo test --lib` writes it anew.

Events are ECS 9 documents, in Elastic's own field names wherever such a field exists. What ECS lacks is under
`vedette.`. A recorded ECS document keeps what it holds; only what it lacks is filled in. A field that is not known
is left out.

## What events carry

`[]` after a type: always an array. Who tells: *message* is an Endpoint Security message, live or recorded by
eslogger; *table* the process table, from the messages before; *flow* a live network source or the recorded
document; *live* only a sensor on a Mac, which can ask it; *sensor* the sensor itself.
";

const NOTES: &str = "
## How some of them are made

- `process.entity_id` is the first 16 bytes, in hexadecimal, of SHA-256 over `host.id`, a NUL, the pid in decimal, a
  NUL and `start_time` in nanoseconds in decimal. Where the start is not known it is the time at which the process
  was first seen. A document's own id is kept.
- `process.parent.*` is looked up anew at each message, since a parent may exec, or end and leave its child to
  launchd. A token that the table does not know is answered by the fork message, if it names the same pid; else by
  the process that had the pid at that time, if there can be only one; else only the pid is known. Pid 1 is always
  `/sbin/launchd`. `process.Ext.ancestry` and `vedette.package` follow who forked, whatever became of the parent.
- A flow is given the process that had its pid at its time: of those with that pid, the one that started last
  before it, with the image that it had then. A time written to the millisecond means any time within it. A
  process that had ended still counts, until another is seen with its pid. Nothing is filled in where the
  document's own name or executable is another.
- `process.command_line` keeps 32 KiB, `process.args` 64 KiB (counting 24 bytes for each argument), and
  `process.env_vars` the same; flags say where something was cut, and `process.args_count` stays true.
- `vedette.package` begins with each child of a platform-signed installer host: `installer`, `Installer`,
  `package_script_service`, `InstallerRemotePluginService`, told by their sealed paths or Apple's signing ids
  together with the kernel's platform flag, never by name. All descendants have it, re-parented or not.
- A loss (`event.action` is `events_lost`) is an event of a live sensor's own: messages did not come, lost by the
  kernel or dropped by the sensor's full queue. It is made a second after the first gap and then once a minute while
  losses go on. `process.*` is the responsible process with the most messages in the ten to twenty seconds before,
  those of the processes that it is responsible for included; `vedette.package.*` is the install session that
  began last of those that have a running process, whoever was busiest. A recording's gaps make no such event, as a
  recording may have been filtered; an alert's `vedette.gap` tells them.
- `process.code_signature.status` is `No error.`, `code object is not signed at all`, or `invalid signature (code or
  signature have been modified)`.
";

/// Returns the text of `docs/fields.md`.
pub fn reference() -> String {
    let mut text = String::from(OPENING);
    text.push_str("\n| field | type | events | who tells | whence |\n| --- | --- | --- | --- | --- |\n");
    for field in FIELDS {
        let array = if field.array { "[]" } else { "" };
        let (kind, source) = (kind(field.kind), source(field.source));
        row(&mut text, &[&code(field.path), &format!("{kind}{array}"), &events(field), source, field.whence]);
    }
    text.push_str(NOTES);
    text.push_str(
        "\n## What is not observed\n\n`.*`: all fields below. `rules check` warns where a rule needs one of these.\n",
    );
    text.push_str("\n| field | why |\n| --- | --- |\n");
    for field in NOT_OBSERVED {
        row(&mut text, &[&code(field.path), field.why]);
    }
    text.push_str(
        "\n## eslogger's keys\n\nThe keys of the message's envelope and of exec, fork and exit, macOS 13 to 27 \
         (message versions 6 to 11). Other\nevent kinds are counted by name and not read.\n",
    );
    text.push_str("\n| object | key | becomes |\n| --- | --- | --- |\n");
    for key in KEYS {
        let fate = match &key.fate {
            Fate::Field(fields) => fields.iter().map(|field| code(field)).collect::<Vec<_>>().join(", "),
            Fate::Used(what) => format!("used: {what}"),
            Fate::Dropped(why) => format!("dropped: {why}"),
        };
        row(&mut text, &[key.object, &code(key.key), &fate]);
    }
    text
}

fn row(text: &mut String, cells: &[&str]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Keyword => "keyword",
        Kind::Long => "long",
        Kind::Boolean => "boolean",
        Kind::Date => "date",
        Kind::Ip => "ip",
    }
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Message => "message",
        Source::Table => "table",
        Source::Flow => "flow",
        Source::Live => "live",
        Source::Sensor => "sensor",
    }
}

fn events(field: &FieldSpec) -> String {
    if field.on.covers(On::ALL) {
        return "all".into();
    }
    let names = [
        (On::EXEC, "exec"),
        (On::FORK, "fork"),
        (On::END, "end"),
        (On::NETWORK, "network"),
        (On::LOSS, "loss"),
    ];
    let carried = names.iter().filter(|(on, _)| field.on.covers(*on)).map(|(_, name)| *name);
    carried.collect::<Vec<_>>().join(", ")
}
