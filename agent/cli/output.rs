//! How output looks: for people on a terminal, for programs otherwise.

use std::io::IsTerminal;

use crate::readable::Style;

/// The width that is assumed where a terminal does not say its own.
const WIDTH: usize = 100;

/// Returns how to write for people, or `None` for NDJSON: where it is asked for or standard output is no
/// terminal.
pub(super) fn style(json: bool) -> Option<Style> {
    let variable = |name: &str| std::env::var(name).ok();
    choose(
        json,
        std::io::stdout().is_terminal(),
        variable("NO_COLOR").as_deref(),
        variable("TERM").as_deref(),
        variable("COLUMNS").as_deref(),
    )
}

fn choose(
    json: bool,
    terminal: bool,
    no_color: Option<&str>,
    term: Option<&str>,
    columns: Option<&str>,
) -> Option<Style> {
    if json || !terminal {
        return None;
    }
    let colour = no_color.is_none_or(str::is_empty) && term != Some("dumb");
    let width = columns.and_then(|columns| columns.parse().ok()).unwrap_or(WIDTH).clamp(40, 200);
    Some(Style { colour, width })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_on_a_terminal() {
        let style = |colour, width| Some(Style { colour, width });
        assert_eq!(choose(true, true, None, None, None), None);
        assert_eq!(choose(false, false, None, None, None), None);
        assert_eq!(choose(false, true, None, Some("xterm"), None), style(true, 100));
        assert_eq!(choose(false, true, Some("1"), None, Some("80")), style(false, 80));
        assert_eq!(choose(false, true, Some(""), None, Some("x")), style(true, 100));
        assert_eq!(choose(false, true, None, Some("dumb"), Some("1")), style(false, 40));
    }
}
