//! `doctor`, on machines that were broken on purpose, and what other commands say there.

use crate::lab::{Lab, Outcome, differs_on_purpose, user};

/// The last two lines of standard error: what is wrong and what to do.
fn two_lines(outcome: &Outcome) -> (String, String) {
    let text = outcome.err();
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().rposition(|line| line.starts_with("Error: ") || line.starts_with("Warning: "));
    let at = at.unwrap_or_else(|| panic!("no verdict: {outcome}"));
    (lines[at].to_owned(), lines.get(at + 1).map_or_else(String::new, |line| (*line).to_owned()))
}

/// One machine with one thing broken on it.
struct Broken {
    setup: &'static str,
    /// Global flags before the command.
    flags: &'static str,
    /// How the verdict begins; `$ME`, `$HOME` and `$RUN` stand for the user's.
    verdict: &'static str,
    /// What the hint holds.
    cure: &'static str,
}

const fn broken(setup: &'static str, verdict: &'static str, cure: &'static str) -> Broken {
    Broken { setup, flags: "", verdict, cure }
}

impl Broken {
    fn filled(&self, lab: &Lab, text: &str) -> String {
        let text = text.replace("$HOME", lab.home().to_str().unwrap()).replace("$RUN", lab.runtime().to_str().unwrap());
        text.replace("$ME", &user().name).replace("$MY_ID", &user().uid.to_string())
    }

    /// Runs the doctor there and compares; the cure.
    fn check(&self, lab: &Lab) -> Option<String> {
        let line = format!("{} doctor", self.flags);
        let outcome = lab.on_broken_host(self.setup, line.trim()).unwrap().run();
        let (verdict, hint) = two_lines(&outcome);
        let expected = self.filled(lab, self.verdict);
        assert!(verdict.starts_with(&expected), "{expected:?} expected: {outcome}");
        assert!(hint.contains(&self.filled(lab, self.cure)), "{:?} expected: {outcome}", self.cure);
        assert_eq!(outcome.exit_code(), i32::from(expected.starts_with("Error: ")), "{outcome}");
        // Exactly one cause: it is the last thing said, and said once.
        assert_eq!(outcome.err().matches("Error: ").count(), usize::from(expected.starts_with("Error: ")), "{outcome}");
        hint.strip_prefix("hint: ").map(str::to_owned)
    }

    /// After the cure, another thing is first, or none.
    fn check_cured(&self, lab: &Lab) {
        let Some(cure) = self.check(lab) else { panic!("no cure for {}", self.setup) };
        let outcome =
            lab.on_broken_host(&format!("{}\n{cure}", self.setup), self.flags_and("doctor").trim()).unwrap().run();
        assert_eq!(outcome.exit_code(), 0, "after the cure: {outcome}");
        let rung = self.verdict.split(": ").nth(1).unwrap();
        assert!(!outcome.err().contains(&format!(": {rung}: ")), "after the cure: {outcome}");
    }

    fn flags_and(&self, command: &str) -> String {
        format!("{} {command}", self.flags)
    }
}

fn applies() -> bool {
    !differs_on_purpose("creel's own command") && crate::lab::tests_are_root() || {
        crate::lab::skip("a machine can be broken by root only");
        false
    }
}

#[test]
fn doctor_finds_a_good_machine_good_within_a_blink() {
    if differs_on_purpose("creel's own command") {
        return;
    }
    let lab = Lab::empty();
    let rungs = lab.json("doctor --format json");
    let names: Vec<&str> = rungs.as_array().unwrap().iter().map(|rung| rung["name"].as_str().unwrap()).collect();
    for name in
        ["user namespace", "id map", "file owners", "overlay", "network namespace", "uplink", "seccomp", "skopeo"]
    {
        assert!(names.contains(&name), "{names:?}");
    }
    for rung in rungs.as_array().unwrap() {
        assert!(rung["verdict"] == "good" || rung["name"] == "cgroup limits", "{rung}");
    }
    let table = lab.ok("doctor");
    assert!(table.starts_with("RUNG  "), "{table}");
    assert_eq!(lab.ok("doctor --format '{{.Name}}={{.Verdict}}'").lines().count(), names.len());
    // Little work, and nothing that is waited for. What a machine under load keeps from it is not its fault: the processor's
    // time counts, and the clock's in the best of many turns only for what a wait would take.
    let is_quick = |turn: &Vec<f64>| turn[0] < 3.0 && turn[1] + turn[2] < 0.3;
    let mut took: Vec<Vec<f64>> = Vec::new();
    while !took.iter().any(is_quick) {
        assert!(took.len() < 60, "real, user, system: {took:?}");
        let turn = lab.shell("TIMEFORMAT='%3R %3U %3S'; time $CREEL doctor > /dev/null 2>&1").run();
        took.push(turn.err().split(' ').map(|seconds| seconds.parse().unwrap()).collect());
    }
}

#[test]
fn doctor_names_missing_ids_and_the_line_that_gives_them() {
    if !applies() {
        return;
    }
    let lab = Lab::empty();
    for fixture in [
        broken(
            "change /etc; grep -v ^$ME: /etc/subuid > /mnt/x || :; cp /mnt/x /etc/subuid",
            "Warning: sub-ids: /etc/subuid has no line for $ME",
            "| sudo tee -a /etc/subuid",
        ),
        broken(
            "change /etc; rm /etc/subuid /etc/subgid",
            "Warning: sub-ids: /etc/subuid and /etc/subgid has no line for $ME",
            "echo $ME:100000:65536 | sudo tee -a /etc/subuid && echo $ME:100000:65536 | sudo tee -a /etc/subgid",
        ),
        broken(
            "change /etc; for file in subuid subgid; do echo $ME:200000:1000 > /etc/$file; done",
            "Warning: sub-ids: /etc/subuid gives $ME 1000 ids",
            "echo $ME:201000:65536 | sudo tee -a /etc/subuid",
        ),
    ] {
        let cure = fixture.check(&lab).unwrap();
        // What a first run does there: it works, in one-id mode where there is no other, and says so.
        let run =
            lab.on_broken_host(fixture.setup, "run --rm --network none localhost/creel/hello --version").unwrap().run();
        let _ = run.ok();
        let cured = lab.on_broken_host(&format!("{}\n{cure}\n", fixture.setup), "doctor").unwrap().run();
        assert!(!cured.err().contains("/etc/subuid"), "{cured}");
    }
    broken(
        "change /etc; printf 'other:100000:65536\\n%s:100000:65536\\n' $ME > /etc/subuid; cp /etc/subuid /etc/subgid",
        "Warning: sub-ids: in /etc/subuid the range of $ME overlaps that of other",
        "$ME:165536:65536",
    )
    .check(&lab);
}

#[test]
fn doctor_names_the_helpers_that_are_missing_or_powerless() {
    if !applies() {
        return;
    }
    let lab = Lab::empty();
    broken("change /usr/bin; rm /usr/bin/newuidmap", "Warning: newuidmap: newuidmap is not installed", "uidmap")
        .check(&lab);
    broken("change /usr/bin; rm /usr/bin/newgidmap", "Warning: newuidmap: newgidmap is not installed", "uidmap")
        .check(&lab);
    broken(
        "change /usr/bin; chmod u-s /usr/bin/newuidmap",
        "Error: id map: /usr/bin/newuidmap is not set-user-id root",
        "sudo chown root /usr/bin/newuidmap && sudo chmod u+s /usr/bin/newuidmap",
    )
    .check_cured(&lab);
    broken("set -- setpriv --no-new-privs \"$@\"", "Error: id map: no_new_privs is set", "NoNewPrivileges=no")
        .check(&lab);
}

/// A user namespace in which everything is as outside, and no further one is allowed.
const NO_USER_NAMESPACES: &str = r#"
    mkfifo /mnt/go
    forbid='echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    # The second shell is root of the namespace: the first began before there was a map.
    unshare --user /bin/sh -c 'read go < /mnt/go; exec /bin/sh -c "$@"' sh "$forbid" sh "$@" &
    child=$!
    while [ "$(readlink /proc/$child/ns/user)" = "$(readlink /proc/self/ns/user)" ]; do :; done
    for map in gid_map uid_map; do echo 0 0 4294967295 > /proc/$child/$map; done
    echo go > /mnt/go
    code=0; wait $child || code=$?
    set -- /bin/sh -c "exit $code"
"#;

#[test]
fn doctor_names_the_switch_that_forbids_user_namespaces() {
    if !applies() {
        return;
    }
    let lab = Lab::empty();
    let fixture = broken(
        NO_USER_NAMESPACES,
        "Error: user namespace: the kernel allows none: user.max_user_namespaces is 0",
        "echo user.max_user_namespaces=28633 | sudo tee /etc/sysctl.d/50-user-namespaces.conf && sudo sysctl --system",
    );
    fixture.check(&lab);
    let table = lab.on_broken_host(fixture.setup, "doctor").unwrap().run();
    assert!(table.out().contains("overlay            unknown     needs: user namespace"), "{table}");
}

#[test]
fn doctor_names_missing_devices() {
    if !applies() {
        return;
    }
    let lab = Lab::empty();
    // The devices of every container's host but the one.
    const DEVICES: &str = "mkdir /mnt/dev; for node in null zero full random urandom tty fuse; do cp -a /dev/$node /mnt/dev/; done; \
                           ln -s /proc/self/fd /mnt/dev/fd; mkdir /mnt/dev/shm /mnt/dev/net; cp -a /dev/net/tun /mnt/dev/net/; \
                           mount --bind /dev/shm /mnt/dev/shm; ";
    const ENTER: &str = "; mount -o remount,dev /mnt; mount --rbind /mnt/dev /dev";
    let setup = |change: &str| -> &'static str { Box::leak(format!("{DEVICES}{change}{ENTER}").into_boxed_str()) };
    broken(setup("rm /mnt/dev/net/tun"), "Error: /dev/net/tun: /dev/net/tun does not exist", "sudo modprobe tun")
        .check(&lab);
    broken(
        setup("chmod 600 /mnt/dev/net/tun"),
        "Error: /dev/net/tun: /dev/net/tun cannot be opened",
        "sudo chmod 666 /dev/net/tun",
    )
    .check_cured(&lab);
    let fuse = Broken {
        flags: "--storage-opt mount_program=fuse-overlayfs",
        ..broken(setup("rm /mnt/dev/fuse"), "Error: fuse-overlayfs: ", "sudo modprobe fuse")
    };
    fuse.check(&lab);
    // Where the kernel's overlay works nobody needs it.
    let good = lab.on_broken_host(setup("rm /mnt/dev/fuse"), "doctor").unwrap().run();
    assert!(good.ok().contains("fuse-overlayfs     good        not needed"), "{good}");
}

#[test]
fn doctor_names_missing_and_old_programs() {
    if !applies() {
        return;
    }
    let lab = Lab::empty();
    const STUB: &str = "change /usr/bin; rm /usr/bin/skopeo; printf '#!/bin/sh\\n%s\\n' \"$stub\" > /usr/bin/skopeo; chmod 755 /usr/bin/skopeo";
    let stub = |text: &str| -> &'static str { Box::leak(format!("stub={text:?}; {STUB}").into_boxed_str()) };
    for fixture in [
        broken("change /usr/bin; rm /usr/bin/skopeo", "Error: skopeo: skopeo is not installed", "skopeo"),
        broken(stub("echo skopeo version 1.2.0"), "Error: skopeo: skopeo 1.2.0 is too old: 1.6 is needed", "skopeo"),
        broken(stub("echo cannot >&2; exit 3"), "Error: skopeo: skopeo does not tell its version", "skopeo"),
    ] {
        fixture.check(&lab);
    }
    let fixture = Broken {
        flags: "--storage-opt mount_program=fuse-overlayfs",
        ..broken("change /usr/bin; rm -f /usr/bin/fuse-overlayfs", "Error: fuse-overlayfs: ", "fuse-overlayfs")
    };
    fixture.check(&lab);
}

#[test]
fn doctor_names_places_that_cannot_be_written() {
    if !applies() {
        return;
    }
    let lab = Lab::empty();
    lab.folder(".local/share/creel");
    broken(
        "mount --bind $HOME $HOME; mount -o remount,bind,ro $HOME",
        "Error: store: $HOME/.local/share/creel is on a read-only file system",
        "--root DIR",
    )
    .check(&lab);
    broken(
        "mount -t tmpfs -o size=1m,mode=700,uid=$MY_ID tmpfs $HOME/.local/share/creel",
        "Error: space: less than 16 MiB free for $HOME/.local/share/creel",
        "creel system prune",
    )
    .check(&lab);
    broken(
        "mount -t tmpfs -o size=100m,mode=755,uid=0 tmpfs $HOME/.local/share/creel",
        "Error: store: $HOME/.local/share/creel belongs to another user, and $ME may not write there",
        "sudo chown -R $ME $HOME/.local/share/creel",
    )
    .check_cured(&lab);
    broken(
        "mount -t tmpfs -o size=100m,mode=500,uid=$MY_ID tmpfs $HOME/.local/share/creel",
        "Error: store: $HOME/.local/share/creel cannot be written by its owner $ME",
        "chmod u+rwx $HOME/.local/share/creel",
    )
    .check_cured(&lab);
}

#[test]
fn doctor_names_what_is_wrong_with_the_runtime_directory() {
    if !applies() {
        return;
    }
    let lab = Lab::empty();
    for fixture in [
        broken(
            "export XDG_RUNTIME_DIR=/nonexistent/run",
            "Error: runtime directory: XDG_RUNTIME_DIR=/nonexistent/run does not exist",
            "XDG_RUNTIME_DIR=",
        ),
        broken(
            "export XDG_RUNTIME_DIR=/etc/passwd",
            "Error: runtime directory: XDG_RUNTIME_DIR=/etc/passwd is not a directory",
            "XDG_RUNTIME_DIR=",
        ),
        broken(
            "export XDG_RUNTIME_DIR=run",
            "Warning: runtime directory: XDG_RUNTIME_DIR=run is not an absolute path",
            "XDG_RUNTIME_DIR=",
        ),
        // Where the usual place is there too, nothing is wrong.
        broken(
            "unset XDG_RUNTIME_DIR; mount -t tmpfs tmpfs /run",
            "Warning: runtime directory: XDG_RUNTIME_DIR is not set, /tmp/creel-run-$MY_ID is used",
            "sudo loginctl enable-linger $ME",
        ),
    ] {
        fixture.check(&lab);
    }
    broken(
        "mount -t tmpfs -o mode=700,uid=0 tmpfs $XDG_RUNTIME_DIR",
        "Error: runtime directory: XDG_RUNTIME_DIR=$RUN belongs to uid 0, not to $ME",
        "sudo chown $ME $RUN",
    )
    .check_cured(&lab);
    broken(
        "mount -t tmpfs -o mode=755,uid=$MY_ID tmpfs $XDG_RUNTIME_DIR",
        "Warning: runtime directory: XDG_RUNTIME_DIR=$RUN has mode 0755",
        "chmod 700 $RUN",
    )
    .check_cured(&lab);
    let _ = std::fs::remove_dir_all(format!("/tmp/creel-run-{}", user().uid));
}

#[test]
fn doctor_names_the_file_that_cannot_be_read() {
    if !applies() {
        return;
    }
    let files = [
        (
            "containers.conf",
            "[engine",
            "Error: configuration: Failed to obtain creel configuration: decode configuration $HOME/.config/containers/containers.conf: line 1",
        ),
        (
            "containers.conf",
            "[engine]\ncgroup_manager = 'nobody'\n",
            "Error: configuration: cgroup manager \"nobody\" is neither systemd nor cgroupfs",
        ),
        (
            "storage.conf",
            "[storage]\ndriver = 'zfs'\n",
            "Error: configuration: storage driver \"zfs\" is not supported",
        ),
        (
            "storage.conf",
            "= 3",
            "Error: configuration: Failed to obtain creel configuration: decode configuration $HOME/.config/containers/storage.conf: line 1",
        ),
        ("registries.conf", "unqualified = [", "Error: registries.conf: "),
        ("policy.json", "{", "Error: policy.json: $HOME/.config/containers/policy.json is no JSON"),
        ("policy.json", "{}", "Error: policy.json: $HOME/.config/containers/policy.json has no \"default\""),
    ];
    for (name, content, expected) in files {
        let lab = Lab::empty();
        lab.write(&format!(".config/containers/{name}"), content);
        broken(":", Box::leak(expected.to_owned().into_boxed_str()), "").check(&lab);
        std::fs::remove_file(lab.path(&format!(".config/containers/{name}"))).unwrap();
    }
    let lab = Lab::empty();
    std::fs::remove_file(lab.path(".config/containers/policy.json")).unwrap();
    let none = lab.on_broken_host("change /etc; rm -f /etc/containers/policy.json", "doctor").unwrap().run();
    assert!(none.ok().contains("policy.json        good        none: every image is accepted"), "{none}");
}

#[test]
fn a_command_that_dies_early_says_the_same_two_lines() {
    if !applies() {
        return;
    }
    let lab = Lab::empty();
    lab.folder(".local/share/creel");
    const RUN: &str = "run --rm localhost/creel/hello --version";
    for setup in [
        "change /usr/bin; chmod u-s /usr/bin/newuidmap",
        "set -- setpriv --no-new-privs \"$@\"",
        NO_USER_NAMESPACES,
        "mount -t tmpfs -o mode=755,uid=0 tmpfs $HOME/.local/share/creel",
        "mount -t tmpfs -o size=64k,mode=700,uid=$MY_ID tmpfs $HOME/.local/share/creel",
        "mount -t tmpfs tmpfs /dev/net",
    ] {
        let doctor = lab.on_broken_host(setup, "doctor").unwrap().run();
        let run = lab.on_broken_host(setup, RUN).unwrap().run();
        assert_eq!(two_lines(&doctor), two_lines(&run), "{doctor}\n{run}");
        // 126 where the container is made already.
        assert!(matches!(run.exit_code(), 125 | 126), "{run}");
    }
    let gone = "change /usr/bin; rm /usr/bin/skopeo";
    let doctor = lab.on_broken_host(gone, "doctor").unwrap().run();
    let pull = lab.on_broken_host(gone, "pull localhost:1/x").unwrap().run();
    assert_eq!(two_lines(&doctor), two_lines(&pull));
    // Where it goes on with one id, the same two lines are a warning.
    // In a runtime directory of its own: the namespace of what ran a moment ago has all ids.
    let one_id = "change /etc; : > /etc/subuid; mount -t tmpfs -o mode=700,uid=$MY_ID tmpfs $XDG_RUNTIME_DIR";
    let doctor = lab.on_broken_host(one_id, "doctor").unwrap().run();
    let run = lab
        .on_broken_host(
            &format!("{one_id}; mount -t tmpfs -o uid=$MY_ID tmpfs $HOME/.local/share"),
            "run --rm --network none localhost/creel/hello --version",
        )
        .unwrap()
        .run();
    let _ = run.ok();
    assert!(run.err().contains(&two_lines(&doctor).0), "{run}");
}

#[test]
fn a_home_where_nothing_may_be_executed_is_no_hindrance() {
    if !applies() {
        return;
    }
    let lab = Lab::new();
    let noexec = "mount --bind $HOME $HOME; mount -o remount,bind,noexec,nosuid $HOME";
    let doctor = lab.on_broken_host(noexec, "doctor").unwrap().run();
    let run = lab.on_broken_host(noexec, "run --rm --network none box echo works").unwrap().run();
    // The doctor is right, whatever the kernel says of it.
    assert_eq!(doctor.exit_code() == 0, run.exit_code() == 0, "{doctor}\n{run}");
}
