//! `stop`

use std::time::{Duration, Instant};

use crate::lab::{Lab, is_podman};

#[test]
fn stop_prints_what_was_typed_and_the_container_ends_by_its_own_word() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box idle");
    lab.log_holds("one", "ready");
    assert_eq!(lab.ok("stop one"), "one");
    assert_eq!(lab.state("one"), "exited");
    assert_eq!(lab.inspect("one", "{{.State.ExitCode}}"), "0");
}

/// The first process of a pid namespace never hears of a signal that came before it was ready to take it.
#[test]
fn no_stop_comes_too_early_for_init() {
    let lab = Lab::new();
    let start = Instant::now();
    for _ in 0..5 {
        lab.ok("run -d --init --name one --network none box sleep 1000");
        lab.ok("stop -t 100 one");
        assert_eq!(lab.inspect("one", "{{.State.ExitCode}}"), "143");
        lab.ok("rm one");
    }
    assert!(start.elapsed() < Duration::from_secs(90), "{:?}", start.elapsed());
}

#[test]
fn init_passes_real_time_signals_on_and_the_program_begins_with_none_blocked() {
    let lab = Lab::new();
    let script = "grep SigBlk /proc/self/status; trap 'exit 5' 37; echo ready; while :; do sleep 0.05; done";
    let line = ["run", "-d", "--init", "--name", "one", "--network", "none", "box", "sh", "-c", script];
    lab.creel_words(&line).run().ok();
    lab.log_holds("one", "ready");
    assert_eq!(lab.ok("logs one"), "SigBlk:\t0000000000000000\nready");
    lab.ok("kill -s RTMIN+3 one");
    assert_eq!(lab.ok("wait one"), "5");
}

#[test]
fn a_deaf_container_is_killed_after_the_time() {
    let lab = Lab::new();
    lab.ok("run -d --name deaf --stop-timeout 100 --network none box sleep 1000");
    let start = Instant::now();
    lab.ok("stop -t 1 deaf");
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(start.elapsed() < Duration::from_secs(90), "{:?}", start.elapsed());
    assert_eq!(lab.inspect("deaf", "{{.State.ExitCode}}"), "137");
}

#[test]
fn time_zero_kills_at_once() {
    let lab = Lab::new();
    lab.ok("run -d --name deaf --stop-timeout 100 --network none box sleep 1000");
    let start = Instant::now();
    lab.ok("stop --time 0 deaf");
    assert!(start.elapsed() < Duration::from_secs(90), "{:?}", start.elapsed());
}

#[test]
fn the_container_s_own_stop_timeout_is_the_default() {
    let lab = Lab::new();
    lab.write(".config/containers/containers.conf", "[engine]\nstop_timeout = 100\n");
    lab.ok("run -d --name deaf --stop-timeout 0 --network none box sleep 1000");
    let start = Instant::now();
    lab.ok("stop deaf");
    assert!(start.elapsed() < Duration::from_secs(90), "{:?}", start.elapsed());
}

#[test]
fn stopping_what_is_stopped_is_fine() {
    let lab = Lab::new();
    lab.ok("run --name done --network none box true");
    assert_eq!(lab.ok("stop done"), "done");
    lab.ok("create --name fresh --network none box true");
    lab.ok("stop fresh");
}

#[test]
fn a_missing_container_is_an_error_unless_ignored() {
    let lab = Lab::new();
    let error = lab.creel("stop nosuch").run().fails(125);
    assert!(error.contains("no container with name or ID \"nosuch\" found: no such container"), "{error}");
    lab.ok("stop --ignore nosuch");
}

#[test]
fn stop_all_stops_everything() {
    let lab = Lab::new();
    for name in ["a", "b", "c"] {
        lab.ok(&format!("run -d --name {name} --network none box idle"));
        lab.log_holds(name, "ready");
    }
    assert_eq!(lab.ok("stop -a").lines().count(), 3);
    assert_eq!(lab.ok("ps -q"), "");
}

#[test]
fn cidfile_and_filter_name_containers_too() {
    let lab = Lab::new();
    lab.ok("run -d --name a --cidfile id --network none box sleep 1000");
    lab.ok("run -d --name b -l x=y --network none box sleep 1000");
    lab.ok("stop -t 0 --cidfile id");
    assert_eq!(lab.ok("ps --format {{.Names}}"), "b");
    lab.ok("stop -t 0 --filter label=x=y");
    assert_eq!(lab.ok("ps -q"), "");
}

#[test]
fn a_stopped_rm_container_is_gone() {
    let lab = Lab::new();
    lab.ok("run -d --rm --name brief --network none box sleep 1000");
    lab.ok("stop -t 0 brief");
    assert_eq!(lab.creel("container exists brief").run().exit_code(), 1);
}

#[test]
fn everything_in_the_container_ends_with_its_first_process() {
    let lab = Lab::new();
    lab.ok("run -d --name many --network none box sh -c 'for i in 1 2 3 4 5; do sleep 1000 & done; echo up; wait'");
    lab.log_holds("many", "up");
    lab.ok("stop -t 0 many");
    assert!(!lab.processes().iter().any(|process| process.command.contains("sleep 1000")), "{:?}", lab.processes());
}

#[test]
fn another_signal_may_be_sent_first() {
    let lab = Lab::new();
    if is_podman() {
        return;
    }
    lab.ok(
        "run -d --name one --network none box sh -c 'trap \"exit 7\" USR1; echo ready; while :; do sleep 0.1; done'",
    );
    lab.log_holds("one", "ready");
    lab.ok("stop -s USR1 one");
    assert_eq!(lab.inspect("one", "{{.State.ExitCode}}"), "7");
    lab.creel("stop --signal NONSENSE one").run().fails(125);
}
