//! The documented file, `docs/config.toml`, and the reference, `docs/configuration.md`, written from the table of keys.

use std::fmt::Write;

use super::{Change, Config, KEYS, Key, SECTIONS, Section};

const FILE_OPENING: &str = "\
# The sensor's configuration: /Library/Application Support/Vedette/config.toml, owned by root, mode 0644 or 0600.
#
# Every key is here with its default; remove the `#` before a key to set it. `vedette run --check-config --config FILE`
# says what is wrong with a file. docs/configuration.md has the rest: managed Macs, and what happens to mistakes.
#
# Written by UPDATE_EXPECT=1 cargo test --lib from agent/config/keys.rs.
";

const OPENING: &str = r#"# Configuration

The sensor works without any. Each value comes from the first of these that sets it:

1. **managed preferences** of the domain `dev.vedette.sensor`, which an MDM profile sets. macOS keeps them in
   `/Library/Managed Preferences/dev.vedette.sensor.plist`. A key is written nested (`alerts` is a dictionary with `keep`
   in it) or flat (`alerts.keep`); numbers, texts, true and false, and arrays are those of property lists;
2. **the local file** `/Library/Application Support/Vedette/config.toml`, of which [config.toml](config.toml) is a
   documented example;
3. **the default**.

Whoever builds Vedette with a prefix of their own has it in the place of `dev.vedette`.

## A managed Mac is locked

Where managed preferences hold any key (Apple's own `Payload…` keys aside), the local file does not count, nor do the
local folders of rules and exceptions, unless the managed preferences themselves name one. The check and the health
file say so. Managed preferences that exist and cannot be read lock the Mac as well.

## What is wrong does not stop the sensor

- A value of the wrong type or out of bounds, or a filter that does not compile, is an error: that key keeps its last
  good value, or has its default. All other keys count.
- A file that cannot be used as a whole (it is not TOML, not UTF-8, larger than 1 MiB) is an error for all of its keys.
- A key that does not exist is a warning that names the nearest one.
- The sensor runs as root, so both files, and every folder above them, must be owned by root and writable by nobody
  else; the file itself must not be a symbolic link. Else it is refused, as if it could not be read. Access control
  lists are not looked at.

The sensor is then `degraded`, and says why.

## Checking

```sh
vedette run --check-config                        # what the sensor reads on this Mac
vedette run --check-config --config config.toml   # a file before it is rolled out, on any system
vedette run --check-config --managed dev.vedette.sensor.plist
```

Findings go to standard error; then each key is listed with where its value comes from. With `--json`, or where standard
output is no terminal, that is one JSON object with `status`, `locked`, `sources`, `findings` and `settings`. The exit code
is 0 if there is no error, 1 if there is one, 2 if a file that was named does not exist. Of a file that is named, owner
and mode are only warnings, since it is not yet where the sensor reads it. On a managed Mac, `--config` alone shows that the
file would not count.

"#;

/// Returns the text of `docs/config.toml`.
pub fn documented_file() -> String {
    let mut text = String::from(FILE_OPENING);
    for section in SECTIONS {
        text.push('\n');
        comment(&mut text, &section.description());
        let _ = writeln!(text, "[{}]", section.name);
        for key in keys_of(section) {
            text.push('\n');
            comment(&mut text, &key.description());
            comment(&mut text, &format!("Takes {}. {}", key.takes(), change(key)));
            let name = key.names().1;
            for line in format!("Example: {name} = {}", key.example).lines() {
                let _ = writeln!(text, "# {line}");
            }
            let _ = writeln!(text, "#{name} = {}", key.value(&Config::default()));
        }
    }
    text
}

/// Returns the text of `docs/configuration.md`.
pub fn reference() -> String {
    let mut text = String::from(OPENING);
    text.push_str(
        "## Keys\n\nFrom `agent/config/keys.rs`; `UPDATE_EXPECT=1 cargo test --lib` writes this page anew.\n",
    );
    for section in SECTIONS {
        let _ = writeln!(text, "\n### {}\n\n{}\n", section.name, section.description());
        text.push_str("| key | takes | default | what it is |\n| --- | --- | --- | --- |\n");
        for key in keys_of(section) {
            let default = key.value(&Config::default());
            let _ = writeln!(
                text,
                "| `{}` | {} | `{default}` | {} {} |",
                key.path,
                key.takes(),
                key.description(),
                change(key)
            );
        }
    }
    text
}

fn keys_of(section: &Section) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| key.names().0 == section.name)
}

fn change(key: &Key) -> &'static str {
    match key.change {
        Change::Reload => "A change counts within some seconds.",
        Change::Restart => "A change counts after a restart.",
    }
}

/// Writes a paragraph as comment lines of at most 100 characters.
fn comment(text: &mut String, paragraph: &str) {
    let mut line = String::from("#");
    for word in paragraph.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > 100 {
            let _ = writeln!(text, "{line}");
            line.replace_range(1.., "");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}
