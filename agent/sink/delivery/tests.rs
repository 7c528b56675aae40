use std::time::Duration;

use super::super::world::World;
use super::*;

const NAME: &str = "alerts.ndjson";

fn line(number: u64, length: u64) -> String {
    format!(r#"{{"event":{{"kind":"alert","id":"id-{number}"}},"x":"{}"}}"#, "x".repeat(length as usize))
}

fn options(rotation: Rotation) -> LaneOptions {
    LaneOptions {
        path: PathBuf::from("/anywhere").join(NAME),
        rotation,
        readers: Readers::Nobody,
        trust: Trust::Own,
        spool: 1 << 20,
        sync_after: Duration::ZERO,
    }
}

/// One lane and what is handed to it, without a thread.
struct Bench {
    shared: Arc<Shared>,
    delivery: Delivery,
    lane: OpenLane<World>,
}

impl Bench {
    fn new(world: &World, rotation: Rotation) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let queue = shared.lock().queue(Lane::Alerts);
        let options = options(rotation);
        shared.lock().queues[queue].bound = options.spool;
        let world = world.clone();
        let lane = OpenLane::new(LaneStart {
            lane: Lane::Alerts,
            options,
            disk: Box::new(move || Ok(world.clone())),
        });
        Bench { delivery: Delivery { shared: shared.clone(), thread: None }, shared, lane }
    }

    fn send(&self, number: u64, length: u64) {
        self.delivery.send(Lane::Alerts, Some(format!("id-{number}")), line(number, length));
    }

    fn work(&mut self, delivered: &mut Vec<u64>) -> bool {
        let mut state = self.shared.lock();
        let queue = state.queue(Lane::Alerts);
        self.lane.inflight.append(&mut state.queues[queue].entries);
        drop(state);
        // A test does not wait for a second try.
        if let Some(at) = &mut self.lane.retry_at {
            *at = Instant::now();
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let mut note: Delivered = Box::new(move |_, key: &str| {
            let number = key.trim_start_matches("id-").parse::<u64>().expect("a number");
            log.lock().expect("no panic").push(number);
        });
        let more = self.lane.work(&self.shared, &mut note, false);
        delivered.extend(seen.lock().expect("no panic").iter());
        more
    }

    fn drain(&mut self, delivered: &mut Vec<u64>) {
        for _ in 0..10_000 {
            let more = self.work(delivered);
            if !more && self.lane.inflight.is_empty() {
                return;
            }
        }
        panic!("it does not come to an end: {:?}", self.delivery.status(Lane::Alerts));
    }
}

/// The numbers of the lines in the files, oldest first; everything in them must be whole.
fn numbers(world: &World) -> Vec<u64> {
    let content = world.content(NAME);
    let mut numbers = Vec::new();
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        assert!(text.ends_with("}\n"), "torn: {text:?} in {:?}", world.names_now());
        let key = super::super::file::key(line).unwrap_or_else(|| panic!("no alert: {text:?}"));
        numbers.push(key.trim_start_matches("id-").parse().expect("a number"));
    }
    numbers
}

/// Kills, losses of power, full and failing disks at random moments: nothing that was delivered is lost, nothing is
/// torn or doubled, and in the end everything is there, in order.
#[test]
fn nothing_delivered_is_lost_nothing_torn_nothing_doubled() {
    let rotation = Rotation { bytes: Some(400), age: None, keep: 500, compress: true };
    let mut tried = [0u64; 4];
    for seed in 0..1000 {
        let world = World::new(seed);
        let mut bench = Bench::new(&world, rotation);
        let mut delivered = Vec::new();
        let (mut next, total) = (0, 40);
        let mut sizes: Vec<u64> = Vec::new();
        while next < total {
            world.set_faults([0, 20, 300][world.random(3) as usize]);
            for _ in 0..world.random(6) {
                sizes.push(world.random(120));
                bench.send(next, sizes[next as usize]);
                next += 1;
            }
            let dies = world.random(4) == 0;
            world.set_dies_after(dies.then(|| world.random(60)));
            for _ in 0..world.random(8) {
                bench.work(&mut delivered);
            }
            let lose_power = match world.random(8) {
                0 => false,
                1 => true,
                _ if dies => world.random(2) == 0,
                _ => continue,
            };
            world.set_dies_after(None);
            tried[usize::from(lose_power)] += 1;
            if lose_power {
                world.lose_power();
            }
            // Whoever was killed knows nothing, and the same alerts come again: a replay, or the process asked anew.
            bench = Bench::new(&world, rotation);
            world.set_faults(0);
            let mut again = Vec::new();
            bench.work(&mut again);
            let there = numbers(&world);
            for number in &delivered {
                assert!(there.contains(number), "seed {seed}: {number} was delivered and is lost: {there:?}");
            }
            for (number, size) in sizes.iter().enumerate() {
                bench.send(number as u64, *size);
            }
        }
        world.set_faults(0);
        bench.drain(&mut delivered);
        let there = numbers(&world);
        assert_eq!(there, (0..next).collect::<Vec<_>>(), "seed {seed}");
        let status = bench.delivery.status(Lane::Alerts);
        assert_eq!((status.waiting, status.waiting_bytes, status.refused, status.error), (0, 0, 0, None));
        tried[2] += status.delivered;
        tried[3] += world.names_now().iter().filter(|name| name.ends_with(".gz")).count() as u64;
    }
    assert!(tried.iter().all(|count| *count > 500), "each kind of trouble has come up: {tried:?}");
}

#[test]
fn a_full_disk_is_waited_out_in_order_and_the_spool_is_bounded() {
    let world = World::new(1);
    let mut bench = Bench::new(&world, Rotation::NEVER);
    let mut delivered = Vec::new();
    bench.send(0, 10);
    bench.drain(&mut delivered);
    world.set_faults(1000);
    for number in 1..3000 {
        bench.send(number, 1000);
    }
    bench.work(&mut delivered);
    let status = bench.delivery.status(Lane::Alerts);
    let error = status.error.unwrap_or_default();
    assert!(error.starts_with("/anywhere/alerts.ndjson: "), "{error}");
    assert!(
        status.waiting_bytes <= 1 << 20 && status.refused > 1000,
        "{status:?}",
        status = (status.refused)
    );
    let kept = status.waiting as u64;
    assert_eq!(kept + status.refused, 2999);
    world.set_faults(0);
    bench.drain(&mut delivered);
    // The first ones are kept: they tell how it began.
    assert_eq!(numbers(&world), (0..=kept).collect::<Vec<_>>());
    assert_eq!(delivered, (0..=kept).collect::<Vec<_>>());
}

#[test]
fn what_stands_in_an_older_file_is_not_written_again() {
    let world = World::new(1);
    let rotation = Rotation { bytes: Some(200), age: None, keep: 9, compress: true };
    let mut bench = Bench::new(&world, rotation);
    let mut delivered = Vec::new();
    for number in 0..8 {
        bench.send(number, 100);
    }
    bench.drain(&mut delivered);
    assert!(world.names_now().contains(&format!("{NAME}.5.gz")), "{:?}", world.names_now());
    let mut bench = Bench::new(&world, rotation);
    for number in [0, 3, 7, 8, 8] {
        bench.send(number, 100);
    }
    bench.drain(&mut delivered);
    assert_eq!(numbers(&world), (0..=8).collect::<Vec<_>>());
    assert_eq!(bench.delivery.status(Lane::Alerts).repeated, 4);
}

#[test]
fn the_thread_delivers_and_stops() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().canonicalize().expect("a path");
    let path = root.join("logs/deeper").join(NAME);
    let options = LaneOptions { path: path.clone(), ..options(Rotation::NEVER) };
    let count = Arc::new(Mutex::new(0));
    let counted = count.clone();
    let delivered: Delivered = Box::new(move |_, _| *counted.lock().expect("no panic") += 1);
    let delivery =
        Delivery::start(vec![LaneStart::new(Lane::Alerts, options)], Some(delivered)).expect("a thread");
    for number in 0..100 {
        delivery.send(Lane::Alerts, Some(format!("id-{number}")), line(number, 10));
    }
    delivery.send(Lane::Telemetry, None, "no such lane".into());
    delivery.replace(root.join("status.json"), Trust::Own, "old".into());
    delivery.replace(root.join("status.json"), Trust::Own, "new".into());
    let refused = delivery.status(Lane::Telemetry).refused;
    assert_eq!((refused, delivery.stop(Duration::from_secs(60))), (1, 0));
    assert_eq!(std::fs::read_to_string(&path).expect("the file").lines().count(), 100);
    assert_eq!(*count.lock().expect("no panic"), 100);
    assert_eq!(std::fs::read_to_string(root.join("status.json")).expect("the status"), "new");
}
