//! `-p`: a port of the host leads into the container.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use crate::lab::{Lab, comes_true, eventually, free_port, free_ports, is_podman, probe};

/// What a small page answers, `None` while nobody does.
fn page(address: impl Into<SocketAddr>) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address.into(), Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.rsplit("\r\n\r\n").next().map(|body| body.trim_end().to_owned()).filter(|body| !body.is_empty())
}

#[track_caller]
fn serves(address: impl Into<SocketAddr> + Copy) {
    let served = comes_true(Duration::from_secs(20), || page(address).as_deref() == Some("hello from the box"));
    assert!(served, "nothing at {}", address.into());
}

const HTTPD: &str = "box httpd -f -p 80 -h /www";

#[test]
fn a_published_port_serves_on_every_address_of_the_host() {
    let lab = Lab::new();
    let port = free_port();
    lab.ok(&format!("run -d --name web -p {port}:80 {HTTPD}"));
    serves((Ipv4Addr::LOCALHOST, port));
    assert_eq!(lab.ok("port web"), format!("80/tcp -> 0.0.0.0:{port}"));
    assert!(lab.ok("ps").contains(&format!("0.0.0.0:{port}->80/tcp")));
}

#[test]
fn a_port_is_served_when_run_returns() {
    let lab = Lab::new();
    let port = free_port();
    lab.ok(&format!("run -d -p {port}:80 {HTTPD}"));
    // The listener is there before the command starts; only the program itself may still be busy with starting.
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
}

#[test]
fn publishing_works_over_each_uplink() {
    let lab = Lab::new();
    for network in ["creel", "slirp4netns", "pasta"] {
        let is_there = if network == "creel" { !is_podman() } else { crate::lab::has_program(network) };
        if !is_there {
            continue;
        }
        let port = free_port();
        let id = lab.ok(&format!("run -d --network {network} -p 127.0.0.1:{port}:80 {HTTPD}"));
        serves((Ipv4Addr::LOCALHOST, port));
        lab.ok(&format!("rm -f -t 0 {id}"));
        assert_eq!(page((Ipv4Addr::LOCALHOST, port)), None);
    }
}

#[test]
fn a_random_port_is_found_and_told() {
    let lab = Lab::new();
    lab.ok(&format!("run -d --name web -p 80 {HTTPD}"));
    let told = lab.ok("port web 80");
    let port: u16 = told.rsplit(':').next().unwrap().parse().unwrap();
    serves((Ipv4Addr::LOCALHOST, port));
    let json = lab.json("container inspect web");
    assert_eq!(json[0]["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"], port.to_string());
}

#[test]
fn a_range_is_published_one_to_one() {
    let lab = Lab::new();
    let first = free_ports(3);
    lab.ok(&format!(
        "run -d --name web -p {}-{}:80-82 box sh -c 'for p in 80 81 82; do httpd -p $p -h /www; done; idle'",
        first,
        first + 2
    ));
    for port in first..first + 3 {
        serves((Ipv4Addr::LOCALHOST, port));
    }
    assert!(lab.ok("ps").contains(&format!("0.0.0.0:{}-{}->80-82/tcp", first, first + 2)), "{}", lab.ok("ps"));
    lab.creel(&format!("run --rm -p {}-{}:80-90 box true", first, first + 1)).run().fails(125);
}

#[test]
fn a_datagram_goes_in_and_the_answer_comes_back() {
    let lab = Lab::new();
    let port = free_port();
    let (flags, command) = (probe::flags("udp-echo 7000"), probe::COMMAND);
    lab.ok(&format!("run -d --name echo -p {port}:7000/udp {flags} box {command}"));
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let answered = comes_true(Duration::from_secs(20), || {
        let _ = socket.send_to(b"ping", (Ipv4Addr::LOCALHOST, port));
        let mut buffer = [0; 16];
        socket.recv(&mut buffer).is_ok_and(|count| &buffer[..count] == b"ping")
    });
    assert!(answered);
    assert_eq!(lab.ok("port echo"), format!("7000/udp -> 0.0.0.0:{port}"));
}

#[test]
fn the_loopback_of_version_6_is_served_too() {
    let lab = Lab::new();
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return crate::lab::skip("this machine has no IPv6 loopback");
    }
    let port = free_port();
    lab.ok(&format!("run -d --name web -p '[::1]:{port}:80' {HTTPD}"));
    serves((std::net::Ipv6Addr::LOCALHOST, port));
}

#[test]
fn a_port_in_use_is_named_and_nothing_is_left() {
    let lab = Lab::new();
    // None that an outgoing connection could take while it is free.
    let port = free_port();
    let holder = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let error = lab.creel(&format!("run -d --name late -p 127.0.0.1:{port}:80 {HTTPD}")).run();
    assert_ne!(error.exit_code(), 0);
    assert!(error.err().contains(&port.to_string()), "{error}");
    assert!(error.err().to_lowercase().contains("address already in use"), "{error}");
    drop(holder);
    lab.ok("start late");
    serves((Ipv4Addr::LOCALHOST, port));
}

#[test]
fn the_port_is_free_again_when_the_container_has_ended() {
    let lab = Lab::new();
    let port = free_port();
    for _ in 0..3 {
        let id = lab.ok(&format!("run -d -p {port}:80 {HTTPD}"));
        serves((Ipv4Addr::LOCALHOST, port));
        lab.ok(&format!("rm -f -t 0 {id}"));
    }
}

#[test]
fn the_client_s_address_is_seen_inside() {
    if crate::lab::differs_on_purpose("depends on podman's port handler") {
        return;
    }
    let lab = Lab::new();
    let port = free_port();
    let Some(own) = own_address() else { return crate::lab::skip("this machine has no address but the loopback") };
    lab.ok(&format!("run -d --name web -p {port}:80 box sh -c 'httpd -f -vv -p 80 -h /www 2>&1'"));
    serves((own, port));
    lab.log_holds("web", &own.to_string());
}

/// The address this machine would use to speak to another.
fn own_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    match socket.local_addr().ok()?.ip() {
        std::net::IpAddr::V4(address) if !address.is_loopback() => Some(address),
        _ => None,
    }
}

#[test]
fn publish_all_takes_the_exposed_ports() {
    let lab = Lab::new();
    let draft = crate::lab::image::box_with(serde_json::json!({ "ExposedPorts": { "80/tcp": {} } }));
    let archive = lab.write("e.tar", draft.docker_archive(&["localhost/exposing:latest"]));
    lab.ok(&format!("load -q -i {}", archive.display()));
    lab.ok("run -d --name web -P exposing httpd -f -p 80 -h /www");
    let told = lab.ok("port web 80/tcp");
    serves((Ipv4Addr::LOCALHOST, told.rsplit(':').next().unwrap().parse().unwrap()));
    lab.ok("run -d --name quiet exposing idle");
    assert_eq!(lab.ok("port quiet"), "");
    assert!(lab.ok("ps --filter name=quiet").contains("80/tcp"));
}

#[test]
fn a_megabyte_goes_through_the_port_unchanged() {
    let lab = Lab::new();
    let port = free_port();
    lab.ok(&format!("run -d --name sink -p {port}:9000 box sh -c 'nc -l -p 9000 | sha256sum; idle'"));
    // 9000 is 2328: a connection before nc listens would end in the middle.
    let listens = "exec sink sh -c 'cat /proc/net/tcp /proc/net/tcp6 | grep -q :2328'";
    eventually("nc listens", || lab.creel(listens).run().exit_code() == 0);
    let bytes: Vec<u8> = (0..4_000_000u32).map(|number| (number % 253) as u8).collect();
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.write_all(&bytes).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    lab.log_holds("sink", &crate::lab::image::sha256(&bytes));
}

#[test]
fn ports_of_the_host_network_are_not_published() {
    let lab = Lab::new();
    let outcome = lab.creel("run --rm --network none -p 8080:80 box true").run();
    assert!(is_podman() || outcome.exit_code() == 0, "{outcome}");
    let outcome = lab.creel(&format!("run --rm --network host -p {}:80 box true", free_port())).run();
    assert_eq!(outcome.exit_code(), 0, "{outcome}");
}

#[test]
fn bad_ports_are_refused() {
    let lab = Lab::new();
    for bad in ["80:", "70000:80", "x:80", "80/icmp", "1.2.3.4.5:80:80", "0", "10-5:80"] {
        assert_eq!(lab.creel(&format!("create -p {bad} box true")).run().exit_code(), 125, "{bad}");
    }
}

#[test]
fn a_port_published_twice_is_published_once() {
    let lab = Lab::new();
    let port = free_port();
    lab.ok(&format!("run -d --name one -p {port}:80 -p {port}:80/tcp box idle"));
    assert_eq!(lab.ok("port one"), format!("80/tcp -> 0.0.0.0:{port}"));
}
