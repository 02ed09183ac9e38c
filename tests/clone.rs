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

#[test]
fn a_clone_is_in_the_pod_that_is_asked_for() {
    let lab = Lab::new();
    lab.ok("pod create --name one --network none");
    lab.ok("pod create --name two --network none");
    lab.ok("create --name member --pod one box hostname");
    lab.ok("create --name solo --hostname alone box hostname");
    // Of a member in its pod, under the first name that is free.
    lab.ok("container clone member");
    lab.ok("container clone member");
    lab.ok("container clone --pod two member other");
    let reset = lab.creel("container clone --pod two solo joined").run();
    reset.ok();
    assert!(reset.err().contains("At least one namespace was reset to the default configuration"), "{reset}");
    let pod = |name: &str| lab.ok(&format!("ps -a --filter name=^{name}$ --format {{{{.PodName}}}}"));
    for (name, of) in
        [("member-clone", "one"), ("member-clone1", "one"), ("other", "two"), ("joined", "two"), ("solo", "")]
    {
        assert_eq!(pod(name), of, "{name}");
    }
    assert_eq!(lab.ok("start -a joined"), "two");
    assert_eq!(lab.ok("start -a member-clone1"), "one");
    assert_eq!(
        lab.creel("container clone --pod nosuch solo").run().fails(125),
        "Error: no pod with name or ID nosuch found: no such pod"
    );
    lab.ok("pod rm -f -a");
}

#[test]
fn a_clone_of_a_pod_has_what_is_said_for_it() {
    let lab = Lab::new();
    lab.folder("shared");
    lab.write("shared/file", "mine\n");
    lab.ok("pod create --name one --network none --label a=b --hostname old");
    lab.ok("create --name member --pod one box sh -c 'hostname; cat /shared/file; grep NoNewPrivs /proc/self/status; df /dev/shm | tail -1'");
    lab.ok("pod clone --name two --label c=d --hostname new -v ./shared:/shared --security-opt no-new-privileges \
         --shm-size 5m --infra-name holder --memory 100m --cpu-shares 100 one");
    let two = &lab.json("pod inspect two")[0];
    assert_eq!(two["Labels"], serde_json::json!({ "a": "b", "c": "d" }));
    assert_eq!((two["memory_limit"].as_i64(), two["cpu_shares"].as_i64()), (Some(100 << 20), Some(100)));
    assert_eq!(lab.inspect("holder", "{{.Id}}"), two["InfraContainerID"]);
    lab.ok(
        "pod clone --name three --hostname new -v ./shared:/shared --security-opt no-new-privileges --shm-size 5m one",
    );
    let said = lab.ok("start -a member-clone1");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..3], ["new", "mine", "NoNewPrivs:\t1"], "{said}");
    assert!(lines[3].contains(" 5120 "), "{said}");
    // The first one is as it was.
    assert_eq!(lab.json("pod inspect one")[0]["Labels"], serde_json::json!({ "a": "b" }));
    let error = lab.creel("pod clone --restart bogus one").run().fails(125);
    assert!(
        error
            .starts_with("Error: running pod create option: \"bogus\" is not a valid restart policy: invalid argument"),
        "{error}"
    );
    lab.ok("pod rm -f -a");
}

#[test]
fn a_name_that_is_taken_is_not_given_again() {
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    let error = lab.creel("container clone one one").run().fails(125);
    let expected = "Error: creating container storage: the container name \"one\" is already in use";
    assert!(error.starts_with(expected), "{error}");
}
