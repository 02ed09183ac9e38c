//! `packaging/quickstart`: the first thing a stranger runs.

use std::process::Command;

use crate::lab::{Lab, differs_on_purpose, tests_are_root};

#[test]
fn the_quickstart_serves_a_page_and_leaves_nothing() {
    if differs_on_purpose("it starts creel") {
        return;
    }
    let lab = Lab::empty();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/quickstart");
    let copy = lab.executable("quickstart", &std::fs::read_to_string(script).unwrap());
    let line = format!("{} --binary {}", copy.display(), lab.program_under_test().display());
    let text = lab.program(&line).within(120).run().ok();
    assert!(text.contains("it says: Hello from creel"), "{text}");
    assert!(text.contains("it works"), "{text}");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn scripts_are_sound_shell() {
    for script in ["packaging/quickstart", "tests/run", ".ci/run"] {
        let path = format!("{}/{script}", env!("CARGO_MANIFEST_DIR"));
        if !std::path::Path::new(&path).exists() {
            continue;
        }
        let checked = Command::new("bash").args(["-n", &path]).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
    assert!(tests_are_root() || !crate::lab::user().name.is_empty());
}
