//! What did not come while a package is installed is an alert of its own.

use super::*;

const RULE: &str = "c5f3a7f2-94d0-4a0b-8a5e-6d2f5a1f0b3c";

/// A recording of the replay tests without the lines of these numbers.
fn without(case: &str, lost: &[usize], folder: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/replay");
    let text = fs::read_to_string(root.join(case).join("events.ndjson")).expect("a recording");
    let lines = text.lines().enumerate().filter(|(index, _)| !lost.contains(&(index + 1)));
    let path = folder.join("events.ndjson");
    fs::write(&path, lines.map(|(_, line)| format!("{line}\n")).collect::<String>()).expect("a recording");
    path
}

/// The alerts of a sensor that is shown a recording, and of a replay of what it recorded.
fn alerts(case: &str, lost: &[usize]) -> [Vec<Json>; 2] {
    let (_folder, folder) = temporary();
    let mut config = config(&folder);
    config.telemetry.enabled = true;
    let recording = without(case, lost, &folder);
    let mut sensor = start(&config, START);
    show(&mut sensor, &[recording]);
    assert_eq!(sensor.stop(START, "the test ends"), 0);
    let mut again = replayed(&parts(&config.telemetry.file));
    let mut live = documents(&config.alerts.file);
    for documents in [&mut live, &mut again] {
        documents.iter_mut().for_each(comparable);
        documents.iter_mut().for_each(only_ids_in_tree);
    }
    [live, again]
}

fn of_rule(alerts: &[Json]) -> Vec<&Json> {
    alerts.iter().filter(|alert| alert["rule"]["id"] == RULE).collect()
}

#[test]
fn a_loss_during_an_install_names_package_and_busiest_process() {
    let [live, again] = alerts("root-postinstall", &[9, 10, 12]);
    let [alert] = of_rule(&live)[..] else { panic!("one: {live:#?}") };
    assert_eq!(alert["event"]["action"], "events_lost");
    assert_eq!(alert["vedette"]["loss"]["missing"], 3);
    assert_eq!(alert["vedette"]["loss"]["sessions"], 1);
    assert_eq!(alert["vedette"]["package"]["host"], "package_script_service");
    // From whose window `sudo installer` was run.
    assert_eq!(alert["process"]["name"], "Terminal");
    assert_eq!(alert["vedette"]["gap"], true);
    assert_eq!(of_rule(&again), [alert], "telemetry decides alike");
}

#[test]
fn what_came_whole_or_without_an_install_is_no_such_alert() {
    for (case, lost) in [("root-postinstall", &[][..]), ("benign-homebrew-cask", &[3, 4])] {
        let [live, again] = alerts(case, lost);
        assert_eq!((of_rule(&live).len(), of_rule(&again).len()), (0, 0), "{case}");
    }
}
