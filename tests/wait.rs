//! `wait`

use crate::lab::{Background, Lab, eventually, is_podman};

#[test]
fn wait_prints_exit_codes() {
    let lab = Lab::new();
    lab.ok("run -d --name a --network none box sh -c 'sleep 0.3; exit 3'");
    lab.ok("run -d --name b --network none box sh -c 'exit 4'");
    assert_eq!(lab.ok("wait a b"), "3\n4");
    assert_eq!(lab.ok("wait b"), "4");
}

#[test]
fn the_code_of_one_that_went_before_its_turn_is_known() {
    let lab = Lab::new();
    lab.folder("d");
    lab.creel("run --name first --network none box sh -c 'exit 5'").run().fails(5);
    for (name, options, code) in [("long", "", 4), ("short", "--rm", 3)] {
        let script = format!("until [ -e /d/{name} ]; do sleep 0.05; done; exit {code}");
        lab.ok(&format!(
            "run -d {options} --name {name} --network none -v {}:/d box sh -c '{script}'",
            lab.path("d").display()
        ));
    }
    let mut waiting = lab.creel("wait first long short").spawn();
    // All three have been looked up by now.
    assert_eq!(waiting.line(), "5");
    lab.write("d/short", "");
    eventually("it is gone", || lab.creel("container exists short").run().exit_code() == 1);
    lab.write("d/long", "");
    assert_eq!(waiting.end().ok(), "5\n4\n3");
}

#[test]
fn a_missing_container_is_an_error_unless_ignored() {
    let lab = Lab::new();
    lab.creel("wait nosuch").run().fails(125);
    assert_eq!(lab.ok("wait --ignore nosuch"), "-1");
    lab.ok("run -d --name one --network none box sleep 1000");
    // Nothing is waited for then.
    let outcome = lab.creel("wait one nosuch").run();
    outcome.fails(125);
    assert_eq!(outcome.out(), "");
}

#[test]
fn what_has_never_run_is_not_waited_for() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    for line in ["wait one", "wait --condition stopped one", "wait --condition exited one", "wait --latest"] {
        assert_eq!(lab.ok(line), "0", "{line}");
    }
}

#[test]
fn other_conditions_give_minus_one() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sleep 1000");
    assert_eq!(lab.ok("wait --condition running one"), "-1");
    lab.ok("create --name two --network none box true");
    assert_eq!(lab.ok("wait --condition created two"), "-1");
    lab.creel("wait --condition nonsense two").run().fails(125);
}

/// Returns when a `wait` misses nothing any more.
fn listens(waiting: &Background) {
    if is_podman() {
        return std::thread::sleep(std::time::Duration::from_millis(500));
    }
    // Last of all it opens whose end it waits for.
    let open = || std::fs::read_dir(format!("/proc/{}/fd", waiting.pid())).into_iter().flatten().flatten();
    let is_pidfd = |target: std::path::PathBuf| target.to_string_lossy().contains("pidfd");
    eventually("it waits", || open().any(|entry| std::fs::read_link(entry.path()).is_ok_and(is_pidfd)));
}

#[test]
fn a_stop_that_takes_its_time_is_seen() {
    let lab = Lab::new();
    lab.ok("run -d --name deaf --network none box sleep 1000");
    let waiting = lab.creel("wait --condition stopping deaf").spawn();
    listens(&waiting);
    let stopping = lab.creel("stop -t 1000 deaf").spawn();
    assert_eq!(waiting.end().ok(), "-1");
    lab.ok("kill deaf");
    stopping.end().ok();
}

#[test]
fn wait_sees_the_end_of_a_container_that_is_removed() {
    let lab = Lab::new();
    lab.ok("run -d --rm --name brief --network none box sh -c 'until test -e /go; do sleep 0.05; done; exit 7'");
    let waiting = lab.creel("wait brief").spawn();
    listens(&waiting);
    lab.ok("exec brief touch /go");
    assert_eq!(waiting.end().ok(), "7");
}

#[test]
fn the_first_of_several_may_be_enough() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sleep 1000");
    lab.ok("run -d --name two --network none box sh -c 'exit 4'");
    assert_eq!(lab.ok("wait --exit-first-match one two"), "4");
    assert_eq!(lab.ok("wait --exit-first-match --condition running two one"), "-1");
    lab.creel("wait --exit-first-match one nosuch").run().fails(125);
}

#[test]
fn what_can_never_be_is_not_waited_for() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sleep 1000");
    let error = lab.creel("wait --condition healthy one").run().fails(125);
    assert!(error.contains("has no healthcheck"), "{error}");
}
