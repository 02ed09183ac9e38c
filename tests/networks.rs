//! `network`: networks with a name, on which containers find each other.

use crate::lab::{Lab, eventually};

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
    eventually("the port is served", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok_and(|mut stream| {
            use std::io::{Read, Write};
            let mut text = String::new();
            let _ = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
            let _ = stream.read_to_string(&mut text);
            text.contains("hello from the box")
        })
    });
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
