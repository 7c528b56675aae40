//! The screens in the README are those that other tests produce: `<!-- screen: NAME -->` and a code block with what is
//! in `tests/data/NAME`. `UPDATE_EXPECT=1 cargo test --test readme` puts them there.

use std::fs;
use std::path::Path;

const MARK: &str = "<!-- screen: ";

#[test]
fn the_screens_are_what_the_command_shows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("README.md");
    let readme = fs::read_to_string(&path).expect("the README");
    let mut parts = readme.split(MARK);
    let mut written = parts.next().expect("a beginning").to_owned();
    let mut screens = 0;
    for part in parts {
        let (name, rest) = part.split_once(" -->\n```text\n").expect("a mark, then a code block");
        let end = rest.find("```\n").expect("the block ends");
        let screen = fs::read_to_string(root.join("tests/data").join(name)).expect("the screen");
        written.push_str(&format!("{MARK}{name} -->\n```text\n{}\n{}", screen.trim_end(), &rest[end..]));
        screens += 1;
    }
    assert!(screens >= 3, "alerts, alerts show and status");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &written).expect("a writable README");
    } else {
        assert!(readme == written, "a screen in the README is old; UPDATE_EXPECT=1 cargo test --test readme");
    }
}
