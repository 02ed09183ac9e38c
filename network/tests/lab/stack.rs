//! What leaves a container through creel's own stack.

use super::*;

fn server(place: &Namespace, protocol: &str, address: &str) -> Running {
    let mut server = Running::spawn(&mut place.command(&[netlab().to_str().unwrap(), "serve", protocol, address]));
    assert_eq!(server.first_line(), "ready");
    server
}

fn inside(up: &Up, words: &[&str]) -> Result<String, String> {
    let output = up.command(&[&[netlab().to_str().unwrap()], words].concat()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn has_all() -> bool {
    has(&["ip", "nsenter", "unshare"])
}

#[test]
fn both_protocols_of_both_families_get_through() {
    if !has_all() {
        return;
    }
    let lab = Lab::new();
    let up = lab.up(&["creel"]);
    for (address, own) in
        [(format!("{CLIENT4}:7000"), HOST4.to_owned()), (format!("[{CLIENT6}]:7000"), format!("[{HOST6}]"))]
    {
        for protocol in ["tcp", "udp"] {
            let _server = server(&lab.client, protocol, &address);
            // Over TCP 3 MiB go both ways, and the client ends its half first.
            let said = inside(&up, &["ask", protocol, &address]).unwrap_or_else(|error| panic!("{address}: {error}"));
            assert!(said.split(' ').nth(1).unwrap().starts_with(&format!("{own}:")), "{said}");
        }
    }
}

#[test]
fn a_connection_becomes_what_the_hosts_own_becomes() {
    if !has_all() {
        return;
    }
    let lab = Lab::new();
    let up = lab.up(&["creel"]);
    for (address, reason) in [
        (format!("{CLIENT4}:7001"), "ConnectionRefused"),
        (format!("[{CLIENT6}]:7001"), "ConnectionRefused"),
        // Nobody answers for these addresses: nothing is accepted meanwhile.
        ("198.51.100.77:7001".to_owned(), "HostUnreachable"),
        ("[2001:db8:1::77]:7001".to_owned(), "HostUnreachable"),
        // The host has no way there.
        ("203.0.113.1:7001".to_owned(), "NetworkUnreachable"),
        ("[2001:db8:2::1]:7001".to_owned(), "NetworkUnreachable"),
    ] {
        let said = inside(&up, &["greet", &address]).unwrap_err();
        assert!(said.contains(reason), "{address}: {said}");
    }
    let said = inside(&up, &["ask", "udp", &format!("{CLIENT4}:7001")]).unwrap_err();
    assert!(said.contains("ConnectionRefused"), "{said}");
}

#[test]
fn the_loopback_of_the_host_is_closed_unless_opened() {
    if !has_all() {
        return;
    }
    let lab = Lab::new();
    let _servers = [server(&lab.host, "tcp", "127.0.0.1:7000"), server(&lab.host, "tcp", "[::1]:7000")];
    let (closed, open) = (lab.up(&["creel"]), lab.up(&["creel:allow_host_loopback=true"]));
    for address in ["10.0.2.2:7000", "[fd00::2]:7000"] {
        assert!(inside(&closed, &["greet", address]).unwrap_err().contains("ConnectionRefused"), "{address}");
        assert!(inside(&open, &["greet", address]).is_ok(), "{address}");
    }
}

#[test]
fn hundreds_at_once_and_thousands_in_turn_leave_nothing() {
    if !has_all() {
        return;
    }
    let lab = Lab::new();
    let up = lab.up(&["creel"]);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", up.number("/uplink"))).unwrap().count();
    // What only its start has needed may be among them still.
    let before = descriptors();
    let address = format!("{CLIENT4}:7000");
    let program = netlab();
    let _server = server(&lab.client, "tcp", &address);
    let mut held = Running::spawn(&mut up.command(&[program.to_str().unwrap(), "many", &address, "500"]));
    assert_eq!(held.first_line(), "500");
    assert!(descriptors() >= 500);
    drop(held);
    wait_for("all are closed", || descriptors() <= before);
    let sink = format!("{CLIENT4}:7001");
    let mut echo = Running::spawn(&mut lab.client.command(&[program.to_str().unwrap(), "sink", &sink]));
    assert_eq!(echo.first_line(), "ready");
    let rate: u64 = inside(&up, &["rate", &sink, "4", "2"]).unwrap().parse().unwrap();
    assert!(rate > 0);
    wait_for("all are closed", || descriptors() <= before);
}

#[test]
fn it_has_no_right_left() {
    if !has_all() {
        return;
    }
    let lab = Lab::new();
    let up = lab.up(&["creel"]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", up.number("/uplink"))).unwrap();
    for line in ["CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line}: {status}");
    }
}
