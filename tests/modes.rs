//! What a container is prepared for: systemd as process 1, another personality, a root of its own inside of the root.

use crate::lab::{Lab, is_podman};

#[test]
fn systemd_as_process_1_finds_what_it_needs() {
    let lab = Lab::new();
    let mounts = lab.ok("run --rm --network none --systemd=always --shm-size-systemd 5m box cat /proc/mounts");
    for place in ["/run", "/run/lock", "/tmp", "/var/log/journal"] {
        let line = mounts
            .lines()
            .find(|line| line.split(' ').nth(1) == Some(place))
            .unwrap_or_else(|| panic!("{place}: {mounts}"));
        assert!(line.starts_with("tmpfs") && line.contains("size=5120k"), "{line}");
    }
    let env = lab.ok("run --rm --network none --systemd=always box env");
    assert!(env.contains("container_uuid="), "{env}");
    assert!(lab.ok("run --rm --network none --systemd=always box ls -a /run").contains(".containerenv"));
    let id = lab.ok("create --systemd=always box sleep 1000");
    assert_eq!(lab.inspect(&id, "{{.Config.StopSignal}} {{.Config.SystemdMode}}"), "SIGRTMIN+3 true");
    assert!(!lab.ok("run --rm --network none box env").contains("container_uuid"));
    let error = lab.creel("create --systemd=foo box").run().fails(125);
    assert!(error.contains("--systemd values must be one of"), "{error}");
}

#[test]
fn an_old_machine_can_be_played() {
    let lab = Lab::new();
    assert_eq!(lab.ok("run --rm --network none --personality LINUX32 box cat /proc/self/personality"), "00000008");
    assert_eq!(lab.ok("run --rm --network none --personality LINUX box cat /proc/self/personality"), "00000000");
    if !is_podman() {
        lab.creel("create --personality foo box").run().fails(125);
    }
}

#[test]
fn a_root_inside_of_the_root_has_names_too() {
    let lab = Lab::new();
    let text = lab.ok("run --rm --chrootdirs /jail box sh -c 'ls /jail/etc; grep -c . /jail/etc/hosts'");
    assert!(text.starts_with("hosts\nresolv.conf"), "{text}");
}

#[test]
fn the_pids_of_process_1_and_of_the_monitor_are_written() {
    let lab = Lab::new();
    let home = lab.home().display().to_string();
    lab.ok(&format!(
        "run -d --name c --network none --pidfile {home}/pid --conmon-pidfile {home}/monitor box sleep 1000"
    ));
    let read = |name: &str| std::fs::read_to_string(lab.home().join(name)).unwrap();
    assert_eq!(read("pid"), lab.inspect("c", "{{.State.Pid}}"));
    assert_eq!(read("monitor"), lab.inspect("c", "{{.State.ConmonPid}}"));
}

#[test]
fn kernel_parameters_are_those_of_the_container_s_namespaces() {
    let lab = Lab::new();
    let run = "run --rm --network none --sysctl net.ipv4.ip_forward=1 box cat /proc/sys/net/ipv4/ip_forward";
    assert_eq!(lab.ok(run), "1");
    let table = [
        ("--sysctl vm.swappiness=1", "sysctl 'vm.swappiness' is not allowed"),
        ("--sysctl kernel.hostname=x", "sysctl 'kernel.hostname' is not allowed"),
        ("--sysctl foo", "foo is invalid, sysctl values must be in the form of KEY=VALUE"),
        (
            "--network host --sysctl net.ipv4.ip_forward=1",
            "can't be set since Network Namespace set to host: invalid argument",
        ),
    ];
    for (flags, expected) in table {
        let text = lab.creel(&format!("create {flags} box true")).run().fails(125);
        assert!(text.contains(expected), "{flags}: {text}");
    }
}

#[test]
fn a_cgroup_that_is_not_made_has_no_parent() {
    let lab = Lab::new();
    lab.ok("run --rm --network none --cgroups=disabled box true");
    lab.ok("run --rm --network none --cgroups=no-conmon box true");
    let text = lab.creel("create --cgroups=disabled --cgroup-parent x box").run().fails(125);
    assert!(text.contains("cannot set cgroup parent if not creating cgroups"), "{text}");
    let text = lab.creel("create --cgroups=foo box").run().fails(125);
    assert!(text.contains("invalid cgroup mode \"foo\""), "{text}");
}

#[test]
fn what_a_start_could_not_do_is_refused_by_create() {
    let lab = Lab::new();
    let mut table = vec![
        ("--security-opt systempaths=foo", "invalid systempaths option \"foo\", only `unconfined` is supported"),
        (
            "--init --init-path /nope",
            "container-init binary not found on the host: faccessat /nope: no such file or directory",
        ),
        ("--memory 1x", "invalid value for memory: invalid suffix: 'x'"),
        ("--name 'a b'", "running container create option: names must match"),
    ];
    if !is_podman() {
        table.extend([
            ("--oom-score-adj 2000", "it is between -1000 and 1000"),
            ("--security-opt mask=etc", "Path \"etc\" is not an absolute path"),
            ("--pidfile /nope/x", "open /nope/x: no such file or directory"),
            ("--hosts-file /nope", "failed to create new hosts file: open /nope: no such file or directory"),
            ("--hostuser no-such-user", "unknown user no-such-user"),
        ]);
    }
    for (flags, expected) in table {
        let text = lab.creel(&format!("create {flags} box true")).run().fails(125);
        assert!(text.contains(expected), "{flags}: {text}");
    }
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn security_options_have_several_spellings() {
    let lab = Lab::new();
    for option in ["no-new-privileges", "no-new-privileges=true", "no-new-privileges:true"] {
        let text =
            lab.ok(&format!("run --rm --network none --security-opt {option} box grep NoNewPrivs /proc/self/status"));
        assert!(text.ends_with('1'), "{option}: {text}");
    }
    lab.ok("run --rm --network none --security-opt apparmor=unconfined box true");
    let proc = lab.ok("run --rm --network none --security-opt proc-opts=nosuid,exec box grep ' /proc ' /proc/mounts");
    assert!(proc.contains("nosuid") && !proc.contains("noexec") && !proc.contains("nodev"), "{proc}");
}

#[test]
fn a_user_of_the_host_can_be_known_inside() {
    let lab = Lab::new();
    let text =
        lab.ok("run --rm --network none --hostuser daemon --user daemon box sh -c 'id -un; grep ^daemon: /etc/passwd'");
    assert!(text.starts_with("daemon\ndaemon:*:"), "{text}");
}
