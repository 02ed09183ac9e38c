//! `restart`

use std::time::Duration;

use crate::lab::{Lab, differs_on_purpose};

#[test]
fn restart_gives_a_new_process_in_the_same_container() {
    let lab = Lab::new();
    let id = lab.ok("run -d --name one --network none box sh -c 'echo up >> /tmp/ups; exec sleep 1000'");
    crate::lab::eventually("the first start", || lab.creel("exec one cat /tmp/ups").run().out() == "up");
    let before = lab.inspect("one", "{{.State.Pid}}");
    assert_eq!(lab.ok("restart -t 0 one"), "one");
    assert_ne!(lab.inspect("one", "{{.State.Pid}}"), before);
    assert_eq!(lab.inspect("one", "{{.Id}}"), id);
    crate::lab::eventually("two starts", || lab.ok("exec one cat /tmp/ups") == "up\nup");
}

#[test]
fn restart_starts_what_was_stopped() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box idle");
    lab.ok("restart one");
    assert_eq!(lab.state("one"), "running");
}

#[test]
fn running_limits_restart_to_what_runs() {
    let lab = Lab::new();
    lab.ok("create --name idle --network none box idle");
    lab.ok("run -d --name busy --network none box sleep 1000");
    if !differs_on_purpose("podman 5.8 wants a name beside --running") {
        assert_eq!(lab.ok("restart -t 0 --running").lines().count(), 1);
    }
    assert_eq!(lab.state("idle"), "created");
    lab.ok("restart -t 0 --all");
    assert_eq!(lab.state("idle"), "running");
}

#[test]
fn a_missing_container_is_an_error() {
    let lab = Lab::new();
    let error = lab.creel("restart nosuch").run().fails(125);
    assert!(error.contains("no such container"), "{error}");
}

#[test]
fn a_container_that_has_just_been_started_again_can_be_stopped() {
    let lab = Lab::new();
    // Deaf to the signal that a monitor which waits to start it again is told to end by.
    lab.ok("run -d --name loop --restart always --network none box sh -c 'trap \"\" TERM; sleep 0.03'");
    for pause in 0..12 {
        std::thread::sleep(Duration::from_millis(90 + 7 * pause));
        lab.ok("stop -t 0 loop");
        assert_eq!(lab.state("loop"), "exited");
        lab.ok("start loop");
    }
    lab.ok("rm -f -t 0 loop");
}
