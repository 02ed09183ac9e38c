//! This very test binary as a program inside of a container, for what busybox has no word for. It is static, so it runs
//! in any root file system.

use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::OnceLock;

use super::base;

/// The flags of `run` that bring the program in and tell it what to do.
pub(crate) fn flags(task: &str) -> String {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    let copy = COPY.get_or_init(|| {
        let copy = base().join("probe");
        std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        copy
    });
    format!("-v {}:/probe:ro -e 'CREEL_TEST_PROBE={task}'", copy.display())
}

/// The command that goes with [`flags`].
pub(crate) const COMMAND: &str = "/probe --exact lab::probe::inside --nocapture";

/// Not a test of its own: what the program does inside.
#[test]
fn inside() {
    let Ok(task) = std::env::var("CREEL_TEST_PROBE") else { return };
    let mut words = task.split(' ');
    match words.next().unwrap() {
        "udp-echo" => {
            let port: u16 = words.next().unwrap().parse().unwrap();
            let socket = UdpSocket::bind(("0.0.0.0", port)).unwrap();
            let mut buffer = [0; 65536];
            loop {
                let (count, from) = socket.recv_from(&mut buffer).unwrap();
                socket.send_to(&buffer[..count], from).unwrap();
            }
        }
        "tcp-echo" => {
            let port: u16 = words.next().unwrap().parse().unwrap();
            for stream in TcpListener::bind(("0.0.0.0", port)).unwrap().incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        }
        other => panic!("no task {other}"),
    }
}
