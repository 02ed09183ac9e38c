//! `start`

use crate::lab::{Lab, eventually};

#[test]
fn start_prints_what_was_typed() {
    let lab = Lab::new();
    let id = lab.ok("create --name one --network none box idle");
    assert_eq!(lab.ok("start one"), "one");
    assert_eq!(lab.state("one"), "running");
    assert_eq!(lab.ok(&format!("start {}", &id[..10])), &id[..10]);
}

#[test]
fn starting_what_runs_changes_nothing() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box idle");
    let pid = lab.inspect("one", "{{.State.Pid}}");
    lab.ok("start one");
    assert_eq!(lab.inspect("one", "{{.State.Pid}}"), pid);
}

#[test]
fn attached_start_shows_output_and_gives_the_exit_code() {
    let lab = Lab::new();
    lab.ok("create --name talk --network none box sh -c 'echo out; echo err >&2; exit 6'");
    let outcome = lab.creel("start --attach talk").run();
    assert_eq!(outcome.code(6), "out");
    assert_eq!(outcome.err(), "err");
}

#[test]
fn why_a_start_failed_is_kept_until_one_succeeds() {
    let lab = Lab::new();
    let shown = |name: &str| lab.inspect(name, "{{.State.Status}} {{.State.ExitCode}} {{.State.Error}}");
    lab.folder("dir");
    lab.ok("create --name one --network none -v ./dir:/d box sh -c 'exit 3'");
    lab.creel("start -a one").run().code(3);
    assert_eq!(shown("one"), "exited 3 ");
    std::fs::remove_dir(lab.path("dir")).unwrap();
    for line in ["start one", "start -a one", "init one"] {
        let error = lab.creel(line).run().fails(125);
        assert!(error.contains("o such file or directory"), "{line}: {error}");
        // Its last run is what it was.
        assert!(shown("one").starts_with("exited 3 ") && shown("one").contains("o such file"), "{}", shown("one"));
    }
    lab.folder("dir");
    lab.creel("start -a one").run().code(3);
    assert_eq!(shown("one"), "exited 3 ");

    lab.creel("run -d --name none --network none box nosuch").run().fails(127);
    assert!(
        shown("none").starts_with("created 0 ") && shown("none").contains("`nosuch` not found"),
        "{}",
        shown("none")
    );
}

#[test]
fn interactive_start_passes_input_on() {
    let lab = Lab::new();
    lab.ok("create -i --name cat --network none box cat");
    assert_eq!(lab.creel("start -ai cat").input("typed\n").run().ok(), "typed");
}

#[test]
fn several_are_started_and_the_missing_one_is_named() {
    let lab = Lab::new();
    lab.ok("create --name a --network none box idle");
    lab.ok("create --name b --network none box idle");
    let outcome = lab.creel("start a nosuch b").run();
    let error = outcome.fails(125);
    assert!(error.contains("nosuch"), "{error}");
    lab.ok("start a b");
    assert_eq!(lab.ok("ps -q").lines().count(), 2);
}

#[test]
fn a_container_can_be_started_many_times() {
    let lab = Lab::new();
    lab.ok("create --name often --network none box sh -c 'echo x >> /tmp/count; wc -l < /tmp/count'");
    for number in 1..=5 {
        assert_eq!(lab.ok("start -a often"), number.to_string());
    }
}

#[test]
fn start_all_starts_those_that_do_not_run() {
    let lab = Lab::new();
    lab.ok("create --name a --network none box idle");
    lab.ok("create --name b --network none box idle");
    lab.ok("start a");
    let started = lab.ok("start --all");
    assert!(!started.is_empty());
    assert_eq!(lab.ok("ps -q").lines().count(), 2);
}

#[test]
fn start_with_a_filter_takes_those_that_match() {
    let lab = Lab::new();
    lab.ok("create --name a -l pick=yes --network none box idle");
    lab.ok("create --name b --network none box idle");
    lab.ok("start --filter label=pick=yes");
    assert_eq!(lab.ok("ps --format {{.Names}}"), "a");
}

#[test]
fn a_start_that_fails_leaves_the_container_to_be_tried_again() {
    let lab = Lab::new();
    lab.folder("data");
    lab.ok(&format!("create --name fragile --network none -v {}:/data box ls /data", lab.path("data").display()));
    std::fs::remove_dir(lab.path("data")).unwrap();
    let error = lab.creel("start fragile").run();
    assert_ne!(error.exit_code(), 0, "{error}");
    lab.write("data/back", "");
    assert_eq!(lab.ok("start -a fragile"), "back");
}

#[test]
fn latest_is_the_newest_container() {
    let lab = Lab::new();
    lab.ok("create --name old --network none box true");
    lab.ok("create --name new --network none box idle");
    lab.ok("start --latest");
    eventually("new runs", || lab.state("new") == "running");
    assert_eq!(lab.state("old"), "created");
}
