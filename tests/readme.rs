//! The screens in documents are those that other tests produce: `<!-- screen: NAME -->` and a code block with what is
//! in `tests/data/NAME`, or with some of its lines (`NAME 2-8`). `UPDATE_EXPECT=1 cargo test --test readme` puts them
//! there.

use std::fs;
use std::path::Path;

const MARK: &str = "<!-- screen: ";

#[test]
fn the_screens_are_what_the_command_shows() {
    let mut screens = 0;
    for document in ["README.md", "docs/rules.md"] {
        screens += check(document);
    }
    assert!(screens >= 4, "alerts, alerts show, status and a failed test");
}

/// Checks the screens of a document, and returns how many there are.
fn check(document: &str) -> usize {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join(document);
    let text = fs::read_to_string(&path).expect("the document");
    let mut parts = text.split(MARK);
    let mut written = parts.next().expect("a beginning").to_owned();
    let mut screens = 0;
    for part in parts {
        let (mark, rest) = part.split_once(" -->\n```text\n").expect("a mark, then a code block");
        let end = rest.find("```\n").expect("the block ends");
        let (name, lines) = mark.split_once(' ').unwrap_or((mark, ""));
        let screen = fs::read_to_string(root.join("tests/data").join(name)).expect("the screen");
        let shown = match lines.split_once('-') {
            None => screen,
            Some((first, last)) => {
                let number = |text: &str| text.parse::<usize>().expect("a line's number");
                let (first, last) = (number(first), number(last));
                screen.lines().skip(first - 1).take(last + 1 - first).collect::<Vec<_>>().join("\n")
            }
        };
        written.push_str(&format!("{MARK}{mark} -->\n```text\n{}\n{}", shown.trim_end(), &rest[end..]));
        screens += 1;
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &written).expect("a writable document");
    } else {
        assert!(text == written, "a screen in {document} is old; UPDATE_EXPECT=1 cargo test --test readme");
    }
    screens
}
