//! Records that cannot be read: said by name, the rest goes on.

use std::path::PathBuf;

use crate::lab::{Lab, differs_on_purpose, files};

fn records(lab: &Lab, of: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = files(&lab.store())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter(|path| path.strip_prefix(lab.store()).unwrap().starts_with(of))
        .collect();
    found.sort();
    found
}

#[test]
fn a_damaged_container_is_named_and_the_others_go_on() {
    if differs_on_purpose("podman keeps everything in one database") {
        return;
    }
    for (what, content) in [
        ("empty", &b""[..]),
        ("half", b"{\"version\":1,\"i"),
        ("noise", b"\xff\xfe\0\0"),
        ("another shape", b"[1,2,3]"),
    ] {
        let lab = Lab::new();
        let good = lab.ok("run -d --name good --network none box idle");
        lab.ok("create --name bad --network none box true");
        let bad = lab.inspect("bad", "{{.Id}}");
        for path in records(&lab, "containers").into_iter().filter(|path| path.to_string_lossy().contains(&bad)) {
            std::fs::write(path, content).unwrap();
        }
        let listed = lab.creel("ps -a --format {{.ID}}").run();
        assert!(listed.out().contains(&good[..12]), "{what}: {listed}");
        assert!(listed.err().contains(&bad[..12]) || listed.out().contains(&bad[..12]), "{what}: {listed}");
        assert_eq!(lab.ok("exec good echo on"), "on");
        lab.ok("run --rm --network none box true");
        let checked = lab.creel("system check").run();
        assert_eq!(checked.exit_code(), 125, "{what}: {checked}");
        assert!(format!("{}{}", checked.out(), checked.err()).contains(&bad[..12]), "{what}: {checked}");
        lab.ok("system check --repair --force --max 0");
        lab.ok("system check");
        lab.ok("create --name bad --network none box true");
    }
}

#[test]
fn what_is_left_of_a_pod_without_a_record_can_be_removed() {
    if differs_on_purpose("podman keeps everything in one database") {
        return;
    }
    let lab = Lab::new();
    for remove in ["rm -f -t 0 -a", "rm -f -t 0 one $HOLDER"] {
        let pod = lab.ok("pod create --name lost");
        lab.ok("run -d --pod lost --name one box idle");
        std::fs::remove_dir_all(lab.store().join("pods").join(&pod)).unwrap();
        lab.ok(&remove.replace("$HOLDER", &format!("{}-infra", &pod[..12])));
        assert_eq!(lab.ok("ps -aq"), "");
        lab.ok("pod create --name lost");
        lab.ok("pod rm lost");
    }
}

#[test]
fn a_damaged_image_is_named_and_can_be_had_again() {
    if differs_on_purpose("podman keeps everything in other places") {
        return;
    }
    let lab = Lab::new();
    let path = &records(&lab, "images")[0];
    std::fs::write(path, "{").unwrap();
    let outcome = lab.creel("run --rm --network none --pull never box true").run();
    assert_eq!(outcome.exit_code(), 125, "{outcome}");
    assert!(!outcome.err().contains("panicked"), "{outcome}");
    let checked = lab.creel("system check").run();
    assert_eq!(checked.exit_code(), 125, "{checked}");
    lab.ok("system check --repair --force --max 0");
    lab.load_box();
    lab.ok("run --rm --network none box true");
    lab.ok("system check");
}

#[test]
fn a_store_of_a_later_version_is_refused_and_left_alone() {
    if differs_on_purpose("podman has no version in its store") {
        return;
    }
    let lab = Lab::new();
    let path = lab.store().join("version.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let number: u32 =
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["version"].as_u64().unwrap().try_into().unwrap();
    std::fs::write(&path, text.replace(&number.to_string(), &(number + 1).to_string())).unwrap();
    let error = lab.creel("run --rm --network none box true").run().fails(125);
    assert!(error.contains("version"), "{error}");
    lab.creel("images").run().fails(125);
    std::fs::write(&path, &text).unwrap();
    lab.ok("run --rm --network none box true");
}

#[test]
fn a_lost_layer_is_noticed_before_the_command_starts() {
    if differs_on_purpose("podman keeps everything in other places") {
        return;
    }
    let lab = Lab::new();
    let layers = lab.store().join("layers");
    for entry in std::fs::read_dir(&layers).unwrap().flatten() {
        std::fs::remove_dir_all(entry.path()).unwrap();
    }
    let outcome = lab.creel("run --rm --network none --pull never box true").run();
    assert_eq!(outcome.exit_code(), 125, "{outcome}");
    assert_eq!(lab.creel("system check").run().exit_code(), 125);
    lab.ok("system check --repair --force --max 0");
    lab.load_box();
    lab.ok("run --rm --network none box true");
}
