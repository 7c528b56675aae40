use super::*;
use crate::event::{ArgsParts, DescriptionParts, InvocationParts, KeptArgs};
use crate::observation::Image;

fn image(path: &str, signing_id: &str, platform: bool) -> bool {
    is_host(&Image {
        executable: path.into(),
        signing_id: (!signing_id.is_empty()).then(|| signing_id.into()),
        is_platform_binary: platform,
        ..Image::default()
    })
}

#[test]
fn a_host_is_apples_and_not_only_named_so() {
    let service = "/System/Library/PrivateFrameworks/PackageKit.framework/Versions/A/XPCServices/\
                   package_script_service.xpc/Contents/MacOS/package_script_service";
    assert!(image(service, "com.apple.package_script_service", true));
    assert!(image("/usr/sbin/installer", "com.apple.installer", true));
    assert!(!image(service, "com.apple.package_script_service", false));
    assert!(!image("/tmp/package_script_service", "com.example.service", true));
    assert!(!image("/tmp/installer", "", false));
    assert!(!image("/bin/bash", "com.apple.bash", true));
}

#[test]
fn a_script_is_one_of_the_sandbox() {
    let good = "/tmp/PKInstallSandbox.Ab1234/Scripts/com.example.pkg.Xy9876/postinstall";
    let script = Script::parse(good).expect("a script");
    assert_eq!((script.identifier, script.name), ("com.example.pkg", "postinstall"));
    assert!(Script::parse(&format!("/private{good}")).is_some());
    for bad in [
        "/tmp/PKInstallSandbox.Ab1234/Scripts/com.example.pkg.Xy9876/other",
        "/tmp/PKInstallSandbox.Ab1234/Scripts/com.example.pkg.Xy9876/sub/postinstall",
        "/tmp/PKInstallSandbox.Ab1234/Scripts/.Xy9876/postinstall",
        "/Users/x/PKInstallSandbox.Ab1234/Scripts/com.example.pkg.Xy9876/postinstall",
        "",
    ] {
        assert!(Script::parse(bad).is_none(), "{bad}");
    }
}

/// An image with these arguments; the first is the executable's path as well, unless `executable` is given.
fn process(executable: &str, script: Option<&str>, args: &[&str]) -> Process {
    let args = args.iter().map(|arg| Scalar::from(*arg)).collect();
    let invocation = InvocationParts {
        args: ArgsParts::Kept(KeptArgs { args, ..KeptArgs::default() }),
        script: script.map(Cow::Borrowed),
        ..InvocationParts::default()
    };
    let description = DescriptionParts {
        executable: Some(executable.into()),
        invocation: Some(invocation),
        ..DescriptionParts::default()
    };
    Process { description: description.into(), ..Process::default() }
}

#[test]
fn a_session_tells_what_runs_and_who_says_so() {
    const SCRIPT: &str = "/tmp/PKInstallSandbox.Ab1234/Scripts/com.example.pkg.Xy9876/postinstall";
    let private = format!("/private{SCRIPT}");
    let session: Arc<str> = "child".into();
    let name = Some("package_script_service".into());
    let named = DescriptionParts { name, ..DescriptionParts::default() };
    let begun = begin(&Process { description: named.into(), ..Process::default() }, &session);
    assert_eq!((&*begun.host, &*begun.session, begun.claimed.len()), ("package_script_service", "child", 0));
    /// What it is, the image, and then script, path and what is claimed.
    type Case<'a> = (&'a str, Process, Option<&'a str>, Option<&'a str>, &'a [&'a str]);
    let cases: [Case<'_>; 6] = [
        (
            "an interpreter's argument is a claim",
            process("/bin/bash", None, &["/bin/sh", SCRIPT, "/Users/x/a b.pkg", "/", "/", "/"]),
            Some(SCRIPT),
            Some("/Users/x/a b.pkg"),
            &["identifier", "script", "path"],
        ),
        (
            "a #! line is the kernel's word, the path behind it is not",
            process("/bin/bash", Some(&private), &["/bin/sh", SCRIPT, "/tmp/a.pkg", "/"]),
            Some(&private),
            Some("/tmp/a.pkg"),
            &["path"],
        ),
        (
            "a #! line with an option, the script spelt as it was called",
            process("/bin/bash", Some(SCRIPT), &["/bin/bash", "-x", "./postinstall", "/tmp/a.pkg"]),
            Some(SCRIPT),
            Some("/tmp/a.pkg"),
            &["path"],
        ),
        (
            "a compiled script is its own executable",
            process(SCRIPT, None, &[SCRIPT, "/tmp/a.pkg", "/"]),
            Some(SCRIPT),
            Some("/tmp/a.pkg"),
            &["path"],
        ),
        (
            "a distribution's script",
            process("/bin/bash", None, &["/bin/bash", "-c", "curl x"]),
            None,
            None,
            &[],
        ),
        (
            "a script named far behind is somebody's argument",
            process("/bin/bash", None, &["/bin/bash", "-c", "x", "a", "b", SCRIPT]),
            None,
            None,
            &[],
        ),
    ];
    for (what, image, script, path, claimed) in cases {
        let refined = refine(&begun, &image);
        assert_eq!(refined.is_some(), script.is_some(), "{what}");
        let refined = refined.unwrap_or_else(|| begun.clone());
        assert_eq!(refined.script.as_deref(), script, "{what}");
        assert_eq!(refined.identifier.as_deref(), script.map(|_| "com.example.pkg"), "{what}");
        assert_eq!(refined.path.as_deref(), path, "{what}");
        let names: Vec<&str> = refined.claimed.iter().filter_map(Scalar::as_str).collect();
        assert_eq!(names, claimed, "{what}");
        assert_eq!(refined.session, session, "{what}: the session stays");
        // What runs later in the same process does not rename it.
        if script.is_some() {
            let later = "/tmp/PKInstallSandbox.Ab1234/Scripts/com.other.Xy9876/preinstall";
            assert_eq!(refine(&refined, &process(later, None, &[later, "/tmp/b.pkg"])), None, "{what}");
        }
    }
}

#[test]
fn the_installer_command_names_its_package() {
    let host = process(
        "/usr/sbin/installer",
        None,
        &["installer", "-verbose", "-pkg", "/tmp/a.pkg", "-target", "/"],
    );
    let begun = begin(&host, "child");
    assert_eq!(begun.path.as_deref(), Some("/tmp/a.pkg"));
    assert_eq!(begun.claimed.iter().filter_map(Scalar::as_str).collect::<Vec<_>>(), ["path"]);
    let without = begin(&process("/usr/sbin/installer", None, &["installer", "-pkg"]), "child");
    assert_eq!((without.path, without.claimed.len()), (None, 0));
}

#[test]
fn a_recorded_host_is_signed_by_apple() {
    let signed = |trusted: bool, signing_id: &str, team_id: Option<&str>| Identity {
        executable: Some("/usr/sbin/installer".into()),
        trusted,
        signing_id: Some(Cow::Owned(signing_id.to_owned())),
        has_team: team_id.is_some(),
    };
    let apple = signed(true, "com.apple.installer", None);
    assert!(is_recorded_host(&apple, None));
    for (what, identity) in [
        ("unsigned", Identity { executable: Some("/usr/sbin/installer".into()), ..Identity::default() }),
        ("not trusted", signed(false, "com.apple.installer", None)),
        ("of a team", signed(true, "com.apple.installer", Some("ABCDE12345"))),
        ("not Apple's", signed(true, "com.example.installer", None)),
    ] {
        assert!(!is_recorded_host(&identity, None), "{what}");
    }
    assert!(!is_recorded_host(&apple, Some(false)), "the kernel's word goes before");
    let elsewhere =
        Identity { executable: Some("/tmp/installer".into()), ..signed(true, "com.apple.bash", None) };
    assert!(!is_recorded_host(&elsewhere, None), "a name is none");
}

#[test]
fn the_plugin_host_is_one_wherever_apple_puts_it() {
    let path = "/System/Library/PrivateFrameworks/InstallerPlugins.framework/XPCServices/x.xpc/Contents/MacOS/\
                InstallerRemotePluginService-arm64";
    assert!(image(path, "", true));
    assert!(image("/Volumes/x/y", "com.apple.InstallerRemotePluginService-x86_64", true));
    assert!(!image("/Users/x/InstallerRemotePluginService-arm64", "com.apple.other", true));
    assert!(!image("/System/Library/x/InstallerRemotePluginService-other", "com.apple.other", true));
}
