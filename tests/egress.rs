//! `--allow-egress`: a container talks to whom its list has, and to nobody else.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::name_server::name_server;
use crate::lab::{Lab, differs_on_purpose, eventually, greeter, skip};

const NOT_THERE: &str = "podman has no --allow-egress";

/// The host's address as containers see it. `None`, and a skip, on a host without one.
fn host(lab: &Lab) -> Option<String> {
    let hosts = lab.ok("run --rm --network bridge box cat /etc/hosts");
    let line = hosts.lines().find(|line| line.contains("host.containers.internal"));
    let address = line.and_then(|line| line.split_whitespace().next()).map(str::to_owned);
    if address.is_none() {
        skip("the host has no address");
    }
    address
}

/// What a program hears from a server: its first line, or nothing.
fn asking(address: &str, port: u16) -> String {
    format!("nc -w 5 {address} {port} < /dev/null | head -1")
}

fn heard(lab: &Lab, flags: &str, address: &str, port: u16) -> String {
    lab.creel_words(&[&flags.split(' ').collect::<Vec<_>>()[..], &["box", "sh", "-c", &asking(address, port)]].concat())
        .run()
        .out()
}

/// The same in a container that runs.
fn hears(lab: &Lab, container: &str, address: &str, port: u16) -> bool {
    lab.creel_words(&["exec", container, "sh", "-c", &asking(address, port)]).run().out() == "hello"
}

/// The same of the box's own web server.
fn gets(lab: &Lab, container: &str, address: &str, port: u16) -> bool {
    let script = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} {port}");
    lab.creel_words(&["exec", container, "sh", "-c", &script]).run().out().ends_with("hello from the box")
}

#[test]
fn addresses_ranges_and_ports_of_the_list_are_reached_and_nothing_else() {
    let lab = Lab::new();
    if differs_on_purpose(NOT_THERE) {
        return;
    }
    let Some(host) = host(&lab) else { return };
    let (open, shut) = (greeter("hello\n"), greeter("hello\n"));
    let net = host.split('.').next().unwrap();
    for (list, opens, shuts) in [
        (host.clone(), true, true),
        (format!("{host}:{open}"), true, false),
        (format!("{host}:{open}/udp"), false, false),
        (format!("{net}.0.0.0/8:{open}-{open}"), true, false),
        (format!("0.0.0.0/0:{open}"), true, false),
        (format!("host.containers.internal:{open}"), true, false),
        (format!("192.0.2.201,{host}/tcp"), true, true),
        ("192.0.2.201".to_owned(), false, false),
        ("none".to_owned(), false, false),
    ] {
        let script = format!("{}; {}", asking(&host, open), asking(&host, shut));
        let text = lab.creel_words(&["run", "--rm", "--allow-egress", &list, "box", "sh", "-c", &script]).run().out();
        assert_eq!(text.matches("hello").count(), usize::from(opens) + usize::from(shuts), "{list}: {text}");
    }
    // The very first packet is looked at, and nothing of the stack's own network is a way around.
    assert_eq!(heard(&lab, "run --rm --allow-egress none", "10.0.2.2", open), "");
    // Without the flag all is as ever.
    assert_eq!(heard(&lab, "run --rm", &host, open), "hello");
    eventually("the network is not in use any more", || {
        !lab.processes().iter().any(|process| process.command.contains("network-holder"))
    });
    lab.ok("network rm creel-egress");
}

#[test]
fn names_of_the_list_lead_to_what_they_are_and_no_others_are_asked() {
    let lab = Lab::new();
    if differs_on_purpose(NOT_THERE) {
        return;
    }
    let Some(host) = host(&lab) else { return };
    if !name_server("127.54.0.1", &host) {
        return;
    }
    let (open, shut) = (greeter("hello\n"), greeter("hello\n"));
    let list = format!("--dns 127.54.0.1 --allow-egress one.example:{open} --allow-egress *.two.example");
    lab.ok(&format!("run -d --name jail {list} box idle"));
    // Nobody has asked for a name yet.
    assert!(!hears(&lab, "jail", &host, open));
    assert!(hears(&lab, "jail", "one.example", open));
    // From now on that is what the name means, at the port that it has.
    assert!(hears(&lab, "jail", &host, open));
    assert!(!hears(&lab, "jail", "one.example", shut));
    assert!(hears(&lab, "jail", "a.b.two.example", shut));
    for name in ["other.example", "two.example", "www.one.example"] {
        assert_ne!(lab.creel(&format!("exec jail nslookup {name}")).run().exit_code(), 0, "{name}");
    }
    // Another container has a list of its own.
    assert_eq!(heard(&lab, &format!("run --rm {list}"), &host, open), "");
    // What a killed holder had allowed is allowed again; until then nothing is.
    let holders = lab.processes().into_iter().filter(|process| process.command.contains("network-holder"));
    holders.for_each(|holder| kill(Pid::from_raw(holder.pid), Signal::SIGKILL).unwrap());
    eventually("the network is there again", || hears(&lab, "jail", &host, open));
    assert_ne!(lab.creel("exec jail nslookup other.example").run().exit_code(), 0);
    lab.ok("restart -t 0 jail");
    assert!(!hears(&lab, "jail", &host, open));
    assert!(hears(&lab, "jail", "one.example", open) && !hears(&lab, "jail", &host, shut));
    assert_eq!(lab.inspect("jail", "{{.HostConfig.AllowEgress}}"), format!("[one.example:{open} *.two.example]"));
    // Names of the hosts file are their addresses.
    let flags = format!("run --rm --add-host gate:{host} --allow-egress gate:{open}");
    assert_eq!((heard(&lab, &flags, "gate", open), heard(&lab, &flags, "gate", shut)), ("hello".into(), String::new()));
}

#[test]
fn no_capability_of_the_container_undoes_its_list() {
    let lab = Lab::new();
    if differs_on_purpose(NOT_THERE) {
        return;
    }
    let Some(host) = host(&lab) else { return };
    let (open, shut) = (greeter("hello\n"), greeter("hello\n"));
    for flags in ["--cap-add NET_ADMIN,NET_RAW,SYS_ADMIN", "--privileged", "--cap-add all --pid host"] {
        lab.ok(&format!("run -d --name jail {flags} --allow-egress {host}:{open} box idle"));
        assert!(hears(&lab, "jail", &host, open) && !hears(&lab, "jail", &host, shut), "{flags}");
        // Another interface above its own, another address: all go through the same end.
        let script = "ip link add name more link eth0 type macvlan mode bridge && ip addr flush dev eth0 && \
                      ip addr add 10.89.0.222/24 dev more; ip link set more up; ip route add default via 10.89.0.1";
        // As far as it comes.
        let _ = lab.creel_words(&["exec", "jail", "sh", "-c", script]).run();
        assert!(!hears(&lab, "jail", &host, shut), "{flags}");
        assert!(!hears(&lab, "jail", &host, open), "{flags}: from an address that is not its own");
        lab.ok("rm -f -t 0 jail");
    }
}

#[test]
fn members_of_named_networks_are_reached_and_those_of_the_usual_one_are_not() {
    let lab = Lab::new();
    if differs_on_purpose(NOT_THERE) {
        return;
    }
    let Some(host) = host(&lab) else { return };
    let port = greeter("hello\n");
    let serves = "httpd -f -p 7000 -h /www";
    lab.ok("network create one");
    lab.ok("network create two");
    lab.ok(&format!("run -d --name server --network one box {serves}"));
    lab.ok(&format!("run -d --name far --network two box {serves}"));
    lab.ok("run -d --name jail --network one --allow-egress none box idle");
    eventually("the server is there", || gets(&lab, "jail", "server", 7000));
    assert!(!hears(&lab, "jail", &host, port));
    // A network that comes later is as restricted as the first, and one that stays stays so.
    lab.ok("network connect two jail");
    eventually("the other server is there", || gets(&lab, "jail", "far", 7000));
    assert!(!hears(&lab, "jail", &host, port));
    lab.ok("network disconnect one jail");
    assert!(!gets(&lab, "jail", "server", 7000) && !hears(&lab, "jail", &host, port));
    assert!(gets(&lab, "jail", "far", 7000));
    lab.ok("network reload jail");
    assert!(!hears(&lab, "jail", &host, port));
    // Who names no network has no company.
    lab.ok(&format!("run -d --name alone --allow-egress none box {serves}"));
    lab.ok(&format!("run -d --name other --allow-egress {host} box idle"));
    let address = lab.inspect("alone", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
    assert!(hears(&lab, "other", &host, port));
    assert!(!gets(&lab, "other", &address, 7000) && !gets(&lab, "other", "alone", 7000));
}

#[test]
fn a_pod_has_one_list_for_all_its_members() {
    let lab = Lab::new();
    if differs_on_purpose(NOT_THERE) {
        return;
    }
    let Some(host) = host(&lab) else { return };
    let (open, shut) = (greeter("hello\n"), greeter("hello\n"));
    lab.ok(&format!("pod create --name jail --allow-egress {host}:{open}"));
    lab.ok("run -d --pod jail --name member --cap-add NET_ADMIN box idle");
    assert!(hears(&lab, "member", &host, open) && !hears(&lab, "member", &host, shut));
    lab.ok("pod restart jail");
    assert!(hears(&lab, "member", &host, open) && !hears(&lab, "member", &host, shut));
    let pod = lab.json("pod inspect jail");
    let pod = if pod.is_array() { &pod[0] } else { &pod };
    assert_eq!(pod["InfraConfig"]["AllowEgress"][0], format!("{host}:{open}"));
    let error = lab.creel("run --rm --pod jail --allow-egress none box true").run().fails(125);
    assert!(error.contains("must be given when the pod is created"), "{error}");
    for flags in ["--share ipc", "--infra=false"] {
        lab.creel(&format!("pod create {flags} --allow-egress none")).run().fails(125);
    }
}

#[test]
fn ipv6_is_restricted_as_ipv4_is() {
    let lab = Lab::new();
    if differs_on_purpose(NOT_THERE) {
        return;
    }
    // Of two networks that are open to each other, each is the other's world.
    for (name, subnet) in [("near", "fd54:1::/64"), ("far", "fd54:2::/64")] {
        lab.ok(&format!("network create --ipv6 --subnet {subnet} -o isolate=false {name}"));
    }
    let server = "fd54:2::9";
    let serves = "httpd -p 7000 -h /www && exec httpd -f -p 7001 -h /www";
    lab.creel_words(&["run", "-d", "--name", "server", "--network", "far:ip6=fd54:2::9", "box", "sh", "-c", serves])
        .run()
        .ok();
    lab.ok("run -d --name free --network near box idle");
    eventually("the server is there", || gets(&lab, "free", server, 7000) && gets(&lab, "free", server, 7001));
    for (list, opens, shuts) in [
        ("[fd54:2::9]:7000", true, false),
        ("fd54:2::/64", true, true),
        ("fd54:3::/64,0.0.0.0/0", false, false),
        ("[::/0]:7000", true, false),
        ("none", false, false),
    ] {
        lab.ok(&format!("run -d --name jail --network near --allow-egress {list} box idle"));
        assert_eq!(gets(&lab, "jail", server, 7000), opens, "{list}");
        assert_eq!(gets(&lab, "jail", server, 7001), shuts, "{list}");
        lab.ok("rm -f -t 0 jail");
    }
}

#[test]
fn a_list_that_could_not_be_kept_is_refused() {
    let lab = Lab::new();
    if differs_on_purpose(NOT_THERE) {
        return;
    }
    lab.ok("network create --disable-dns nameless");
    for (flags, reason) in [
        ("--network host --allow-egress none", "cannot be combined with --network host"),
        ("--network none --allow-egress none", "cannot be combined with --network none"),
        ("--network slirp4netns --allow-egress none", "leave --network out"),
        ("--network container:other --allow-egress none", "somebody else has made"),
        ("--userns container:other --allow-egress none", "a user namespace that somebody else has made"),
        ("--network nameless --allow-egress a.example", "network nameless has no name server"),
        ("--dns none --allow-egress a.example", "--dns none"),
        ("--allow-egress none,a.example", "none cannot be combined"),
        ("--allow-egress https://a.example", "invalid target of --allow-egress"),
        ("--allow-egress a.example:http", "ports are numbers"),
        ("--allow-egress a.example/icmp", "the protocol must be"),
        ("--allow-egress 10.0.0.0/40", "out of range"),
        ("--allow-egress ,", "invalid target"),
    ] {
        lab.ok("create --name other box true");
        let error = lab.creel(&format!("create --name bad {flags} box true")).run().fails(125);
        assert!(error.contains(reason), "{flags}: {error}");
        lab.ok("rm other");
    }
    assert_eq!(lab.ok("ps -aq"), "");
}
