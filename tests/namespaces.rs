//! Which namespaces are own, shared or the host's.

use crate::lab::{Lab, is_podman};

const KINDS: [&str; 6] = ["cgroup", "ipc", "mnt", "net", "pid", "uts"];

fn namespace_of(kind: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string()
}

fn inside(lab: &Lab, flags: &str) -> Vec<String> {
    let list = KINDS.map(|kind| format!("readlink /proc/self/ns/{kind}")).join("; ");
    lab.ok(&format!("run --rm {flags} box sh -c '{list}'")).lines().map(str::to_owned).collect()
}

#[test]
fn every_namespace_is_the_container_s_own() {
    let lab = Lab::new();
    let found = inside(&lab, "--network none");
    for (kind, namespace) in KINDS.iter().zip(&found) {
        assert_ne!(*namespace, namespace_of(kind), "{kind}");
    }
    assert_ne!(lab.ok("run --rm --network none box readlink /proc/self/ns/user"), namespace_of("user"));
}

#[test]
fn host_namespaces_are_shared_one_by_one() {
    let lab = Lab::new();
    for (flag, kind) in [("--ipc host", "ipc"), ("--network host", "net"), ("--pid host", "pid"), ("--uts host", "uts")]
    {
        if kind == "ipc" && is_podman() && !std::path::Path::new("/dev/mqueue").exists() {
            continue;
        }
        let found = inside(&lab, flag);
        for (other, namespace) in KINDS.iter().zip(&found) {
            assert_eq!(*namespace == namespace_of(other), *other == kind, "{flag}: {other}");
        }
    }
}

#[test]
fn another_container_s_namespaces_can_be_joined() {
    let lab = Lab::new();
    lab.ok("run -d --name first --network none -h first box idle");
    for kind in ["ipc", "net", "pid", "uts"] {
        let flag = if kind == "net" { "network" } else { kind };
        let network = if kind == "net" { "" } else { "--network none" };
        let found = lab.ok(&format!("run --rm {network} --{flag} container:first box readlink /proc/self/ns/{kind}"));
        assert_eq!(found, lab.ok(&format!("exec first readlink /proc/self/ns/{kind}")), "{kind}");
    }
    let seen = lab.ok("run --rm --network none --pid container:first box ps -o comm");
    assert!(seen.contains("idle"), "{seen}");
    lab.creel("run --rm --network container:nosuch box true").run().fails(125);
}

#[test]
fn a_namespace_can_be_joined_by_its_file() {
    let lab = Lab::new();
    lab.ok("run -d --name first --network none box idle");
    let pid = lab.inspect("first", "{{.State.Pid}}");
    let found = lab.ok(&format!("run --rm --network ns:/proc/{pid}/ns/net box readlink /proc/self/ns/net"));
    assert_eq!(found, lab.ok("exec first readlink /proc/self/ns/net"));
}

#[test]
fn the_first_process_is_number_one_and_sees_nobody_else() {
    let lab = Lab::new();
    assert_eq!(
        lab.ok("run --rm --network none box sh -c 'echo $$; ls -d /proc/[0-9]* | wc -l'").lines().next(),
        Some("1")
    );
    let seen = lab.ok("run --rm --network none box ps -o pid,comm");
    assert_eq!(seen.lines().count(), 2, "{seen}");
}

#[test]
fn shared_memory_is_shared_with_ipc() {
    let lab = Lab::new();
    lab.ok("run -d --name first --ipc shareable --network none box sh -c 'echo secret > /dev/shm/f; idle'");
    lab.log_holds("first", "ready");
    assert_eq!(lab.ok("run --rm --network none --ipc container:first box cat /dev/shm/f"), "secret");
    lab.creel("run --rm --network none box cat /dev/shm/f").run().fails(1);
    lab.ok("run -d --name closed --ipc private --network none box idle");
    lab.creel("run --rm --network none --ipc container:closed box true").run().fails(125);
}

#[test]
fn a_joined_namespace_outlives_the_one_that_joined() {
    let lab = Lab::new();
    lab.ok("run -d --name first --network none box idle");
    lab.ok("run --rm --network container:first --ipc container:first --pid container:first box true");
    assert_eq!(lab.state("first"), "running");
    assert_eq!(lab.ok("exec first echo still"), "still");
}

#[test]
fn the_cgroup_root_is_the_container_s_own() {
    let lab = Lab::new();
    let own = lab.ok("run --rm --network none box grep '^0::' /proc/self/cgroup");
    assert_eq!(own, "0::/", "{own}");
}

#[test]
fn pid_host_still_ends_with_the_container() {
    let lab = Lab::new();
    lab.ok("run -d --name far --pid host --network none box sh -c 'sleep 1000 & echo up; wait'");
    lab.log_holds("far", "up");
    lab.ok("stop -t 0 far");
    assert_eq!(lab.state("far"), "exited");
    if crate::lab::differs_on_purpose("without a cgroup, nobody ends the rest for podman") {
        return lab.kill_what_is_left();
    }
    crate::lab::eventually("nothing is left of it", || {
        !lab.processes().iter().any(|process| process.command.contains("sleep 1000"))
    });
}

#[test]
fn sysfs_is_of_the_network_that_is_joined() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box idle");
    assert_eq!(lab.ok("run --rm --network container:one box ls /sys/class/net"), "lo");
    lab.ok("pod create --name pod --network none");
    assert_eq!(lab.ok("run --rm --pod pod box ls /sys/class/net"), "lo");
    lab.ok("pod rm -f -t 0 pod");
}

#[test]
fn a_namespace_that_is_not_there_is_refused() {
    let lab = Lab::new();
    for (flag, kind) in [
        ("pid", "PID"),
        ("ipc", "IPC"),
        ("uts", "UTS"),
        ("cgroupns", "cgroup"),
        ("network", "network"),
        ("userns", "user"),
    ] {
        let told = lab.creel(&format!("run --{flag} ns:/nosuch box true")).run().fails(125);
        let words =
            format!("cannot find specified {kind} namespace path: faccessat /nosuch: no such file or directory");
        assert!(told.contains(&words), "{told}");
    }
    assert_eq!(lab.ok("ps -aq"), "");
}
