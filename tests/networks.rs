//! `network`: networks with a name, on which containers find each other.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::name_server::{helpless_name_server, name_server};
use crate::lab::{Lab, eventually, greeter, is_podman};

#[test]
fn a_network_is_made_listed_looked_at_and_removed() {
    let lab = Lab::empty();
    assert_eq!(lab.ok("network create --label k=v one"), "one");
    lab.creel("network create one").run().fails(125);
    lab.ok("network create --ignore one");
    assert_eq!(lab.ok("network ls --format {{.Name}}"), "one\npodman");
    assert_eq!(lab.ok("network ls -q --filter label=k=v"), "one");
    let json = lab.json("network inspect one");
    let network = &json[0];
    assert_eq!(
        (&network["name"], &network["driver"], &network["dns_enabled"]),
        (&"one".into(), &"bridge".into(), &true.into())
    );
    assert_eq!(network["id"].as_str().unwrap().len(), 64);
    assert!(network["subnets"][0]["subnet"].as_str().unwrap().starts_with("10.89."), "{network}");
    lab.ok("network exists one");
    assert_eq!(lab.creel("network exists two").run().exit_code(), 1);
    assert_eq!(lab.ok("network rm one"), "one");
    let error = lab.creel("network rm one").run().fails(1);
    assert!(error.contains("network not found"), "{error}");
    lab.creel("network rm podman").run().fails(125);
}

#[test]
fn subnets_are_as_asked_and_never_shared() {
    let lab = Lab::empty();
    lab.ok("network create --subnet 10.123.4.0/24 --gateway 10.123.4.9 one");
    let json = lab.json("network inspect one");
    assert_eq!(json[0]["subnets"][0]["gateway"], "10.123.4.9");
    lab.creel("network create --subnet 10.123.4.0/24 two").run().fails(125);
    lab.creel("network create --subnet nonsense two").run().fails(125);
    lab.creel("network create --subnet 10.1.0.0/24 --gateway 10.2.0.1 two").run().fails(125);
    lab.ok("network create a");
    lab.ok("network create b");
    let subnet = |name: &str| lab.json(&format!("network inspect {name}"))[0]["subnets"][0]["subnet"].to_string();
    assert_ne!(subnet("a"), subnet("b"));
}

#[test]
fn members_find_each_other_by_name() {
    let lab = Lab::new();
    lab.ok("network create net");
    lab.ok("run -d --name web --network net --network-alias site box httpd -f -p 80 -h /www");
    for name in ["web", "site"] {
        eventually("the page is served", || {
            lab.creel(&format!("run --rm --network net box wget -qO- http://{name}/")).run().out()
                == "hello from the box"
        });
    }
    let address = lab.inspect("web", "{{.NetworkSettings.Networks.net.IPAddress}}");
    assert!(address.starts_with("10.89."), "{address}");
    assert_eq!(lab.ok(&format!("run --rm --network net box wget -qO- http://{address}/")), "hello from the box");
    lab.creel("network rm net").run().fails(2);
    lab.ok("network rm -f -t 0 net");
    assert_eq!(lab.creel("container exists web").run().exit_code(), 1);
}

#[test]
fn a_static_address_and_a_published_port_work_on_a_network() {
    let lab = Lab::new();
    lab.ok("network create --subnet 10.124.5.0/24 net");
    let port = crate::lab::free_port();
    lab.ok(&format!(
        "run -d --name web --network net:ip=10.124.5.77 -p 127.0.0.1:{port}:80 box httpd -f -p 80 -h /www"
    ));
    assert_eq!(lab.inspect("web", "{{.NetworkSettings.Networks.net.IPAddress}}"), "10.124.5.77");
    assert!(lab.ok("exec web ip addr").contains("10.124.5.77/24"));
    eventually("the port is served", || page(port));
}

#[test]
fn separate_networks_are_separate() {
    let lab = Lab::new();
    lab.ok("network create one");
    lab.ok("network create two");
    lab.ok("run -d --name web --network one box httpd -f -p 80 -h /www");
    let address = lab.inspect("web", "{{.NetworkSettings.Networks.one.IPAddress}}");
    assert_ne!(lab.creel("run --rm --network two box nslookup web").run().exit_code(), 0);
    eventually("the page is served", || {
        lab.creel(&format!("run --rm --network one box wget -qO- http://{address}/")).run().exit_code() == 0
    });
    lab.ok("run -d --name both --network one --network two box idle");
    assert_eq!(lab.ok("exec both ls /sys/class/net"), "eth0\neth1\nlo");
    lab.ok("network disconnect two both");
    assert_eq!(lab.ok("exec both ls /sys/class/net"), "eth0\nlo");
    lab.ok("network connect two both");
    assert_eq!(lab.ok("exec both ls /sys/class/net").lines().count(), 3);
}

/// What a program in a container hears from a server: the first line, or nothing.
fn heard(lab: &Lab, flags: &str, address: &str, port: u16) -> String {
    lab.creel(&format!("run --rm {flags} box sh -c 'nc -w 5 {address} {port} < /dev/null | head -1'")).run().out()
}

fn page(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok_and(|mut stream| {
        let mut text = String::new();
        let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
        let _ = stream.read_to_string(&mut text);
        text.contains("hello from the box")
    })
}

/// Kills every process whose command line has the word.
fn kill_all(lab: &Lab, word: &str) -> usize {
    let victims: Vec<_> = lab.processes().into_iter().filter(|process| process.command.contains(word)).collect();
    for victim in &victims {
        let _ = kill(Pid::from_raw(victim.pid), Signal::SIGKILL);
    }
    victims.len()
}

fn resolves(lab: &Lab, from: &str, name: &str) -> bool {
    lab.creel(&format!("exec {from} nslookup {name}")).run().exit_code() == 0
}

#[test]
fn the_host_is_reached_from_a_network_unless_it_is_internal() {
    let lab = Lab::new();
    let port = greeter("hello from the host\n");
    lab.ok("network create net");
    lab.ok("network create --internal closed");
    assert_eq!(heard(&lab, "--network net", "host.containers.internal", port), "hello from the host");
    // The very first packet of a container gets through.
    for _ in 0..3 {
        assert_eq!(heard(&lab, "--network bridge", "host.containers.internal", port), "hello from the host");
    }
    assert_eq!(heard(&lab, "--network closed", "host.containers.internal", port), "");
    assert_eq!(lab.ok("run --rm --network closed box ip route").lines().count(), 1);
    lab.ok("run -d --name web --network closed box httpd -f -p 80 -h /www");
    eventually("members of an internal network reach each other", || {
        lab.creel("run --rm --network closed box wget -qO- http://web/").run().out() == "hello from the box"
    });
    if is_podman() {
        return;
    }
    assert!(!lab.processes().iter().any(|process| process.command.contains("cidr=")), "{:?}", lab.processes());
}

#[test]
fn the_network_files_of_a_container_follow_its_networks() {
    let lab = Lab::new();
    lab.ok("network create --subnet 10.121.1.0/24 one");
    lab.ok("network create --subnet 10.121.2.0/24 two");
    lab.ok("run -d --name web --network one --add-host db:10.1.2.3 box idle");
    let hosts = || lab.ok("exec web cat /etc/hosts");
    let resolv = || lab.ok("exec web cat /etc/resolv.conf");
    assert!(hosts().contains("10.121.1.2\t") && hosts().contains("10.1.2.3\tdb"), "{}", hosts());
    assert!(resolv().contains("nameserver 10.121.1.1") && resolv().contains("dns.podman"), "{}", resolv());
    assert_eq!(resolv().matches("nameserver").count(), 1, "{}", resolv());
    lab.ok("network connect --ip 10.121.2.50 --alias other two web");
    assert!(hosts().contains("10.121.1.2\t") && hosts().contains("10.121.2.50\t"), "{}", hosts());
    assert_eq!(resolv().matches("nameserver").count(), 2, "{}", resolv());
    assert_eq!(lab.inspect("web", "{{.NetworkSettings.Networks.two.IPAddress}}"), "10.121.2.50");
    assert!(lab.inspect("web", "{{.NetworkSettings.Networks.two.Aliases}}").contains("other"));
    assert_eq!(lab.ok("ps --format {{.Networks}}"), "one,two");
    lab.ok("run -d --name near --network two box idle");
    assert!(resolves(&lab, "near", "other") && resolves(&lab, "near", "web"));
    let error = lab.creel("network connect two web").run().fails(125);
    assert!(error.contains("already connected"), "{error}");
    lab.ok("network disconnect two web");
    assert!(!resolves(&lab, "near", "other"));
    assert!(!hosts().contains("10.121.2.50") && hosts().contains("10.1.2.3\tdb"), "{}", hosts());
    lab.creel("network disconnect two web").run().fails(125);
    lab.ok("network disconnect one web");
    assert_eq!(lab.ok("exec web ls /sys/class/net"), "lo");
    assert_eq!(lab.inspect("web", "{{len .NetworkSettings.Networks}}"), "0");
    // What was changed stays so for the next run.
    lab.ok("network connect --ip 10.121.1.77 one web");
    lab.ok("restart -t 0 web");
    assert!(lab.ok("exec web ip addr").contains("10.121.1.77/24"));
    lab.ok("run -d --name plain --network none box idle");
    let error = lab.creel("network connect one plain").run().fails(125);
    assert!(error.contains("invalid network mode"), "{error}");
}

#[test]
fn a_container_that_does_not_run_is_connected_for_its_next_run() {
    let lab = Lab::new();
    lab.ok("network create one");
    lab.ok("network create two");
    lab.ok("create --name web --network one box idle");
    lab.ok("network connect two web");
    lab.ok("network disconnect one web");
    lab.ok("start web");
    // What stays keeps its interface's name, and what is free is taken again.
    assert_eq!(lab.ok("exec web ls /sys/class/net"), "eth1\nlo");
    assert_eq!(lab.ok("ps --format {{.Networks}}"), "two");
    lab.ok("network connect one web");
    assert_eq!(lab.ok("exec web ls /sys/class/net"), "eth0\neth1\nlo");
}

#[test]
fn a_name_is_there_before_the_first_instruction_and_gone_with_the_container() {
    let lab = Lab::new();
    lab.ok("network create net");
    lab.ok("run -d --name asker --network net box idle");
    for round in 0..5 {
        // Its own name, asked by its first process.
        lab.ok(&format!("run --rm --name n{round} --network net box nslookup n{round}"));
        lab.ok(&format!("run -d --name m{round} --network net box idle"));
        assert!(resolves(&lab, "asker", &format!("m{round}")));
        lab.ok(&format!("rm -f -t 0 m{round}"));
        assert!(!resolves(&lab, "asker", &format!("m{round}")));
    }
    lab.ok("run -d --name old --network net box idle");
    lab.ok("rename old new");
    assert!(resolves(&lab, "asker", "new") && !resolves(&lab, "asker", "old") || is_podman());
    let id = lab.ok("inspect --format {{.Id}} new");
    assert!(resolves(&lab, "asker", &id[..12]));
    let named = if is_podman() { "asker" } else { "new" };
    let address = lab.inspect(named, "{{.NetworkSettings.Networks.net.IPAddress}}");
    assert!(lab.ok(&format!("exec asker nslookup {address}")).contains(named));
}

#[test]
fn a_member_of_two_networks_finds_names_of_both_by_either_server() {
    let lab = Lab::new();
    lab.ok("network create one");
    lab.ok("network create two");
    lab.ok("run -d --name first --network one box idle");
    lab.ok("run -d --name second --network two box idle");
    lab.ok("run -d --name both --network one --network two box idle");
    for server in lab.ok("exec both cat /etc/resolv.conf").lines().filter_map(|line| line.strip_prefix("nameserver ")) {
        for name in ["first", "second"] {
            lab.ok(&format!("exec both nslookup {name} {server}"));
        }
    }
    assert!(!resolves(&lab, "first", "second"));
}

#[test]
fn what_is_not_on_the_network_is_asked_of_the_world() {
    let lab = Lab::new();
    if is_podman() || !name_server("127.53.0.1", "192.0.2.99") || !name_server("127.53.0.2", "192.0.2.99") {
        return;
    }
    lab.ok("network create --dns 127.53.0.1 net");
    lab.ok("network create --dns 127.53.0.1 --internal closed");
    let text = lab.ok("run --rm --network net box nslookup world.example");
    assert!(text.contains("192.0.2.99"), "{text}");
    assert_ne!(lab.creel("run --rm --network closed box nslookup world.example").run().exit_code(), 0);
    // A server that does not answer is passed over, also one named for this container alone.
    lab.ok("network update --dns-drop 127.53.0.1 --dns-add 127.53.0.77,127.53.0.2 net");
    let text = lab.ok("run --rm --network net box nslookup world.example");
    assert!(text.contains("192.0.2.99"), "{text}");
    lab.ok("network update --dns-drop 127.53.0.2 net");
    let text = lab.ok("run --rm --network net --dns 127.53.0.2 box nslookup world.example");
    assert!(text.contains("192.0.2.99"), "{text}");
    // One that cannot find it out is not the last word either.
    if helpless_name_server("127.53.0.3") {
        let text = lab.ok("run --rm --network net --dns 127.53.0.3 --dns 127.53.0.2 box nslookup world.example");
        assert!(text.contains("192.0.2.99"), "{text}");
    }
    assert!(lab.json("network inspect net")[0]["network_dns_servers"].to_string().contains("127.53.0.77"));
    // Nobody is there to be asked: an answer comes at once all the same, before nslookup has asked for the second time.
    let script =
        "read a rest < /proc/uptime; nslookup nobody.dns.podman; code=$?; read b rest < /proc/uptime; echo $code $a $b";
    let told = lab.creel_words(&["run", "--rm", "--network", "net", "box", "sh", "-c", script]).run().ok();
    let words: Vec<f64> = told.lines().last().unwrap().split(' ').map(|word| word.parse().unwrap()).collect();
    assert!(words[0] != 0.0 && words[2] - words[1] < 2.0, "{told}");
}

#[test]
fn version_6_works_within_a_network() {
    let lab = Lab::new();
    lab.ok("network create --ipv6 --subnet fd12:3456::/64 --subnet 10.122.6.0/24 net");
    lab.ok("run -d --name web --network net box httpd -f -p 80 -h /www");
    assert_eq!(lab.inspect("web", "{{.NetworkSettings.Networks.net.GlobalIPv6Address}}"), "fd12:3456::2");
    eventually("the page is served over version 6", || {
        lab.creel("run --rm --network net box wget -qO- 'http://[fd12:3456::2]/'").run().out() == "hello from the box"
    });
    assert!(lab.ok("run --rm --network net box nslookup web").contains("fd12:3456::2"));
    let text = lab.ok("run --rm --network net:ip6=fd12:3456::99,ip=10.122.6.99 box ip addr");
    assert!(text.contains("fd12:3456::99/64") && text.contains("10.122.6.99/24"), "{text}");
}

#[test]
fn what_a_member_asks_for_it_gets_or_is_told_why_not() {
    let lab = Lab::new();
    lab.ok("network create --subnet 10.123.7.0/24 --ip-range 10.123.7.64/29 net");
    assert!(lab.ok("run --rm --network net box ip addr").contains("10.123.7.65/24"));
    let text =
        lab.ok("run --rm --network net:ip=10.123.7.9,mac=02:aa:bb:cc:dd:ee,interface_name=lan0 box ip addr show lan0");
    assert!(text.contains("10.123.7.9/24") && text.contains("02:aa:bb:cc:dd:ee"), "{text}");
    let text = lab.ok("run --rm --network net --ip 10.123.7.10 --mac-address 02-aa-bb-cc-dd-01 box ip addr");
    assert!(text.contains("10.123.7.10/24") && text.contains("02:aa:bb:cc:dd:01"), "{text}");
    lab.ok("run -d --name here --network net --ip 10.123.7.11 box idle");
    for (flags, code, reason) in [
        ("--network net --ip 10.123.7.11", 126, "already allocated"),
        ("--network net --ip 10.99.0.1", 126, "not in any subnet"),
        ("--network nowhere", 125, "network not found"),
        ("--network net,podman --ip 10.123.7.12", 125, "single network"),
        ("--network net:interface_name=a/b", 126, "Error: "),
    ] {
        let error = lab.creel(&format!("run --rm {flags} box true")).run().fails(code);
        assert!(error.contains(reason), "{flags}: {error}");
    }
    // Given back at once: the same address again and again.
    for _ in 0..4 {
        lab.ok("run --rm --network net --ip 10.123.7.12 box true");
    }
    assert_eq!(lab.ok("ps -aq").lines().count(), 1);
    lab.ok("network create -o mtu=1400 -o no_default_route=true --route 10.9.0.0/24,10.124.9.1,7 --subnet 10.124.9.0/24 odd");
    let text = lab.ok("run --rm --network odd box sh -c 'ip route; ip link show eth0'");
    assert!(text.contains("10.9.0.0/24 via 10.124.9.1 dev eth0  metric 7") && text.contains("mtu 1400"), "{text}");
    assert!(!text.contains("default"), "{text}");
}

#[test]
fn nothing_is_left_of_a_network_whose_last_member_has_gone() {
    let lab = Lab::new();
    let holders = || lab.processes().iter().filter(|process| process.command.contains("network-holder")).count();
    lab.ok("network create one");
    lab.ok("network create two");
    lab.ok("run -d --name a --network one --network two box idle");
    lab.ok("run -d --name b --network one box idle");
    if !is_podman() {
        assert_eq!(holders(), 2, "{:?}", lab.processes());
    }
    lab.ok("rm -f -t 0 a");
    assert!(resolves(&lab, "b", "b"));
    lab.ok("rm -f -t 0 b");
    eventually("no holder and no uplink is left", || lab.processes().is_empty() || is_podman());
    // A start that fails leaves none either.
    lab.creel("run --rm --network one box no-such-program").run().fails(127);
    lab.creel("run --rm --network one -p 999999:80 box true").run().fails(125);
    eventually("no holder is left of a start that failed", || lab.processes().is_empty() || is_podman());
}

#[test]
fn whatever_connects_a_container_is_made_again_when_it_is_killed() {
    let lab = Lab::new();
    if crate::lab::differs_on_purpose("podman's helpers stay dead") {
        return;
    }
    let (host, port) = (greeter("hello from the host\n"), crate::lab::free_port());
    lab.ok("network create net");
    lab.ok(&format!("run -d --name web --network net -p 127.0.0.1:{port}:80 box httpd -f -p 80 -h /www"));
    lab.ok("run -d --name near --network net box idle");
    let address = lab.inspect("web", "{{.NetworkSettings.Networks.net.IPAddress}}");
    let all_is_well = || {
        page(port)
            && resolves(&lab, "near", "web")
            && lab.creel("exec near wget -qO- http://web/").run().out() == "hello from the box"
            && lab
                .creel(&format!("exec near sh -c 'nc -w 2 host.containers.internal {host} < /dev/null | head -1'"))
                .run()
                .out()
                == "hello from the host"
    };
    eventually("the network works", all_is_well);
    let words = ["network-holder", "cidr=", "creel forwarder"];
    for victims in [&words[..1], &words[1..2], &words[2..], &words[..], &words[..2]] {
        for (number, word) in victims.iter().enumerate() {
            let killed = kill_all(&lab, word);
            // An uplink ends with its holder, before we come to it or after.
            assert!(killed == 1 || number > 0, "{word}: {:?}", lab.processes());
        }
        eventually(&format!("the network works without {victims:?}"), all_is_well);
        assert_eq!(lab.inspect("web", "{{.NetworkSettings.Networks.net.IPAddress}}"), address);
    }
    // Its monitor too: the container ends with it, and so does its name.
    let monitor = lab.inspect("web", "{{.State.ConmonPid}}");
    kill(Pid::from_raw(monitor.parse().unwrap()), Signal::SIGKILL).unwrap();
    eventually("the name is gone", || !resolves(&lab, "near", "web"));
    // The last one who is left heals it alone.
    kill_all(&lab, "network-holder");
    eventually("the network is back", || resolves(&lab, "near", "near"));
}

#[test]
fn many_containers_come_to_a_network_at_once() {
    let lab = Lab::new();
    lab.ok("network create one");
    lab.ok("network create two");
    let running: Vec<_> = (0..20)
        .map(|n| {
            let network = if n % 2 == 0 { "one" } else { "two" };
            lab.creel(&format!("run -d --name m{n} --network {network} box idle")).within(120).spawn()
        })
        .collect();
    for one in running {
        one.end().ok();
    }
    let mut addresses: Vec<String> = (0..20)
        .map(|n| lab.inspect(&format!("m{n}"), "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"))
        .collect();
    for n in (0..20).step_by(2) {
        assert!(resolves(&lab, "m0", &format!("m{n}")), "m{n}");
        assert!(!resolves(&lab, "m1", &format!("m{n}")), "m{n}");
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 20);
    assert_eq!(lab.json("network inspect one")[0]["containers"].as_object().unwrap().len(), 10);
}

#[test]
fn a_port_on_a_network_shows_the_client_s_address() {
    let lab = Lab::new();
    if crate::lab::differs_on_purpose("podman's port handler hides it on bridge networks") {
        return;
    }
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = socket.connect("192.0.2.1:9").ok().and_then(|()| socket.local_addr().ok()).map(|own| own.ip());
    let Some(own) = own.filter(|own| !own.is_loopback()) else {
        return crate::lab::skip("this machine has no address but the loopback");
    };
    let port = crate::lab::free_port();
    lab.ok("network create net");
    lab.ok(&format!("run -d --name web --network net -p {port}:80 box sh -c 'httpd -f -vv -p 80 -h /www 2>&1'"));
    eventually("the page is served", || {
        TcpStream::connect((own, port)).is_ok_and(|mut stream| {
            let mut text = String::new();
            let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
            let _ = stream.read_to_string(&mut text);
            text.contains("hello from the box")
        })
    });
    lab.log_holds("web", &own.to_string());
}

#[test]
fn containers_with_ids_of_their_own_are_on_networks_too() {
    let lab = Lab::new();
    lab.ok("network create net");
    lab.ok("run -d --name web --network net box httpd -f -p 80 -h /www");
    for userns in ["keep-id", "auto", "nomap"] {
        eventually("the page is served", || {
            lab.creel(&format!("run --rm --userns {userns} --network net box wget -qO- http://web/")).run().out()
                == "hello from the box"
        });
    }
    lab.ok("run -d --name other --userns auto --network net box idle");
    if !is_podman() {
        kill_all(&lab, "network-holder");
        eventually("it is plugged in again", || resolves(&lab, "other", "web"));
    }
}

#[test]
fn lists_of_networks_are_chosen_and_shown_as_asked() {
    let lab = Lab::new();
    lab.ok("network create --label tier=front front");
    lab.ok("network create --disable-dns back");
    lab.ok("create --name web --network front box true");
    assert_eq!(lab.ok("network ls -q --filter dangling=true"), "back");
    assert_eq!(lab.ok("network ls -q --filter name=^fr"), "front");
    assert_eq!(lab.ok("network ls -q --filter driver=macvlan"), "");
    assert_eq!(
        lab.ok("network ls --noheading --format 'table {{.Name}} {{.DNSEnabled}}'").lines().next(),
        Some("back        false")
    );
    assert_eq!(lab.ok("network ls").lines().next(), Some("NETWORK ID    NAME        DRIVER"));
    let json: serde_json::Value = serde_json::from_str(&lab.ok("network ls --format json")).unwrap();
    assert_eq!(json[1]["labels"]["tier"], "front");
    assert_eq!(lab.ok("inspect --type network --format {{.Name}} front"), "front");
    assert_eq!(lab.ok("ps -a --filter network=front --format {{.Names}}"), "web");
    lab.creel("network ls --filter nope=1").run().fails(125);
    lab.creel("network rm front").run().fails(2);
    assert_eq!(lab.ok("network prune -f"), "back");
    assert_eq!(lab.ok("network ls -q"), "front\npodman");
    for bad in ["-d ipvlan x", "-d nope x", "-o foo=bar x", "--ipam-driver nope x", "--route 1.2.3.4 x", "'a b'", "a b"]
    {
        lab.creel(&format!("network create {bad}")).run().fails(125);
    }
    assert_eq!(lab.ok("network ls -q"), "front\npodman");
}

#[test]
fn networks_that_are_not_isolated_reach_each_other() {
    let lab = Lab::new();
    lab.ok("network create -o isolate=false --ipv6 one");
    lab.ok("network create -o isolate=false --ipv6 two");
    lab.ok("network create -o isolate=strict --ipv6 closed");
    lab.ok("run -d --name web --network one box httpd -f -p 80 -h /www");
    let address = |key: &str| lab.inspect("web", &format!("{{{{.NetworkSettings.Networks.one.{key}}}}}"));
    let (v4, v6) = (address("IPAddress"), address("GlobalIPv6Address"));
    // A file and not a pipe: nc ends when its input does.
    let ask = |address: &str| format!("sh -c 'nc -w 3 {address} 80 </request'");
    let answered = |line: String| lab.creel(&line).run().out().ends_with("hello from the box");
    lab.ok("run -d --name asker --network two box sh -c 'printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >/request; exec idle'");
    lab.log_holds("asker", "ready");
    lab.ok("commit -q asker asker");
    for address in [&v4, &v6] {
        let from = |network: &str| format!("run --rm --network {network} asker {}", ask(address));
        eventually("the page is read from the other network", || answered(from("two")));
        assert!(!answered(from("closed")), "{address}");
    }
    // The other one comes first, and both come back.
    let asks = || answered(format!("exec asker {}", ask(&v4)));
    assert!(asks());
    if !is_podman() {
        // One that is just ending would leave its socket, with nobody to take it away.
        let socket = lab.runtime().join("creel/networks/closed/socket");
        eventually("the holder of the closed network has gone", || !socket.exists());
        assert!(kill_all(&lab, "network-holder") >= 2);
        eventually("the networks are back, and connected", asks);
    }
}

#[test]
fn networks_are_kept_elsewhere_and_are_podman_s_there() {
    let lab = Lab::new();
    let dir = lab.path("nets");
    lab.write(
        "nets/theirs.json",
        r#"{"name":"theirs","id":"4b9a2872a5278e1c1a39c5b3184a15e741f03977a45f494242a98889023e07fb","driver":"bridge",
            "network_interface":"podman7","created":"2026-01-02T03:04:05.5Z","subnets":[{"subnet":"10.126.7.0/24",
            "gateway":"10.126.7.1","lease_range":{"start_ip":"10.126.7.64","end_ip":"10.126.7.71"}}],"routes":
            [{"destination":"10.9.0.0/24","gateway":"10.126.7.1","metric":7}],"ipv6_enabled":false,"internal":false,
            "dns_enabled":true,"labels":{"a":"b"},"options":{"mtu":"1400"},"ipam_options":{"driver":"host-local"}}"#,
    );
    lab.write("nets/other.json", r#"{"name":"third","driver":"bridge","id":"ab"}"#);
    let there = format!("--network-config-dir {}", dir.display());
    lab.ok("network create ours");
    lab.ok(&format!("{there} network create -o mtu=1300 --label k=v ours"));
    let listed = lab.creel(&format!("{there} network ls --format {{{{.Name}}}}")).run();
    assert_eq!(listed.out(), "ours\npodman\ntheirs");
    assert!(listed.err().contains("other.json"), "{listed}");
    assert_eq!(lab.ok("network ls --format {{.Name}}"), "ours\npodman");
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("ours.json")).unwrap()).unwrap();
    assert_eq!((&written["dns_enabled"], &written["options"]["mtu"]), (&true.into(), &"1300".into()), "{written}");
    assert_eq!((&written["driver"], &written["labels"]["k"]), (&"bridge".into(), &"v".into()), "{written}");
    let json = lab.json(&format!("{there} network inspect theirs"));
    assert_eq!(json[0]["subnets"][0]["lease_range"]["end_ip"], "10.126.7.71", "{json}");
    assert!(json[0]["created"].as_str().unwrap().starts_with("2026-01-02T03:04:05.5"), "{json}");
    let text = lab.ok(&format!("{there} run --rm --network theirs box sh -c 'ip addr; ip route'"));
    assert!(text.contains("10.126.7.64/24") && text.contains("mtu 1400") && text.contains("metric 7"), "{text}");
    // Two networks of one name, in use at the same time.
    lab.ok("run -d --name here --network ours box idle");
    lab.ok(&format!("{there} run -d --name there --network ours box idle"));
    assert!(lab.ok("exec there ip link show eth0").contains("mtu 1300"));
    if !is_podman() {
        assert!(lab.ok("exec here ip link show eth0").contains("mtu 65520"));
    }
    lab.ok(&format!("{there} network rm theirs"));
    assert!(!dir.join("theirs.json").exists());
}
