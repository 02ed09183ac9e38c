//! `update --publish`, `pod update`: what is published, and more, changes while it runs.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Lab, comes_true, differs_on_purpose, eventually, free_port, free_ports, probe, skip};

/// An echo on port 7000 of a container, with more flags of `run`.
fn echo(lab: &Lab, name: &str, flags: &str) {
    let (task, command) = (probe::flags("tcp-echo 7000"), probe::COMMAND);
    lab.ok(&format!("run -d --name {name} {flags} {task} box {command}"));
    // 7000 is 1B58: a connection before the server listens would be reset.
    let listens = format!("exec {name} grep -q :1B58 /proc/net/tcp");
    eventually("the echo listens", || lab.creel(&listens).run().exit_code() == 0);
}

/// Whether the connection is answered.
fn echoes(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 4];
    stream.write_all(b"ping").is_ok() && stream.read_exact(&mut answer).is_ok() && answer == *b"ping"
}

fn connect(port: u16) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// Whether a new client of the port is served.
fn serves(port: u16) -> bool {
    connect(port).is_ok_and(|mut stream| echoes(&mut stream))
}

/// Nobody listens there.
fn is_closed(port: u16) -> bool {
    connect(port).is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

fn is_podmans() -> bool {
    differs_on_purpose("podman cannot change what is published")
}

#[test]
fn a_port_is_published_while_the_container_runs() {
    if is_podmans() {
        return;
    }
    let lab = Lab::new();
    echo(&lab, "one", "");
    let pid = lab.inspect("one", "{{.State.Pid}}");
    let port = free_port();
    assert_eq!(lab.ok(&format!("update --publish {port}:7000 one")), lab.inspect("one", "{{.Id}}"));
    assert!(serves(port));
    assert_eq!(lab.ok("port one"), format!("7000/tcp -> 0.0.0.0:{port}"));
    assert!(lab.ok("ps").contains(&format!("0.0.0.0:{port}->7000/tcp")));
    let json = lab.json("container inspect one");
    for ports in [&json[0]["NetworkSettings"]["Ports"], &json[0]["HostConfig"]["PortBindings"]] {
        assert_eq!(ports["7000/tcp"][0]["HostPort"], port.to_string());
    }
    assert_eq!(lab.inspect("one", "{{.State.Pid}}"), pid);
    assert!(lab.ok("events --stream=false --filter event=update --format {{.Name}}").contains("one"));
    // Said again it is no other one, and it stays.
    lab.ok(&format!("update -p {port}:7000 one"));
    lab.ok("restart -t 0 one");
    assert!(comes_true(Duration::from_secs(20), || serves(port)));
    lab.ok(&format!("update --publish-rm {port}:7000 one"));
    assert!(is_closed(port));
    assert_eq!(lab.ok("port one"), "");
    lab.ok("restart -t 0 one");
    assert!(is_closed(port));
}

#[test]
fn connections_go_on_when_ports_come_and_go() {
    if is_podmans() {
        return;
    }
    let lab = Lab::new();
    let [gone, stays, comes] = [0; 3].map(|_| free_port());
    echo(&lab, "one", &format!("-p {gone}:7000 -p 127.0.0.1:{stays}:7000"));
    let mut of_gone = connect(gone).unwrap();
    let mut of_stays = connect(stays).unwrap();
    assert!(echoes(&mut of_gone) && echoes(&mut of_stays));
    lab.ok(&format!("update --publish {comes}:7000 --publish-rm {gone}:7000 one"));
    assert!(is_closed(gone));
    assert!(serves(comes) && serves(stays));
    assert!(echoes(&mut of_stays), "a connection of another port");
    assert!(echoes(&mut of_gone), "a connection that was there");
    // The last port: whoever is connected stays so.
    lab.ok("update --publish-rm 7000 one");
    assert!(is_closed(comes) && is_closed(stays));
    assert!(echoes(&mut of_gone) && echoes(&mut of_stays));
    let forwarders = || lab.processes().iter().filter(|process| process.command.contains("forwarder")).count();
    assert_eq!(forwarders(), 1);
    drop((of_gone, of_stays));
    eventually("nobody needs a forwarder", || forwarders() == 0);
    lab.ok(&format!("update -p {gone}:7000 one"));
    assert!(serves(gone));
}

#[test]
fn a_taken_port_is_refused_and_nothing_is_changed() {
    if is_podmans() {
        return;
    }
    let lab = Lab::new();
    let first = free_ports(2);
    let (own, taken) = (first, first + 1);
    echo(&lab, "one", &format!("-p {own}:7000"));
    let mut held = connect(own).unwrap();
    let holder = TcpListener::bind(("0.0.0.0", taken)).unwrap();
    let free = free_port();
    let error = lab.creel(&format!("update -p {free}:7000 -p {taken}:7000 --publish-rm {own}:7000 one")).run();
    let error = error.fails(125);
    assert!(error.contains(&format!(":{taken}: bind: address already in use")), "{error}");
    assert!(error.contains("hint: publish another host port"), "{error}");
    assert_eq!(lab.ok("port one"), format!("7000/tcp -> 0.0.0.0:{own}"));
    assert!(is_closed(free) && serves(own) && echoes(&mut held));
    for bad in ["-p nonsense", "-p 80/icmp", "-p 80/sctp", "--publish-rm 9", "--publish-rm nonsense"] {
        lab.creel(&format!("update {bad} one")).run().fails(125);
    }
    // Two ports of the container cannot have one of the host, but another one can take it over.
    lab.creel(&format!("update -p {own}:7001 one")).run().fails(125);
    drop(holder);
    lab.ok("restart -t 0 one");
    assert!(comes_true(Duration::from_secs(20), || serves(own)), "the record is as it was");
    lab.ok(&format!("update --publish-rm 7000 -p 127.0.0.1:{own}:7000 -p {taken}:7000 one"));
    assert_eq!(lab.ok("port one"), format!("7000/tcp -> 127.0.0.1:{own}\n7000/tcp -> 0.0.0.0:{taken}"));
    assert!(serves(own) && serves(taken));
}

#[test]
fn one_that_does_not_run_has_the_ports_at_its_start() {
    if is_podmans() {
        return;
    }
    let lab = Lab::new();
    let (task, command) = (probe::flags("tcp-echo 7000"), probe::COMMAND);
    let [gone, comes] = [0; 2].map(|_| free_port());
    lab.ok(&format!("create --name one -p {gone}:7000 {task} box {command}"));
    lab.ok(&format!("update --publish-rm {gone}:7000 -p {comes}:7000 one"));
    lab.ok("start one");
    assert!(comes_true(Duration::from_secs(20), || serves(comes)));
    assert!(is_closed(gone));
}

#[test]
fn ranges_free_ports_and_datagrams_are_published_too() {
    if is_podmans() {
        return;
    }
    let lab = Lab::new();
    let (task, command) = (probe::flags("udp-echo 7000"), probe::COMMAND);
    lab.ok(&format!("run -d --name one {task} box {command}"));
    let first = free_ports(3);
    let port = free_port();
    lab.ok(&format!("update -p {port}:7000/udp -p {first}-{}:80-82 -p 127.0.0.1::90 one", first + 2));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let asks = || {
        let _ = socket.send_to(b"ping", (Ipv4Addr::LOCALHOST, port));
        let mut buffer = [0; 16];
        socket.recv(&mut buffer).is_ok_and(|count| &buffer[..count] == b"ping")
    };
    assert!(comes_true(Duration::from_secs(20), asks));
    let told = lab.ok("port one 90");
    let chosen: u16 = told.strip_prefix("127.0.0.1:").unwrap().parse().unwrap();
    assert!(lab.ok("ps").contains(&format!("0.0.0.0:{first}-{}->80-82/tcp", first + 2)));
    // Nobody serves those ports inside: a client is let in, and reset.
    assert!(connect(first + 1).is_ok() && connect(chosen).is_ok());
    lab.ok(&format!("update --publish-rm {}:81 --publish-rm {chosen}:90 one", first + 1));
    assert!(is_closed(first + 1) && is_closed(chosen) && connect(first).is_ok() && connect(first + 2).is_ok());
    lab.ok("update --publish-rm 7000/udp one");
    assert!(UdpSocket::bind(("0.0.0.0", port)).is_ok(), "the port is free");
}

#[test]
fn ports_of_a_container_on_a_named_network_change() {
    if is_podmans() {
        return;
    }
    let lab = Lab::new();
    lab.ok("network create one");
    lab.ok("network create two");
    let port = free_port();
    echo(&lab, "web", "--network one");
    lab.ok(&format!("update -p {port}:7000 web"));
    let mut held = connect(port).unwrap();
    assert!(echoes(&mut held));
    lab.ok("network connect two web");
    assert!(echoes(&mut held), "another network is nothing to a connection over the first");
    lab.ok("network disconnect two web");
    assert!(echoes(&mut held) && serves(port));
}

#[test]
fn who_has_no_network_of_its_own_cannot_publish() {
    if is_podmans() {
        return;
    }
    let lab = Lab::new();
    lab.ok("run -d --name base box idle");
    lab.ok("run -d --name joined --network container:base box idle");
    lab.ok("pod create --name a");
    lab.ok("run -d --pod a --name member box idle");
    for (name, mode) in [("none", "none"), ("host", "host")] {
        lab.ok(&format!("run -d --name {name} --network {mode} box idle"));
        let error = lab.creel(&format!("update -p {}:80 {name}", free_port())).run().fails(125);
        assert!(error.contains(&format!("network mode is {mode}")), "{error}");
    }
    for (name, hint) in [("joined", "update --publish PORT base"), ("member", "pod update --publish PORT a")] {
        let error = lab.creel(&format!("update -p {}:80 {name}", free_port())).run().fails(125);
        assert!(error.contains("cannot publish ports") && error.contains(hint), "{error}");
    }
    let error = lab.creel("network connect podman member").run().fails(125);
    assert!(error.contains("pod update --network podman a"), "{error}");
}

#[test]
fn a_killed_update_leaves_record_and_forwarder_in_agreement() {
    if is_podmans() {
        return;
    }
    let lab = Lab::new();
    let port = free_port();
    echo(&lab, "one", "");
    let mut chance = crate::crash::Chance::new(std::process::id().into());
    let published = || lab.ok("port one") == format!("7000/tcp -> 0.0.0.0:{port}");
    for _ in 0..crate::crash::rounds(8) {
        let line = match published() {
            true => format!("update --publish-rm {port}:7000 one"),
            false => format!("update -p {port}:7000 one"),
        };
        let running = lab.creel(&line).within(60).spawn();
        std::thread::sleep(Duration::from_micros(chance.below(60_000)));
        for process in lab.processes().iter().filter(|process| process.command.contains("update")) {
            let _ = kill(Pid::from_raw(process.pid), Signal::SIGKILL);
        }
        let _ = running.end().exit_code();
        // Whichever it is, the monitor has seen the end of the command, and a start goes by the record.
        eventually("what is told is so", || if published() { serves(port) } else { is_closed(port) });
        let before = published();
        lab.ok("restart -t 0 one");
        assert_eq!(published(), before, "after {line}");
    }
}

#[test]
fn a_pod_gets_and_loses_ports_while_it_runs() {
    if is_podmans() {
        return;
    }
    let lab = Lab::new();
    let [first, second] = [0; 2].map(|_| free_port());
    lab.ok(&format!("pod create --name a -p {first}:7000"));
    echo(&lab, "one", "--pod a");
    let mut held = connect(first).unwrap();
    assert!(echoes(&mut held));
    assert_eq!(lab.ok(&format!("pod update -p {second}:7000 a")), lab.ok("pod inspect a --format {{.Id}}"));
    assert!(serves(second) && echoes(&mut held));
    let told = || lab.ok("pod inspect a --format '{{json .InfraConfig.PortBindings}}'");
    assert!(told().contains(&first.to_string()) && told().contains(&second.to_string()), "{}", told());
    assert!(lab.ok("port one").contains(&second.to_string()));
    assert!(lab.ok("events --stream=false --filter type=pod --format {{.Status}}").contains("update"));
    lab.ok(&format!("pod update --publish-rm {first}:7000 a"));
    assert!(is_closed(first) && serves(second) && echoes(&mut held));
    lab.ok("pod restart a");
    assert!(comes_true(Duration::from_secs(20), || serves(second)));
    assert!(is_closed(first));
    // A clone is of the pod as it is.
    lab.ok("pod stop -t 0 a");
    lab.ok("pod clone a b");
    let told = lab.ok("pod inspect b --format '{{json .InfraConfig.PortBindings}}'");
    assert!(told.contains(&second.to_string()) && !told.contains(&first.to_string()), "{told}");
    lab.ok("pod create --name bare --infra=false");
    let error = lab.creel(&format!("pod update -p {first}:80 bare")).run().fails(125);
    assert!(error.contains("must have an infra container"), "{error}");
    for line in ["pod update", "pod update nosuch", "pod update a b", "pod update --publish-rm 9 a"] {
        lab.creel(line).run().fails(125);
    }
}

#[test]
fn a_pod_changes_its_networks_while_it_runs() {
    if is_podmans() {
        return;
    }
    let lab = Lab::new();
    lab.ok("network create one");
    lab.ok("network create two");
    lab.ok("pod create --name a --network one");
    lab.ok("run -d --pod a --name member box idle");
    lab.ok("run -d --network two --name near box idle");
    lab.ok("pod update --network two:alias=other a");
    assert_eq!(lab.ok("pod inspect a --format '{{.InfraConfig.Networks}}'"), "[one two]");
    lab.ok("exec near nslookup other");
    let error = lab.creel("pod update --network two a").run().fails(125);
    assert!(error.contains("already connected"), "{error}");
    lab.ok("pod update --network-rm one a");
    assert_eq!(lab.ok("exec member ls /sys/class/net").split_whitespace().count(), 2);
    lab.creel("pod update --network-rm one a").run().fails(125);
    lab.creel("pod update --network host a").run().fails(125);
    lab.creel("pod update --network nosuch a").run().fails(125);
    lab.ok("pod restart -a");
    assert_eq!(lab.ok("pod inspect a --format '{{.InfraConfig.Networks}}'"), "[two]");
}

#[test]
fn limits_of_a_pod_hold_at_once_and_stay() {
    if differs_on_purpose("podman cannot change a pod") {
        return;
    }
    let Some(lab) = Lab::with_cgroup() else { return };
    for controller in ["memory", "cpu", "pids"] {
        if !lab.enable_controller(controller) {
            return skip(&format!("no {controller} controller is delegated here"));
        }
    }
    lab.ok("pod create --name a --memory 128m");
    lab.ok("run -d --pod a --name one box idle");
    let value = |file: &str| {
        let path = lab.ok("pod inspect a --format {{.CgroupPath}}");
        std::fs::read_to_string(lab.cgroup_root().join(path.trim_start_matches('/')).join(file)).unwrap()
    };
    assert_eq!(value("memory.max").trim(), (128 << 20).to_string());
    lab.ok("pod update --memory 64m --cpus 0.5 --pids-limit 77 a");
    let hold = || {
        assert_eq!(value("memory.max").trim(), (64 << 20).to_string());
        assert_eq!(value("cpu.max").trim(), "50000 100000");
        assert_eq!(value("pids.max").trim(), "77");
    };
    hold();
    // Whoever starts makes the cgroup as the pod is now: members that were there, and new ones.
    lab.ok("run -d --pod a --name two box idle");
    hold();
    lab.ok("pod stop -t 0 a");
    lab.ok("start one");
    hold();
    assert_eq!(lab.ok("pod inspect a --format '{{.MemoryLimit}} {{.PidsLimit}}'"), format!("{} 77", 64 << 20));
    lab.creel("pod update --memory much a").run().fails(125);
    lab.creel("pod update --cpus 1 --cpu-quota 9 a").run().fails(125);
    lab.ok("pod create --name apart --share-parent=false");
    let error = lab.creel("pod update --memory 64m apart").run().fails(125);
    assert!(error.contains("no cgroup of its own"), "{error}");
}
