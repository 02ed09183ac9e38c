//! Limits: applied and read back, or refused by name. Applying them needs controllers of cgroup v2, which the machine of
//! CI does not have; `CREEL_TEST_VM` names a command that runs its arguments where they are.

use std::path::PathBuf;
use std::process::Command;

use crate::lab::{Lab, differs_on_purpose, skip};

#[test]
fn a_limit_that_cannot_be_applied_is_refused_with_its_controller() {
    if differs_on_purpose("podman's words are others") {
        return;
    }
    let lab = Lab::new();
    let controllers = lab
        .cgroup()
        .and_then(|cgroup| std::fs::read_to_string(cgroup.join("cgroup.controllers")).ok())
        .unwrap_or_default();
    for (flag, controller) in
        [("--memory 64m", "memory"), ("--cpus 0.5", "cpu"), ("--pids-limit 50", "pids"), ("--cpuset-cpus 0", "cpuset")]
    {
        if controllers.split_whitespace().any(|name| name == controller) {
            continue;
        }
        let error = lab.creel(&format!("run --rm --network none {flag} box true")).run().fails(126);
        assert!(error.contains(controller), "{flag}: {error}");
        assert_eq!(lab.ok("ps -aq"), "", "{flag}");
    }
}

#[test]
fn without_limits_asked_for_nothing_is_missed() {
    let lab = Lab::new();
    lab.ok("run --rm --network none box true");
    lab.ok("run --rm --network none --pids-limit 0 box true");
    lab.ok("run --rm --network none --cgroups disabled box true");
}

#[test]
fn what_the_cgroup_is_told_is_what_the_kernel_says() {
    // Without any controller there is still this file, and it is written and read back as limits are.
    let Some(lab) = Lab::with_cgroup() else { return };
    lab.ok("run -d --name one --network none --cgroup-conf cgroup.max.descendants=7 box idle");
    let pid = lab.inspect("one", "{{.State.Pid}}");
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let root = lab.cgroup_root();
    let found =
        std::fs::read_to_string(root.join(path.trim_start_matches('/')).join("cgroup.max.descendants")).unwrap();
    assert_eq!(found.trim(), "7");
    let error = lab.creel("run --rm --network none --cgroup-conf nonsense.max=7 box true").run();
    assert_ne!(error.exit_code(), 0, "{error}");
}

#[test]
fn a_controller_that_is_free_is_used() {
    let Some(lab) = Lab::with_cgroup() else { return };
    if !lab.enable_controller("hugetlb") {
        return skip("the one controller that a mixed hierarchy leaves to cgroup v2 is not there");
    }
    let file = "hugetlb.2MB.max";
    let text =
        lab.creel(&format!("run --rm --network none --cgroup-conf {file}=4194304 box cat /sys/fs/cgroup/{file}")).run();
    assert_eq!(text.ok(), "4194304");
}

#[test]
fn who_is_in_the_way_of_a_controller_steps_aside_or_is_named() {
    if differs_on_purpose("podman leaves the cgroup as it is") {
        return;
    }
    let Some(lab) = Lab::with_cgroup() else { return };
    if !lab.enable_controller("hugetlb") {
        return skip("the one controller that a mixed hierarchy leaves to cgroup v2 is not there");
    }
    let delegated = lab.cgroup().unwrap().strip_prefix(lab.cgroup_root()).unwrap().to_owned();
    let enter = format!("echo 0 > /sys/fs/cgroup/{}/cgroup.procs", delegated.display());
    let file = "hugetlb.2MB.max";
    let run = format!("$CREEL run --rm --network none --cgroup-conf {file}=4194304 box cat /sys/fs/cgroup/{file}");
    let occupied = lab.shell(&format!("{enter}; {run}; exit $?")).run().fails(126);
    assert!(occupied.contains("move them into a cgroup below it"), "{occupied}");
    assert_eq!(lab.shell(&format!("{enter}; exec {run}")).run().ok(), "4194304");
}

#[test]
fn limits_are_what_the_kernel_says() {
    in_machine("limits_are_what_the_kernel_says", "
        for f in memory.max cpu.max pids.max; do $creel run --rm --network none --memory 64m --cpus 0.5 --pids-limit 50 $image cat /sys/fs/cgroup/$f; done > out
        diff - out <<EOF
67108864
50000 100000
50
EOF
        [ \"$($creel run --rm --network none $image cat /sys/fs/cgroup/pids.max)\" = 2048 ]
        [ \"$($creel run --rm --network none --memory 64m --memory-swap 64m $image cat /sys/fs/cgroup/memory.swap.max)\" = 0 ]
        [ \"$($creel run --rm --network none --cpuset-cpus 0 $image cat /sys/fs/cgroup/cpuset.cpus)\" = 0 ]");
}

#[test]
fn too_much_memory_ends_the_container_as_out_of_memory() {
    in_machine("too_much_memory_ends_the_container_as_out_of_memory", "
        code=0; $creel run --name fat --network none --memory 32m --memory-swap 32m $image sh -c 'head -c 100m /dev/zero | tail' || code=$?
        [ $code = 137 ] || [ $code = 1 ]
        $creel inspect --format '{{.State.OOMKilled}}' fat | grep -qx true
        $creel rm fat");
}

#[test]
fn pause_and_update_work_with_the_session_s_own_cgroup() {
    in_machine(
        "pause_and_update_work_with_the_session_s_own_cgroup",
        "
        $creel run -d --name one --network none $image sleep 1000
        $creel pause one; [ \"$($creel inspect --format '{{.State.Status}}' one)\" = paused ]; $creel unpause one
        $creel update --memory 100m one; [ \"$($creel exec one cat /sys/fs/cgroup/memory.max)\" = 104857600 ]
        $creel stats --no-stream --format '{{.PIDs}}' one | grep -qx '[1-9]'
        $creel rm -f -t 0 one",
    );
}

#[test]
fn a_played_pod_has_a_limit_for_all_its_containers() {
    in_machine(
        "a_played_pod_has_a_limit_for_all_its_containers",
        "
        cat > pod.yaml <<END
apiVersion: v1
kind: Pod
metadata: { name: a }
spec:
  terminationGracePeriodSeconds: 0
  resources: { limits: { memory: 64Mi, cpu: 500m } }
  containers:
  - { name: one, image: $image, command: [sleep, '1000'], resources: { limits: { memory: 32Mi } } }
  - { name: two, image: $image, command: [sleep, '1000'] }
END
        $creel kube play pod.yaml
        around=/sys/fs/cgroup$($creel pod inspect --format '{{.CgroupPath}}' a)
        [ \"$(cat $around/memory.max)\" = 67108864 ]; [ \"$(cat $around/cpu.max)\" = '50000 100000' ]
        one=$($creel inspect --format '{{.Id}}' a-one); [ \"$(cat $around/libpod-$one*/memory.max)\" = 33554432 ]
        $creel kube down pod.yaml; [ ! -e $around ]",
    );
}

#[test]
fn the_containers_of_a_pod_have_a_limit_together() {
    in_machine(
        "the_containers_of_a_pod_have_a_limit_together",
        "
        $creel pod create --name a --memory 64m --cpus 0.5
        for i in one two; do $creel run -d --pod a --name $i $image sleep 1000; done
        around=/sys/fs/cgroup$($creel pod inspect --format '{{.CgroupPath}}' a)
        [ \"$(cat $around/memory.max)\" = 67108864 ]; [ \"$(cat $around/cpu.max)\" = '50000 100000' ]
        [ \"$(ls -d $around/libpod-* | wc -l)\" = 3 ]
        $creel pod rm -f -t 0 a
        # The monitors clean up behind the command.
        for i in $(seq 50); do [ ! -e $around ] || sleep 0.1; done; [ ! -e $around ]",
    );
}

#[test]
fn nothing_is_left_in_the_session_s_cgroups() {
    in_machine(
        "nothing_is_left_in_the_session_s_cgroups",
        "
        for i in 1 2 3; do $creel run --rm --network none --memory 64m $image true; done
        sleep 1; ! find /sys/fs/cgroup/user.slice/user-$(id -u).slice -type d | grep -E '[0-9a-f]{64}'",
    );
}

/// Runs a script in the machine, with the program and the box at hand.
pub(crate) fn in_machine(name: &str, script: &str) {
    let Ok(machine) = std::env::var("CREEL_TEST_VM") else {
        return skip("CREEL_TEST_VM names no machine with cgroup v2");
    };
    let program = std::env::var("CREEL_UNDER_TEST").unwrap_or_else(|_| env!("CARGO_BIN_EXE_creel").to_owned());
    // The machine sees the checkout and the target folder, and nothing else of this one.
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(&folder).unwrap();
    let (archive, path) = (folder.join(format!("{name}.tar")), folder.join(format!("{name}.sh")));
    std::fs::write(&archive, crate::lab::image::box_draft().docker_archive(&[crate::lab::BOX])).unwrap();
    let text = format!(
        "set -eux\ncreel={program}\nimage=localhost/box\ncd \"$(mktemp -d)\"\n$creel load -q -i {}\n{script}\n",
        archive.display()
    );
    std::fs::write(&path, text).unwrap();
    let ran = Command::new("sh").args(["-c", &format!("{machine} sh {}", path.display())]).output().unwrap();
    assert!(ran.status.success(), "{}\n{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
}
