//! `create`: everything but the start.

use crate::lab::{Lab, differs_on_purpose};

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

#[test]
fn flags_that_do_not_go_together_are_refused() {
    let lab = Lab::new();
    lab.write("broken.json", "{");
    for (flags, words) in [
        ("--security-opt seccomp=broken.json", "broken.json) failed: decoding seccomp profile failed"),
        ("--pull true", "unsupported pull policy \"true\""),
        ("--rm --restart on-failure:3", "the --rm option conflicts with --restart"),
        ("--restart on-failure:3:4", "invalid restart policy: may specify retries at most once"),
        ("--cap-drop all --cap-add all", "adding all caps and removing all caps not allowed"),
        ("--ipc host --shm-size 1m", "cannot set shmsize when running in the {host } IPC Namespace"),
        ("--dns none --dns-search a.b", "UseImageResolvConf and DNSSearch are mutually exclusive options"),
        ("--network none --dns-search a.b", "conflicting options: dns and the network mode: none"),
        ("--network container:none --dns-option x", "conflicting options: dns and the network mode: container"),
        ("--expose 0", "port numbers must be between 1 and 65535 (inclusive), got 0"),
        ("--expose 80/foo", "unrecognized protocol \"foo\" in port mapping"),
        ("--expose 70000", "strconv.ParseUint: parsing \"70000\": value out of range"),
        ("--stop-signal 999", "valid signals are 1 through 64"),
        ("--device-read-bps /dev/null:1mb", "/dev/null: not a block device"),
        ("--mount type=bind,src=/tmp,src=/tmp,dst=/x", "cannot pass \"src\" option more than once"),
        ("--mount ''", "incorrect mount format"),
        ("--env-merge x", "missing `=` for --env-merge substitution x"),
    ] {
        let told = lab.creel(&format!("create {flags} box true")).run().fails(125);
        assert!(told.contains(words), "{flags}: {told}");
    }
    assert_eq!(lab.ok("ps -aq"), "");
    // A container that comes back until it succeeds may go then.
    lab.ok("run --rm --restart on-failure --network none box true");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn files_are_relative_to_where_the_caller_is() {
    let lab = Lab::new();
    lab.write("names", "1.2.3.4 somebody\n");
    lab.write("hooks/a.json", r#"{"version": "1.0.0", "hook": {"path": "/bin/false"}, "when": {"always": true}, "stages": ["createRuntime"]}"#);
    assert_eq!(lab.ok("run --rm --hosts-file names box grep -c somebody /etc/hosts"), "1");
    lab.ok("run --rm --network none --cidfile id box true");
    assert!(!lab.path("id").exists(), "it goes with the container");
    let told = lab.creel("--hooks-dir hooks run --rm --network none box true").run();
    assert_ne!(told.exit_code(), 0, "{told}");
    lab.ok("create --name one --conmon-pidfile pid box true");
    assert!(lab.inspect("one", "{{.ConmonPidFile}}").ends_with("pid"));
}

#[test]
fn security_options_are_shown_in_podman_s_order() {
    let lab = Lab::new();
    lab.ok("create --name one --security-opt unmask=all --security-opt seccomp=unconfined --security-opt label=disable --security-opt no-new-privileges box true");
    let shown = &lab.json("container inspect one")[0]["HostConfig"];
    let expected = ["no-new-privileges", "label=disable", "seccomp=unconfined", "unmask=all"];
    assert_eq!(shown["SecurityOpt"], serde_json::json!(expected));
    lab.ok("create --name two --cgroups no-conmon box true");
    assert_eq!(lab.inspect("two", "{{.HostConfig.Cgroups}}"), "default");
}

#[test]
fn what_no_start_could_do_is_refused_and_leaves_nothing() {
    if differs_on_purpose("podman makes the container and fails at its start") {
        return;
    }
    let lab = Lab::new();
    let long = format!("--hostname {}", "x".repeat(65));
    for (flags, words) in [
        ("--log-opt path=/no/such/dir/log", "Failed to open log file /no/such/dir/log"),
        ("--network slirp4netns:foo=bar", "unknown option for slirp4netns: \"foo=bar\""),
        ("-p 9000:80 -p 9000:81", "conflicting port mappings for host port 9000 (protocol tcp)"),
        ("-p 9000:80/sctp", "sctp"),
        (&long, "is longer than 64 bytes"),
    ] {
        let told = lab.creel(&format!("run {flags} box true")).run().fails(125);
        assert!(told.contains(words), "{flags}: {told}");
    }
    lab.creel("run -a nowhere box true").run().fails(125);
    assert_eq!(lab.ok("ps -aq"), "");
}
