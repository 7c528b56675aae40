//! The programs that a test's processes run: Apple's by their names, others by their paths.

/// An executable and its signature, as the kernel knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) path: String,
    /// Empty where it is not signed.
    pub(super) signing_id: String,
    pub(super) team_id: Option<String>,
    /// Whether it is a platform binary: the kernel vouches that Apple shipped it with the system.
    pub(super) platform: bool,
}

/// Programs of macOS whose folders a test need not spell out. Those that only lead to another one, as `python3`, `perl`
/// and `tar` do, are not among them: their processes have another name.
const FOLDERS: &[(&str, &str)] = &[
    (
        "/bin",
        "bash cat chmod cp csh dash date echo kill launchctl ln ls mkdir mv ps rm sh sleep tcsh test zsh",
    ),
    ("/sbin", "launchd mount ping"),
    (
        "/usr/bin",
        "at awk base64 codesign crontab curl defaults dig ditto dscl env find git grep hdiutil killall nc nohup \
         nscurl open openssl osascript pkgutil plutil rsync say scp sed security sftp sqlite3 ssh \
         su sudo sw_vers touch unzip which xargs xattr xcode-select zip",
    ),
    ("/usr/sbin", "chown installer networksetup softwareupdate spctl sysctl system_profiler systemsetup"),
    ("/usr/libexec", "PlistBuddy mdmclient nsurlsessiond pkd runningboardd syspolicyd xpcproxy"),
    ("/System/Library/CoreServices/Installer.app/Contents/MacOS", "Installer"),
    (
        "/System/Library/PrivateFrameworks/PackageKit.framework/Versions/A/XPCServices/package_script_service.xpc/\
         Contents/MacOS",
        "package_script_service",
    ),
    (
        "/System/Library/PrivateFrameworks/PackageKit.framework/Versions/A/Resources",
        "installd system_installd",
    ),
    (
        "/System/Library/CoreServices/Installer.app/Contents/XPCServices/InstallerRemotePluginService-arm64.xpc/\
         Contents/MacOS",
        "InstallerRemotePluginService-arm64",
    ),
    ("/System/Applications/Utilities/Terminal.app/Contents/MacOS", "Terminal"),
    ("/System/Library/CoreServices/Finder.app/Contents/MacOS", "Finder"),
    ("/System/Cryptexes/App/System/Applications/Safari.app/Contents/MacOS", "Safari"),
];

/// Signing ids that are not `com.apple.` and the program's name.
const SIGNING_IDS: &[(&str, &str)] = &[
    ("/usr/sbin/installer", "com.apple.installer"),
    ("/System/Library/CoreServices/Installer.app/Contents/MacOS/Installer", "com.apple.installer"),
    ("/bin/launchctl", "com.apple.xpc.launchctl"),
    ("/sbin/launchd", "com.apple.xpc.launchd"),
];

/// Where the system volume is sealed: what lies there is Apple's.
const SEALED: &[&str] = &["/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/libexec/", "/System/"];

/// Returns the program of macOS that is called `name`.
pub(super) fn named(name: &str) -> Option<Program> {
    let (folder, _) = FOLDERS.iter().find(|(_, names)| names.split(' ').any(|known| known == name))?;
    Some(at(&format!("{folder}/{name}")))
}

/// Returns the program at `path`: Apple's own on the sealed volume, elsewhere one that nobody has signed. Most of Apple's
/// are signed as `com.apple.` and their name.
pub(super) fn at(path: &str) -> Program {
    let platform = SEALED.iter().any(|folder| path.starts_with(folder));
    let signing_id = match SIGNING_IDS.iter().find(|(known, _)| *known == path) {
        Some((_, id)) => (*id).to_owned(),
        None if platform => format!("com.apple.{}", name(path)),
        None => String::new(),
    };
    Program { path: path.to_owned(), signing_id, team_id: None, platform }
}

/// Returns the known name that is nearest to one that is not known.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let known = FOLDERS.iter().flat_map(|(_, names)| names.split(' '));
    let (distance, nearest) = known.map(|known| (strsim::damerau_levenshtein(name, known), known)).min()?;
    (distance <= nearest.len() / 3).then_some(nearest)
}

/// Returns the last component of a path.
pub(super) fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Program {
    /// Returns the kernel's code signing flags (`CS_*` in xnu's `osfmk/kern/cs_blobs.h`): valid and signed, and either
    /// Apple's platform, the hardened runtime, or ad hoc.
    pub(super) fn flags(&self) -> u32 {
        const VALID: u32 = 0x1;
        const ADHOC: u32 = 0x2;
        const RUNTIME: u32 = 0x1_0000;
        const PLATFORM_BINARY: u32 = 0x400_0000;
        const SIGNED: u32 = 0x2000_0000;
        match self {
            Program { signing_id, .. } if signing_id.is_empty() => 0,
            Program { platform: true, .. } => VALID | SIGNED | PLATFORM_BINARY,
            Program { team_id: Some(_), .. } => VALID | SIGNED | RUNTIME,
            _ => VALID | SIGNED | ADHOC,
        }
    }

    /// Whether a signature other than an ad hoc one is there, which anybody can make.
    pub(super) fn trusted(&self) -> bool {
        !self.signing_id.is_empty() && (self.platform || self.team_id.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_a_path_is_enough() {
        let curl = named("curl").expect("macOS has it");
        assert_eq!(
            (&*curl.path, &*curl.signing_id, curl.platform),
            ("/usr/bin/curl", "com.apple.curl", true)
        );
        assert_eq!(named("wget"), None);
        assert_eq!(nearest("crul"), Some("curl"));
        assert_eq!(nearest("managedsoftwareupdate"), None);
        let own = at("/opt/tool/toold");
        assert_eq!((own.flags(), own.platform, own.trusted()), (0, false, false));
    }

    #[test]
    fn no_program_is_named_twice() {
        let mut names: Vec<&str> = FOLDERS.iter().flat_map(|(_, names)| names.split(' ')).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
