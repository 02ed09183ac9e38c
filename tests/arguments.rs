//! How the command line is read, and what is said when it cannot be.

use crate::lab::{Lab, differs_on_purpose};

#[test]
fn unknown_commands_and_flags_are_125_with_a_way_on() {
    let lab = Lab::empty();
    let error = lab.creel("rum").run().fails(125);
    assert!(error.contains("rum") && error.contains("run"), "{error}");
    let error = lab.creel("ps --al").run().fails(125);
    assert!(error.contains("unknown flag: --al"), "{error}");
    assert!(error.contains("--help"), "{error}");
    let error = lab.creel("ps -Z").run().fails(125);
    assert!(error.contains("unknown shorthand flag: 'Z' in -Z"), "{error}");
    lab.creel("").run().fails(125);
}

#[test]
fn groups_without_a_command_name_what_is_missing() {
    let lab = Lab::empty();
    for group in ["container", "image", "volume", "system"] {
        let outcome = lab.creel(group).run();
        let error = outcome.fails(125);
        assert!(error.contains("missing command"), "{outcome}");
    }
}

#[test]
fn booleans_take_a_value_only_with_an_equals_sign() {
    let lab = Lab::new();
    lab.ok("create --name one --network none --rm=false box true");
    assert_eq!(lab.ok("ps --all=true -q").lines().count(), 1);
    assert_eq!(lab.ok("ps -aq=false --format {{.Names}}"), "one");
    lab.creel("ps --all=maybe").run().fails(125);
}

#[test]
fn lists_are_split_at_commas_and_others_are_not() {
    let lab = Lab::new();
    lab.ok("create --name one --network none -e A=1,2 --cap-add NET_ADMIN,SYS_TIME -l x=a,b box true");
    let json = lab.json("container inspect one");
    let environment = json[0]["Config"]["Env"].as_array().unwrap();
    assert!(environment.iter().any(|entry| entry == "A=1,2"), "{json}");
    assert_eq!(json[0]["Config"]["Labels"]["x"], "a,b");
    assert_eq!(json[0]["HostConfig"]["CapAdd"].as_array().unwrap().len(), 2);
}

#[test]
fn aliases_mean_the_same() {
    let lab = Lab::new();
    lab.ok("create --net none --name one box true");
    assert_eq!(lab.inspect("one", "{{.HostConfig.NetworkMode}}"), "none");
    assert_eq!(lab.ok("container ps -aq"), lab.ok("ps -aq"));
    assert_eq!(lab.ok("ps -aq --no-trunc"), lab.ok("ps -aq --notruncate"));
    lab.ok("run -d --name two --network none box sleep 100");
    lab.ok("stop --timeout 0 two");
    lab.ok("container rm two");
}

#[test]
fn too_few_and_too_many_arguments_are_errors() {
    let lab = Lab::empty();
    for line in [
        "rm",
        "stop",
        "start",
        "logs",
        "exec",
        "tag",
        "rmi",
        "inspect",
        "rename a",
        "rename a b c",
        "ps extra",
        "version extra",
        "pull",
        "cp a",
    ] {
        assert_eq!(lab.creel(line).run().exit_code(), 125, "{line}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure_worth_a_word() {
    let lab = Lab::new();
    for _ in 0..30 {
        lab.ok("create --network none box true");
    }
    let outcome = lab.shell("creel ps -a | head -1; creel inspect $(creel ps -aq) | head -1").run();
    assert_eq!(outcome.err(), "");
}

#[test]
fn errors_are_one_line_with_the_cause_and_one_with_the_way_out() {
    if differs_on_purpose("podman gives no hints") {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name busy --network none box idle");
    let error = lab.creel("rm busy").run().fails(2);
    assert!(error.starts_with("Error: "), "{error}");
    assert!(error.lines().count() <= 3, "{error}");
}

#[test]
fn log_levels_are_checked() {
    let lab = Lab::empty();
    let error = lab.creel("--log-level nonsense ps").run().fails(1);
    assert!(error.starts_with("Log Level \"nonsense\" is not supported, choose from: trace, "), "{error}");
    lab.ok("--log-level error ps");
    assert!(!lab.creel("--log-level debug ps").run().err().is_empty());
}

#[test]
fn what_nobody_carries_out_yet_is_refused_and_not_ignored() {
    if differs_on_purpose("podman has them") {
        return;
    }
    let lab = Lab::new();
    for flag in [
        "--secret word",
        "--network-alias other",
        "--ip 10.0.0.9",
        "--mac-address 02:00:00:00:00:09",
        "--preserve-fd 5",
        "--rdt-class x",
        "--device-cgroup-rule 'c 1:3 r'",
        "--network somewhere",
        "--pod some",
    ] {
        let error = lab.creel(&format!("create {flag} box true")).run().fails(125);
        assert!(error.starts_with("Error: "), "{flag}: {error}");
    }
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn an_empty_value_is_as_good_as_no_flag() {
    let lab = Lab::new();
    for flag in [
        "name",
        "cidfile",
        "pidfile",
        "conmon-pidfile",
        "pod-id-file",
        "init-path",
        "cert-dir",
        "authfile",
        "personality",
        "umask",
        "stop-signal",
        "shm-size",
        "shm-size-systemd",
        "hosts-file",
        "tz",
        "restart",
        "hostname",
        "memory",
        "cgroup-parent",
    ] {
        lab.ok(&format!("create --network none --{flag} '' box true"));
    }
}
