use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

/// A folder of which only the owner can change anything, and paths in it.
struct Mac {
    folder: TempDir,
    paths: Paths,
}

impl Mac {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = |name: &str| Place { path: folder.path().join(name), installed: true };
        let paths = Paths { managed: place("managed.plist"), file: place("config.toml") };
        Mac { folder, paths }
    }

    fn with(file: &str) -> Self {
        let mac = Mac::new();
        mac.write(file);
        mac
    }

    fn write(&self, file: &str) {
        write(&self.paths.file.path, file.as_bytes());
    }

    fn manage(&self, plist: &[u8]) {
        write(&self.paths.managed.path, plist);
    }

    fn load(&self) -> Loaded {
        load(&self.paths)
    }
}

/// Whatever the umask is.
fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("a writable folder");
    mode(path, 0o600);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a file of one's own");
}

fn xml(body: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\">{body}</plist>").into_bytes()
}

fn messages(loaded: &Loaded) -> Vec<&str> {
    loaded.findings.iter().map(|finding| finding.message.as_str()).collect()
}

#[test]
fn the_documentation_is_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for (name, text) in
        [("config.toml", reference::documented_file()), ("configuration.md", reference::reference())]
    {
        let path = folder.join(name);
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &text).expect("a writable docs folder");
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        assert!(written == text, "docs/{name} is old; UPDATE_EXPECT=1 cargo test --lib writes it anew");
    }
}

#[test]
fn the_documented_file_is_the_defaults() {
    let text = reference::documented_file();
    let loaded = Mac::with(&text).load();
    assert_eq!((messages(&loaded), &loaded.config), (vec![], &Config::default()));
    // The same with every key set.
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    let loaded = Mac::with(&uncommented).load();
    assert_eq!(messages(&loaded), [""; 0]);
    assert_eq!(loaded.config, Config::default());
    for key in KEYS {
        assert_eq!(loaded.origin(key), Origin::File, "{}", key.path);
    }
}

#[test]
fn each_example_is_taken_and_changes_its_key_alone() {
    for key in KEYS.iter().filter(|key| key.path != "exceptions.inline") {
        let (section, name) = key.names();
        let loaded = Mac::with(&format!("[{section}]\n{name} = {}\n", key.example)).load();
        assert_eq!(messages(&loaded), [""; 0], "{}", key.path);
        let changed: Vec<&str> =
            changed(&Config::default(), &loaded.config).iter().map(|key| key.path).collect();
        assert_eq!(changed, [key.path]);
        assert!(!key.description().is_empty() && key.description().ends_with('.'), "{}", key.path);
    }
}

#[test]
fn the_example_of_inline_rules_is_a_rule() {
    let key = Key::find("rules.inline").expect("a key");
    let loaded = Mac::with(&format!("[rules]\ninline = {}\n", key.example)).load();
    let [text] = &loaded.config.rules.inline[..] else { panic!("one rule") };
    let rule = crate::rule::parse(Path::new("inline"), text, "inline");
    let file = crate::rule::RuleFile { path: "inline".into(), content: rule };
    assert_eq!(crate::detector::RuleSet::load(vec![file]).rules.len(), 1);
}

#[test]
fn nothing_there_is_the_defaults_and_no_finding() {
    let loaded = Mac::new().load();
    assert_eq!((messages(&loaded), loaded.config.clone(), loaded.locked), (vec![], Config::default(), false));
    assert!(loaded.sources.iter().all(|source| source.state == State::Absent && source.sha256.is_none()));
    assert_eq!(loaded.rules_folder(), Some(Path::new("/Library/Application Support/Vedette/rules")));
}

#[test]
fn what_was_read_is_told_by_hash_and_owner() {
    let mac = Mac::with("[alerts]\nkeep = 3\n");
    let [_, file] = mac.load().sources;
    // What sha256sum says.
    let sha256 = "20e29df2c5b4f8cf33d066f73ca6662f76648880da7b4bfc0355d832cfc0147e";
    assert_eq!((file.state, file.sha256.as_deref()), (State::Read, Some(sha256)));
    let metadata = fs::metadata(&mac.paths.file.path).expect("the file");
    assert_eq!(file.owner, Some(std::os::unix::fs::MetadataExt::uid(&metadata)));
}

#[test]
fn a_binary_property_list_nested_and_dotted() {
    let mac = Mac::with("[alerts]\nkeep = 3\nper_minute = 5\n");
    let mut alerts = plist::Dictionary::new();
    alerts.insert("keep".into(), 20.into());
    alerts.insert("compress".into(), false.into());
    let mut root = plist::Dictionary::new();
    root.insert("alerts".into(), plist::Value::Dictionary(alerts));
    root.insert("alerts.rotate_bytes".into(), "1 GiB".into());
    root.insert("telemetry.rotate_bytes".into(), 1_048_576.into());
    root.insert("rules.inline".into(), plist::Value::Array(vec!["[rule]\nname = \"é\"".into()]));
    root.insert("PayloadUUID".into(), "9B2D".into());
    let mut bytes = Vec::new();
    plist::Value::Dictionary(root).to_writer_binary(&mut bytes).expect("memory is writable");
    assert!(bytes.starts_with(b"bplist00"));
    mac.manage(&bytes);
    let loaded = mac.load();
    assert_eq!(messages(&loaded), ["this Mac is managed, so nothing of this file counts"]);
    let Config { alerts, telemetry, rules, .. } = &loaded.config;
    assert_eq!(
        (alerts.keep, alerts.compress, alerts.rotate_bytes, alerts.per_minute),
        (20, false, Bytes(1 << 30), 60)
    );
    assert_eq!(
        (telemetry.rotate_bytes, &rules.inline[..]),
        (Bytes(1 << 20), &["[rule]\nname = \"é\"".into()][..])
    );
    assert!(loaded.locked && !loaded.has_errors());
    assert_eq!((loaded.rules_folder(), loaded.exceptions_folder()), (None, None));
    assert_eq!(loaded.sources[1].state, State::Ignored);
}

#[test]
fn a_folder_that_managed_preferences_name_is_read() {
    let mac = Mac::new();
    mac.manage(&xml("<dict><key>rules.folder</key><string>/usr/local/rules</string></dict>"));
    let loaded = mac.load();
    assert_eq!(loaded.rules_folder(), Some(Path::new("/usr/local/rules")));
    assert_eq!(loaded.exceptions_folder(), None);
}

#[test]
fn only_apples_own_keys_do_not_lock() {
    let mac = Mac::with("[alerts]\nkeep = 3\n");
    for (body, locked) in [
        ("<dict/>", false),
        ("<dict><key>PayloadUUID</key><string>x</string></dict>", false),
        ("<dict><key>alert.kep</key><integer>1</integer></dict>", true),
        ("<array/>", true),
        ("", true),
    ] {
        mac.manage(&xml(body));
        let loaded = mac.load();
        assert_eq!(
            (loaded.locked, loaded.config.alerts.keep),
            (locked, if locked { 10 } else { 3 }),
            "{body}"
        );
    }
}

/// Property lists that a reader could hold for ever, or fall from.
#[test]
fn property_lists_that_are_too_much() {
    let mac = Mac::new();
    let nested = "<dict><key>a</key>".repeat(20_000);
    let many = format!("<array>{}</array>", "<true/>".repeat(20_000));
    for body in
        [nested, many, "<array>".repeat(60_000), "<dict><key>a</key></dict>".into(), "<dict><true/>".into()]
    {
        mac.manage(&xml(&body));
        let loaded = mac.load();
        assert_eq!((loaded.findings.len(), loaded.locked, loaded.config), (1, true, Config::default()));
    }
    // Eight levels, each of 32 references to the next: some 10^12 values in 400 bytes.
    mac.manage(&bomb());
    assert_eq!(messages(&mac.load()), ["the property list holds more than 10000 values"]);
    // A date that RFC 3339 cannot write.
    mac.manage(&binary(&[&[0xd1, 1, 2], b"\x51a", &[0x33, 0xc2, 0x50, 0, 0, 0, 0, 0, 0]]));
    assert_eq!(mac.load().findings.len(), 1);
    for length in 0..bomb().len() {
        mac.manage(&bomb()[..length]);
        assert!(mac.load().has_errors());
    }
}

fn bomb() -> Vec<u8> {
    let levels: Vec<Vec<u8>> = (0..7u8)
        .map(|level| [vec![0xaf, 0x10, 32], vec![level + 1; 32]].concat())
        .chain([vec![0x09]])
        .collect();
    binary(&levels.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// A binary property list of these objects, the first one its root.
fn binary(objects: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"bplist00".to_vec();
    let mut offsets = Vec::new();
    for object in objects {
        offsets.push(u16::try_from(bytes.len()).expect("a small list"));
        bytes.extend(*object);
    }
    let table = bytes.len() as u64;
    offsets.iter().for_each(|offset| bytes.extend(offset.to_be_bytes()));
    bytes.extend([0, 0, 0, 0, 0, 0, 2, 1]);
    [objects.len() as u64, 0, table].iter().for_each(|number| bytes.extend(number.to_be_bytes()));
    bytes
}

#[test]
fn toml_that_is_too_much() {
    for text in [
        format!("x = {}", "[".repeat(100_000)),
        format!("{}=1", "a.".repeat(100_000)),
        "[alerts]\n".repeat(50_000),
        format!("keep = \"{}\"", "x".repeat(900_000)),
        format!("\"{}\" = 1", "\u{202e}".repeat(300_000)),
        (0..50_000).map(|number| format!("k{number} = 1\n")).collect(),
    ] {
        let loaded = Mac::with(&text).load();
        assert!(!loaded.findings.is_empty() && loaded.findings.len() <= 101);
        let said: usize = loaded.findings.iter().map(|finding| finding.rendered.len()).sum();
        assert!(said < 100_000, "{said} bytes");
        assert_eq!(loaded.config, Config::default());
    }
    let large = format!("# {}", "x".repeat(1 << 20));
    assert_eq!(messages(&Mac::with(&large).load()), ["the file is larger than 1 MiB"]);
}

#[test]
fn what_others_can_change_is_refused() {
    let refused = |mac: &Mac, what: &str| {
        let loaded = mac.load();
        let [finding] = &loaded.findings[..] else { panic!("{:?}", loaded.findings) };
        assert!(finding.message.contains(what) && finding.hint.is_some(), "{finding:?}");
        assert_eq!((finding.level, loaded.config.alerts.keep), (Level::Error, 10));
        assert_eq!(loaded.sources[1].state, State::Unusable);
    };
    let mac = Mac::with("[alerts]\nkeep = 3\n");
    let file = &mac.paths.file.path;
    assert_eq!(mac.load().config.alerts.keep, 3);
    for bits in [0o620, 0o602, 0o666] {
        mode(file, bits);
        refused(&mac, "others than its owner may write the file");
    }
    mode(file, 0o644);
    assert_eq!(mac.load().config.alerts.keep, 3);
    mode(mac.folder.path(), 0o770);
    refused(&mac, "others than its owner may write the folder");
    mode(mac.folder.path(), 0o1777);
    assert_eq!(mac.load().config.alerts.keep, 3, "with the sticky bit nobody else can replace it");
    mode(mac.folder.path(), 0o700);

    let aside = mac.folder.path().join("aside.toml");
    fs::rename(file, &aside).expect("a folder of one's own");
    symlink(&aside, file).expect("a link");
    refused(&mac, "symbolic link");
    fs::remove_file(&aside).expect("a folder of one's own");
    refused(&mac, "symbolic link");
    fs::remove_file(file).expect("a folder of one's own");
    fs::create_dir(file).expect("a folder of one's own");
    refused(&mac, "not a file");
    fs::remove_dir(file).expect("a folder of one's own");
    let pipe = std::process::Command::new("mkfifo").arg(file).status().expect("mkfifo runs");
    assert!(pipe.success());
    refused(&mac, "not a file");
}

/// Root can give a file away; others cannot.
#[test]
fn a_file_of_somebody_else_is_refused() {
    let mac = Mac::with("[alerts]\nkeep = 3\n");
    if std::os::unix::fs::chown(&mac.paths.file.path, Some(12_345), None).is_err() {
        return;
    }
    let loaded = mac.load();
    if nix::unistd::geteuid().is_root() {
        assert!(messages(&loaded)[0].contains("belongs to the user with uid 12345"), "{:?}", loaded.findings);
    }
    assert_eq!(loaded.config.alerts.keep, 10);
}

#[test]
fn a_link_on_the_way_is_followed_and_what_it_leads_to_looked_at() {
    let mut mac = Mac::with("[alerts]\nkeep = 3\n");
    let other = tempfile::tempdir().expect("a temporary folder");
    symlink(mac.folder.path(), other.path().join("link")).expect("a link");
    mac.paths.file.path = other.path().join("link/config.toml");
    assert_eq!(mac.load().config.alerts.keep, 3);
    mode(mac.folder.path(), 0o707);
    assert!(mac.load().has_errors());
}

#[test]
fn a_file_elsewhere_is_read_with_a_warning() {
    let mut mac = Mac::with("[alerts]\nkeep = 3\n");
    mac.paths.file.installed = false;
    mode(&mac.paths.file.path, 0o666);
    let loaded = mac.load();
    assert_eq!((loaded.config.alerts.keep, loaded.has_errors(), loaded.findings.len()), (3, false, 1));
    assert!(loaded.findings[0].message.starts_with("where the sensor reads it, it would be refused: "));
}

#[test]
fn the_last_good_value_of_a_broken_key_is_kept() {
    let mac = Mac::with("[alerts]\nkeep = 3\nper_minute = 7\n");
    let keep = Key::find("alerts.keep").expect("a key");
    let mut last_good = LastGood::default();
    last_good.settle(mac.load());
    mac.write("[alerts]\nkeep = 0\nper_minute = 8\n");
    let loaded = last_good.settle(mac.load());
    assert_eq!((loaded.config.alerts.keep, loaded.config.alerts.per_minute), (3, 8));
    assert_eq!((loaded.origin(keep), loaded.has_errors()), (Origin::LastGood, true));
    mac.write("[alerts\n");
    let loaded = last_good.settle(mac.load());
    assert_eq!((loaded.config.alerts.keep, loaded.config.alerts.per_minute), (3, 8), "the whole file");
    mac.manage(b"bplist00");
    let loaded = last_good.settle(mac.load());
    assert_eq!((loaded.config.alerts.keep, loaded.locked), (3, true));
    mac.manage(&xml("<dict><key>alerts</key><integer>1</integer></dict>"));
    let loaded = last_good.settle(mac.load());
    assert_eq!((loaded.config.alerts.keep, loaded.locked), (3, true), "{:?}", loaded.findings);
    mac.manage(&xml(
        "<dict><key>alerts</key><integer>1</integer><key>alerts.keep</key><integer>4</integer></dict>",
    ));
    let loaded = last_good.settle(mac.load());
    assert_eq!((loaded.config.alerts.keep, loaded.config.alerts.per_minute), (4, 8), "it is given beside");
    fs::remove_file(&mac.paths.managed.path).expect("a folder of one's own");
    mac.write("");
    let loaded = last_good.settle(mac.load());
    assert_eq!((loaded.config.alerts.keep, loaded.origin(keep)), (10, Origin::Default), "nothing is broken");
    mac.write("[alerts]\nkeep = 0\n");
    assert_eq!(LastGood::default().settle(mac.load()).config.alerts.keep, 10, "there is none at the start");
}

#[test]
fn no_two_sinks_share_a_file() {
    for (text, path, alerts, telemetry) in [
        (
            "[alerts]\nfile = '/x'\n[telemetry]\nfile = '/X'",
            "telemetry.file",
            "/x",
            "/Library/Logs/Vedette/telemetry.ndjson",
        ),
        (
            "[alerts]\nfile = '/Library//Logs/Vedette/telemetry.ndjson'",
            "alerts.file",
            "/Library/Logs/Vedette/alerts.ndjson",
            "/Library/Logs/Vedette/telemetry.ndjson",
        ),
    ] {
        let loaded = Mac::with(text).load();
        let [finding] = &loaded.findings[..] else { panic!("{:?}", loaded.findings) };
        assert_eq!((finding.key, finding.level), (Some(path), Level::Error));
        assert!(finding.position.is_some());
        assert_eq!(loaded.config.alerts.file, Path::new(alerts));
        assert_eq!(loaded.config.telemetry.file, Path::new(telemetry));
    }
    // A kept value can meet a new one.
    let mac = Mac::with("[alerts]\nfile = '/x'\n");
    let mut last_good = LastGood::default();
    last_good.settle(mac.load());
    mac.write("[alerts]\nfile = 1\n[health]\nfile = '/x'\n");
    let loaded = last_good.settle(mac.load());
    assert_ne!(loaded.config.alerts.file, loaded.config.health.file);
}

#[test]
fn the_nearest_key() {
    for (path, expected) in [
        ("alert.keep", Some("alerts.keep")),
        ("alerts.kep", Some("alerts.keep")),
        ("alerts.rotate_byte", Some("alerts.rotate_bytes")),
        ("telemtry", Some("telemetry")),
        ("heartbeat", Some("health.heartbeat")),
        ("status.builtin", Some("rules.builtin")),
        ("x", None),
        ("", None),
        ("quarantine.enforce", None),
    ] {
        assert_eq!(loading::nearest(path), expected, "{path}");
    }
}

#[test]
fn people_see_aligned_lines_of_a_width() {
    let mac = Mac::with(
        "[alerts]\ngroup = \"x\"\n[rules]\ninline = [\"\\u001b[2J\", 'long long long long long long']\n",
    );
    let text = report::text(&mac.load(), crate::readable::Style { colour: false, width: 70 });
    let (sources, settings) = text.split_once("\n\n").expect("two parts");
    assert!(sources.lines().all(|line| line.starts_with("managed    /") || line.starts_with("file       /")));
    assert!(sources.lines().next().expect("a line").ends_with("managed.plist: there is none"));
    assert_eq!(settings.lines().count(), KEYS.len());
    for (line, key) in settings.lines().zip(KEYS) {
        let origin = if ["alerts.group", "rules.inline"].contains(&key.path) { "file   " } else { "default" };
        assert!(line.starts_with(&format!("{:<22}  {origin}    ", key.path)), "{line}");
        assert!(line.chars().count() <= 70 && !line.contains('\u{1b}'), "{line}");
    }
    assert!(settings.contains("alerts.group            file       \"x\"\n"));
    assert!(settings.contains("alerts.rotate_bytes     default    \"16 MiB\"\n"));
    assert!(settings.contains("rules.inline            file       [\"\\u001B[2J\", \"long lo"), "{settings}");
    assert!(
        report::text(&mac.load(), crate::readable::Style { colour: true, width: 70 })
            .contains("\u{1b}[2malerts")
    );
}
