use std::io;

use super::super::world::World;
use super::*;

const NAME: &str = "a.ndjson";

fn open(world: &World, rotation: Rotation) -> RotatingFile<World> {
    RotatingFile::open(world.clone(), NAME, rotation, |_| {}).expect("it opens")
}

fn write(file: &mut RotatingFile<World>, world: &World, line: &str) {
    file.write(line.as_bytes(), world.now()).expect("it is written");
    file.sync().expect("it is synced");
}

fn tidy(file: &mut RotatingFile<World>) {
    while file.tidy().expect("it is tidied") {}
}

#[test]
fn by_size_keeping_some_and_compressing_all_but_the_newest() {
    let world = World::new(1);
    let rotation = Rotation { bytes: Some(10), age: None, keep: 3, compress: true };
    let mut file = open(&world, rotation);
    for number in 0..9 {
        write(&mut file, &world, &format!("line {number}\n"));
        tidy(&mut file);
    }
    assert_eq!(world.names_now(), ["a.ndjson", "a.ndjson.1", "a.ndjson.2.gz", "a.ndjson.3.gz"]);
    assert_eq!(world.content(NAME), b"line 5\nline 6\nline 7\nline 8\n");
    // Fewer are kept from now on.
    let mut file = open(&world, Rotation { keep: 1, ..rotation });
    tidy(&mut file);
    assert_eq!(world.names_now(), ["a.ndjson", "a.ndjson.1"]);
}

#[test]
fn by_age_under_a_clock_that_steps() {
    let world = World::new(1);
    let day = Duration::from_secs(86_400);
    let rotation = Rotation { bytes: None, age: Some(day), keep: 9, compress: false };
    let start = world.now();
    let mut file = open(&world, rotation);
    let count = |world: &World| world.names_now().len();
    write(&mut file, &world, "1\n");
    world.set_now(start + day / 2);
    write(&mut file, &world, "2\n");
    assert_eq!(count(&world), 1);
    world.set_now(start + day);
    write(&mut file, &world, "3\n");
    assert_eq!(count(&world), 2);
    // A year ahead: one rotation, not one for each line.
    world.set_now(start + day * 365);
    for _ in 0..5 {
        write(&mut file, &world, "4\n");
    }
    assert_eq!(count(&world), 3);
    // And back: the file of the future stays until its time has come.
    world.set_now(start + day * 2);
    for _ in 0..5 {
        write(&mut file, &world, "5\n");
    }
    assert_eq!(count(&world), 3);
    // Without anything to write, and nothing for an empty one.
    world.set_now(start + day * 367);
    file.rotate_if_old(world.now()).expect("it is put aside");
    file.rotate_if_old(world.now() + day * 9).expect("an empty file stays");
    assert_eq!(count(&world), 4);
}

#[test]
fn a_torn_line_and_a_hole_are_moved_aside() {
    for (content, whole) in [
        ("{\"a\":1}\n{\"b\"", "{\"a\":1}\n"),
        ("torn", ""),
        ("{\"a\":1}\n\0\0\0\0{\"b\":2}\n{\"c\":3}\n", "{\"a\":1}\n"),
        ("{\"a\":1}\n", "{\"a\":1}\n"),
        ("", ""),
    ] {
        let world = World::new(1);
        world.put(NAME, content.as_bytes());
        let mut lines = Vec::new();
        let file =
            RotatingFile::open(world.clone(), NAME, Rotation::NEVER, |line| lines.extend_from_slice(line));
        let mut file = file.expect("it opens");
        assert_eq!((world.content(NAME), &lines[..]), (whole.as_bytes().to_vec(), whole.as_bytes()));
        let torn = world.content("a.ndjson.torn");
        let rest = &content.as_bytes()[whole.len()..];
        assert_eq!(torn, if rest.is_empty() { Vec::new() } else { [rest, b"\n"].concat() });
        write(&mut file, &world, "{\"d\":4}\n");
        assert_eq!(world.content(NAME), [whole.as_bytes(), b"{\"d\":4}\n"].concat());
    }
}

#[test]
fn a_file_that_is_removed_or_cut_by_someone_else() {
    let world = World::new(1);
    let mut file = open(&world, Rotation::NEVER);
    write(&mut file, &world, "1\n");
    world.remove_behind(NAME);
    write(&mut file, &world, "2\n");
    assert_eq!((world.content(NAME), file.replaced()), (b"2\n".to_vec(), 1));
    Disk::open(&mut world.clone(), NAME, Open::Existing)
        .and_then(|mut f| f.set_length(0))
        .expect("it is cut");
    write(&mut file, &world, "3\n");
    assert_eq!((world.content(NAME), file.replaced()), (b"3\n".to_vec(), 2));
    // Lines that are not synced yet went with the file: whoever wrote them is told.
    file.write(b"4\n", world.now()).expect("it is written");
    world.remove_behind(NAME);
    let error = file.write(b"5\n", world.now()).expect_err("line 4 has gone");
    assert_eq!(error.kind(), io::ErrorKind::Interrupted);
}

#[test]
fn compression_that_did_not_end_is_begun_anew() {
    let world = World::new(1);
    let rotation = Rotation { bytes: Some(1), age: None, keep: 5, compress: true };
    world.put("a.ndjson.2", b"two\n");
    world.put("a.ndjson.2.gz.part", b"\x1f\x8b half");
    world.put("a.ndjson.3", b"three\n");
    world.put("a.ndjson.3.gz", &gzip(b"three\n"));
    world.put("a.ndjson.7", b"more than are kept\n");
    world.put("a.ndjson.03", b"not ours\n");
    world.put("a.ndjson.x", b"not ours\n");
    let mut file = open(&world, rotation);
    tidy(&mut file);
    let names = world.names_now();
    assert_eq!(names, ["a.ndjson", "a.ndjson.03", "a.ndjson.2.gz", "a.ndjson.3.gz", "a.ndjson.x"]);
    assert_eq!(world.content(NAME), b"three\ntwo\n");
    let mut seen = Vec::new();
    file.older_lines(|line| {
        seen.extend_from_slice(line);
        true
    })
    .expect("they can be read");
    assert_eq!(seen, b"two\nthree\n");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
