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
