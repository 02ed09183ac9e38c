//! `attach`

use crate::lab::{Lab, is_podman};

/// Ours is the container's exit code, as Docker's is; podman's is 0 once it was attached.
fn code(of_the_container: i32) -> i32 {
    if is_podman() { 0 } else { of_the_container }
}

#[test]
fn attach_shows_what_comes_and_gives_the_exit_code() {
    let lab = Lab::new();
    lab.ok("run -d -i --name one --network none box sh -c 'read word; echo got $word; echo err >&2; exit 8'");
    let outcome = lab.creel("attach one").input("it\n").run();
    assert_eq!(outcome.code(code(8)).trim_end(), "got it");
    assert_eq!(outcome.err(), "err");
}

#[test]
fn what_does_not_run_cannot_be_attached_to() {
    let lab = Lab::new();
    lab.ok("create --name idle --network none box true");
    let error = lab.creel("attach idle").run().fails(125);
    assert!(error.contains("you can only attach to running containers"), "{error}");
    lab.creel("attach nosuch").run().fails(125);
}

#[test]
fn no_stdin_leaves_input_alone() {
    let lab = Lab::new();
    lab.ok(
        "run -d -i --name one --network none box sh -c '(while :; do echo tick; sleep 0.05; done) & cat; echo over'",
    );
    let mut attached = lab.creel("attach --no-stdin one").spawn();
    assert_eq!(attached.line(), "tick");
    lab.ok("stop -t 0 one");
    assert!(!attached.end().code(code(137)).contains("over"));
}

#[test]
fn several_may_attach_and_all_see_the_same() {
    let lab = Lab::new();
    let script = "trap 'echo seen; exit 0' USR1; while :; do echo tick; sleep 0.05; done";
    lab.creel_words(&["run", "-d", "--name", "one", "--network", "none", "box", "sh", "-c", script]).run().ok();
    let mut all: Vec<_> = (0..3).map(|_| lab.creel("attach --no-stdin one").spawn()).collect();
    for attached in &mut all {
        assert_eq!(attached.line(), "tick");
    }
    lab.ok("kill -s USR1 one");
    for attached in all {
        assert_eq!(attached.end().ok().lines().last(), Some("seen"));
    }
}

#[test]
fn signals_are_passed_on_unless_refused() {
    let lab = Lab::new();
    let script = "trap 'echo caught; exit 4' USR1; while :; do echo tick; sleep 0.05; done";
    lab.creel_words(&["run", "-d", "--name", "one", "--network", "none", "box", "sh", "-c", script]).run().ok();
    let mut attached = lab.creel("attach one").spawn();
    assert_eq!(attached.line(), "tick");
    attached.signal(nix::sys::signal::Signal::SIGUSR1);
    assert!(attached.end_with_input_open().code(code(4)).trim_end().ends_with("caught"));
}

#[test]
fn detach_keys_leave_the_container_running() {
    let lab = Lab::new();
    lab.ok("run -dit --name one --network none box sh");
    let mut terminal = lab.terminal("attach one");
    terminal.type_in("echo 'he'llo\n");
    terminal.expect("hello");
    terminal.press("\u{10}\u{11}");
    assert_eq!(terminal.end(), 0);
    assert_eq!(lab.state("one"), "running");
    let mut terminal = lab.terminal("attach --detach-keys ctrl-x one");
    terminal.type_in("echo 'aga'in\n");
    terminal.expect("again");
    terminal.type_in("\u{18}");
    assert_eq!(terminal.end(), 0);
    assert_eq!(lab.state("one"), "running");
}

#[test]
fn with_no_output_attached_the_id_is_printed() {
    let lab = Lab::new();
    let id = lab.creel("run -i -a stdin --name one --network none box sh -c 'cat > /got'").input("hello\n").run().ok();
    assert_eq!(id, lab.inspect("one", "{{.Id}}"));
    lab.ok("cp one:/got got");
    assert_eq!(lab.read("got"), "hello\n");
}

#[test]
fn only_what_runs_can_be_attached_to() {
    let lab = Lab::new();
    let id = lab.ok("create --name one --network none box true");
    let error = lab.creel("attach one").run().fails(125);
    assert_eq!(error.trim(), format!("Error: attaching to container {id}: you can only attach to running containers"));
}
