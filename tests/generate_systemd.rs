//! `generate systemd`

use crate::lab::Lab;

/// Without a network.
const LOCAL: &str = "--network none";

#[test]
fn a_container_gets_a_service_that_starts_it() {
    let lab = Lab::new();
    lab.ok(&format!("create --name web {LOCAL} --stop-timeout 20 box idle"));
    let text = lab.ok("generate systemd --name --no-header web");
    for line in [
        "# container-web.service",
        "Wants=network-online.target",
        "Environment=PODMAN_SYSTEMD_UNIT=%n",
        "Restart=on-failure",
        "TimeoutStopSec=80",
        "\t-t 20 web",
        "Type=forking",
        "WantedBy=default.target",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}: {text}");
    }
    let start = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert!(start.ends_with(" start web"), "{start}");
    assert!(text.lines().any(|line| line.starts_with("PIDFile=") && line.ends_with("conmon.pid")), "{text}");
    let given = lab.ok(
        "generate systemd -n --no-header --restart-policy always --restart-sec 15 --start-timeout 30 -t 50 --wants w.service \
         --after a.service --after b.service -e A=b --container-prefix con --separator _ web",
    );
    for line in [
        "# con_web.service",
        "# User-defined dependencies",
        "Wants=w.service",
        "After=a.service b.service",
        "Environment=A=b",
        "Restart=always",
        "RestartSec=15",
        "TimeoutStartSec=30",
        "TimeoutStopSec=110",
    ] {
        assert!(given.lines().any(|known| known == line), "{line}: {given}");
    }
}

#[test]
fn a_new_container_is_made_by_the_command_line_that_made_it() {
    let lab = Lab::new();
    lab.ok(&format!("run -d --restart always --name web --rm=false {LOCAL} box sh -c 'echo \"a b\" $X; idle'"));
    let text = lab.ok("generate systemd --new --name --no-header web");
    let (_, command) = text.split_once("ExecStart=").unwrap();
    let (command, _) = command.split_once("\nExecStop=").unwrap();
    let (_, command) = command.split_once(" run \\\n").unwrap();
    assert!(
        command
            .starts_with("\t--cidfile=%t/%n.ctr-id \\\n\t--cgroups=no-conmon \\\n\t--rm \\\n\t--sdnotify=conmon \\\n"),
        "{command}"
    );
    assert!(!command.contains("--restart") && command.matches("-d \\").count() == 1, "{command}");
    assert!(command.contains(" \\\n\t--name web"), "{command}");
    assert!(command.ends_with("box sh \\\n\t-c \"echo \\\"a b\\\" $$X; idle\""), "{command}");
    assert!(text.contains("\nRestart=always\n"), "{text}");
    let template = lab.ok("generate systemd --template --name --no-header web");
    assert!(template.contains("# container-web@.service\n") && template.contains("\t--name web-%i"), "{template}");
    lab.ok("rm -f -t 0 web");
}

#[test]
fn a_pod_gets_a_service_and_one_for_each_container() {
    let lab = Lab::new();
    lab.ok("pod create --name p --network none --infra-name pi");
    lab.ok("create --pod p --name one box idle");
    lab.ok("create --pod p --name two box idle");
    let text = lab.ok("generate systemd --name --no-header --new p");
    for line in [
        "# pod-p.service",
        "Wants=container-one.service container-two.service",
        "Before=container-one.service container-two.service",
        "BindsTo=pod-p.service",
        "PIDFile=%t/pod-p.pid",
        "\t--pod-id-file %t/pod-p.pod-id \\",
    ] {
        assert!(text.lines().any(|known| known == line), "{line}: {text}");
    }
    let json = lab.ok("generate systemd --name --no-header --format json p");
    assert!(json.starts_with("{\n \"container-one\": \"# container-one.service\\n"), "{json}");
    lab.ok("generate systemd --name --files p");
    for name in ["pod-p", "container-one", "container-two"] {
        assert!(lab.path(&format!("{name}.service")).is_file(), "{name}");
    }
    lab.creel("generate systemd --template p").run().fails(125);
    lab.ok("pod rm -f p");
}

#[test]
fn what_cannot_be_made_is_refused() {
    let lab = Lab::new();
    lab.ok(&format!("create --name web {LOCAL} box idle"));
    for (line, why) in [
        ("generate systemd", "Error: accepts 1 arg(s), received 0"),
        ("generate systemd --restart-policy never web", "Error: never is not a valid restart policy"),
        ("generate systemd --format xml web", "Error: unknown --format argument: xml"),
        (
            "generate systemd nope",
            "Error: nope does not refer to a container or pod: no pod with name or ID nope found: no such pod",
        ),
    ] {
        let said = lab.creel(line).run().fails(125);
        assert!(said.contains(why), "{line}: {said}");
    }
}
