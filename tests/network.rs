//! What a container can reach, and what it is told about itself.

use crate::lab::{Lab, greeter, has_program, is_podman};

#[test]
fn network_none_has_only_the_loopback_which_is_up() {
    let lab = Lab::new();
    assert_eq!(lab.ok("run --rm --network none box ls /sys/class/net"), "lo");
    assert!(lab.ok("run --rm --network none box ip link show lo").contains("UP"));
}

#[test]
fn the_default_network_has_an_address_and_a_route() {
    let lab = Lab::new();
    let text = lab.ok("run --rm box ip addr");
    assert!(text.matches("inet ").count() >= 2, "{text}");
    let text = lab.ok("run --rm box ip route");
    assert!(text.contains("default via"), "{text}");
}

#[test]
fn the_host_is_reached_by_its_name() {
    let lab = Lab::new();
    let port = greeter("hello from the host\n");
    let text = lab.ok(&format!("run --rm box sh -c 'nc host.containers.internal {port} < /dev/null | head -1'"));
    assert_eq!(text, "hello from the host");
}

#[test]
fn creels_own_network_can_be_asked_for() {
    let lab = Lab::new();
    if crate::lab::differs_on_purpose("default network of a container") {
        return;
    }
    let text = lab.ok("run --rm --network creel box ip -4 addr show eth0");
    assert!(text.contains("inet 10.0.2.100/24") && text.contains("mtu 65520"), "{text}");
    let text = lab.ok("run --rm --network creel:cidr=10.77.0.0/24,mtu=1400 box ip -4 addr show eth0");
    assert!(text.contains("inet 10.77.0.100/24") && text.contains("mtu 1400"), "{text}");
    let port = greeter("hello from the host\n");
    let ask = |network: &str, address: &str| {
        lab.creel(&format!("run --rm --network {network} box sh -c 'nc -w 5 {address} {port} < /dev/null | head -1'"))
            .run()
    };
    assert_eq!(ask("creel:allow_host_loopback=true", "10.0.2.2").out(), "hello from the host");
    let closed = ask("creel", "10.0.2.2");
    assert!(!closed.out().contains("hello"), "the host's loopback is closed unless opened: {closed}");
    let text = lab.ok("run --rm --network creel --cap-add net_raw box ping -c 1 -w 5 10.0.2.2");
    assert!(text.contains("1 packets received"), "{text}");
    let error = lab.creel("run --rm --network creel:speed=fast box true").run().fails(125);
    assert!(error.contains("unknown option for creel: \"speed=fast\""), "{error}");
}

#[test]
fn slirp4netns_can_be_asked_for() {
    let lab = Lab::new();
    if !has_program("slirp4netns") {
        return;
    }
    let text = lab.ok("run --rm --network slirp4netns box ip -4 addr show tap0");
    assert!(text.contains("inet 10.0.2.100/24"), "{text}");
    let text = lab.ok("run --rm --network slirp4netns:cidr=10.77.0.0/24,mtu=1400 box ip -4 addr show tap0");
    assert!(text.contains("inet 10.77.0.100/24") && text.contains("mtu 1400"), "{text}");
    let port = greeter("hello from the host\n");
    let text = lab.ok(&format!(
        "run --rm --network slirp4netns:allow_host_loopback=true box sh -c 'nc 10.0.2.2 {port} < /dev/null | head -1'"
    ));
    assert_eq!(text, "hello from the host");
    let closed =
        lab.creel(&format!("run --rm --network slirp4netns box sh -c 'nc -w 2 10.0.2.2 {port} < /dev/null'")).run();
    assert!(!closed.out().contains("hello"), "the host's loopback is closed unless opened: {closed}");
}

#[test]
fn pasta_can_be_asked_for() {
    let lab = Lab::new();
    if !has_program("pasta") {
        return;
    }
    let text = lab.ok("run --rm --network pasta box ip -4 addr");
    assert!(text.matches("inet ").count() >= 2, "{text}");
    let text = lab.ok("run --rm --network pasta:--mtu,1400 box ip link");
    assert!(text.contains("mtu 1400"), "{text}");
}

#[test]
fn the_host_network_is_the_host_s() {
    let lab = Lab::new();
    let port = greeter("hello from the host\n");
    let text = lab.ok(&format!("run --rm --network host box sh -c 'nc 127.0.0.1 {port} < /dev/null | head -1'"));
    assert_eq!(text, "hello from the host");
}

#[test]
fn two_containers_in_one_network_namespace_share_the_loopback() {
    let lab = Lab::new();
    lab.ok("run -d --name server --network none box httpd -f -p 8000 -h /www");
    crate::lab::eventually("the page is served", || {
        lab.creel("run --rm --network container:server box wget -qO- http://127.0.0.1:8000/").run().out()
            == "hello from the box"
    });
}

#[test]
fn etc_hosts_names_the_container_the_host_and_what_was_added() {
    let lab = Lab::new();
    let text = lab.ok(
        "run --rm --name named -h inner --add-host 'db;cache:10.1.2.3' --add-host gate:host-gateway box cat /etc/hosts",
    );
    let has = |address: &str, name: &str| {
        text.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next().is_some_and(|found| address.is_empty() || found == address) && words.any(|found| found == name)
        })
    };
    for (address, name) in [
        ("", "localhost"),
        ("10.1.2.3", "db"),
        ("10.1.2.3", "cache"),
        ("", "gate"),
        ("", "inner"),
        ("", "named"),
        ("", "host.containers.internal"),
    ] {
        assert!(has(address, name), "{address} {name} in:\n{text}");
    }
    assert!(
        !lab.ok("run --rm --no-hosts --network none box sh -c 'cat /etc/hosts; true'").contains("containers.internal")
    );
    lab.creel("run --rm --add-host nonsense box true").run().fails(125);
}

#[test]
fn resolv_conf_says_what_was_asked() {
    let lab = Lab::new();
    let text =
        lab.ok("run --rm --dns 192.0.2.53 --dns-search example.org --dns-option ndots:3 box cat /etc/resolv.conf");
    for line in ["nameserver 192.0.2.53", "search example.org", "options ndots:3"] {
        assert!(text.contains(line), "{line} in:\n{text}");
    }
    let text = lab.ok("run --rm box cat /etc/resolv.conf");
    assert!(text.contains("nameserver") && !text.contains("nameserver 127."), "{text}");
}

#[test]
fn the_uplink_ends_with_the_container() {
    let lab = Lab::new();
    for (network, command) in [("creel", "uplink"), ("slirp4netns", "slirp4netns"), ("pasta", "pasta")] {
        if network != "creel" && !has_program(network) || network == "creel" && is_podman() {
            continue;
        }
        lab.ok(&format!("run -d --name up --network {network} box idle"));
        assert!(lab.processes().iter().any(|process| process.command.contains(command)), "{:?}", lab.processes());
        lab.ok("rm -f -t 0 up");
        crate::lab::eventually("the uplink is gone", || {
            !lab.processes().iter().any(|process| process.command.contains(command))
        });
    }
}

#[test]
fn a_new_process_sees_the_network_from_its_first_instruction() {
    let lab = Lab::new();
    let port = greeter("hello from the host\n");
    for _ in 0..5 {
        let outcome = lab.creel(&format!("run --rm box nc -w 5 host.containers.internal {port}")).run();
        assert!(outcome.out().contains("hello"), "{outcome}");
    }
}

#[test]
fn inspect_says_which_network_it_was() {
    let lab = Lab::new();
    for (flag, mode) in [("none", "none"), ("host", "host")] {
        lab.ok(&format!("create --name {flag} --network {flag} box true"));
        assert_eq!(lab.inspect(flag, "{{.HostConfig.NetworkMode}}"), mode);
    }
    lab.ok("create --name default box true");
    let mode = lab.inspect("default", "{{.HostConfig.NetworkMode}}");
    assert!(mode == "creel" || is_podman(), "{mode}");
    let error = lab.creel("run --rm --network no-such-network box true").run().fails(125);
    assert!(error.contains("no-such-network"), "{error}");
}
