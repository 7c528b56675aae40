//! Any bytes, as a configuration file and as managed preferences, give a configuration that can be written down and read
//! again, and findings of bounded length that only show.

#![no_main]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use vedette::alert::is_deceptive;
use vedette::config::{self, KEYS, Loaded, Paths, Place};
use vedette::readable::Style;

fuzz_target!(|data: &[u8]| {
    let folder = std::env::temp_dir().join(format!("vedette-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (file, nothing) = (folder.join("file"), folder.join("nothing"));
    fs::write(&file, data).unwrap();
    check(&load(&nothing, &file), &nothing, &file);
    fs::write(&file, data).unwrap();
    check(&load(&file, &nothing), &nothing, &file);
});

fn load(managed: &Path, file: &Path) -> Loaded {
    let place = |path: &Path| Place { path: path.to_owned(), installed: false };
    config::load(&Paths { managed: place(managed), file: place(file) })
}

fn check(loaded: &Loaded, nothing: &Path, file: &Path) {
    assert!(loaded.findings.len() < 110);
    for finding in &loaded.findings {
        assert!(finding.rendered.chars().all(|c| c == '\n' || !is_deceptive(c)), "{finding:?}");
        assert!(finding.rendered.len() < 10_000);
    }
    let text = config::report::text(loaded, Style { colour: false, width: 100 });
    assert!(text.chars().all(|c| c == '\n' || !is_deceptive(c)));
    let mut written = String::new();
    for key in KEYS {
        let _ = writeln!(written, "{} = {}", key.path, key.value(&loaded.config));
    }
    fs::write(file, written).unwrap();
    let again = load(nothing, file);
    assert!(!again.has_errors(), "{:?}", again.findings);
    assert_eq!(again.config, loaded.config);
}
