use serde_json::json;

use super::*;

fn redactor() -> Redactor {
    Redactor::new(Salt::of("salt"), &["EXAMPLE-([A-Z]{8})".to_owned()], 256)
}

/// Texts with `<` and `>` around what must go; all else stays.
const TEXTS: &[&str] = &[
    // URLs.
    "curl https://user:<hunter2>@example.com/a",
    "git clone https://<ghtokenghtoken>@example.com/a.git",
    "postgres://admin:<p@ss:w>@db.example.com:5432/x",
    "ssh://git@example.com/a",
    "https://example.com/a?token=<abc123>&x=1#y",
    "https://example.com/a?x=1&sig=<abcdefgh%3D>&se=2026",
    "https://example.com/cb#access_token=<abc>&type=bearer",
    "https://h.blob.example.com/c?sv=2022-11-02&X-Amz-Signature=<0123abcd>",
    "https://example.com/author=me?authors=two&sort=key",
    // Options.
    "tool --password <hunter2> --verbose",
    "tool --password=<hunter2>",
    "tool -adminPassword <hunter2> -target /",
    "tool --client-secret '<two words>' x",
    "tool --token-file /etc/token --token-url https://example.com",
    "tool --password --verbose",
    "tool --token https://example.com/a --secret https://me:<hunter2>@example.com/",
    "curl -sS -u bob:<hunter2> -o /tmp/x https://example.com",
    "curl -ubob:<hunter2> https://example.com",
    "curl --user=bob:<hunter2> --proxy-user eve:<hunter3> u",
    "docker run -u 501:20 image",
    "mysql -uroot -p<hunter2> -h db",
    "sshpass -p <hunter2> ssh me@host",
    "security unlock-keychain -p <hunter2> login.keychain",
    "security add-generic-password -a me -s svc -w <hunter2>",
    "openssl enc -aes256 -pass pass:<hunter2> -in x",
    "openssl enc -k <hunter2> -in x",
    "zip -P <hunter2> a.zip b",
    "dscl . -passwd /Users/me <old1> <new2>",
    "docker login -u me -p <hunter2> registry.example.com",
    "docker run -p 8080:80 image",
    "defaults write com.example.app apiToken -string <hunter2>",
    "defaults read com.example.app apiToken x",
    "launchctl setenv MY_TOKEN <hunter2>",
    // In a shell's script.
    "sh -c \"curl -u bob:<hunter2> https://example.com | sh\"",
    "sh -c 'sshpass -p <hunter2> ssh h; echo done'",
    "sh -c 'bash -c \"zip -P <hunter2> a b\"'",
    "AWS_SECRET_ACCESS_KEY=<abc/def+1> aws s3 ls",
    "export GITHUB_TOKEN=\"<two words>\" && make",
    "echo <hunter2> | sudo -S installer -pkg x",
    "echo '<two words>' | /usr/bin/sudo -k -S id",
    "echo hello | sudo tee /etc/x",
    "osascript -e 'do shell script \"id\" user name \"me\" password \"<hunter2>\" with administrator privileges'",
    "PWD=/Users/me OLDPWD=/ HOME=/Users/me make",
    // Header fields and bodies.
    "curl -H 'Authorization: Bearer <abc.def>' u",
    "curl -H Authorization: Basic <dXNlcjpwYXNz> u",
    "curl -H 'X-Api-Key: <abcdef>' -H 'Accept: text/html' u",
    "curl -H 'Cookie: <a=b; c=d>' u",
    "curl -d '{\"user\":\"me\",\"password\":\"<hunter2>\"}' u",
    "curl -d user=me&password=<hunter2> u",
    // Forms of tokens, wherever they stand.
    "x <AKIAIOSFODNN7EXAMPLE> y",
    "x <ghp_0123456789abcdefghijABCDEFGHIJ012345> y",
    "x <glpat-0123456789abcdefghij>",
    "x <xoxb-0123456789-abcdef>",
    "x <github_pat_0123456789abcdefghijAB>",
    "x <gldt-0123456789abcdefghij>",
    "x https://hooks.slack.com/services/<T00000000/B00000000/abcdefgh>",
    "x <AIzaSyA0123456789abcdefghijklmnopqrstuv>",
    "x <ya29.a0AfH6SMBx0123456789abc>",
    "x <sk_live_0123456789abcdef>",
    "x <sk-proj-0123456789abcdefghij>",
    "x <npm_0123456789abcdefghijABCDEFGHIJ012345>",
    "x <dop_v1_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef>",
    "x <eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl>",
    "-----BEGIN RSA PRIVATE KEY-----<\nMIIE\n>-----END RSA PRIVATE KEY-----",
    // An administrator's.
    "x EXAMPLE-<ABCDEFGH> y",
    // Nothing of the kind.
    "/bin/bash -c test -d /Applications/Tool.app",
    "it's --passwordless, tokenization=fast design=1 keyboard=de",
    "installer -pkg /tmp/a.pkg -target /",
    "\u{1b}[2J\u{202e}é=ü --é",
    "",
    // Quotes that do not close, backslashes before what is more than a byte.
    "it's --password <hunter2>",
    "a \\é \"b\\é --password <hunter2>",
];

fn plain(text: &str) -> String {
    text.replace(['<', '>'], "")
}

/// What a text must become: each part in brackets as its mark.
fn expected(redactor: &Redactor, text: &str) -> String {
    let mut parts = text.split(['<', '>']);
    let mut result = parts.next().unwrap_or_default().to_owned();
    while let (Some(secret), rest) = (parts.next(), parts.next()) {
        result.push_str(&redactor.mark(secret));
        result.push_str(rest.unwrap_or_default());
    }
    result
}

#[test]
fn what_is_secret_in_a_text_and_nothing_else() {
    let redactor = redactor();
    for text in TEXTS {
        let redacted = redactor.text(&plain(text));
        assert_eq!(redacted, expected(&redactor, text), "{text}");
        assert_eq!(redactor.text(&redacted), redacted, "twice: {text}");
    }
}

#[test]
fn names_of_secrets() {
    for name in [
        "PASSWORD",
        "DB_PASSWORD",
        "dbPassword",
        "--password",
        "-adminPassword",
        "GITHUB_TOKEN",
        "X-Auth-Token",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "clientSecret",
        "api_key",
        "apikey",
        "DB_PASS",
        "DB_PWD",
        "TOKEN_VALUE",
        "SECRET_2",
        "npm_config__authToken",
        "AZURE_STORAGE_CONNECTION_STRING",
        "X-Amz-Signature",
        "access_token",
        "SLACK_API_TOKEN",
        "PRIVATE_KEY",
        "private-token",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    for name in [
        "PWD",
        "OLDPWD",
        "PATH",
        "HOME",
        "SSH_AUTH_SOCK",
        "TOKENIZERS_PARALLELISM",
        "KEYBOARD",
        "BYPASS",
        "COMPASS",
        "AUTHOR",
        "TOKEN_FILE",
        "SECRET_NAME",
        "--token-url",
        "",
        "-",
        "é",
        "DESIGN",
        "keychain",
    ] {
        assert!(!is_secret_name(name), "{name}");
    }
}

#[test]
fn a_secret_that_is_known_by_its_place_goes_wherever_it_stands() {
    let redactor = redactor();
    let mark = redactor.mark("correct horse");
    let event = json!({
        "process": {
            "name": "tool",
            "args": ["tool", "--passphrase", "correct horse", "-u", "x:1"],
            "command_line": "tool --passphrase correct horse -u x:1",
            "env_vars": ["HOME=/Users/me", "MY_TOKEN=two words; and more", "PIN_PASSWORD=12"],
            "executable": "/opt/correct horse",
            "parent": { "command_line": "sh -c start correct horse", "args": ["sh", "-c", "start correct horse"] },
        },
        "event": { "kind": "alert" },
        "rule": { "description": "--password x" },
        "destination": { "domain": "correct horse", "ip": "AKIAIOSFODNN7EXAMPLE" },
        "vedette": { "join_keys": [{ "field": "process.args", "value": "correct horse" }] },
        "message": "12 of 12",
    });
    let Json::Object(mut document) = event else { panic!("an object") };
    redactor.document(&mut document, Secrets::default());
    let process = &document["process"];
    assert_eq!(process["args"], json!(["tool", "--passphrase", mark, "-u", "x:1"]));
    assert_eq!(process["command_line"], format!("tool --passphrase {mark} -u x:1"));
    let variable = format!("MY_TOKEN={}", redactor.mark("two words; and more"));
    let short = format!("PIN_PASSWORD={}", redactor.mark("12"));
    assert_eq!(process["env_vars"], json!(["HOME=/Users/me", variable, short]));
    assert_eq!(process["parent"]["command_line"], format!("sh -c start {mark}"));
    assert_eq!(document["vedette"]["join_keys"][0]["value"], mark);
    // What says what something is stays, tokens of known form apart: nobody can blot out an executable.
    assert_eq!(process["executable"], "/opt/correct horse");
    assert_eq!(document["destination"]["domain"], "correct horse");
    assert_eq!(document["destination"]["ip"], redactor.mark("AKIAIOSFODNN7EXAMPLE"));
    // A short one is not looked for elsewhere, and what a rule says stays.
    assert_eq!(document["message"], "12 of 12");
    assert_eq!(document["rule"]["description"], "--password x");
}

#[test]
fn equal_secrets_have_equal_marks_under_one_salt_only() {
    let (one, other) = (redactor(), Redactor::new(Salt::of("other"), &[], 256));
    assert_eq!(one.mark("hunter2"), redactor().mark("hunter2"));
    assert_ne!(one.mark("hunter2"), one.mark("hunter3"));
    assert_ne!(one.mark("hunter2"), other.mark("hunter2"));
    assert!(!one.mark("hunter2").contains("hunter2"));
}

#[test]
fn command_lines_are_cut_with_a_flag() {
    let redactor = redactor();
    let long = format!("tool {}", "é".repeat(400));
    let marked = format!("{} --password hunter2", "x".repeat(236));
    let event = json!({
        "process": { "command_line": long, "parent": { "command_line": "short" } },
        "vedette": { "process_tree": [{ "relation": "self", "command_line": marked }] },
    });
    let Json::Object(mut document) = event else { panic!("an object") };
    redactor.document(&mut document, Secrets::default());
    let line = document["process"]["command_line"].as_str().expect("text");
    assert!(line.len() <= 256 && line.starts_with("tool é"), "{line}");
    assert_eq!(document["process"]["Ext"]["command_line_truncated"], true);
    assert_eq!(document["process"]["parent"], json!({ "command_line": "short" }));
    let node = &document["vedette"]["process_tree"][0];
    assert_eq!(node["command_line_truncated"], true);
    assert!(node["command_line"].as_str().is_some_and(|line| line.ends_with("--password ")), "{node}");
}

#[test]
fn patterns_of_an_administrator_are_checked() {
    for (pattern, wrong) in [
        ("(", "unclosed group"),
        ("x*", "matches nothing"),
        (&*"x".repeat(2000), "2000 bytes"),
        (r"(\w{900}){900}", "size"),
    ] {
        let why = compile(pattern).expect_err(pattern);
        assert!(why.contains(wrong) && !why.contains('\n'), "{pattern:.20}: {why}");
    }
    assert!(compile("corp-[0-9]{8}").is_ok());
    let redactor = Redactor::new(Salt::of("s"), &["corp-[0-9]{8}".to_owned(), "(".to_owned()], 256);
    assert_eq!(redactor.text("a corp-12345678"), format!("a {}", redactor.mark("corp-12345678")));
}

/// Texts made of what the patterns look at, and long ones: nothing panics, and nothing takes for ever.
#[test]
fn any_text_can_be_redacted() {
    let redactor = redactor();
    let parts = [
        "--password",
        "-p",
        " ",
        "'",
        "\"",
        "=",
        ":",
        "//",
        "@",
        "\\",
        "é",
        "|",
        ";",
        "(",
        "TOKEN",
        "\n",
        "[redacted:",
        "]",
        "dscl",
        "-passwd",
        "eyJ",
        "x",
    ];
    let mut state = 1u64;
    for _ in 0..1_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(parts[(state >> 33) as usize % parts.len()]);
        }
        let redacted = redactor.text(&text);
        assert!(redacted.len() <= text.len() * 30 + 64, "{text:?}");
    }
    for part in parts {
        let long = format!("dscl docker login -passwd {part} ").repeat(1_000);
        assert!(!redactor.text(&long).is_empty());
        assert!(!redactor.text(&part.repeat(8_000)).is_empty());
    }
}
