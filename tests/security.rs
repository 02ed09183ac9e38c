//! The walls: capabilities, system calls, hidden and read-only kernel files, and holes that other tools had.

use crate::lab::{Lab, is_podman};

/// The numbers of the eleven default capabilities, as a mask.
const DEFAULT: u64 = mask(&[0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 31]);

const fn mask(numbers: &[u32]) -> u64 {
    let mut mask = 0;
    let mut at = 0;
    while at < numbers.len() {
        mask |= 1 << numbers[at];
        at += 1;
    }
    mask
}

fn capabilities(lab: &Lab, flags: &str, set: &str) -> u64 {
    let line = lab.ok(&format!("run --rm --network none {flags} box grep {set} /proc/self/status"));
    u64::from_str_radix(line.split_whitespace().last().unwrap(), 16).unwrap()
}

#[test]
fn root_has_the_eleven_default_capabilities() {
    let lab = Lab::new();
    for (set, expected) in [("CapEff", DEFAULT), ("CapPrm", DEFAULT), ("CapBnd", DEFAULT), ("CapInh", 0), ("CapAmb", 0)]
    {
        assert_eq!(format!("{:x}", capabilities(&lab, "", set)), format!("{expected:x}"), "{set}");
    }
}

#[test]
fn an_ordinary_user_has_none_but_those_that_were_added() {
    let lab = Lab::new();
    assert_eq!(capabilities(&lab, "-u alice", "CapEff"), 0);
    assert_eq!(capabilities(&lab, "-u alice", "CapBnd"), DEFAULT);
    assert_eq!(capabilities(&lab, "-u alice --cap-add net_raw", "CapEff"), mask(&[13]));
    assert_eq!(capabilities(&lab, "-u alice --cap-add net_raw", "CapAmb"), mask(&[13]));
}

#[test]
fn capabilities_are_added_and_dropped_by_name() {
    let lab = Lab::new();
    assert_eq!(capabilities(&lab, "--cap-add NET_ADMIN,CAP_SYS_TIME", "CapEff"), DEFAULT | mask(&[12, 25]));
    assert_eq!(capabilities(&lab, "--cap-drop chown --cap-drop CAP_KILL", "CapEff"), DEFAULT & !mask(&[0, 5]));
    assert_eq!(capabilities(&lab, "--cap-drop all", "CapBnd"), 0);
    assert_eq!(capabilities(&lab, "--cap-drop all --cap-add setuid", "CapBnd"), mask(&[7]));
    let all = capabilities(&lab, "--cap-add all", "CapEff");
    assert_eq!(all & mask(&[21, 12, 40]), mask(&[21, 12, 40]), "{all:x}");
    lab.creel("run --rm --cap-add NO_SUCH_CAP box true").run().fails(125);
    assert_eq!(lab.creel("run --rm --network none --cap-drop chown box chown 1 /etc/notes").run().exit_code(), 1);
}

#[test]
fn privileged_has_everything_the_user_may_have() {
    let lab = Lab::new();
    let text = lab.ok("run --rm --network none --privileged box sh -c 'grep -E \"CapEff|Seccomp:|NoNewPrivs\" /proc/self/status; mount -t tmpfs none /content && ls /content; wc -c < /proc/keys > /dev/null && echo unmasked'");
    assert!(text.contains("Seccomp:\t0") && text.contains("NoNewPrivs:\t0") && text.contains("unmasked"), "{text}");
    assert!(text.contains("CapEff:\t000001ff"), "{text}");
}

#[test]
fn system_calls_are_filtered() {
    let lab = Lab::new();
    assert_eq!(lab.ok("run --rm --network none box grep Seccomp: /proc/self/status"), "Seccomp:\t2");
    assert_eq!(
        lab.ok("run --rm --network none --security-opt seccomp=unconfined box grep Seccomp: /proc/self/status"),
        "Seccomp:\t0"
    );
    for forbidden in ["unshare -m true", "mount -t tmpfs none /content", "dmesg", "swapoff /etc/notes", "reboot -f"] {
        let outcome = lab.creel_words(&["run", "--rm", "--network", "none", "box", "sh", "-c", forbidden]).run();
        assert_ne!(outcome.exit_code(), 0, "{forbidden}: {outcome}");
    }
}

#[test]
fn a_profile_of_one_s_own_is_applied() {
    let lab = Lab::new();
    let profile = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95 } ] }"#;
    lab.write("profile.json", profile);
    let outcome = lab.creel("run --rm --network none --security-opt seccomp=profile.json box mkdir /x").run();
    let error = outcome.fails(1);
    assert!(error.contains("not supported"), "{error}");
    lab.write("broken.json", "{");
    lab.creel("run --rm --network none --security-opt seccomp=broken.json box true").run().fails(125);
}

#[test]
fn no_new_privileges_is_set_when_asked() {
    let lab = Lab::new();
    for (flag, expected) in
        [("", "0"), ("--security-opt no-new-privileges", "1"), ("--security-opt no-new-privileges=false", "0")]
    {
        let text = lab.ok(&format!("run --rm --network none {flag} box grep NoNewPrivs /proc/self/status"));
        assert_eq!(text, format!("NoNewPrivs:\t{expected}"), "{flag}");
    }
    lab.creel("run --rm --security-opt nonsense box true").run().fails(125);
}

#[test]
fn kernel_files_that_tell_or_change_too_much_are_hidden() {
    let lab = Lab::new();
    let hidden = "for f in /proc/kcore /proc/keys /proc/timer_list /proc/sched_debug /proc/latency_stats /proc/interrupts; do [ -e $f ] && head -c1 $f | wc -c; done; for d in /proc/acpi /proc/scsi /sys/firmware /sys/devices/virtual/powercap /sys/fs/selinux; do [ -e $d ] && ls -A $d | wc -l; done; true";
    let text = lab.creel_words(&["run", "--rm", "--network", "none", "box", "sh", "-c", hidden]).run().ok();
    assert!(text.lines().count() >= 4 && text.lines().all(|line| line == "0"), "{text}");
    let text = lab
        .creel_words(&[
            "run",
            "--rm",
            "--network",
            "none",
            "--security-opt",
            "unmask=/proc/timer_list:/proc/keys",
            "box",
            "sh",
            "-c",
            "head -c 20 /proc/keys | wc -c",
        ])
        .run();
    assert_eq!(text.exit_code(), 0, "{text}");
    let masks = lab.ok("run --rm --network none --security-opt unmask=ALL box cat /proc/mounts");
    assert!(!masks.contains(" /proc/kcore "), "{masks}");
    let masks = lab.ok(
        "run --rm --network none --security-opt mask=/content:/etc/notes box sh -c 'ls -A /content; cat /etc/notes'",
    );
    assert_eq!(masks, "");
}

#[test]
fn kernel_settings_are_read_only() {
    let lab = Lab::new();
    for file in
        ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/power/state", "/proc/sys/net/ipv4/ip_forward"]
    {
        let outcome = lab
            .creel_words(&[
                "run",
                "--rm",
                "--network",
                "none",
                "box",
                "sh",
                "-c",
                &format!("[ -e {file} ] || exit 1; echo 1 > {file}"),
            ])
            .run();
        assert_ne!(outcome.exit_code(), 0, "{file}");
    }
    let mounts = lab.ok("run --rm --network none box cat /proc/mounts");
    for place in ["/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/sysrq-trigger", "/sys"] {
        if !std::path::Path::new(place).exists() {
            continue;
        }
        let line = mounts
            .lines()
            .find(|line| line.split(' ').nth(1) == Some(place))
            .unwrap_or_else(|| panic!("{place} in {mounts}"));
        assert!(line.split(' ').nth(3).unwrap().split(',').any(|option| option == "ro"), "{line}");
    }
}

#[test]
fn the_old_root_is_nowhere() {
    let lab = Lab::new();
    let mounts = lab.ok("run --rm --network none box cat /proc/self/mountinfo");
    let host = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let host_root = host.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap().split(' ').nth(2).unwrap();
    for line in mounts.lines().filter(|line| line.split(' ').nth(2) == Some(host_root)) {
        assert_ne!(line.split(' ').nth(3), Some("/"), "{line}");
    }
    // CVE-2019-5736, CVE-2024-21626: no descriptor and no working directory may lead out.
    assert_eq!(
        lab.ok("run --rm --network none box sh -c 'ls /proc/1/cwd/../../../../../..'"),
        lab.ok("run --rm --network none box ls /")
    );
}

#[test]
fn a_working_directory_by_descriptor_leads_nowhere() {
    // CVE-2024-21626: -w /proc/self/fd/N ended in a folder of the host.
    let lab = Lab::new();
    for number in 3..20 {
        let outcome = lab
            .creel(&format!("run --rm --network none -w /proc/self/fd/{number} box ls ../../../../../../../etc"))
            .run();
        let text = outcome.out();
        assert!(outcome.exit_code() != 0 || !text.contains("subuid"), "{outcome}");
    }
    lab.ok("run -d --name target --network none box idle");
    for number in 3..12 {
        let outcome = lab.creel(&format!("exec -w /proc/self/fd/{number} target ls ../../../../../../../etc")).run();
        assert!(outcome.exit_code() != 0 || !outcome.out().contains("subuid"), "{outcome}");
    }
}

#[test]
fn the_program_cannot_be_overwritten_from_inside() {
    // CVE-2019-5736: /proc/self/exe of the runtime, reached by an entrypoint that is a link to it.
    let lab = Lab::new();
    let before = std::fs::read(crate::lab::program()).map(|bytes| crate::lab::image::sha256(&bytes));
    let mut draft = crate::lab::image::box_draft().clone();
    draft.layers.push(
        crate::lab::archive::Archive::new()
            .symlink("bin/self", "/proc/self/exe")
            .file("bin/evil", 0o755, "#!/proc/self/exe\n")
            .bytes(),
    );
    let archive = lab.write("evil.tar", draft.docker_archive(&["localhost/evil:latest"]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    for command in ["/bin/self", "/bin/evil", "/proc/self/exe"] {
        let outcome = lab.creel(&format!("run --rm --network none evil {command} --version")).within(30).run();
        assert!(!outcome.out().contains("creel"), "{outcome}");
    }
    lab.ok("run -d --name target --network none evil idle");
    let _ = lab.creel("exec target /bin/self --version").run();
    let script =
        "for p in /proc/[0-9]*; do [ -e $p/exe ] && (echo x >> $p/exe) 2> /dev/null && echo written; done; true";
    assert_eq!(lab.creel_words(&["exec", "target", "sh", "-c", script]).run().ok(), "");
    assert_eq!(std::fs::read(crate::lab::program()).map(|bytes| crate::lab::image::sha256(&bytes)).ok(), before.ok());
}

#[test]
fn exec_leaks_no_descriptor_and_no_capability() {
    // CVE-2016-9962, CVE-2022-29162: exec gave descriptors of the host and inheritable capabilities.
    let lab = Lab::new();
    lab.ok("run -d --name target --network none box idle");
    let text = lab
        .shell("exec 5< /etc/passwd; creel exec target sh -c 'ls /proc/self/fd; grep Cap /proc/self/status'")
        .run()
        .ok();
    let (descriptors, capabilities): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| !line.starts_with("Cap"));
    assert_eq!(descriptors, ["0", "1", "2", "3"], "{text}");
    let inheritable = capabilities.iter().find(|line| line.starts_with("CapInh")).unwrap();
    assert!(inheritable.ends_with("0000000000000000"), "{inheritable}");
    assert!(capabilities.iter().any(|line| *line == format!("CapEff:\t{DEFAULT:016x}")), "{text}");
}

#[test]
fn exec_is_filtered_like_the_first_process() {
    let lab = Lab::new();
    lab.ok("run -d --name target --network none --security-opt no-new-privileges box idle");
    let text = lab.ok("exec target grep -E 'Seccomp:|NoNewPrivs' /proc/self/status");
    assert_eq!(text, "NoNewPrivs:\t1\nSeccomp:\t2");
    let text = lab.ok("exec --privileged target grep CapEff /proc/self/status");
    assert!(text.contains("000001ff"), "{text}");
}

#[test]
fn the_keyring_and_the_terminal_of_the_caller_stay_outside() {
    let lab = Lab::new();
    assert_ne!(lab.ok("run --rm --network none box sh -c 'ps -o sid,pid | grep -c \" 1$\"'"), "0");
    // TIOCSTI into the caller's terminal needs that terminal; without -t there is none.
    assert_ne!(lab.creel("run --rm --network none box sh -c 'echo x > /dev/tty'").run().exit_code(), 0);
}

#[test]
fn set_uid_programs_of_the_container_do_not_reach_the_host() {
    let lab = Lab::new();
    let data = lab.folder("data");
    lab.ok(&format!(
        "run --rm --network none -v {}:/data box sh -c 'cp /bin/busybox /data/b; chmod 4755 /data/b'",
        data.display()
    ));
    let metadata = std::fs::metadata(data.join("b")).unwrap();
    assert_ne!(
        std::os::unix::fs::MetadataExt::uid(&metadata),
        0,
        "a set-uid file of the container's root is the caller's own"
    );
}

#[test]
fn a_container_cannot_reach_into_another() {
    let lab = Lab::new();
    lab.ok("run -d --name one --network none box sh -c 'echo secret > /tmp/s; idle'");
    lab.log_holds("one", "ready");
    let text = lab.ok(
        "run --rm --network none box sh -c 'find / -name s -path \"*tmp/s\" 2> /dev/null; ls -d /proc/[0-9]* | wc -l'",
    );
    assert!(!text.contains("/tmp/s"), "{text}");
    if !is_podman() {
        let pid = lab.inspect("one", "{{.State.Pid}}");
        lab.creel(&format!("run --rm --network none box cat /proc/{pid}/root/tmp/s")).run().fails(1);
    }
}
