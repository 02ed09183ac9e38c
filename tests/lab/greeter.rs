//! A service of the host.

use std::io::{Read, Write};
use std::net::TcpListener;

/// Says this to whoever comes, at all IPv4 addresses of the host. The port.
pub(crate) fn greeter(greeting: &'static str) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(greeting.as_bytes());
            let _ = stream.read(&mut [0; 1]);
        }
    });
    port
}
