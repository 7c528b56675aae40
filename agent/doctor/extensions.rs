//! What `systemextensionsctl list` says.
//!
//! A line for each extension, in columns that tabs part: `*` if it is enabled, `*` if it is active, team, bundle id with
//! version and build in parentheses, name, state in brackets. Apple documents none of it; the shapes are those of
//! transcripts that others published, of macOS 10.15 to 26.

/// One extension, in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extension {
    pub(super) team: String,
    pub(super) id: String,
    /// As it is written: `0.1.0/3`.
    pub(super) version: String,
    /// Without the brackets: `activated enabled`.
    pub(super) state: String,
}

impl Extension {
    /// Whether macOS runs it.
    pub(super) fn runs(&self) -> bool {
        self.state == "activated enabled"
    }

    /// Whether it is on its way out.
    pub(super) fn is_left_over(&self) -> bool {
        self.state.starts_with("terminated") || self.state.contains("uninstall")
    }
}

/// Reads all lines that are of extensions with a bundle id.
pub(super) fn of(output: &str, id: &str) -> Vec<Extension> {
    output.lines().filter_map(extension).filter(|extension| extension.id == id).collect()
}

fn extension(line: &str) -> Option<Extension> {
    let columns: Vec<&str> = line.split('\t').map(str::trim).collect();
    let [_, _, team, bundle, .., state] = columns[..] else { return None };
    let (id, version) = bundle.split_once(" (").unwrap_or((bundle, ""));
    let state = state.strip_prefix('[')?.strip_suffix(']')?;
    Some(Extension {
        team: team.to_owned(),
        id: id.to_owned(),
        version: version.trim_end_matches(')').to_owned(),
        state: state.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_extensions_are_read_and_others_are_not() {
        let output = "3 extension(s)\n--- com.apple.system_extension.endpoint_security (Go to 'System Settings > General \
                      > Login Items & Extensions > Endpoint Security Extensions' to modify these system extension(s))\n\
                      enabled\tactive\tteamID\tbundleID (version)\tname\t[state]\n\
                      *\t*\tABCDE12345\tdev.vedette.sensor (0.2.0/7)\tVedette\t[activated enabled]\n\
                      \t\tABCDE12345\tdev.vedette.sensor (0.1.0/3)\tVedette\t[terminated waiting to uninstall on reboot]\n\
                      *\t*\tZYXWV98765\tdev.vedette.sensor.other (1.0/1)\tOther\t[activated enabled]\n\
                      *\t*\tZYXWV98765\tdev.vedette.sensor\n\ttoo\tfew\t[x]\n";
        let found = of(output, "dev.vedette.sensor");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].runs() && !found[0].is_left_over() && found[0].version == "0.2.0/7");
        assert!(found[1].is_left_over() && !found[1].runs());
        assert_eq!(of("0 extension(s)", "dev.vedette.sensor"), []);
        assert_eq!(of("\t\t\t\t\t[", "").len(), 0);
    }
}
