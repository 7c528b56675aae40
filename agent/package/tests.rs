use super::*;
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
