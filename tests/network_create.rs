//! `network create` and its kin, word for word.

use serde_json::json;

use crate::lab::{Lab, is_podman};

/// What each command line says when it is refused.
fn refused(lab: &Lab, lines: &[(&str, &str)]) {
    for (line, words) in lines {
        let said = lab.creel(line).run().fails(125);
        assert!(said.contains(words), "{line}: {said}");
    }
}

#[test]
fn what_a_network_cannot_be_is_refused_and_nothing_is_made() {
    let lab = Lab::new();
    for word in ["none", "host", "bridge", "container", "default", "pasta", "slirp4netns", "private", "ns"] {
        let said = lab.creel(&format!("network create {word}")).run().fails(125);
        let words =
            format!("cannot create network with name \"{word}\" because it conflicts with a valid network mode");
        assert!(said.contains(&words), "{said}");
    }
    lab.ok("network create --interface-name mine first");
    let listed = lab.ok("network ls -q");
    refused(
        &lab,
        &[
            ("network create --interface-name mine x", "bridge name mine already in use"),
            ("network create --interface-name a:b x", "interface name contains / or : or whitespace characters"),
            ("network create --interface-name sixteen-letters- x", "interface names must be 15 characters or less"),
            ("network create -o mtu=-1 x", "mtu -1 is less than zero"),
            ("network create -o vlan=-1 x", "vlan ID -1 must be between 0 and 4094"),
            ("network create -o metric=-1 x", "strconv.ParseUint: parsing \"-1\": invalid syntax"),
            ("network create --dns x x", "unable to parse ip x specified in NetworkDNSServers: invalid argument"),
            ("network create --label =v x", "failed to parse labels: invalid label format: \"=v\""),
            ("network create --route 10.9.0.0/24,x x", "invalid route gateway x"),
            ("network create --route 10.9.0.0/24,10.0.0.1,x x", "invalid route metric x"),
            ("network create -d macvlan -o isolate=true x", "unsupported macvlan network option isolate"),
            ("network create -d macvlan -o mode=x x", "unknown macvlan mode \"x\""),
            ("network create -d macvlan -o parent=nope x", "parent interface nope does not exist"),
            ("network create -d ipvlan x", "ipam driver dhcp is not supported with ipvlan"),
            (
                "network update first --dns-drop x",
                "unable to parse ip x specified in RemoveDNSServer: invalid argument",
            ),
            ("network ls --filter dangling=x", "invalid dangling filter value \"x\""),
            ("network ls --filter until=x", "failed to parse value as time or duration: \"x\""),
            ("network ls --filter name", "filter input must be in the form of filter=value: name is invalid"),
            ("network reload --all x", "no arguments are needed with --all"),
        ],
    );
    assert_eq!(lab.ok("network ls -q"), listed);
    assert_eq!(lab.ok("network ls -q --filter 'name=['"), "");
}

#[test]
fn what_is_left_open_is_chosen_and_shown() {
    let lab = Lab::new();
    lab.ok("network create --ipv6 --subnet fd00:1:2::/64 both");
    let subnets = lab.json("network inspect both")[0]["subnets"].clone();
    assert_eq!(subnets[0]["subnet"], "fd00:1:2::/64");
    assert!(subnets[1]["gateway"].as_str().unwrap().ends_with(".1"), "{subnets}");
    lab.ok("network create --subnet fd00:1:3::/64 six");
    assert_eq!(lab.json("network inspect six")[0]["subnets"].as_array().unwrap().len(), 1);
    lab.ok("network create --label a=b --label c -o isolate=1 -o no_default_route=1 --subnet 10.126.2.0/24 --route 10.9.0.0/24,10.126.2.1,0 labels");
    assert_eq!(lab.ok("network ls --filter name=labels --format {{.Labels}}"), "a=b,c=");
    let shown = lab.json("network inspect labels");
    assert_eq!(shown[0]["options"], json!({"isolate": "true", "no_default_route": "true"}));
    assert_eq!(shown[0]["routes"][0]["metric"], 0);
    // Without names, too.
    lab.ok("network update podman --dns-add 1.1.1.1");
    assert_eq!(lab.ok("network inspect podman --format {{.NetworkDNSServers}}"), "[1.1.1.1]");
    // What is there is shown; the first that is not is the error.
    let shown = lab.creel("network inspect nope six never").run();
    let said = shown.fails(125);
    assert!(shown.out().contains("\"six\""), "{shown}");
    assert!(said.contains("Error: network nope: unable to find network with name or ID nope: network not found"));
    assert!(said.starts_with("network never: unable to find network"), "{said}");
}

#[test]
fn members_of_macvlan_have_an_interface_of_that_kind_and_reach_each_other() {
    let lab = Lab::new();
    lab.ok("network create -d macvlan --subnet 10.126.3.0/24 -o mtu=1400 face");
    lab.ok("network create -d macvlan dhcp");
    lab.ok("network create -o mode=unmanaged theirs");
    let shown = lab.json("network inspect face dhcp");
    assert_eq!(shown[0]["dns_enabled"], false);
    assert!(shown[0].get("network_interface").is_none(), "{shown}");
    assert_eq!(shown[1]["ipam_options"], json!({"driver": "dhcp"}));
    assert_eq!(lab.ok("network ls -q --filter driver=macvlan"), "dhcp\nface");
    for network in ["dhcp", "theirs"] {
        assert_ne!(lab.creel(&format!("run --rm --network {network} box true")).run().exit_code(), 0);
    }
    let first = lab.creel("run -d --name web --network face box httpd -f -p 80 -h /www").run();
    if first.err().contains("not supported") {
        return crate::lab::skip("the kernel has no macvlan");
    }
    first.ok();
    assert!(lab.ok("exec web ip link show eth0").contains("mtu 1400"));
    let address = lab.inspect("web", "{{.NetworkSettings.Networks.face.IPAddress}}");
    assert_eq!(address, "10.126.3.2");
    crate::lab::eventually("the page is read", || {
        lab.creel(&format!("run --rm --network face box wget -qO- http://{address}/")).run().out()
            == "hello from the box"
    });
    lab.ok("network disconnect face web");
    assert_eq!(lab.ok("exec web ls /sys/class/net"), "lo");
    lab.ok("network connect face web");
    assert_eq!(lab.ok("exec web ls /sys/class/net"), "eth0\nlo");
}

#[test]
fn ports_and_places_on_networks_are_refused_in_podman_s_words() {
    let lab = Lab::new();
    lab.ok("network create net");
    lab.ok("create --name owner --network net box true");
    refused(
        &lab,
        &[
            (
                "create -p x box",
                "parsing container port: invalid port number: strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            ("create -p 8080: box", "must provide a non-empty container port to publish"),
            ("create -p 0:80 box", "parsing host port: port numbers must be between 1 and 65535 (inclusive), got 0"),
            ("create -p=-1:80 box", "parsing host port: port numbers cannot be negative"),
            ("create -p 8080-8081:80 box", "host and container port ranges have different lengths: 2 vs 1"),
            ("create -p 1.2.3:80:80 box", "cannot parse \"1.2.3\" as an IP address"),
            ("create -p 8080:80/foo box", "unrecognized protocol \"foo\" in port mapping"),
            ("create -p ::1:80:80 box", "invalid port format - format is [[hostIP:]hostPort:]containerPort"),
            ("create --network net:ip=x box", "invalid option for network net: invalid ip address \"x\""),
            ("create --network net:mac=x box", "invalid option for network net: address x: invalid MAC address"),
            ("create --network net:alias box", "invalid option for network net: alias cannot be empty"),
            (
                "create --network net --network host box",
                "can only set extra network names, selected mode host conflicts with bridge: invalid argument",
            ),
            (
                "create --network host --network none box",
                "cannot set multiple networks without bridge network mode, selected mode host: invalid argument",
            ),
            ("create --network container: box", "invalid config provided: namespace mode container requires a value"),
            ("create --network host:foo=1 box", "unable to find network with name or ID host: network not found"),
            (
                "create --network host --ip 10.0.0.1 box",
                "--ip can only be set when the network mode is bridge: invalid argument",
            ),
            (
                "create --network-alias x box",
                "networks and static ip/mac address can only be used with Bridge mode networking",
            ),
            (
                "create --network container:owner --add-host a:1.1.1.1 box",
                "cannot set extra host entries when the container is joined to another containers network namespace",
            ),
            (
                "create --network net:interface_name=a --network podman:interface_name=a box",
                "network interface name \"a\" is already assigned to another network",
            ),
            (
                "create --dns-search . --dns-search a box",
                "cannot pass additional search domains when also specifying '.'",
            ),
        ],
    );
    let said = lab.creel("create --name joined --network container:owner -p 8080:80 box true").run().err();
    assert!(said.contains("\"container\" network namespace mode does not support them"), "{said}");
    lab.ok("rm joined");
}

#[test]
fn hosts_begin_with_what_the_user_adds_and_search_is_what_the_user_says() {
    let lab = Lab::new();
    lab.ok("network create net");
    let base = lab.write("base", "# a comment\n127.0.0.1\t\tlocalhost  here\n\n10.9.0.1 build\n");
    let text = lab.ok(&format!(
        "run --rm --network none --hosts-file {} --add-host 'a;b:1.2.3.4' --hostname me --name x box cat /etc/hosts",
        base.display()
    ));
    assert!(text.starts_with("1.2.3.4\ta b\n127.0.0.1\tlocalhost here\n10.9.0.1\tbuild\n"), "{text}");
    assert!(!text.contains("::1"), "{text}");
    assert!(text.ends_with("127.0.0.1\tme x"), "{text}");
    let text = lab.ok("run --rm --network net --dns-search foo.bar box cat /etc/resolv.conf");
    assert!(text.starts_with("search foo.bar\nnameserver "), "{text}");
}

#[test]
fn what_connects_a_container_is_what_the_configuration_says() {
    let lab = Lab::new();
    if !crate::lab::has_program("pasta") || !crate::lab::has_program("slirp4netns") {
        return crate::lab::skip("pasta or slirp4netns is not installed");
    }
    for (stack, interface) in [("creel", "eth0"), ("pasta", "tap0"), ("slirp4netns", "tap0")] {
        if stack == "creel" && is_podman() {
            continue;
        }
        lab.write(
            ".config/containers/containers.conf",
            format!("[network]\ndefault_rootless_network_cmd = \"{stack}\"\n"),
        );
        lab.ok(&format!("run -d --name {stack} box idle"));
        assert_eq!(lab.inspect(stack, "{{.HostConfig.NetworkMode}}"), stack);
        let tap = lab.creel(&format!("exec {stack} ip addr show {interface}")).run();
        assert_eq!(tap.out().contains("10.0.2.100"), stack != "pasta", "{tap}");
        let said = lab.creel(&format!("network reload {stack}")).run().fails(125);
        assert!(said.contains(&format!("\"{stack}\" is not supported: invalid network mode")), "{said}");
        assert_eq!(lab.inspect(stack, "{{.NetworkSettings.Networks}}"), "map[]");
    }
    let said = lab.creel("run --rm --network pasta:--no-such-option box true").run().err();
    assert!(said.contains("Error: pasta failed with exit code 1:\n"), "{said}");
    let said = lab.creel("run --rm --network slirp4netns:foo=1 box true").run().err();
    assert!(said.contains("unknown option for slirp4netns: \"foo=1\""), "{said}");
}

#[test]
fn a_container_that_joined_another_tells_of_its_networks() {
    let lab = Lab::new();
    lab.ok("network create --subnet 10.126.9.0/24 net");
    lab.ok("run -d --name owner --network net:ip=10.126.9.9 box idle");
    lab.ok("run -d --name guest --network container:owner box idle");
    let address = "{{.NetworkSettings.Networks.net.IPAddress}}";
    assert_eq!(lab.inspect("guest", address), "10.126.9.9");
    // An address that was asked for is no place to count on from.
    lab.ok("run -d --name next --network net box idle");
    assert_eq!(lab.inspect("next", address), "10.126.9.2");
    lab.ok("rm -f -t 0 guest");
}
