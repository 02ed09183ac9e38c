//! `init`: as far as a container can go without running.

use crate::lab::Lab;

#[test]
fn an_initialized_container_starts_at_once() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box sh -c 'echo went'");
    assert_eq!(lab.ok("init one"), "one");
    assert_eq!(lab.state("one"), "initialized");
    assert_eq!(lab.ok("start -a one"), "went");
}

#[test]
fn an_initialized_container_can_be_removed() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    lab.ok("init one");
    lab.ok("rm -f -t 0 one");
    lab.creel("init nosuch").run().fails(125);
}

#[test]
fn what_is_initialized_needs_no_force_to_go() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    lab.ok("init one");
    assert_eq!(lab.ok("rm one"), "one");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn all_names_those_that_are_initialized_already() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    lab.ok("create --name two --network none box true");
    let all = lab.ok("init --all");
    assert_eq!(all.lines().count(), 2);
    assert_eq!(lab.ok("init --all"), all);
    let text = lab.creel("init one").run().fails(125);
    assert!(text.contains("has already been created in runtime"), "{text}");
    let text = lab.creel("start -a --all").run().fails(125);
    assert!(text.contains("cannot start and attach all containers at once"), "{text}");
    lab.ok("rm one two");
}
