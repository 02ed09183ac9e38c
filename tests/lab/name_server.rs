//! Name servers of the host.

use std::net::{Ipv4Addr, UdpSocket};

/// One on an address of the host's loopback, to which every name leads to `leads_to`. False, and a skip: it cannot be.
pub(crate) fn name_server(address: &str, leads_to: &str) -> bool {
    let octets = leads_to.parse::<Ipv4Addr>().unwrap().octets();
    serve(address, move |question| {
        let mut answer = question.to_vec();
        let asks_for_a = answer[question.len() - 3] == 1;
        (answer[2], answer[3], answer[7]) = (0x81, 0x80, u8::from(asks_for_a));
        (answer[9], answer[11]) = (0, 0);
        if asks_for_a {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(octets);
        }
        answer
    })
}

/// One that can find nothing out: SERVFAIL.
pub(crate) fn helpless_name_server(address: &str) -> bool {
    serve(address, |question| {
        let mut answer = question.to_vec();
        (answer[2], answer[3]) = (0x81, 0x82);
        answer
    })
}

fn serve(address: &str, answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> bool {
    let Ok(socket) = UdpSocket::bind((address, 53)) else {
        super::skip("port 53 cannot be had");
        return false;
    };
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&answer(&buffer[..length]), client);
        }
    });
    true
}
