//! `rename`

use crate::lab::{Lab, is_podman};

#[test]
fn the_end_is_told_with_the_new_name() {
    let lab = Lab::new();
    lab.ok("run -d --name old --network none box idle");
    lab.ok("rename old new");
    lab.ok("stop -t 0 new");
    let died = lab.ok("events --stream=false --since 10m --filter event=died --format {{.Name}}");
    assert_eq!(died, "new");
}

#[test]
fn the_new_name_holds_and_the_old_is_free() {
    let lab = Lab::new();
    let id = lab.ok("run -d --name old --network none box idle");
    assert_eq!(lab.ok("rename old new"), "");
    assert_eq!(lab.inspect("new", "{{.Id}}"), id);
    assert_eq!(lab.creel("container exists old").run().exit_code(), 1);
    lab.ok("create --name old --network none box true");
    lab.ok("stop -t 0 new");
    lab.ok("start new");
    assert_eq!(lab.state("new"), "running");
}

#[test]
fn a_name_in_use_or_a_bad_one_is_refused() {
    let lab = Lab::new();
    lab.ok("create --name a --network none box true");
    lab.ok("create --name b --network none box true");
    let error = lab.creel("rename a b").run().fails(125);
    // podman shows the words of its database.
    assert!(is_podman() || error.contains("already in use"), "{error}");
    lab.creel("rename a 'b c'").run().fails(125);
    lab.creel("rename nosuch c").run().fails(125);
    assert_eq!(lab.ok("ps -a --format {{.Names}} --sort names"), "a\nb");
}
