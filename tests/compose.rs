//! `compose`: another program that does the work, and what it finds.

use crate::lab::{Lab, differs_on_purpose, eventually, has_program};

/// A directory with a program that stands for docker-compose, and the words that run `compose` with it.
fn with_provider(lab: &Lab, script: &str) -> String {
    lab.executable("docker-compose", &format!("#!/bin/sh\n{script}\n")).to_string_lossy().into_owned()
}

#[test]
fn words_and_exit_code_are_the_programs() {
    let lab = Lab::empty();
    let provider =
        with_provider(&lab, "echo \"$# $*\"; read line; echo $line $DOCKER_BUILDKIT; case $1 in fail) exit 3 ;; esac");
    let compose = |line: &str| lab.creel(line).env("PODMAN_COMPOSE_PROVIDER", &provider).input("in\n").run();
    assert_eq!(compose("compose -f 'a b' --foo").ok(), "3 -f a b --foo\nin 0");
    assert_eq!(compose("compose up --help").ok(), "2 up --help\nin 0");
    let failed = compose("compose fail a");
    assert!(failed.fails(3).contains(&format!("executing {provider} fail a: exit status 3")), "{}", failed.err());
    let help = compose("compose -f x --help").ok();
    assert!(help.contains("compose"), "{help}");
    assert!(help.ends_with("1 --help\nin 0"), "{help}");
}

#[test]
fn programs_are_looked_for_where_they_are_configured() {
    let lab = Lab::empty();
    let provider = with_provider(&lab, "echo mine");
    lab.write("one.conf", format!("[engine]\ncompose_providers=[\"nope\", {provider:?}]\n"));
    lab.write("none.conf", "[engine]\ncompose_providers=[\"nope\"]\n");
    let compose =
        |file: &str| lab.creel("compose up").env("CONTAINERS_CONF_OVERRIDE", &lab.path(file).to_string_lossy());
    assert_eq!(compose("one.conf").run().ok(), "mine");
    let said = compose("one.conf").env("PODMAN_COMPOSE_WARNING_LOGS", "true").run();
    assert!(said.err().contains(">>>> Executing external compose provider"), "{}", said.err());
    let unsaid = compose("one.conf").env("PODMAN_COMPOSE_WARNING_LOGS", "0").run();
    assert_eq!((unsaid.ok().as_str(), unsaid.err().as_str()), ("mine", ""));
    let none = compose("none.conf").run().fails(125);
    assert!(
        none.contains("looking up compose provider failed\nexec: \"nope\": executable file not found in $PATH"),
        "{none}"
    );
    let bad = compose("one.conf").env("PODMAN_COMPOSE_WARNING_LOGS", "maybe").run().fails(125);
    assert!(bad.contains("PODMAN_COMPOSE_WARNING_LOGS should be a boolean"), "{bad}");
    let away = lab.creel("compose up").env("PODMAN_COMPOSE_PROVIDER", "/no/such").run().fails(125);
    assert!(away.contains("executing /no/such up: fork/exec /no/such: no such file or directory"), "{away}");
}

#[test]
fn programs_find_an_api_and_podman_for_as_long_as_they_run() {
    if differs_on_purpose("Podman starts no service for the program") || !has_program("curl") {
        return;
    }
    let lab = Lab::new();
    let asks = "curl -sS --unix-socket ${DOCKER_HOST#unix://} http://d/images/json | grep -o box:latest; \
                podman images --format '{{.Repository}}'; echo $DOCKER_HOST";
    let provider = with_provider(&lab, asks);
    let run = |line: &str| lab.creel(line).env("PODMAN_COMPOSE_PROVIDER", &provider).run().ok();
    let said = run("compose up");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..lines.len() - 1], ["box:latest", "localhost/box"], "{said}");
    let dir = lines[2].strip_prefix("unix://").unwrap().strip_suffix("/docker.sock").unwrap();
    assert!(!std::path::Path::new(dir).exists(), "{dir}");
    eventually("the service has ended", || lab.processes().is_empty());
    // Another store is passed on.
    let elsewhere = lab.folder("elsewhere");
    let other = run(&format!("--root {} compose up", elsewhere.display()));
    assert!(other.starts_with("unix://"), "{other}");
}

#[test]
fn a_chosen_host_is_left_alone() {
    let lab = Lab::empty();
    let provider = with_provider(&lab, "echo $DOCKER_HOST");
    let compose = lab.creel("compose up").env("PODMAN_COMPOSE_PROVIDER", &provider).env("DOCKER_HOST", "tcp://there:1");
    assert_eq!(compose.run().ok(), "tcp://there:1");
}
