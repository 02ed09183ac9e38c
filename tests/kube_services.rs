//! What a played Service is to its clients: addresses, names, who gets in.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::lab::name_server::name_server;
use crate::lab::{Lab, differs_on_purpose, eventually, free_port};

fn no_services() -> bool {
    differs_on_purpose("podman plays no Services")
}

/// A pod that only asks.
const CLIENT: &str = "
apiVersion: v1
kind: Pod
metadata: { name: client }
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - { name: it, image: localhost/box, command: [idle] }
";

/// What a client hears of a server that is not there.
fn refused(lab: &Lab, address: &str) -> bool {
    let said = lab.creel(&format!("exec client-it nc -w 9 {address} 80")).input("").run().err();
    said.contains("Connection refused")
}

#[test]
fn an_address_that_no_service_has_refuses_at_once() {
    if no_services() {
        return;
    }
    let lab = Lab::new();
    lab.write("client.yaml", CLIENT);
    lab.ok("kube play client.yaml");
    // More often than a kernel tells one host that another one is not there.
    for last in 1..20 {
        assert!(refused(&lab, &format!("10.111.0.{last}")), "{last}");
    }
    lab.ok("kube down client.yaml");
    // A network of one's own has them from its first Service on.
    lab.write(
        "both.yaml",
        format!(
            "{CLIENT}---\napiVersion: v1\nkind: Service\nmetadata: {{ name: s }}\nspec: {{ ports: [{{ port: 80 }}] }}\n"
        ),
    );
    lab.ok("network create mine");
    lab.ok("kube play --network mine both.yaml");
    eventually("nobody is there", || refused(&lab, "10.111.0.1"));
    lab.ok("kube down both.yaml");
}

/// A pod behind Services of every kind.
const SERVED: &str = "
apiVersion: v1
kind: Pod
metadata: { name: site, labels: { app: site } }
spec:
  terminationGracePeriodSeconds: 0
  hostname: first
  subdomain: heads
  containers:
  - name: it
    image: localhost/box
    command: [httpd, -f, -p, '8080', -h, /www]
    ports: [{ name: web, containerPort: 8080 }]
---
apiVersion: v1
kind: Service
metadata: { name: site }
spec: { clusterIP: 10.111.4.4, selector: { app: site }, ports: [{ name: http, port: 80, targetPort: web, appProtocol: http }] }
---
apiVersion: v1
kind: Service
metadata: { name: heads }
spec: { clusterIP: None, selector: { app: site }, ports: [{ name: http, port: 80, targetPort: web }] }
---
apiVersion: v1
kind: Service
metadata: { name: inner }
spec: { type: ExternalName, externalName: site.default.svc.cluster.local }
---
";

#[test]
fn names_are_those_of_a_cluster() {
    if no_services() {
        return;
    }
    let lab = Lab::new();
    lab.write("all.yaml", format!("{SERVED}{CLIENT}"));
    lab.ok("kube play all.yaml");
    let ask = |kind: &str, name: &str| {
        let outcome = lab.creel(&format!("exec client-it nslookup -type={kind} {name}.")).run();
        format!("{}{}", outcome.out(), outcome.err())
    };
    let full = "default.svc.cluster.local";
    // The pod counts when it is ready, a moment after the play.
    eventually("the pod has its name", || ask("a", &format!("heads.{full}")).contains("Address: 10.89."));
    let said = ask("a", &format!("heads.{full}"));
    let address = said.lines().filter_map(|line| line.strip_prefix("Address: ")).next_back().unwrap().to_owned();
    let dashed = address.replace('.', "-");
    let mut octets: Vec<&str> = address.split('.').collect();
    octets.reverse();
    let reverse = octets.join(".");
    for (kind, name, expected) in [
        ("a", format!("first.heads.{full}"), address.as_str()),
        ("a", format!("{dashed}.default.pod.cluster.local"), &address),
        ("srv", format!("_http._tcp.site.{full}"), "service = 0 100 80 site.default.svc.cluster.local"),
        ("srv", format!("_http._tcp.heads.{full}"), "service = 0 100 8080 first.heads.default.svc.cluster.local"),
        ("ptr", "4.4.111.10.in-addr.arpa".into(), "name = site.default.svc.cluster.local"),
        ("ptr", format!("{reverse}.in-addr.arpa"), "name = first.heads.default.svc.cluster.local"),
        ("cname", "inner.default".into(), "canonical name = site.default.svc.cluster.local"),
        ("a", "inner".into(), "Address: 10.111.4.4"),
        ("a", format!("nobody.{full}"), "NXDOMAIN"),
        ("a", "1-2-3-4.default.pod.cluster.local".into(), "NXDOMAIN"),
        ("ptr", "9.9.111.10.in-addr.arpa".into(), "NXDOMAIN"),
    ] {
        let said = ask(kind, &name);
        assert!(said.contains(expected), "{kind} {name}: {said}");
    }
    // There, with nothing of that kind.
    for (kind, name) in [("aaaa", format!("site.{full}")), ("a", full.to_owned())] {
        let said = ask(kind, &name);
        assert!(!said.contains("NXDOMAIN") && !said.contains("Name:"), "{kind} {name}: {said}");
    }
    lab.ok("kube down all.yaml");
}

#[test]
fn an_external_name_is_an_alias_of_one_in_the_world() {
    if no_services() {
        return;
    }
    let lab = Lab::new();
    if !name_server("127.53.0.4", "192.0.2.99") {
        return;
    }
    let client = CLIENT.replace("spec:\n", "spec:\n  dnsConfig: { nameservers: [127.53.0.4] }\n");
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: { name: out }\nspec: { type: ExternalName, externalName: world.example }\n";
    lab.write("all.yaml", format!("{client}{service}"));
    lab.ok("kube play all.yaml");
    // Nobody waits for the supervisor, who makes the names.
    let said = || lab.creel("exec client-it nslookup -type=a out.default.svc.cluster.local.").run().out();
    eventually("it has an address", || said().contains("192.0.2.99"));
    assert!(said().contains("canonical name = world.example"), "{}", said());
    let row = lab.ok("kube get svc out --no-headers");
    assert_eq!(
        row.split_whitespace().take(5).collect::<Vec<_>>(),
        ["out", "ExternalName", "<none>", "world.example", "<none>"]
    );
    let page = lab.ok("kube describe svc out");
    assert!(page.contains("External Name:     world.example"), "{page}");
    assert!(!lab.ok("exec client-it env").contains("OUT_"));
    lab.ok("kube down all.yaml");
}

/// What a server says to one request; `None`: it resets the client.
fn page(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn a_load_balancer_lets_in_whom_its_ranges_name() {
    if no_services() {
        return;
    }
    let lab = Lab::new();
    let (open, closed) = (free_port(), free_port());
    let balancer = |name: &str, range: &str, port: u16| {
        format!(
            "---
apiVersion: v1
kind: Service
metadata: {{ name: {name} }}
spec:
  type: LoadBalancer
  selector: {{ app: site }}
  loadBalancerSourceRanges: [{range}]
  ports: [{{ port: {port}, targetPort: web }}]
"
        )
    };
    let services = balancer("open", "127.0.0.0/8", open) + &balancer("closed", "192.0.2.0/24", closed);
    lab.write("all.yaml", format!("{SERVED}{}", services.trim_start_matches("---\n")));
    lab.ok("kube play all.yaml");
    let is_served = |port: u16| page(port).is_some_and(|text| text.contains("hello from the box"));
    eventually("whom it names is served", || is_served(open));
    assert_eq!(page(closed), None);
    // The same Service without the list.
    let text = lab.read("all.yaml").replace("loadBalancerSourceRanges: [192.0.2.0/24]", "loadBalancerSourceRanges: []");
    lab.write("all.yaml", text);
    lab.ok("kube play all.yaml");
    eventually("everybody is served", || is_served(closed));
    lab.ok("kube down all.yaml");
}

#[test]
fn a_load_balancers_port_that_is_for_root_alone_is_served_higher() {
    if no_services() {
        return;
    }
    let lab = Lab::new();
    let is_free = |port: &u16| std::net::TcpListener::bind(("0.0.0.0", 8000 + port)).is_ok();
    let from = 600 + u16::try_from(std::process::id() % 200).expect("less than 200");
    let port = (from..1000).find(is_free).expect("a free port");
    lab.write(
        "all.yaml",
        format!(
            "{SERVED}
---
apiVersion: v1
kind: Service
metadata: {{ name: front }}
spec: {{ type: LoadBalancer, selector: {{ app: site }}, ports: [{{ port: {port}, targetPort: web }}] }}
"
        ),
    );
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").expect("a port");
    let is_for_root = port < first.trim().parse().expect("a number");
    let played = lab.creel("kube play all.yaml").run();
    played.ok();
    let text = format!("Service/front: port {port} of the host is for root alone: served on port {}", 8000 + port);
    assert_eq!(played.err().contains(&text), is_for_root, "{}", played.err());
    let served = if is_for_root { 8000 + port } else { port };
    eventually("it is served", || page(served).is_some_and(|text| text.contains("hello from the box")));
    lab.ok("kube down all.yaml");
}
