//! `pause`, `unpause`: they need a cgroup that the user may write to.

use crate::lab::{Lab, differs_on_purpose, eventually};

#[test]
fn a_paused_container_does_nothing_until_it_is_resumed() {
    let Some(lab) = Lab::with_cgroup() else { return };
    lab.ok("run -d --name tick --network none box sh -c 'while :; do echo tick; sleep 0.02; done'");
    lab.log_holds("tick", "tick");
    assert_eq!(lab.ok("pause tick"), "tick");
    assert_eq!(lab.state("tick"), "paused");
    assert_eq!(lab.inspect("tick", "{{.State.Paused}}"), "true");
    let before = lab.ok("logs tick").len();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(lab.ok("logs tick").len(), before);
    assert!(lab.ok("ps -a").contains("Paused"));
    assert_eq!(lab.ok("unpause tick"), "tick");
    assert_eq!(lab.state("tick"), "running");
    eventually("it ticks again", || lab.ok("logs tick").len() > before);
}

#[test]
fn a_paused_container_needs_force_to_be_removed() {
    let Some(lab) = Lab::with_cgroup() else { return };
    lab.ok("run -d --name cold --network none box sleep 1000");
    lab.ok("pause cold");
    lab.creel("rm cold").run().fails(2);
    lab.creel("exec cold true").run().fails(255);
    lab.ok("rm -f -t 0 cold");
}

#[test]
fn start_of_a_paused_container_is_refused() {
    let Some(lab) = Lab::with_cgroup() else { return };
    let id = lab.ok("run -d --name cold --network none box sleep 1000");
    lab.ok("pause cold");
    let told = lab.creel("start cold").run().fails(125);
    assert!(told.contains(&format!("container {id} must be in Created or Stopped state to be started")), "{told}");
    assert_eq!(lab.state("cold"), "paused");
    lab.ok("rm -f -t 0 cold");
}

#[test]
fn only_what_runs_can_be_paused() {
    let Some(lab) = Lab::with_cgroup() else { return };
    lab.ok("create --name idle --network none box true");
    lab.creel("pause idle").run().fails(125);
    lab.creel("unpause idle").run().fails(125);
    lab.ok("run -d --name a --network none box sleep 1000");
    lab.ok("pause --all");
    lab.creel("pause a").run().fails(125);
    lab.ok("unpause --all");
    assert_eq!(lab.state("a"), "running");
}

#[test]
fn stop_of_a_paused_container_ends_it() {
    let Some(lab) = Lab::with_cgroup() else { return };
    if differs_on_purpose("podman refuses to stop what is paused") {
        return;
    }
    lab.ok("run -d --name cold --network none box sleep 1000");
    lab.ok("pause cold");
    lab.ok("stop -t 0 cold");
    assert_eq!(lab.state("cold"), "exited");
}

#[test]
fn without_a_cgroup_the_error_says_so() {
    if differs_on_purpose("podman's words are others") {
        return;
    }
    let lab = Lab::new();
    if !crate::lab::tests_are_root() {
        return crate::lab::skip("only a root test run can withhold the cgroup");
    }
    lab.ok("run -d --name warm --network none box sleep 1000");
    let error = lab.creel("pause warm").run().fails(125);
    assert!(error.contains("cgroup"), "{error}");
    assert_eq!(lab.state("warm"), "running");
}

#[test]
fn what_does_not_run_is_not_paused() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    let text = lab.creel("pause one").run().fails(125);
    assert!(text.contains("\"created\" is not running, can't pause"), "{text}");
    let text = lab.creel("unpause one").run().fails(125);
    assert!(text.contains("is not paused, can't unpause"), "{text}");
}
