//! The one test binary: every command, driven from outside as a user would, on a real kernel.
//!
//! The program under test is the `creel` of this build, or what `CREEL_UNDER_TEST` names: another build by its path, or
//! `podman`, whose behaviour is the oracle for everything that is not marked as a difference we mean.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "shown by the harness when the test fails")]

mod lab;

// Life of a container.
mod create;
mod init;
mod kill;
mod pause;
mod rename;
mod restart;
mod rm;
mod run;
mod start;
mod stats;
mod stop;
mod wait;

// What a container is given.
mod egress;
mod environment;
mod modes;
mod mount;
mod mounts;
mod namespaces;
mod network;
mod network_create;
mod networks;
mod publish;
mod republish;
mod secrets;
mod security;
mod user;
mod volumes;

// Looking at containers and reaching into them.
mod artifacts;
mod attach;
mod auto_update;
mod compose;
mod cp;
mod debug;
mod devices;
mod diff;
mod events;
mod exec;
mod exists;
mod health;
mod hooks;
mod inspect;
mod logs;
mod notify;
mod port;
mod prune;
mod ps;
mod terminal;
mod top;

// Containers together.
mod kube;
mod kube_apply;
mod kube_broken;
mod kube_debug;
mod kube_down;
mod kube_examples;
mod kube_fields;
mod kube_flags;
mod kube_life;
mod kube_memory;
mod kube_services;
mod kube_tls;
mod kube_verbs;
mod kube_volumes;
mod kube_watch;
mod kube_workloads;
mod pods;
mod probes;

// Images.
mod build;
mod clone;
mod commit;
mod export;
mod generate_systemd;
mod history;
mod images;
mod import;
mod load;
mod login;
mod manifest;
mod pull;
mod push;
mod quadlet;
mod rmi;
mod runlabel;
mod save;
mod search;
mod signatures;
mod tag;

// The program and its store.
mod arguments;
mod completion;
mod configuration;
mod corrupt;
mod crash;
mod doctor;
mod full_disk;
mod help;
mod hostile;
mod info;
mod ladder;
mod limits;
mod nested;
mod packaging;
mod parallel;
mod readme;
mod reboot;
mod service;
mod system;
mod unshare;
mod update;
mod userns;
mod version;

/// A file that is no module is a file of tests that never run.
#[test]
fn every_file_of_tests_is_a_module() {
    let source = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(module) = name.strip_suffix(".rs").filter(|&module| module != "main") else { continue };
        assert!(source.contains(&format!("\nmod {module};")), "tests/{name} is not named in tests/main.rs");
    }
}
