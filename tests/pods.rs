//! `pod`

use crate::lab::{Lab, differs_on_purpose, eventually, free_port};

#[test]
fn a_pod_is_made_listed_looked_at_and_removed() {
    let lab = Lab::new();
    let id = lab.ok("pod create --name one -l k=v");
    assert_eq!(id.len(), 64);
    lab.creel("pod create --name one").run().fails(125);
    lab.ok("pod exists one");
    assert_eq!(lab.creel("pod exists two").run().exit_code(), 1);
    let text = lab.ok("pod ps");
    for heading in ["POD ID", "NAME", "STATUS", "CREATED", "INFRA ID", "# OF CONTAINERS"] {
        assert!(text.lines().next().unwrap().contains(heading), "{text}");
    }
    assert_eq!(lab.ok("pod ps --format '{{.Name}} {{.Status}} {{.NumberOfContainers}}'"), "one Created 1");
    assert!(lab.ok("pod ps -q --filter label=k=v").starts_with(&id[..12]));
    for (flags, last) in [
        ("--ns", "CGROUP NAMESPACES # OF CONTAINERS"),
        ("--ns --ctr-names --ctr-status", "NAMES STATUS CGROUP NAMESPACES"),
    ] {
        let text = lab.ok(&format!("pod ps {flags}"));
        let headings: Vec<&str> = text.lines().next().unwrap().split_whitespace().collect();
        assert!(headings.join(" ").ends_with(last), "{flags}: {text}");
    }
    let json = lab.json("pod inspect one");
    let pod = if json.is_array() { &json[0] } else { &json };
    assert_eq!((&pod["Id"], &pod["Name"], &pod["State"]), (&id.as_str().into(), &"one".into(), &"Created".into()));
    assert_eq!(lab.ok("inspect --type pod --format {{.Name}} one"), "one");
    assert_eq!(lab.ok("inspect --format {{.ID}} one"), id);
    assert_eq!(lab.ok("pod rm one"), id);
    let error = lab.creel("pod rm one").run().fails(1);
    assert!(
        error.contains("no pod with name or ID one found: no such pod") || error.contains("no such pod"),
        "{error}"
    );
}

#[test]
fn members_share_network_ipc_and_host_name() {
    let lab = Lab::new();
    lab.ok("pod create --name duo");
    lab.ok("run -d --pod duo --name web box httpd -f -p 80 -h /www");
    eventually("served inside of the pod", || {
        lab.creel("run --rm --pod duo box wget -qO- http://127.0.0.1/").run().out() == "hello from the box"
    });
    assert_eq!(lab.ok("run --rm --pod duo box hostname"), "duo");
    for kind in ["net", "ipc", "uts"] {
        let own = lab.ok(&format!("run --rm --pod duo box readlink /proc/self/ns/{kind}"));
        assert_eq!(own, lab.ok(&format!("exec web readlink /proc/self/ns/{kind}")), "{kind}");
    }
    assert_ne!(
        lab.ok("run --rm --pod duo box readlink /proc/self/ns/pid"),
        lab.ok("exec web readlink /proc/self/ns/pid")
    );
    assert_eq!(lab.ok("ps --pod --format '{{.Names}} {{.PodName}}' --filter name=web"), "web duo");
    lab.ok("pod rm -f -t 0 duo");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn start_stop_and_restart_take_all_members() {
    let lab = Lab::new();
    lab.ok("pod create --name duo --infra-conmon-pidfile monitor.pid");
    lab.ok("create --pod duo --name a box idle");
    lab.ok("create --pod duo --name b box idle");
    assert_eq!(lab.ok("pod start duo"), "duo");
    assert_eq!(lab.ok("pod ps --format {{.Status}}"), "Running");
    assert_eq!((lab.state("a"), lab.state("b")), ("running".to_owned(), "running".to_owned()));
    let monitor = lab.read("monitor.pid");
    let infra = lab.ok("pod inspect duo --format {{.InfraContainerID}}");
    assert_eq!(lab.ok(&format!("inspect --format {{{{.State.ConmonPid}}}} {infra}")), monitor.trim());
    lab.log_holds("a", "ready");
    lab.log_holds("b", "ready");
    lab.ok("stop -t 0 a");
    assert_eq!(lab.ok("pod ps --format {{.Status}}"), "Degraded");
    lab.ok("pod restart duo");
    assert_eq!(lab.state("a"), "running");
    assert_eq!(lab.ok("pod stop -t 1 duo"), "duo");
    assert_eq!(lab.state("b"), "exited");
    assert_eq!(lab.ok("pod ps --format {{.Status}}"), "Exited");
    lab.ok("pod rm duo");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn a_pod_publishes_for_its_members() {
    let lab = Lab::new();
    let port = free_port();
    lab.ok(&format!("pod create --name web -p 127.0.0.1:{port}:80"));
    lab.ok("run -d --pod web box httpd -f -p 80 -h /www");
    eventually("the port is served", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok_and(|mut stream| {
            use std::io::{Read, Write};
            let mut text = String::new();
            let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
            let _ = stream.read_to_string(&mut text);
            text.contains("hello from the box")
        })
    });
    lab.creel("run --rm --pod web -p 8081:81 box true").run().fails(125);
    lab.ok("pod rm -f -t 0 web");
}

#[test]
fn a_pod_can_be_made_on_the_way() {
    let lab = Lab::new();
    lab.ok("run -d --pod new:fresh --name one box idle");
    assert_eq!(lab.ok("pod ps --format {{.Name}}"), "fresh");
    lab.creel("pod rm fresh").run().fails(125);
    assert_eq!(lab.ok("pod kill fresh").len(), 64);
    eventually("all is over", || lab.state("one") == "exited");
    lab.ok("pod rm -f -t 0 fresh");
    lab.creel("run --rm --pod nosuch box true").run().fails(125);
}

#[test]
fn namespaces_are_shared_as_asked() {
    let lab = Lab::new();
    lab.ok("pod create --name all --share +pid");
    lab.ok("run -d --pod all --name a box idle");
    assert!(lab.ok("run --rm --pod all box ps -o comm").contains("idle"));
    lab.ok("pod rm -f -t 0 all");
    lab.ok("pod create --name none --share none --infra=false");
    lab.ok("run -d --pod none --name b --network none box idle");
    assert_ne!(
        lab.ok("run --rm --pod none --network none box readlink /proc/self/ns/uts"),
        lab.ok("exec b readlink /proc/self/ns/uts")
    );
    lab.ok("pod rm -f -t 0 none");
}

#[test]
fn members_know_each_other_by_name() {
    let lab = Lab::new();
    lab.ok("pod create --name duo --hostname both --add-host far:192.0.2.7 --dns 192.0.2.53");
    lab.ok("run -d --pod duo --name one box idle");
    let hosts = lab.ok("run --rm --pod duo --name two box cat /etc/hosts");
    for line in ["127.0.0.1\tone", "127.0.0.1\ttwo", "192.0.2.7\tfar"] {
        assert!(hosts.lines().any(|found| found == line), "{line}: {hosts}");
    }
    assert!(hosts.lines().any(|line| line.contains("both ") && line.ends_with("-infra")), "{hosts}");
    // The file is one, and who has ended is no longer in it.
    eventually("the name of the one that ended is gone", || !lab.ok("exec one cat /etc/hosts").contains("two"));
    assert_eq!(lab.ok("run --rm --pod duo box cat /etc/resolv.conf"), "nameserver 192.0.2.53");
}

#[test]
fn init_containers_run_one_after_the_other_before_the_members() {
    let lab = Lab::new();
    lab.ok("pod create --name steps -v shared:/shared");
    lab.ok("create --pod steps --init-ctr once --name first box sh -c 'echo first >> /shared/log'");
    lab.ok("create --pod steps --init-ctr always --name second box sh -c 'echo second >> /shared/log'");
    lab.ok("create --pod steps --name main box sh -c 'cat /shared/log; sleep 1000'");
    lab.ok("pod start steps");
    assert_eq!(lab.ok("pod ps --format {{.Status}}"), "Running");
    eventually("the member has seen both", || lab.ok("logs main") == "first\nsecond");
    assert_eq!(lab.creel("container exists first").run().exit_code(), 1);
    lab.creel("create --pod steps --init-ctr always box true").run().fails(125);
    lab.ok("pod stop -t 0 steps");
    lab.ok("pod start steps");
    eventually("the second one ran again", || lab.ok("logs main").ends_with("first\nsecond\nsecond"));
    lab.ok("pod stop -t 0 steps");
    lab.ok("create --pod steps --init-ctr always --name third box sh -c 'exit 4'");
    let error = lab.creel("pod start steps").run().fails(125);
    assert!(error.contains("exited with code 4"), "{error}");
    assert_ne!(lab.state("main"), "running");
}

#[test]
fn a_pod_ends_with_its_last_member_where_it_is_meant_to() {
    let lab = Lab::new();
    lab.ok("pod create --name brief --exit-policy stop");
    // Each ends when both run: a member that is last for a moment would take the pod along while the other one starts.
    let waits = "sh -c 'until test -e /shared/go; do sleep 0.05; done'";
    lab.ok(&format!("create --pod brief --name a -v shared:/shared box {waits}"));
    lab.ok(&format!("create --pod brief --name b -v shared:/shared box {waits}"));
    lab.ok("pod start brief");
    lab.ok("run --rm --network none -v shared:/shared box touch /shared/go");
    eventually("all have ended", || lab.ok("pod ps --format {{.Status}}") == "Exited");
    lab.ok("pod create --name lasting");
    lab.ok("run --pod lasting box true");
    assert_eq!(lab.ok("pod ps --filter name=lasting --format {{.Status}}"), "Degraded");
    let error = lab.creel("pod create --exit-policy foo").run().fails(125);
    assert!(error.contains("invalid pod exit policy: \"foo\""), "{error}");
}

#[test]
fn a_pod_whose_holder_was_killed_is_degraded_and_starts_again_whole() {
    if differs_on_purpose("podman's members stay without the network that the infra container had") {
        return;
    }
    let lab = Lab::new();
    lab.ok("pod create --name duo");
    lab.ok("run -d --pod duo --name web box httpd -f -p 80 -h /www");
    let infra = lab.ok("pod inspect duo --format {{.InfraContainerID}}");
    let pid: i32 = lab.ok(&format!("inspect --format {{{{.State.Pid}}}} {infra}")).parse().unwrap();
    let kill = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(kill.success());
    eventually("it is told", || lab.ok("pod ps --format {{.Status}}") == "Degraded");
    lab.ok("pod start duo");
    assert_eq!(lab.ok("pod ps --format {{.Status}}"), "Running");
    eventually("served inside of the pod", || {
        lab.creel("run --rm --pod duo box wget -qO- http://127.0.0.1/").run().out() == "hello from the box"
    });
}

#[test]
fn what_belongs_to_the_pod_is_refused_for_a_member() {
    let lab = Lab::new();
    lab.ok("pod create --name one");
    let table = [
        ("-p 80:80", "published or exposed ports must be defined when the pod is created"),
        ("-P", "published or exposed ports must be defined when the pod is created"),
        ("--add-host a:1.1.1.1", "extra host entries must be specified on the pod"),
        ("--hostname x", "cannot set hostname when joining the pod UTS namespace"),
        ("--userns keep-id", "cannot set user namespace mode when joining pod with infra container"),
        ("--pod-id-file /nosuch", "cannot specify both --pod and --pod-id-file"),
        (
            "--ip 10.88.0.9",
            "networks must be defined when the pod is created: network cannot be configured when it is shared",
        ),
        ("--network-alias x", "networks must be defined when the pod is created"),
    ];
    for (flag, text) in table {
        let error = lab.creel(&format!("run --rm {flag} --pod one box true")).run().fails(125);
        assert!(error.contains(text), "{flag}: {error}");
    }
    // What is chosen for this one container stands.
    assert_eq!(lab.ok("run --rm --network none --pod one box sh -c 'ls /sys/class/net | wc -w'").len(), 1);
    let infra = lab.ok("pod inspect one --format {{.InfraContainerID}}");
    let error = lab.creel(&format!("rm -f {infra}")).run().fails(125);
    assert!(error.contains("cannot be removed without removing the pod"), "{error}");
    for (arguments, text) in [
        ("pod create --share foo", "invalid kernel namespace to share: foo"),
        ("pod create --infra=false --share net", "cannot set share(net) namespaces without an infra container"),
        ("pod create --infra=false -p 80:80", "you must have an infra container to publish port bindings to the host"),
        ("pod create --share +cgroup", "cannot define the pod as the cgroup parent"),
        ("pod create --pod-id-file /nosuch/id", "failed to write pod ID to file: creating idfile: open /nosuch/id"),
        ("pod create one", "name \"one\" is in use: pod already exists"),
        ("pod create --infra=false --network none", "NoInfra and network modes cannot be used together"),
        ("pod create --infra=false --add-host a:1.2.3.4", "NoInfra and HostAdd are mutually exclusive pod options"),
        ("pod create --infra=false --dns 1.1.1.1", "NoInfra and DNSServer are mutually exclusive pod options"),
        ("pod create --infra=false --no-hosts", "cannot specify --no-hosts without an infra container"),
        ("pod create --infra=false --ip 10.88.0.9", "cannot set --ip without infra container"),
        (
            "pod create bad/name",
            "running pod create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*: invalid argument",
        ),
        ("pod create --hostname a_b!", "running pod create option: names must match [a-zA-Z0-9][a-zA-Z0-9_.-]*"),
        (
            "pod create --restart foo",
            "running pod create option: \"foo\" is not a valid restart policy: invalid argument",
        ),
        ("pod create --network ns:/nosuch", "cannot find specified network namespace path: faccessat /nosuch"),
        (
            "pod create --userns container:foo",
            "looking up container to share user namespace with: no container with name",
        ),
        (
            "pod create --volumes-from nosuch",
            "looking up container \"nosuch\" for volumes-from: no container with name",
        ),
        ("pod exists ''", "name or ID cannot be empty"),
        ("pod logs a b", "requires exactly 1 arg"),
        ("pod top one bogus", "'bogus': unknown descriptor"),
        ("pod ps --filter foo", "filter input must be in the form of filter=value: foo is invalid"),
        ("run --pod new: box true", "new pod name must be at least one character"),
        ("create --init-ctr always box true", "must specify pod value with init-ctr"),
    ] {
        let error = lab.creel(arguments).run().fails(125);
        assert!(error.contains(text), "{arguments}: {error}");
    }
}

#[test]
fn pods_are_filtered_and_tell_what_happens() {
    let lab = Lab::new();
    lab.ok("pod create --name a --label k=v");
    lab.ok("pod create --name b");
    lab.ok("run -d --pod a --name am box sh -c 'echo out; echo again; sleep 1000'");
    let names = |filter: &str| lab.ok(&format!("pod ps --format {{{{.Name}}}} --filter {filter}"));
    let table = [
        ("label=k=v", "a"),
        ("label!=k", "b"),
        ("name=^a", "a"),
        ("status=running", "a"),
        ("status=created", "b"),
        ("ctr-number=2", "a"),
        ("ctr-status=running", "a"),
        ("until=1h", ""),
    ];
    for (filter, expected) in table {
        assert_eq!(names(filter), expected, "{filter}");
    }
    if !differs_on_purpose("podman looks at one container of the pod") {
        assert_eq!(names("ctr-names=am"), "a");
    }
    lab.creel("pod ps --filter status=foo").run().fails(125);
    lab.creel("pod ps --filter foo=bar").run().fails(125);
    assert_eq!(lab.ok("ps --filter pod=a --format {{.Names}}").lines().count(), 2);
    eventually("both lines are there", || lab.ok("pod logs -n a").lines().count() == 2);
    assert_eq!(lab.ok("pod logs -c am a"), "out\nagain");
    eventually("the last command of the shell takes its place", || {
        let top = lab.ok("pod top a pid comm");
        top.lines().any(|line| line.starts_with("1 ") && line.ends_with("sleep"))
    });
    let error = lab.creel("pod rm a").run().fails(125);
    assert!(error.contains("not all containers could be removed from pod"), "{error}");
    lab.ok("pod stop -t 0 a");
    lab.ok("pod prune -f");
    assert_eq!(lab.ok("pod ps --format {{.Name}}"), "b");
    lab.ok("rm -a -f -t 0");
    assert_eq!(lab.ok("pod ps -q"), "");
    let told = lab.ok("events --stream=false --filter type=pod --format '{{.Status}} {{.Name}}'");
    for event in ["create a", "stop a", "remove a", "remove b"] {
        assert!(told.lines().any(|line| line == event), "{event}: {told}");
    }
}

#[test]
fn a_pod_may_have_a_user_namespace_of_its_own() {
    let lab = Lab::new();
    lab.ok("pod create --name own --userns keep-id --share +pid");
    lab.ok("run -d --pod own --name a box idle");
    let map = lab.ok("exec a cat /proc/self/uid_map");
    assert!(map.lines().count() > 1, "{map}");
    assert_eq!(
        lab.ok("exec a readlink /proc/self/ns/user"),
        lab.ok("run --rm --pod own box readlink /proc/self/ns/user")
    );
    assert!(lab.ok("run --rm --pod own box ps -o comm").contains("idle"));
}

#[test]
fn a_member_started_alone_has_the_limits_of_its_pod() {
    if differs_on_purpose("what a killed update leaves is creel's") {
        return;
    }
    let lab = Lab::new();
    lab.ok("pod create --name a --cpu-shares 300");
    lab.ok("create --pod a --name one box true");
    let record = |name: &str| {
        lab.store()
            .join("containers")
            .join(lab.ok(&format!("inspect --format {{{{.Id}}}} {name}")))
            .join("container.json")
    };
    let record = record("one");
    let before = std::fs::read_to_string(&record).unwrap();
    lab.ok("pod update --cpu-shares 400 a");
    let after = std::fs::read_to_string(&record).unwrap();
    assert_ne!(before, after);
    // As an update leaves it that was killed before it came to this member.
    for line in ["start -a one", "restart -t 0 one"] {
        std::fs::write(&record, &before).unwrap();
        // Where the machine has no limits it does not start, and that is not the point.
        let _ = lab.creel(line).run();
        assert_eq!(std::fs::read_to_string(&record).unwrap(), after, "{line}");
    }
}

#[test]
fn what_a_pod_is_to_join_must_be_there() {
    let lab = Lab::new();
    for (flag, kind) in [("--pid", "pid"), ("--uts", "uts"), ("--userns", "user")] {
        let error = lab.creel(&format!("pod create --name a {flag} container:none")).run().fails(125);
        let text =
            format!("looking up container to share {kind} namespace with: no container with name or ID \"none\"");
        assert!(error.contains(&text), "{error}");
    }
    assert_eq!(lab.ok("pod ps -q"), "");
    assert_eq!(lab.ok("ps -aq"), "");
}

#[test]
fn a_pod_shows_its_user_namespace_and_its_limits_as_podman_does() {
    let lab = Lab::new();
    lab.ok("pod create --name own --userns keep-id --cpuset-cpus 0");
    let shown =
        lab.ok("pod inspect own --format '{{.SharedNamespaces}} {{.InfraConfig.UserNS}} {{.InfraConfig.CPUSetCPUs}}'");
    assert_eq!(shown, "[ipc net user uts] private 0");
    assert_eq!(lab.ok("pod inspect own --format {{.CPUSetCPUs}}"), "0");
}

#[test]
fn a_pod_is_paused_as_a_whole() {
    let Some(lab) = Lab::with_cgroup() else { return };
    lab.ok("pod create --name a");
    lab.ok("run -d --pod a --name one box idle");
    lab.ok("run -d --pod a --name two box idle");
    lab.ok("pod pause a");
    assert_eq!(lab.ok("pod ps --format {{.Status}}"), "Paused");
    lab.ok("pod unpause a");
    assert_eq!(lab.ok("pod ps --format {{.Status}}"), "Running");
    let of_one = lab.ok("inspect --format {{.State.CgroupPath}} one");
    let of_pod = lab.ok("pod inspect a --format {{.CgroupPath}}");
    if differs_on_purpose("podman tells of a cgroup that is not around the members'") {
        return;
    }
    assert!(!of_pod.is_empty() && of_one.starts_with(&format!("{of_pod}/")), "{of_pod}: {of_one}");
    let around = lab.cgroup_root().join(of_pod.trim_start_matches('/'));
    lab.ok("pod rm -f -t 0 a");
    // The monitors clean up behind the command.
    eventually("its cgroup is gone", || !around.exists());
}

#[test]
fn a_pod_is_cloned_and_counted() {
    let lab = Lab::new();
    lab.ok("pod create --name a --share +pid -l k=v");
    lab.ok("run -d --pod a --name one box idle");
    lab.ok("pod clone --start a");
    assert_eq!(
        lab.ok("pod ps --filter label=k=v --format '{{.Name}} {{.Status}}' --sort name"),
        "a Running\na-clone Running"
    );
    assert_ne!(lab.ok("exec one readlink /proc/self/ns/net"), lab.ok("exec one-clone readlink /proc/self/ns/net"));
    lab.ok("pod clone --destroy a b");
    assert_eq!(lab.ok("pod ps --format {{.Name}} --sort name"), "a-clone\nb");
    let rows = lab.json("pod stats --no-stream --format json a-clone");
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows:#}");
    // With a controller podman knows, too.
    let counts = !differs_on_purpose("podman counts nothing without a controller for it");
    assert!(
        !counts || rows.as_array().unwrap().iter().any(|row| row["Name"] == "one-clone" && row["PIDS"] != "--"),
        "{rows:#}"
    );
    let error = lab.creel("pod stats --no-stream nosuch").run().fails(125);
    assert!(error.contains("unable to get list of pods"), "{error}");
}

#[test]
fn pods_are_named_as_podman_names_them() {
    let lab = Lab::new();
    let id = lab.ok("pod create --name one --network none --exit-policy ''");
    lab.ok("create --pod one --name a box sh -c 'echo out; idle'");
    assert_eq!(lab.ok("pod ps -q"), id);
    assert_eq!(lab.ok("pod ps --format '{{.ID}} {{.Id}}'"), format!("{0} {0}", &id[..12]));
    assert_eq!(lab.ok("pod ps --no-trunc --format {{.Id}}"), id);
    assert_eq!(lab.ok("pod ps --format '{{range .Containers}}{{.Status}} {{end}}'").trim(), "created created");
    assert_eq!(lab.ok("pod inspect one --format {{.ExitPolicy}}"), "continue");
    assert_eq!(lab.ok("pod start --all"), "one");
    let id = lab.ok("pod inspect --format {{.Id}} one");
    assert_eq!(lab.ok(&format!("pod start {id}")), "one");
    // Nothing is paused.
    assert_eq!((lab.ok("pod unpause one"), lab.ok("pod unpause --all")), (String::new(), String::new()));
    lab.log_holds("a", "ready");
    assert_eq!(lab.ok("pod logs -n -c a one"), "out\nready");
    let stats = lab.ok("pod stats --no-stream --format '{{.Name}} {{.Mem}}' one");
    assert!(stats.starts_with("NAME MEM\n") && stats.lines().count() == 3, "{stats}");
    assert_eq!(lab.ok("pod stop -t 0 --latest"), "one");
    lab.ok("create --pod one --name bad box /nosuch");
    let error = lab.creel("pod start one").run().fails(125);
    assert!(error.contains("starting container "), "{error}");
    assert!(!lab.ok("pod ps --format {{.Status}}").is_empty());
}
