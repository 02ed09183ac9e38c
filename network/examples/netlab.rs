//! A container's network without the container, for tests and measurements: `netlab up` does what a monitor does, the
//! other words are the programs around it.

#![expect(clippy::print_stdout, reason = "a program of its own, not part of creel")]

use std::convert::Infallible;
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use network::{Addresses, UplinkKind};

type Outcome = Result<(), Box<dyn Error>>;

const CLONE_NEWNET: u64 = 0x4000_0000;

fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["forwarder", plan] => Ok(network::forward(plan)?),
        ["uplink", rest @ ..] => {
            network::uplink_main(rest.iter().map(|word| (*word).to_owned()));
            Ok(())
        }
        ["network-holder", channel, _] => {
            network::holder_main(channel.parse()?);
            Ok(())
        }
        ["up", uplink, rest @ ..] => up(uplink, rest),
        ["member", dir] => member(dir.as_ref()),
        ["lookup", server, name] => lookup(server.parse()?, name),
        ["balance", port] => balance(port.parse()?),
        ["serve", protocol, address] => serve(protocol, address.parse()?),
        ["ask", protocol, address] => ask(protocol, address.parse()?),
        ["greet", address] => greet(address.parse()?),
        ["request", address, path] => request(address.parse()?, path),
        ["many", address, count] => many(address.parse()?, count.parse()?),
        ["sink", address] => sink(address.parse()?),
        ["pump", address, connections, seconds] => pump(address.parse()?, connections.parse()?, seconds.parse()?),
        ["rate", address, connections, seconds] => rate(address.parse()?, connections.parse()?, seconds.parse()?),
        _ => Err("netlab up UPLINK[:OPTIONS] [-p PORT]... | serve | ask | greet | many | sink | pump | rate | balance"
            .into()),
    }
}

/// A namespace, its uplink (`slirp4netns[:..]`, `pasta[:..]` or `none`) and its published ports, until standard input
/// ends.
fn up(uplink: &str, rest: &[&str]) -> Outcome {
    let mut mappings = Vec::new();
    for pair in rest.chunks(2) {
        let ["-p", port] = pair else { return Err("only -p PORT".into()) };
        mappings.push(network::parse_publish(port)?);
    }
    let mut ports = network::Published::bind(&mappings)?;
    let init = namespace()?;
    let netns = std::fs::File::open(format!("/proc/{}/ns/net", init.pid))?;
    let (name, options) = uplink.split_once(':').unwrap_or((uplink, ""));
    let options: Vec<String> = options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
    let started = Instant::now();
    let mut uplink = match name {
        "none" => None,
        name => Some(network::start_uplink(name.parse::<UplinkKind>()?, &options, init.pid, netns.as_fd())?),
    };
    let addresses = uplink.as_mut().map_or_else(|| Ok(Addresses::default()), |uplink| uplink.ready())?;
    let took = started.elapsed();
    ports.serve(forwarder_program(), netns.as_fd(), &addresses)?;
    let warning = uplink.as_ref().and_then(|uplink| uplink.warning.clone());
    let process = uplink.as_ref().and_then(|uplink| uplink.process()).map(|process| process.pid);
    let report = serde_json::json!({
        "pid": init.pid, "addresses": addresses, "ports": ports.mappings(), "warning": warning, "uplink": process,
        "forwarder": ports.forwarder().map(|forwarder| forwarder.pid()), "microseconds": took.as_micros() as u64,
    });
    println!("{report}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(ports);
    drop(uplink);
    init.pidfd.signal(9)?;
    init.pidfd.wait()?;
    Ok(())
}

fn forwarder_program() -> Command {
    let mut program = Command::new("/proc/self/exe");
    program.arg0("netlab").arg("forwarder");
    program
}

/// A member of a named network, in a store of its own. Obeys `publish NAME ADDRESS..`, `withdraw`, `heal` and `leave`
/// until standard input ends, and answers each with a line.
fn member(dir: &std::path::Path) -> Outcome {
    let dirs = storage::Dirs { root: dir.join("root"), runroot: dir.join("run"), tmp: dir.join("tmp") };
    let store = storage::Store::open(dirs, storage::StoreOptions::default())?;
    let networks = network::Networks::new(&store, None, &dir.join("userns"));
    let ipam = [("driver".to_owned(), "host-local".to_owned())].into();
    let wanted = network::Network {
        name: "lab".into(),
        driver: "bridge".into(),
        dns: true,
        ipv6: true,
        ipam,
        ..Default::default()
    };
    let network = networks.create(wanted)?;
    let init = namespace()?;
    let member = network::Member {
        id: "one".into(),
        name: "one".into(),
        names: vec!["one".into(), "alias".into()],
        process: sys::process::Process::of(init.pid)?,
        interface: "eth0".into(),
        given: network::Given::default(),
        dns: Vec::new(),
        egress: None,
    };
    let netns = std::fs::File::open(format!("/proc/{}/ns/net", init.pid))?;
    let started = Instant::now();
    let (mut link, endpoint) = networks.join(&network, &member, netns.as_fd())?;
    let took = started.elapsed();
    println!(
        "{}",
        serde_json::json!({ "pid": init.pid, "endpoint": endpoint, "microseconds": took.as_micros() as u64 })
    );
    for line in std::io::stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["publish", name, addresses @ ..] => {
                let addresses = addresses.iter().map(|address| address.parse()).collect::<Result<_, _>>()?;
                let names = vec![network::ZoneName { name: (*name).to_owned(), addresses, ..Default::default() }];
                link.publish(&network::Zone { owner: "lab".into(), names, ..Default::default() })?;
            }
            ["withdraw"] => link.withdraw("lab")?,
            ["heal"] => link = networks.heal(&network)?,
            ["leave"] => networks.leave("lab", "one")?,
            _ => return Err("publish NAME ADDRESS.. | withdraw | heal | leave".into()),
        }
        println!("{}", serde_json::json!({ "members": networks.state("lab")?.members.len() }));
    }
    drop(link);
    init.pidfd.signal(9)?;
    init.pidfd.wait()?;
    Ok(())
}

/// Asks a name server for the IPv4 addresses of a name: prints its code, then the addresses in the order of the answer.
fn lookup(server: SocketAddr, name: &str) -> Outcome {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut question = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    socket.send_to(&question, server)?;
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer)?;
    let records = buffer[question.len()..length].chunks_exact(16);
    let addresses: Vec<String> =
        records.map(|record| format!("{}.{}.{}.{}", record[12], record[13], record[14], record[15])).collect();
    println!("{} {}", buffer[3] & 15, addresses.join(" "));
    Ok(())
}

/// A process in a network namespace of its own.
fn namespace() -> std::io::Result<sys::clone::Child> {
    let (up, up_child) = rustix::pipe::pipe()?;
    let request = sys::clone::CloneRequest { namespaces: CLONE_NEWNET, cgroup: None };
    let child = sys::clone::clone_child(&request, || -> Infallible {
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        let _ = sys::net::loopback_up();
        let _ = rustix::io::write(&up_child, b"1");
        loop {
            sys::signals::pause();
        }
    })?;
    rustix::io::read(&up, &mut [0; 1])?;
    Ok(child)
}

/// A forwarder over two namespaces, changed while it runs: reads `both`, `first`, `second`, `none` from standard
/// input and answers `ok`.
fn balance(port: u16) -> Outcome {
    let listen =
        || -> Result<_, network::Error> { network::bind(&[network::parse_publish(&format!("127.0.0.1::{port}"))?]) };
    let (listeners, routed) = (listen()?, listen()?);
    let (one, other) = (namespace()?, namespace()?);
    let forwarder = network::Forwarder::start(forwarder_program())?;
    for (id, init) in [(1, &one), (2, &other)] {
        let netns = std::fs::File::open(format!("/proc/{}/ns/net", init.pid))?;
        let place = network::Place { ipv4: Some([127, 0, 0, 1].into()), ..network::Place::default() };
        forwarder.place(id, place, netns.as_fd())?;
    }
    let backend = |place| network::Backend { place, port, address: None };
    let group = |places: &[u32]| network::Group {
        protocol: network::Protocol::Tcp,
        backends: places.iter().copied().map(backend).collect(),
        sticky: None,
        sources: Vec::new(),
    };
    forwarder.group(7, group(&[]))?;
    forwarder.listen(7, &[listeners[0].fd.as_fd()])?;
    let rule = |path: &str, group| network::Rule {
        host: None,
        path: path.into(),
        path_match: network::PathMatch::Prefix,
        group,
        https: None,
    };
    forwarder.group(1, group(&[1]))?;
    forwarder.group(2, group(&[2]))?;
    forwarder.router(9, vec![rule("/first", 1), rule("/second", 2), rule("/none", 7)], Vec::new())?;
    forwarder.listen(9, &[routed[0].fd.as_fd()])?;
    println!("{} {} {} {}", one.pid, other.pid, listeners[0].mapping.host_port, routed[0].mapping.host_port);
    for line in std::io::stdin().lines() {
        match line?.as_str() {
            "both" => forwarder.group(7, group(&[1, 2]))?,
            "first" => forwarder.group(7, group(&[1]))?,
            "second" => forwarder.group(7, group(&[2]))?,
            "forget" => forwarder.forget(2)?,
            "close" => forwarder.close(7)?,
            _ => forwarder.group(7, group(&[]))?,
        }
        println!("ok");
    }
    for init in [one, other] {
        init.pidfd.signal(9)?;
        init.pidfd.wait()?;
    }
    Ok(())
}

/// Answers every client with the address it sees and its own namespace, then echoes. Says `ready` once.
fn serve(protocol: &str, address: SocketAddr) -> Outcome {
    let own = std::fs::read_link("/proc/self/ns/net")?.display().to_string();
    if protocol == "udp" {
        let socket = UdpSocket::bind(address)?;
        println!("ready");
        let mut buffer = vec![0; 65536];
        loop {
            let (length, peer) = socket.recv_from(&mut buffer)?;
            let text = String::from_utf8_lossy(&buffer[..length.min(64)]).into_owned();
            socket.send_to(format!("{peer} {own} {text}").as_bytes(), peer)?;
        }
    }
    let listener = TcpListener::bind(address)?;
    println!("ready");
    for stream in listener.incoming() {
        std::thread::spawn(move || -> std::io::Result<()> {
            let mut stream = stream?;
            let own = std::fs::read_link("/proc/self/ns/net")?.display().to_string();
            writeln!(stream, "{} {own}", stream.peer_addr()?)?;
            std::io::copy(&mut stream.try_clone()?, &mut stream)?;
            Ok(())
        });
    }
    Ok(())
}

/// One exchange: prints the client's own address and what the server says.
fn ask(protocol: &str, address: SocketAddr) -> Outcome {
    if protocol == "udp" {
        let any = if address.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(3)))?;
        socket.send(b"hello")?;
        let mut buffer = vec![0; 65536];
        let length = socket.recv(&mut buffer)?;
        println!("{} {}", socket.local_addr()?, String::from_utf8_lossy(&buffer[..length]));
        return Ok(());
    }
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(15)))?;
    let own = stream.local_addr()?;
    // Half of the connection ends before the answer has come.
    let sent = vec![b'x'; 3 << 20];
    let mut writer = stream.try_clone()?;
    let sender = std::thread::spawn(move || -> std::io::Result<()> {
        writer.write_all(&sent)?;
        writer.shutdown(std::net::Shutdown::Write)
    });
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    sender.join().map_err(|_| "the sender died")??;
    let end = answer.iter().position(|byte| *byte == b'\n').ok_or("no answer")?;
    if answer.len() - end - 1 != 3 << 20 {
        return Err(format!("{} bytes came back", answer.len() - end - 1).into());
    }
    println!("{own} {}", String::from_utf8_lossy(&answer[..end]));
    Ok(())
}

/// One request over HTTP: prints all that comes back.
fn request(address: SocketAddr, path: &str) -> Outcome {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: example\r\nConnection: keep-alive\r\n\r\n");
    // In pieces, as a slow client's would come.
    for piece in head.as_bytes().chunks(20) {
        stream.write_all(piece)?;
        stream.flush()?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    print!("{answer}");
    Ok(())
}

/// The first line of what a server says.
fn greet(address: SocketAddr) -> Outcome {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    print!("{line}");
    Ok(())
}

/// Holds `count` connections at once, and uses each.
fn many(address: SocketAddr, count: usize) -> Outcome {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, all)?;
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(address)?);
    }
    for stream in &mut streams {
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(b"ping")?;
    }
    for stream in &mut streams {
        let mut seen = Vec::new();
        let mut buffer = [0; 256];
        while !seen.ends_with(b"ping") {
            match stream.read(&mut buffer)? {
                0 => return Err("a connection ended early".into()),
                length => seen.extend_from_slice(&buffer[..length]),
            }
        }
    }
    println!("{count}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Reads and forgets; a connection that begins with `e` is echoed.
fn sink(address: SocketAddr) -> Outcome {
    let listener = TcpListener::bind(address)?;
    println!("ready");
    for stream in listener.incoming() {
        std::thread::spawn(move || -> std::io::Result<()> {
            let mut stream = stream?;
            stream.set_nodelay(true)?;
            let mut buffer = vec![0; 256 << 10];
            loop {
                match stream.read(&mut buffer)? {
                    0 => return Ok(()),
                    length if buffer[0] == b'e' => stream.write_all(&buffer[..length])?,
                    _ => {}
                }
            }
        });
    }
    Ok(())
}

/// Throughput in Gbit/s over so many connections.
fn pump(address: SocketAddr, connections: usize, seconds: u64) -> Outcome {
    let until = Instant::now() + Duration::from_secs(seconds);
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            std::thread::spawn(move || -> std::io::Result<u64> {
                let mut stream = TcpStream::connect(address)?;
                let data = vec![b'x'; 128 << 10];
                let mut sent = 0;
                while Instant::now() < until {
                    sent += stream.write(&data)? as u64;
                }
                Ok(sent)
            })
        })
        .collect();
    let mut sent = 0;
    for thread in threads {
        sent += thread.join().map_err(|_| "a sender died")??;
    }
    println!("{:.2}", sent as f64 * 8.0 / 1e9 / seconds as f64);
    Ok(())
}

/// New connections with one exchange each, per second.
fn rate(address: SocketAddr, connections: usize, seconds: u64) -> Outcome {
    let until = Instant::now() + Duration::from_secs(seconds);
    let threads: Vec<_> = (0..connections)
        .map(|_| {
            std::thread::spawn(move || -> std::io::Result<u64> {
                let mut done = 0;
                while Instant::now() < until {
                    let mut stream = TcpStream::connect(address)?;
                    stream.write_all(b"echo")?;
                    stream.read_exact(&mut [0; 4])?;
                    done += 1;
                }
                Ok(done)
            })
        })
        .collect();
    let mut done = 0;
    for thread in threads {
        done += thread.join().map_err(|_| "a client died")??;
    }
    println!("{}", done / seconds);
    Ok(())
}
