//! `container clone`, `container cleanup`

use crate::lab::{Lab, differs_on_purpose};

#[test]
fn a_clone_has_the_settings_and_a_root_of_its_own() {
    let lab = Lab::new();
    lab.ok("run --name one --network none -e COLOUR=red box sh -c 'echo $COLOUR; ls /made 2>/dev/null; touch /made'");
    let id = lab.ok("container clone one");
    assert_eq!(lab.inspect("one-clone", "{{.Id}}"), id);
    assert_eq!(lab.ok("start -a one-clone"), "red");
    lab.ok("container clone --cpus 1 one two");
    assert_eq!(lab.inspect("two", "{{.HostConfig.NanoCpus}}"), "1000000000");
    lab.creel("container clone one two").run().fails(125);
    lab.ok("container clone --destroy one three");
    lab.creel("container exists one").run().code(1);
    lab.ok("container clone --run three four");
    lab.ok("wait four");
    assert_eq!(lab.ok("logs four"), "red");
    lab.creel("container clone nosuch").run().fails(125);
    lab.ok("container clone --name flag three argument");
    lab.ok("container exists argument");
}

#[test]
fn cleanup_is_for_whoever_is_there_and_leaves_what_runs() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sleep 1000");
    lab.ok("run --name two --network none box true");
    assert_eq!(lab.ok("container cleanup one two"), "one\ntwo");
    if !differs_on_purpose("the others are done where one name is missing") {
        assert_eq!(lab.ok("container cleanup one nosuch two"), "one\ntwo");
    }
    assert_eq!(lab.state("one"), "running");
    lab.ok("exec one true");
    assert_eq!(lab.ok("container cleanup --rm two"), "two");
    lab.creel("container exists two").run().code(1);
}
