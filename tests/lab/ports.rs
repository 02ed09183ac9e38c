//! Ports of the host for one test alone.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{comes_true, skip};

/// Ports that the kernel gives to no outgoing connection (`ip_local_port_range` in ip(7)), nor creel to a Service.
const FREE_PORTS: std::ops::Range<usize> = 16_000..30_000;

/// A port of the loopback address that nobody listens on now, and that no other test was given.
pub(crate) fn free_port() -> u16 {
    free_ports(1)
}

/// `count` neighbouring free ports; the first.
pub(crate) fn free_ports(count: u16) -> u16 {
    static GIVEN: AtomicUsize = AtomicUsize::new(0);
    // Test programs that run side by side begin at places of their own.
    let begin = std::process::id() as usize * 389;
    loop {
        let given = GIVEN.fetch_add(usize::from(count), Ordering::Relaxed);
        let first = u16::try_from(FREE_PORTS.start + (begin + given) % FREE_PORTS.len()).unwrap();
        if (first..first + count).all(|port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

/// The port on which Ingresses are served.
pub(crate) fn ingress_port() -> u16 {
    if first_port() <= 80 { 80 } else { 8080 }
}

/// The port on which those with certificates are served, too.
pub(crate) fn ingress_tls_port() -> u16 {
    if first_port() <= 443 { 443 } else { 8443 }
}

/// The lowest that is not root's alone.
fn first_port() -> u16 {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    first.trim().parse().unwrap()
}

/// The ports of Ingresses are there once on a machine: tests take turns at them. `None` (and a skip) while somebody else
/// has one.
pub(crate) fn ingress_turn() -> Option<std::sync::MutexGuard<'static, ()>> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for port in [ingress_port(), ingress_tls_port()] {
        let is_free = || std::net::TcpListener::bind(("0.0.0.0", port)).is_ok();
        if !comes_true(Duration::from_secs(10), is_free) {
            skip(&format!("port {port} is in use on this machine"));
            return None;
        }
    }
    Some(turn)
}
