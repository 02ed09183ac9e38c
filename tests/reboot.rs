//! After a reboot: what was running is not, and no process of today is mistaken for one of yesterday.

use crate::lab::{Lab, differs_on_purpose, files, free_port};

/// As if the machine had been switched off and on: no process, another boot, an empty runtime folder.
fn reboot(lab: &Lab) {
    lab.kill_what_is_left();
    crate::lab::eventually("all are gone", || lab.processes().is_empty());
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let boot = boot.trim();
    let other = "01234567-89ab-cdef-0123-456789abcdef";
    let mut changed = 0;
    for path in files(&lab.store()) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for (old, new) in [(boot.to_owned(), other.to_owned()), (boot.replace('-', ""), other.replace('-', ""))] {
            if text.contains(&old) {
                std::fs::write(&path, text.replace(&old, &new)).unwrap();
                changed += 1;
            }
        }
    }
    assert!(changed > 0, "no record names the boot it belongs to");
    for entry in std::fs::read_dir(lab.runtime()).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { std::fs::remove_dir_all(path).unwrap() } else { std::fs::remove_file(path).unwrap() }
    }
}

#[test]
fn what_ran_before_reads_as_ended_and_can_be_started() {
    if differs_on_purpose("podman keeps this in another way") {
        return;
    }
    let lab = Lab::new();
    let port = free_port();
    lab.ok(&format!("run -d --name one -v vol:/vol -p 127.0.0.1:{port}:80 box sh -c 'echo kept >> /kept; idle'"));
    lab.log_holds("one", "ready");
    lab.ok("create --name two --network none box true");
    reboot(&lab);
    assert_eq!(lab.state("one"), "exited");
    assert_eq!(lab.state("two"), "created");
    assert_eq!(lab.ok("ps -q"), "");
    lab.ok("start one");
    assert_eq!(lab.ok("exec one cat /kept").lines().next(), Some("kept"));
    lab.ok("system check");
    lab.ok("rm -f -t 0 one two");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn what_ran_before_can_be_removed_at_once() {
    if differs_on_purpose("podman keeps this in another way") {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name one box idle");
    lab.ok("run -d --rm --name two box idle");
    reboot(&lab);
    lab.ok("rm one");
    lab.ok("rm --force --ignore two");
    lab.ok("run -d --name one box idle");
    assert_eq!(lab.state("one"), "running");
    lab.ok("system check");
}

#[test]
fn a_process_that_got_the_number_of_the_old_one_is_left_alone() {
    if differs_on_purpose("podman keeps this in another way") {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sleep 1000");
    let pid = lab.inspect("one", "{{.State.Pid}}");
    let monitor = lab.inspect("one", "{{.State.ConmonPid}}");
    reboot(&lab);
    // Somebody else has both numbers now, as far as the record can tell.
    let mut bystander = lab.program("sleep 1000").spawn();
    let number = bystander.pid().to_string();
    for path in
        files(&lab.store()).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json"))
    {
        let text = std::fs::read_to_string(&path).unwrap();
        let new = text
            .replace(&format!("\"pid\":{pid},"), &format!("\"pid\":{number},"))
            .replace(&format!("\"pid\":{monitor},"), &format!("\"pid\":{number},"));
        let new = new
            .replace(&format!("\"pid\": {pid},"), &format!("\"pid\": {number},"))
            .replace(&format!("\"pid\": {monitor},"), &format!("\"pid\": {number},"));
        if new != text {
            std::fs::write(&path, new).unwrap();
        }
    }
    assert_eq!(lab.state("one"), "exited");
    for line in ["stop -t 0 one", "kill one", "rm -f -t 0 one"] {
        let _ = lab.creel(line).run();
    }
    drop(bystander.stdin.take());
    assert!(std::path::Path::new(&format!("/proc/{number}")).exists(), "the bystander was hit");
}

#[test]
fn what_should_run_after_a_reboot_is_chosen_by_policy_and_by_who_stopped_it() {
    if differs_on_purpose("podman keeps this in another way") {
        return;
    }
    let lab = Lab::new();
    for (name, policy) in [
        ("always", "always"),
        ("ours", "unless-stopped"),
        ("stopped", "unless-stopped"),
        ("ended", "unless-stopped"),
        ("never", "no"),
    ] {
        lab.ok(&format!("run -d --name {name} --restart {policy} --network none box idle"));
    }
    lab.ok("run -d --name loop --restart unless-stopped --network none box false");
    lab.ok("stop -t 0 always stopped loop");
    // As at the end of a session: the service manager asks the monitor to end.
    let monitor: i32 = lab.inspect("ended", "{{.State.ConmonPid}}").parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(monitor), nix::sys::signal::Signal::SIGTERM).unwrap();
    crate::lab::eventually("it has ended", || lab.state("ended") == "exited");
    assert_eq!(lab.inspect("ended", "{{.State.StoppedByUser}}"), "false");
    reboot(&lab);
    assert_eq!(lab.ok("ps -q"), "");
    lab.ok("start --all --filter should-start-on-boot=true");
    let mut running: Vec<String> = lab.ok("ps --format {{.Names}}").lines().map(str::to_owned).collect();
    running.sort();
    assert_eq!(running, ["always", "ended", "ours"]);
    lab.ok("stop -t 0 --all");
    lab.ok("start --all --filter restart-policy=always");
    assert_eq!(lab.ok("ps --format {{.Names}}"), "always");
}

#[test]
fn the_user_s_unit_brings_back_what_should_run() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/systemd/user/creel-restart.service");
    crate::limits::in_machine(
        "the_user_s_unit_brings_back_what_should_run",
        &format!(
            "
        mkdir -p ~/.config/systemd/user
        sed \"s|=creel|=$creel|\" {unit} > ~/.config/systemd/user/creel-restart.service
        $creel run -d --name kept --restart unless-stopped --network none $image idle
        $creel run -d --name stopped --restart unless-stopped --network none $image idle
        $creel stop -t 0 stopped
        kill -TERM $($creel inspect --format '{{{{.State.ConmonPid}}}}' kept)
        $creel wait kept; [ -z \"$($creel ps -q)\" ]
        systemctl --user daemon-reload; systemctl --user start creel-restart.service
        [ \"$($creel ps --format '{{{{.Names}}}}')\" = kept ]
        systemctl --user stop creel-restart.service; $creel rm -f -t 0 kept stopped"
        ),
    );
}
