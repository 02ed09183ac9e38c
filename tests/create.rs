//! `create`: everything but the start.

use crate::lab::Lab;

#[test]
fn a_created_container_waits_to_be_started() {
    let lab = Lab::new();
    let id = lab.ok("create --name later --network none box sh -c 'echo done; exit 5'");
    assert_eq!(id.len(), 64);
    assert_eq!(lab.state("later"), "created");
    assert_eq!(lab.ok("ps -q"), "");
    assert_eq!(lab.ok("ps -aq --no-trunc"), id);
    assert_eq!(lab.creel("start -a later").run().code(5), "done");
}

#[test]
fn what_cannot_work_is_refused_and_leaves_nothing() {
    let lab = Lab::new();
    for bad in [
        "-v /no/such/folder:/x",
        "-p 99999:80",
        "--cap-add NO_SUCH",
        "--memory lots",
        "--network nowhere",
        "--user",
        "--security-opt seccomp=/no/such/profile.json",
        "--ulimit nofile=20:10",
        "--env-file /no/such/file",
        "--mount type=bind,source=/tmp",
    ] {
        assert_eq!(lab.creel(&format!("create {bad} box true")).run().exit_code(), 125, "{bad}");
    }
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn removing_a_created_container_needs_no_force() {
    let lab = Lab::new();
    lab.ok("create --name unused --network none box true");
    assert_eq!(lab.ok("rm unused"), "unused");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn rm_at_creation_acts_when_the_container_ends() {
    let lab = Lab::new();
    lab.ok("create --rm --name once --network none box echo once");
    assert_eq!(lab.ok("start -a once"), "once");
    assert_eq!(lab.creel("container exists once").run().exit_code(), 1);
}

#[test]
fn labels_come_from_flags_files_and_the_image() {
    let lab = Lab::new();
    lab.write("labels", "from=file\n# a remark\nempty=\n");
    lab.ok("create --name tagged -l a=1 --label b --label-file labels box true");
    let labels = lab.json("container inspect tagged");
    let labels = &labels[0]["Config"]["Labels"];
    for (key, value) in [("a", "1"), ("b", ""), ("from", "file"), ("empty", ""), ("kind", "box")] {
        assert_eq!(labels[key], value, "{labels}");
    }
}

#[test]
fn annotations_are_kept() {
    let lab = Lab::new();
    lab.ok("create --name noted --annotation org.example.a=1 box true");
    assert_eq!(lab.inspect("noted", r#"{{index .Config.Annotations "org.example.a"}}"#), "1");
}
