use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::super::rotating::{RotatingFile, Rotation};
use super::*;

const NAME: &str = "alerts.ndjson";

fn temporary() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().canonicalize().expect("a path");
    (folder, path)
}

fn refusal(path: &Path) -> String {
    let error = Folder::open(path, Trust::Own, Readers::Nobody).expect_err("it is not to be trusted");
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    error.to_string()
}

fn mode_of(path: &Path) -> u32 {
    path.symlink_metadata().expect("it exists").permissions().mode() & 0o7777
}

#[test]
fn what_is_missing_is_made_for_its_readers_only() {
    let (_folder, root) = temporary();
    for (name, readers, folder_mode, file_mode) in [
        ("nobody", Readers::Nobody, 0o700, 0o600),
        ("group", Readers::Group(nix::unistd::getegid().as_raw()), 0o750, 0o640),
        ("everyone", Readers::Everyone, 0o755, 0o644),
    ] {
        let path = root.join("between").join(name);
        let mut folder = Folder::open(&path, Trust::Own, readers).expect("it is made");
        Disk::open(&mut folder, NAME, Open::Writer).expect("the file is made");
        assert_eq!((mode_of(&path), mode_of(&path.join(NAME))), (folder_mode, file_mode));
    }
    assert_eq!(mode_of(&root.join("between")), 0o755);
}

#[test]
fn a_folder_that_others_may_change_is_refused_and_named() {
    let (_folder, root) = temporary();
    let open = root.join("open");
    fs::create_dir_all(open.join("logs")).expect("folders");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("a mode");
    let said = refusal(&open.join("logs"));
    assert!(said.contains(&format!("{} is refused: others may write to it", open.display())), "{said}");
    // Sticky, as /tmp is: only the owner replaces a thing.
    fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).expect("a mode");
    Folder::open(&open.join("logs"), Trust::Own, Readers::Nobody).expect("it is trusted");
    symlink(open.join("logs"), root.join("link")).expect("a link");
    assert!(refusal(&root.join("link")).contains("this is a link or no folder"));
    assert!(refusal(&root.join("link/deeper")).contains("this is a link or no folder"));
    assert!(refusal(&root.join("open/../open")).contains("must not contain"));
    assert!(refusal(Path::new("logs")).contains("must be an absolute path"));
    Folder::open(&root.join("link"), Trust::Callers, Readers::Nobody).expect("whoever calls knows");
}

/// Needs to be root, as the sensor is; elsewhere there is nobody else to give a folder to.
#[test]
fn a_folder_or_a_file_of_someone_else() {
    if !geteuid().is_root() {
        eprintln!("not root: not tried");
        return;
    }
    let (_folder, root) = temporary();
    let theirs = root.join("theirs");
    fs::create_dir(&theirs).expect("a folder");
    std::os::unix::fs::chown(&theirs, Some(65534), None).expect("root may give things away");
    assert!(refusal(&theirs.join("logs")).contains("it belongs to user 65534"));
    let mut folder = Folder::open(&root.join("ours"), Trust::Own, Readers::Nobody).expect("it is made");
    let path = root.join("ours").join(NAME);
    fs::write(&path, "theirs\n").expect("a file");
    std::os::unix::fs::chown(&path, Some(65534), None).expect("root may give things away");
    let file = Disk::open(&mut folder, NAME, Open::Writer).expect("theirs is moved aside");
    assert_eq!(file.length().expect("a length"), 0);
    assert_eq!(fs::read_to_string(path.with_extension("ndjson.untrusted")).expect("it is kept"), "theirs\n");
}

#[test]
fn what_stands_in_a_files_place_is_moved_aside() {
    let (_folder, root) = temporary();
    let mut folder = Folder::open(&root, Trust::Own, Readers::Nobody).expect("it is trusted");
    let (path, victim) = (root.join(NAME), root.join("victim"));
    fs::write(&victim, "precious").expect("a file");
    let open = |folder: &mut Folder| Disk::open(folder, NAME, Open::Writer);
    for round in 0..2 {
        for kind in ["link", "dangling", "folder", "pipe", "hard link"] {
            let _ = fs::remove_file(&path);
            match kind {
                "link" => symlink(&victim, &path).expect("a link"),
                "dangling" => symlink(root.join("nowhere"), &path).expect("a link"),
                "folder" => fs::create_dir(&path).expect("a folder"),
                "pipe" => nix::unistd::mkfifo(&path, mode(0o644)).expect("a pipe"),
                _ => fs::hard_link(&victim, &path).expect("a hard link"),
            }
            let mut file = open(&mut folder).unwrap_or_else(|error| panic!("{kind}, round {round}: {error}"));
            write_all_at(&mut file, b"ours\n", 0).expect("it is written");
            assert!(path.symlink_metadata().expect("it is there").is_file(), "{kind}");
            assert_eq!(fs::read_to_string(&path).expect("ours"), "ours\n", "{kind}");
            assert!(!root.join("nowhere").exists());
            assert_eq!(fs::read_to_string(&victim).expect("it is untouched"), "precious", "{kind}");
        }
    }
    // What others could write to is ours alone again.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("a mode");
    open(&mut folder).expect("it is opened");
    assert_eq!(mode_of(&path), 0o600);
    // Named on the command line: nothing is moved, a link is not followed.
    fs::remove_file(&path).expect("it is removed");
    symlink(&victim, &path).expect("a link");
    let mut callers = Folder::open(&root, Trust::Callers, Readers::Nobody).expect("it is opened");
    open(&mut callers).expect_err("a link");
    assert!(path.is_symlink());
}

#[test]
fn one_writer_at_a_time() {
    let (_folder, root) = temporary();
    let mut folder = Folder::open(&root, Trust::Own, Readers::Nobody).expect("it is trusted");
    let first = Disk::open(&mut folder, NAME, Open::Writer).expect("the first");
    let error = Disk::open(&mut folder, NAME, Open::Writer).expect_err("the second");
    assert!(error.to_string().contains("another process is writing to it"), "{error}");
    Disk::open(&mut folder, NAME, Open::Existing).expect("a reader");
    drop(first);
    Disk::open(&mut folder, NAME, Open::Writer).expect("the next");
}

#[test]
fn a_folder_that_vanishes_and_comes_back() {
    let (_temporary, root) = temporary();
    let path = root.join("logs");
    let folder = Folder::open(&path, Trust::Own, Readers::Nobody).expect("it is made");
    let mut file = RotatingFile::open(folder, NAME, Rotation::NEVER, |_| {}).expect("it opens");
    let now = SystemTime::now();
    let mut write = |line: &str| file.write(line.as_bytes(), now).and_then(|()| file.sync());
    write("1\n").expect("it is written");
    fs::rename(&path, root.join("elsewhere")).expect("it is moved");
    write("2\n").expect("the folder is made again");
    assert_eq!(fs::read_to_string(path.join(NAME)).expect("the new file"), "2\n");
    fs::remove_dir_all(&path).expect("it is removed");
    fs::write(&path, "").expect("a file in its place");
    write("3\n").expect_err("there is no folder");
    fs::remove_file(&path).expect("it is removed");
    fs::rename(root.join("elsewhere"), &path).expect("the old one comes back");
    write("3\n").expect("it is written on");
    assert_eq!(fs::read_to_string(path.join(NAME)).expect("the old file"), "1\n3\n");
}

#[test]
fn a_small_file_is_replaced_as_a_whole() {
    let (_temporary, root) = temporary();
    let mut folder = Folder::open(&root, Trust::Own, Readers::Everyone).expect("it is trusted");
    fs::write(root.join(".status.json.new"), "half").expect("what a kill left behind");
    for text in ["one", "two"] {
        folder.replace("status.json", text).expect("it is replaced");
        assert_eq!(fs::read_to_string(root.join("status.json")).expect("it is there"), text);
    }
    assert_eq!((mode_of(&root.join("status.json")), fs::read_dir(&root).expect("it").count()), (0o644, 1));
}
