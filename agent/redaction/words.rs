//! Which of a command's words are secret, by the options that they belong to.

use std::ops::Range;

/// A secret: in which word, and where in it.
pub(super) type Place = (usize, Range<usize>);

/// How an option names its secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// The next word, or the rest of this one.
    Word,
    /// The rest of this word only: `-pSECRET`.
    Attached,
    /// What comes after the first colon of the next word, or of the rest of this one: `-u NAME:SECRET`.
    AfterColon,
}

/// Tools, options, how these name their secret, and a word that must be among the arguments.
type ToolOption = (&'static [&'static str], &'static [&'static str], Takes, &'static str);

/// Options of tools that are too short, or mean too much elsewhere, to be told by their name alone. From
/// the tools' manual pages.
const OPTIONS: &[ToolOption] = &[
    (&["curl"], &["-u", "-U", "--user", "--proxy-user"], Takes::AfterColon, ""),
    (&["curl"], &["-b", "--cookie"], Takes::Word, ""),
    (&["http", "https", "xh"], &["-a", "--auth"], Takes::AfterColon, ""),
    (&["mysql", "mysqldump", "mysqladmin", "mariadb"], &["-p"], Takes::Attached, ""),
    (&["sshpass"], &["-p"], Takes::Word, ""),
    (&["security"], &["-p", "-w", "-P"], Takes::Word, ""),
    (&["security"], &["-k"], Takes::Word, "set-key-partition-list"),
    (&["openssl"], &["-passin", "-passout", "-pass"], Takes::AfterColon, ""),
    (&["openssl"], &["-k", "-K"], Takes::Word, "enc"),
    (&["zip", "unzip", "sqlcmd"], &["-P"], Takes::Word, ""),
    (&["7z", "7za", "7zz"], &["-p"], Takes::Attached, ""),
    (&["ldapsearch", "ldapmodify", "ldapadd", "ldapwhoami"], &["-w"], Takes::Word, ""),
    (&["redis-cli"], &["-a"], Takes::Word, ""),
    (&["mongo", "mongosh", "mongodump"], &["-p"], Takes::Word, ""),
    (&["docker", "podman", "helm", "az"], &["-p"], Takes::Word, "login"),
    (&["jamf"], &["-p"], Takes::Word, ""),
];

/// Words that say that what they name is secret, as the last part of a name: `DB_PASSWORD`, `--client-secret`.
const SECRET: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "accesskeyid",
    "secretkey",
    "privatekey",
    "credential",
    "credentials",
    "bearer",
    "jwt",
    "storepass",
    "keypass",
    "connectionstring",
    "authorization",
];

/// The same where they stand alone or after a separator: `DB_PASS`, but not `BYPASS`.
const SECRET_PARTS: &[&str] = &["pass", "pwd", "pw", "auth", "sas", "sig", "signature", "cookie", "pat"];

/// What may come after such a word without taking the secret away: `TOKEN_VALUE`, but not `TOKEN_FILE`.
const STILL_SECRET: &[&str] = &["value", "string", "base64", "b64", "plain", "text", "raw", "hash"];

/// Returns whether a name is that of a secret: of an environment variable, an option, a parameter, a header or a key.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.trim_start_matches('-');
    // Lower case, with the parts that capitals or separators tell apart: clientSecret, client-secret, CLIENT_SECRET.
    let mut parts: Vec<String> = vec![String::new()];
    let mut before_lower = false;
    for c in name.chars().take(128) {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && before_lower) {
            parts.push(String::new());
        }
        if c.is_ascii_alphanumeric()
            && let Some(part) = parts.last_mut()
        {
            part.push(c.to_ascii_lowercase());
        }
        before_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    parts.retain(|part| !part.is_empty());
    // `PWD` and `OLDPWD` are folders in every environment.
    if parts.len() == 1
        && matches!(&*parts[0], "pwd" | "oldpwd")
        && name.chars().all(|c| c.is_ascii_uppercase())
    {
        return false;
    }
    loop {
        if names_a_secret(&parts) {
            return true;
        }
        let qualifies = |last: &String| STILL_SECRET.contains(&&**last) || is_number(last);
        if parts.len() < 2 || !parts.last().is_some_and(qualifies) {
            return false;
        }
        parts.pop();
    }
}

fn names_a_secret(parts: &[String]) -> bool {
    let Some(last) = parts.last() else { return false };
    let ending = |count: usize| parts[parts.len().saturating_sub(count)..].concat();
    SECRET_PARTS.contains(&&**last)
        || (1..=3).any(|count| SECRET.iter().any(|secret| ending(count).ends_with(secret)))
        // AWS calls the pair by its parts' names: AWS_ACCESS_KEY_ID, SECRET_ACCESS_KEY.
        || parts.iter().any(|part| matches!(&**part, "secret" | "secrets" | "passwords"))
            && !matches!(&**last, "file" | "path" | "dir" | "name" | "url" | "id" | "arn")
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the secrets among the words of a command.
pub(super) fn secrets(words: &[&str]) -> Vec<Place> {
    let mut found = Vec::new();
    let mut tools: Vec<&str> = Vec::new();
    let options: Vec<&ToolOption> =
        OPTIONS.iter().filter(|(.., among)| among.is_empty() || words.contains(among)).collect();
    for (index, word) in words.iter().enumerate() {
        if let Some((name, value)) = word.split_once('=')
            && !name.is_empty()
            && !value.is_empty()
            && name.len() <= 128
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
            && is_secret_name(name)
        {
            found.push((index, name.len() + 1..word.len()));
        } else if word.starts_with('-') && word.len() <= 128 {
            if tools.first().is_some_and(|tool| *tool == "dscl") && *word == "-passwd" {
                // `-passwd USER [OLD] NEW`, and nothing after it.
                (index + 2..words.len()).for_each(|at| whole(words, at, &mut found));
                return found;
            }
            of_option(words, index, &tools, &options, &mut found);
        } else if is_secret_name(word) && word.len() <= 128 && names_the_next(words, index, &tools) {
            // `defaults write DOMAIN KEY [-string] VALUE`, `launchctl setenv NAME VALUE`
            let value =
                words.get(index + 1).filter(|next| **next == "-string").map_or(index + 1, |_| index + 2);
            whole(words, value, &mut found);
        }
        // Whatever may be the command: it stands first, or after `sudo`, `env`, `xcrun` and their like.
        if !word.starts_with('-') && tools.len() < 8 {
            tools.push(word.rsplit('/').next().unwrap_or(word));
        }
    }
    found
}

fn of_option(words: &[&str], index: usize, tools: &[&str], all: &[&ToolOption], found: &mut Vec<Place>) {
    let word = words[index];
    for (names, options, takes, _) in all {
        if !names.iter().any(|name| tools.contains(name)) {
            continue;
        }
        for option in *options {
            let rest = match word.strip_prefix(option) {
                // `--user=NAME:SECRET`; a short option has its value right behind it.
                Some(rest) if option.starts_with("--") => {
                    rest.strip_prefix('=').or(rest.is_empty().then_some(""))
                }
                rest => rest,
            };
            let Some(rest) = rest else { continue };
            // Of a long option with one dash nothing is attached.
            if !rest.is_empty() && option.len() > 2 && !option.starts_with("--") {
                continue;
            }
            let (at, start) = match (rest.is_empty(), takes) {
                (true, Takes::Attached) => continue,
                (true, _) => (index + 1, 0),
                (false, _) => (index, word.len() - rest.len()),
            };
            let Some(value) = words.get(at).map(|word| &word[start..]).filter(|value| !value.is_empty())
            else {
                continue;
            };
            match takes {
                Takes::AfterColon => {
                    if let Some(colon) = value.find(':').filter(|colon| colon + 1 < value.len())
                        // `-u 501:20` is a user and a group.
                        && !is_number(&value[colon + 1..])
                    {
                        found.push((at, start + colon + 1..start + value.len()));
                    }
                }
                Takes::Word | Takes::Attached => found.push((at, start..start + value.len())),
            }
            return;
        }
    }
    if word.len() > 2 && is_secret_name(word) && !word.contains('=') {
        whole(words, index + 1, found);
    }
}

/// Whether a command's word says what the next one is.
fn names_the_next(words: &[&str], index: usize, tools: &[&str]) -> bool {
    match tools {
        ["defaults", ..] => words.get(1) == Some(&"write") && index >= 3,
        ["launchctl", ..] => words.get(1) == Some(&"setenv") && index == 2,
        _ => false,
    }
}

fn whole(words: &[&str], at: usize, found: &mut Vec<Place>) {
    // What looks like another option is one, and of an address only parts are secret.
    if let Some(word) = words.get(at)
        && !word.is_empty()
        && !word.starts_with("--")
        && !is_address(word)
    {
        found.push((at, 0..word.len()));
    }
}

/// Whether a word is a URL.
fn is_address(word: &str) -> bool {
    word.split_once("://").is_some_and(|(scheme, _)| {
        scheme.len() < 32
            && !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte))
    })
}

/// Splits text into commands and their words, as a shell would, each with its place. Words in quotes are without them.
pub(super) fn commands(text: &str) -> Vec<Vec<Range<usize>>> {
    let bytes = text.as_bytes();
    let (mut commands, mut words) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'|' | b';' | b'&' | b'\n' | b'(' | b')' | b'`' => {
                commands.push(std::mem::take(&mut words));
                at += 1;
            }
            byte if byte.is_ascii_whitespace() => at += 1,
            quote @ (b'"' | b'\'') => match close(bytes, at + 1, quote) {
                Some(end) => {
                    words.push(at + 1..end);
                    at = end + 1;
                }
                None => at += 1,
            },
            _ => {
                let end = end_of_word(bytes, at);
                words.push(at..end);
                at = end.max(at + 1);
            }
        }
    }
    commands.push(words);
    commands.retain(|words| !words.is_empty());
    commands
}

/// Where a word ends that begins at `at` without a quote: parts of it may be quoted, as in `NAME="a b"`.
fn end_of_word(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at = (at + 2).min(bytes.len()),
            quote @ (b'"' | b'\'') => match close(bytes, at + 1, quote) {
                Some(end) => at = end + 1,
                None => at += 1,
            },
            b'|' | b';' | b'`' | b')' | b'\n' => return at,
            byte if byte.is_ascii_whitespace() => return at,
            _ => at += 1,
        }
    }
    // A backslash before a character of several bytes.
    at
}

fn close(bytes: &[u8], from: usize, quote: u8) -> Option<usize> {
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == b'"' => at += 2,
            byte if byte == quote => return Some(at),
            _ => at += 1,
        }
    }
    None
}
