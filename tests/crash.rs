//! Killed at any moment, by any of its processes: the next command works and the store is whole.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::image::{Compression, box_draft};
use crate::lab::registry::{Guarded, Registry};
use crate::lab::{Lab, comes_true, differs_on_purpose, eventually};

/// Marsaglia's xorshift: chance that can be had again from its first number.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// How often; `CREEL_TEST_CRASHES` makes it more for a night.
pub(crate) fn rounds(usual: u64) -> u64 {
    std::env::var("CREEL_TEST_CRASHES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Runs the line so often, kills one of the processes it has, each time somewhere else.
fn killed_at_random(lab: &Lab, rounds: u64, longest: u64, lines: &[String]) {
    let seed = std::process::id().into();
    println!("chance begins with {seed}");
    let mut chance = Chance::new(seed);
    for round in 0..rounds {
        let line = &lines[usize::try_from(chance.below(lines.len() as u64)).unwrap()];
        let running = lab.creel(line).within(60).spawn();
        std::thread::sleep(Duration::from_micros(chance.below(longest * 1000)));
        let alive = lab.processes();
        if !alive.is_empty() {
            let victim = &alive[usize::try_from(chance.below(alive.len() as u64)).unwrap()];
            println!("{round}: {line}: {}", victim.command);
            let _ = kill(Pid::from_raw(victim.pid), Signal::SIGKILL);
        }
        // Whatever its code: it must end.
        let _ = running.end().exit_code();
        if round % 10 == 9 {
            lab.ok("ps -a");
            assert_eq!(lab.ok("run --rm --network none box echo sound"), "sound");
        }
    }
}

#[track_caller]
fn sound(lab: &Lab) {
    lab.ok("rm -f -a -t 0");
    assert_eq!(lab.ok("ps -aq"), "");
    assert!(comes_true(Duration::from_secs(10), || lab.processes().is_empty()), "{:?}", lab.processes());
    lab.ok("system check");
    lab.ok("container prune -f");
    for (what, dir) in [
        ("names", lab.store().join("names")),
        ("run directories", lab.runtime().join("creel/containers")),
        ("mount points", lab.runtime().join("creel/mounts")),
        ("private mount points", lab.runtime().join("creel/private")),
    ] {
        let left: Vec<_> = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|one| one.file_name()).collect();
        assert!(left.is_empty(), "{what}: {left:?}");
    }
    let (told, counted) = (crate::system::told_usage(lab), crate::system::disk_usage(&lab.store()));
    assert!(told.abs_diff(counted) < 2_000_000, "df says {told}, du {counted}");
}

#[test]
fn runs_are_killed_at_any_moment() {
    if differs_on_purpose("podman needs its own repair after a crash") {
        return;
    }
    let lab = Lab::new();
    let lines = [
        "run --rm --network none box true",
        "run --network none box sh -c 'echo x > /x'",
        "run -d --rm --network none box sleep 0.05",
    ];
    killed_at_random(&lab, rounds(120), 12, &lines.map(str::to_owned));
    sound(&lab);
}

#[test]
fn runs_with_a_network_are_killed_at_any_moment() {
    if differs_on_purpose("podman needs its own repair after a crash") {
        return;
    }
    let lab = Lab::new();
    let lines = ["run --rm box true", "run --rm -p 127.0.0.1::80 box true", "run -d --rm box sleep 0.1"];
    killed_at_random(&lab, rounds(80), 40, &lines.map(str::to_owned));
    sound(&lab);
}

#[test]
fn runs_on_fuse_overlayfs_are_killed_at_any_moment() {
    if differs_on_purpose("podman needs its own repair after a crash") {
        return;
    }
    let lab = Lab::new();
    let lines = ["run --rm --network none box true", "run -d --rm --network none box sleep 0.1"];
    let lines = lines.map(|line| format!("--storage-opt mount_program=fuse-overlayfs {line}"));
    killed_at_random(&lab, rounds(60), 40, &lines);
    sound(&lab);
}

#[test]
fn life_goes_on_after_any_command_was_killed() {
    if differs_on_purpose("podman needs its own repair after a crash") {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name steady --restart always --network none box idle");
    lab.ok("create --name other --network none box idle");
    let lines = [
        "start other",
        "stop -t 0 other",
        "restart -t 0 other",
        "exec steady true",
        "rm -f -t 0 spare",
        "create --name spare --network none box true",
        "commit -q other kept",
        "rename other another",
        "rename another other",
        "cp /etc/hostname other:/copied",
        "diff other",
        "pod create --name many",
        "pod rm -f many",
    ];
    killed_at_random(&lab, rounds(80), 10, &lines.map(str::to_owned));
    lab.ok("image prune -a -f");
    lab.ok("image exists box");
    sound(&lab);
}

#[test]
fn checks_restarts_and_hooks_are_killed_at_any_moment() {
    if differs_on_purpose("podman needs its own repair after a crash") {
        return;
    }
    let lab = Lab::new();
    let hook = lab.executable("hook", "#!/bin/sh\ncat >/dev/null\n");
    lab.write(
        "hooks/all.json",
        format!(
            r#"{{"version": "1.0.0", "hook": {{"path": {hook:?}}}, "when": {{"always": true}},
                 "stages": ["createRuntime", "poststart", "poststop"]}}"#
        ),
    );
    let check = "--health-cmd false --health-interval 50ms --health-retries 1 --stop-timeout 0 --network none";
    let start = format!("run -d --replace --name sick {check} --health-on-failure restart box idle");
    lab.ok(&start);
    let lines = [
        start,
        "healthcheck run sick".to_owned(),
        "restart -t 0 sick".to_owned(),
        format!("run -d --replace --name loop --restart always {check} --health-on-failure kill box idle"),
        "stop -t 0 loop".to_owned(),
        format!("--hooks-dir {} run --rm --network none box true", lab.path("hooks").display()),
    ];
    killed_at_random(&lab, rounds(60), 20, &lines);
    sound(&lab);
}

#[test]
fn pulls_and_loads_are_killed_at_any_moment() {
    if differs_on_purpose("podman needs its own repair after a crash") {
        return;
    }
    let lab = Lab::new();
    let Some(registry) = Registry::start(&lab, Guarded::Plain) else { return };
    let mut draft = box_draft().clone();
    for number in 0..4 {
        draft.layers.push(
            crate::lab::archive::Archive::new().file(&format!("l{number}"), 0o644, vec![number; 300_000]).bytes(),
        );
    }
    registry.put(&draft, "tall:latest", Compression::Gzip);
    let archive = lab.write("tall.tar", draft.docker_archive(&["localhost/tall:latest"]));
    let name = registry.name("tall");
    let lines = [
        format!("pull -q --retry 0 --tls-verify=false {name}"),
        format!("load -q -i {}", archive.display()),
        "rmi -f tall".to_owned(),
        format!("rmi -f {name}"),
    ];
    killed_at_random(&lab, rounds(60), 60, &lines);
    lab.ok(&format!("pull -q --tls-verify=false {name}"));
    assert_eq!(lab.ok(&format!("run --rm --network none {name} sh -c 'wc -c < /l3; cat /content/one'")), "300000\none");
    sound(&lab);
}

#[test]
fn a_container_whose_monitor_was_killed_reads_as_ended() {
    if differs_on_purpose("conmon is not ours") {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sleep 1000");
    let monitor: i32 = lab.inspect("one", "{{.State.ConmonPid}}").parse().unwrap();
    kill(Pid::from_raw(monitor), Signal::SIGKILL).unwrap();
    assert!(comes_true(Duration::from_secs(10), || lab.state("one") == "exited"), "{}", lab.state("one"));
    assert!(comes_true(Duration::from_secs(10), || lab.processes().is_empty()), "{:?}", lab.processes());
    assert_eq!(lab.ok("ps -q"), "");
    assert_ne!(lab.inspect("one", "{{.State.ExitCode}}"), "0");
    lab.ok("start one");
    assert_eq!(lab.state("one"), "running");
}

#[test]
fn a_killed_client_leaves_its_container_running() {
    let lab = Lab::new();
    let mut running = lab.creel("run --name one --network none box sh -c 'echo up; exec sleep 1000'").spawn();
    assert_eq!(running.line(), "up");
    running.signal(Signal::SIGKILL);
    assert_eq!(running.end().exit_code(), 137);
    assert_eq!(lab.state("one"), "running");
    lab.ok("stop -t 0 one");
}

#[test]
fn a_killed_uplink_does_not_keep_the_container_from_ending() {
    let lab = Lab::new();
    if !crate::lab::has_program("slirp4netns") {
        return;
    }
    lab.ok("run -d --name one --network slirp4netns box idle");
    let uplink = lab.processes().into_iter().find(|process| process.command.contains("slirp4netns")).unwrap();
    kill(Pid::from_raw(uplink.pid), Signal::SIGKILL).unwrap();
    assert_eq!(lab.state("one"), "running");
    assert_eq!(lab.ok("exec one echo here"), "here");
    lab.ok("stop -t 0 one");
    lab.ok("start one");
    assert!(lab.ok("exec one ip route").contains("default"));
}

#[test]
fn a_container_is_removed_although_its_starter_was_killed() {
    let lab = Lab::new();
    let seed = std::process::id().into();
    println!("chance begins with {seed}");
    let mut chance = Chance::new(seed);
    for round in 0..rounds(60) {
        lab.ok("create --name one --network none box idle");
        let starter = lab.creel("start one").spawn();
        std::thread::sleep(Duration::from_micros(chance.below(20_000)));
        starter.signal(Signal::SIGKILL);
        lab.ok("rm -f -t 0 one");
        let _ = starter.end().exit_code();
        assert_eq!(lab.ok("ps -aq"), "");
        assert!(comes_true(Duration::from_secs(10), || lab.processes().is_empty()), "{round}: {:?}", lab.processes());
    }
}

#[test]
fn who_is_stopped_holds_up_nobody_for_ever() {
    if differs_on_purpose("monitors and holders of networks are creel's") {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box idle");
    let monitor = lab.inspect("one", "{{.State.ConmonPid}}").parse().unwrap();
    kill(Pid::from_raw(monitor), Signal::SIGSTOP).unwrap();
    assert_eq!(lab.ok("ps --format {{.Names}}"), "one");
    lab.ok("rm -f -t 0 one");
    assert_eq!(lab.ok("ps -aq"), "");

    lab.ok("network create net");
    lab.ok("run -d --name two --network net box idle");
    let holder = lab.processes().into_iter().find(|process| process.command.contains("network-holder")).unwrap().pid;
    kill(Pid::from_raw(holder), Signal::SIGSTOP).unwrap();
    let error = lab.creel("run --rm --network net box true").run().fails(126);
    assert!(error.contains(&format!("network net: its holder, process {holder}, does not answer")), "{error}");
    kill(Pid::from_raw(holder), Signal::SIGKILL).unwrap();
    lab.ok("run --rm --network net box true");
    lab.ok("rm -f -t 0 two");
}

#[test]
fn who_waits_for_a_stopped_client_says_so() {
    if differs_on_purpose("the words about locks are creel's") {
        return;
    }
    let lab = Lab::new();
    lab.ok("create --name one --network none box true");
    let copy = lab.creel("cp - one:/").spawn();
    eventually("the copy has the files open", || lab.files_are_open("one"));
    copy.signal(Signal::SIGSTOP);
    let waiting = lab.creel("cp /etc/hostname one:/name").spawn();
    // It has spoken before it lets the kernel put it in the queue.
    eventually("the other copy waits", || is_queued_for_a_lock(waiting.pid()));
    copy.signal(Signal::SIGCONT);
    let pid = copy.pid();
    let _ = copy.end();
    let outcome = waiting.end();
    let error = outcome.err();
    assert!(error.contains(&format!("waiting for process {pid} (")), "{error}");
    assert!(error.contains(&format!("cp - one:/), which is stopped (`kill -CONT {pid}` lets it go on)")), "{error}");
    assert_eq!(outcome.exit_code(), 0, "{error}");
}

/// A lock that somebody waits for has a second line in /proc/locks, with an arrow (proc_locks(5)).
fn is_queued_for_a_lock(pid: i32) -> bool {
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| line.contains("-> FLOCK") && line.split_whitespace().any(|word| word == pid.to_string()))
}
