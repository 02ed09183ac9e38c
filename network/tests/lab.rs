//! The network of a container on a real kernel: a host, a client beside it and a container, each in a namespace of
//! its own that the test makes and that ends with it. Runs as any user that may make user namespaces.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests: a panic is the report, and a skip has to be seen"
)]

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

#[path = "lab/stack.rs"]
mod stack;

const HOST4: &str = "198.51.100.1";
const CLIENT4: &str = "198.51.100.2";
const HOST6: &str = "2001:db8:1::1";
const CLIENT6: &str = "2001:db8:1::2";

fn netlab() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.set_file_name("examples");
    path.join("netlab")
}

/// Says why and returns false where something that a test needs is missing.
fn has(programs: &[&str]) -> bool {
    let places = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"];
    for program in programs {
        if !places.iter().any(|place| PathBuf::from(place).join(program).exists()) {
            eprintln!("SKIPPED: {program} is not installed");
            return false;
        }
    }
    let works = Command::new("unshare").args(["--user", "--map-root-user", "--net", "true"]).status();
    if !works.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: this user cannot make user namespaces");
        return false;
    }
    if !PathBuf::from("/dev/net/tun").exists() {
        eprintln!("SKIPPED: there is no /dev/net/tun");
        return false;
    }
    true
}

/// A process that is killed with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn spawn(command: &mut Command) -> Running {
        Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

/// A network namespace and the user namespace it belongs to, held by a process.
struct Namespace(Running);

impl Namespace {
    fn pid(&self) -> u32 {
        self.0.0.id()
    }

    fn command(&self, words: &[&str]) -> Command {
        enter(self.pid(), words)
    }

    fn run(&self, words: &[&str]) -> String {
        let output = self.command(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn ip(&self, line: &str) -> String {
        self.run(&["ip"].into_iter().chain(line.split(' ')).collect::<Vec<_>>())
    }

    fn lab(&self, words: &[&str]) -> Result<String, String> {
        let lab = netlab();
        let output = self.command(&[&[lab.to_str().unwrap()], words].concat()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

fn enter(pid: u32, words: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid.to_string(), "-U", "-n", "--preserve-credentials", "--"]).args(words);
    command
}

fn hold(command: &mut Command) -> Namespace {
    let mut held = Running::spawn(command);
    // The word comes from inside the new namespaces.
    assert_eq!(held.first_line(), "here");
    Namespace(held)
}

const STAY: [&str; 3] = ["sh", "-c", "echo here; exec sleep 1000"];

/// A host that knows the client beside it and nothing else: it has no default route.
struct Lab {
    host: Namespace,
    client: Namespace,
}

impl Lab {
    fn new() -> Lab {
        let host = hold(Command::new("unshare").args(["--user", "--map-root-user", "--net"]).args(STAY));
        let client = hold(host.command(&["unshare", "--net"]).args(STAY));
        host.ip("link set lo up");
        host.ip(&format!("link add h0 type veth peer name c0 netns {}", client.pid()));
        for (side, interface, v4, v6) in [(&host, "h0", HOST4, HOST6), (&client, "c0", CLIENT4, CLIENT6)] {
            side.ip(&format!("addr add {v4}/24 dev {interface}"));
            side.ip(&format!("addr add {v6}/64 dev {interface} nodad"));
            side.ip(&format!("link set {interface} up"));
        }
        Lab { host, client }
    }

    /// As a monitor does it: a user namespace that has no power over the host's network.
    fn up(&self, words: &[&str]) -> Up {
        let lab = netlab();
        let mut command = self.host.command(&["unshare", "--user", "--map-root-user", lab.to_str().unwrap(), "up"]);
        let mut process = Running::spawn(command.args(words));
        let line = process.first_line();
        let report = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        Up { process, report }
    }

    /// In a place where /proc/sys cannot be written, as inside a container.
    fn up_with_read_only_sysctls(&self, words: &[&str]) -> Up {
        let lab = netlab();
        let script = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec \"$@\"";
        let mut command =
            self.host.command(&["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        let mut process = Running::spawn(command.args([lab.to_str().unwrap(), "up"]).args(words));
        let line = process.first_line();
        let report = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        Up { process, report }
    }

    fn up_error(&self, words: &[&str]) -> String {
        let lab = netlab();
        let mut command = self.host.command(&["unshare", "--user", "--map-root-user", lab.to_str().unwrap(), "up"]);
        let output = command.args(words).stdin(Stdio::null()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

struct Up {
    process: Running,
    report: serde_json::Value,
}

impl Drop for Up {
    /// What it has started ends with it, a moment later, and holds the ports until then.
    fn drop(&mut self) {
        let _ = self.process.0.kill();
        let _ = self.process.0.wait();
        let number = |pointer: &str| self.report.pointer(pointer).and_then(serde_json::Value::as_u64);
        let is_there = |pid: u64| {
            std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|text| !text.contains("\nState:\tZ"))
        };
        let until = Instant::now() + Duration::from_secs(30);
        for pid in ["/uplink", "/forwarder"].into_iter().filter_map(number) {
            while is_there(pid) && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

impl Up {
    fn pid(&self) -> u32 {
        self.number("/pid") as u32
    }

    fn number(&self, pointer: &str) -> u64 {
        self.report.pointer(pointer).and_then(|value| value.as_u64()).unwrap()
    }

    fn text(&self, pointer: &str) -> &str {
        self.report.pointer(pointer).and_then(|value| value.as_str()).unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        enter(self.pid(), words)
    }

    fn serve(&self, protocol: &str, address: &str) -> Running {
        let lab = netlab();
        let mut server = Running::spawn(&mut self.command(&[lab.to_str().unwrap(), "serve", protocol, address]));
        assert_eq!(server.first_line(), "ready");
        server
    }
}

/// What the server saw when `from` asked, and what `from` was.
fn seen(from: &Namespace, protocol: &str, address: &str) -> (String, String) {
    let answer = from.lab(&["ask", protocol, address]).unwrap_or_else(|error| panic!("{protocol} {address}: {error}"));
    let mut words = answer.split(' ').map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

fn assert_sees_client(lab: &Lab, protocol: &str, server: &str, has_ipv6: bool) {
    let (own, seen4) = seen(&lab.client, protocol, &format!("{HOST4}:8080"));
    assert!(own.starts_with(CLIENT4));
    assert_eq!(own, seen4, "{protocol} to {server}");
    let (own, seen6) = seen(&lab.client, protocol, &format!("[{HOST6}]:8080"));
    assert!(own.starts_with(&format!("[{CLIENT6}]")));
    if has_ipv6 {
        assert_eq!(own, seen6, "{protocol} to {server}");
    } else {
        assert!(seen6.starts_with("10.0.2.2:"), "{protocol} to {server}: {seen6}");
    }
}

#[test]
fn a_server_behind_each_stack_sees_the_real_client() {
    if !has(&["slirp4netns", "ip", "nsenter", "unshare"]) {
        return;
    }
    for stack in ["creel", "slirp4netns"] {
        // A forwarder ends a moment after its parent: each stack has a host of its own.
        let lab = Lab::new();
        sees_the_real_client(&lab, &lab.up(&[stack, "-p", "8080:80", "-p", "8080:80/udp"]));
    }
}

fn sees_the_real_client(lab: &Lab, up: &Up) {
    for protocol in ["tcp", "udp"] {
        for (address, has_ipv6) in [("0.0.0.0:80", false), ("10.0.2.100:80", false)] {
            let _server = up.serve(protocol, address);
            assert_sees_client(lab, protocol, address, has_ipv6);
        }
    }
    // One socket for both families shows IPv4 clients in its own way.
    let _server = up.serve("tcp", "[::]:80");
    let (own, seen4) = seen(&lab.client, "tcp", &format!("{HOST4}:8080"));
    assert_eq!(format!("[::ffff:{}", own.replace(':', "]:")), seen4);
    let (own, seen6) = seen(&lab.client, "tcp", &format!("[{HOST6}]:8080"));
    assert_eq!(own, seen6);
    let _server = up.serve("udp", "[::]:80");
    let (own, seen6) = seen(&lab.client, "udp", &format!("[{HOST6}]:8080"));
    assert_eq!(own, seen6);
}

#[test]
fn without_sysctls_the_real_client_is_seen_too() {
    if !has(&["ip", "nsenter", "unshare", "mount"]) {
        return;
    }
    let lab = Lab::new();
    let up = lab.up_with_read_only_sysctls(&["creel", "-p", "8080:80", "-p", "8080:80/udp"]);
    for protocol in ["tcp", "udp"] {
        let _server = up.serve(protocol, "0.0.0.0:80");
        assert_sees_client(&lab, protocol, "0.0.0.0:80", false);
    }
    let words = "ip rule".split(' ').collect::<Vec<_>>();
    let rules = String::from_utf8_lossy(&up.command(&words).output().unwrap().stdout).into_owned();
    assert!(rules.contains("ipproto tcp sport 80") && !rules.contains("fwmark"), "{rules}");
}

#[test]
fn a_client_on_the_host_is_the_hosts_alias() {
    if !has(&["ip", "nsenter", "unshare"]) {
        return;
    }
    let lab = Lab::new();
    let up = lab.up(&["creel", "-p", "8080:80", "-p", "8080:80/udp"]);
    for protocol in ["tcp", "udp"] {
        let _server = up.serve(protocol, "0.0.0.0:80");
        for address in ["127.0.0.1:8080", "[::1]:8080"] {
            let (own, seen) = seen(&lab.host, protocol, address);
            assert_eq!(seen.rsplit_once(':').unwrap(), ("10.0.2.2", own.rsplit_once(':').unwrap().1));
        }
        let (own, seen) = seen(&lab.host, protocol, &format!("{HOST4}:8080"));
        assert_eq!(own, seen);
    }
}

#[test]
fn pasta_works_like_slirp() {
    if !has(&["pasta", "ip", "nsenter", "unshare"]) {
        return;
    }
    let lab = Lab::new();
    lab.host.ip(&format!("route add default via {CLIENT4}"));
    lab.host.ip(&format!("-6 route add default via {CLIENT6}"));
    let up = lab.up(&["pasta", "-p", "8080:80", "-p", "8080:80/udp"]);
    let own = up.text("/addresses/ipv4").to_owned();
    assert_eq!(up.text("/addresses/dns/0"), "169.254.1.1");
    for protocol in ["tcp", "udp"] {
        for address in ["0.0.0.0:80".to_owned(), format!("{own}:80")] {
            let _server = up.serve(protocol, &address);
            let (client, seen4) = seen(&lab.client, protocol, &format!("{HOST4}:8080"));
            assert_eq!(client, seen4);
            let (_, local) = seen(&lab.host, protocol, "127.0.0.1:8080");
            assert!(!local.starts_with("127."), "{local}");
            // Where pasta copies the host's address, this client has the container's own.
            seen(&lab.host, protocol, &format!("{HOST4}:8080"));
        }
    }
}

#[test]
fn each_stack_starts_on_a_host_without_a_network() {
    if !has(&["slirp4netns", "pasta", "ip", "nsenter", "unshare"]) {
        return;
    }
    let lab = Lab::new();
    lab.host.ip("link set h0 down");
    for stack in ["creel", "slirp4netns"] {
        assert_eq!(lab.up(&[stack]).text("/addresses/ipv4"), "10.0.2.100");
    }
    let up = lab.up(&["pasta"]);
    // An old pasta refuses; the container then has loopback, and a warning says so.
    assert!(up.report["warning"].is_string() || up.text("/addresses/ipv4") == "10.0.2.100", "{}", up.report);
}

#[test]
fn a_program_inside_reaches_out() {
    if !has(&["slirp4netns", "pasta", "ip", "nsenter", "unshare"]) {
        return;
    }
    let lab = Lab::new();
    let program = netlab();
    let address = format!("{CLIENT4}:7000");
    let mut server = Running::spawn(&mut lab.client.command(&[program.to_str().unwrap(), "serve", "tcp", &address]));
    assert_eq!(server.first_line(), "ready");
    for uplink in ["creel", "slirp4netns", "pasta"] {
        if uplink == "pasta" {
            lab.host.ip(&format!("route add default via {CLIENT4}"));
        }
        let up = lab.up(&[uplink, "-p", "80"]);
        // No more than a line: pasta of Debian 12 loses the end of a half-closed connection and repeats data.
        let output = up.command(&[program.to_str().unwrap(), "greet", &address]).output().unwrap();
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            answer.starts_with(&format!("{HOST4}:")),
            "{uplink}: {answer} {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn nobody_listening_is_a_refusal_at_once() {
    if !has(&["ip", "nsenter", "unshare"]) {
        return;
    }
    let lab = Lab::new();
    let up = lab.up(&["creel", "-p", "8080:80", "-p", "8081:81"]);
    let _local = up.serve("tcp", "127.0.0.1:81");
    // What listens on the container's loopback is not published, as with Podman.
    for address in [format!("{HOST4}:8080"), format!("[{HOST6}]:8080"), format!("{HOST4}:8081")] {
        let started = Instant::now();
        let error = lab.client.lab(&["ask", "tcp", &address]).unwrap_err();
        assert!(error.contains("reset") || error.contains("Reset"), "{error}");
        // Who gets no answer asks for two minutes.
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    }
}

#[test]
fn a_udp_server_still_talks_to_others_from_its_port() {
    if !has(&["ip", "nsenter", "unshare"]) {
        return;
    }
    let lab = Lab::new();
    let up = lab.up(&["creel", "-p", "8080:80/udp"]);
    let _server = up.serve("udp", "0.0.0.0:80");
    seen(&lab.client, "udp", &format!("{HOST4}:8080"));
    let route = |to: &str| {
        let words = format!("ip route get {to} ipproto udp sport 80 dport 53");
        let output = up.command(&words.split(' ').collect::<Vec<_>>()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(route(CLIENT4).contains("dev lo"), "{}", route(CLIENT4));
    assert!(route("198.51.100.77").contains("dev eth0"), "{}", route("198.51.100.77"));
}

#[test]
fn thousands_of_connections_at_once() {
    if !has(&["ip", "nsenter", "unshare"]) {
        return;
    }
    let lab = Lab::new();
    let up = lab.up(&["creel", "-p", "8080:80"]);
    let _server = up.serve("tcp", "0.0.0.0:80");
    let program = netlab();
    let words = [program.to_str().unwrap(), "many", &format!("{HOST4}:8080"), "2000"];
    let mut many = Running::spawn(&mut lab.client.command(&words));
    assert_eq!(many.first_line(), "2000");
    let fds = std::fs::read_dir(format!("/proc/{}/fd", up.number("/forwarder"))).unwrap().count();
    assert!(fds < 4200, "idle connections hold no pipes, but there are {fds} descriptors");
    drop(many);
    wait_for("the connections to be given up", || {
        std::fs::read_dir(format!("/proc/{}/fd", up.number("/forwarder"))).unwrap().count() < 64
    });
    // Idle means asleep.
    let switches = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", up.number("/forwarder"))).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt")).unwrap().to_owned();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let mut woken = Vec::new();
    while woken.last().is_none_or(|count| *count > 2) {
        // The last of the connections may still be on their way out.
        assert!(woken.len() < 5, "{woken:?}");
        let before = switches();
        std::thread::sleep(Duration::from_secs(3));
        woken.push(switches() - before);
    }
}

/// Polls: there is no event for what another process has closed.
fn wait_for(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < until, "waited for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nothing_outlives_the_monitor() {
    if !has(&["slirp4netns", "pasta", "ip", "nsenter", "unshare"]) {
        return;
    }
    let lab = Lab::new();
    lab.host.ip(&format!("route add default via {CLIENT4}"));
    for uplink in ["creel", "slirp4netns", "pasta"] {
        let up = lab.up(&[uplink, "-p", "8080:80"]);
        let children = [up.number("/uplink"), up.number("/forwarder")];
        // It is killed with SIGKILL: no destructor runs there.
        drop(up);
        wait_for("the children to end", || {
            children.iter().all(|pid| {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                stat.is_empty() || stat.contains(") Z ")
            })
        });
    }
}

#[test]
fn ports_that_cannot_be_had_are_named() {
    if !has(&["ip", "nsenter", "unshare"]) {
        return;
    }
    let lab = Lab::new();
    let error = lab.up_error(&["none", "-p", "80:80"]);
    assert!(error.contains("PortPrivileged") && error.contains("first: 1024"), "{error}");
    let _up = lab.up(&["none", "-p", "8080:80"]);
    let error = lab.up_error(&["none", "-p", "8080:80"]);
    assert!(error.contains("PortInUse") && error.contains("0.0.0.0:8080"), "{error}");
    let error = lab.up_error(&["none", "-p", "203.0.113.7:8080:80"]);
    assert!(error.contains("Listen") && error.contains("203.0.113.7"), "{error}");
}

struct Balance {
    _process: Running,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Balance {
    fn tell(&mut self, word: &str) {
        writeln!(self.input, "{word}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        assert_eq!(answer, "ok\n");
    }
}

#[test]
fn back_ends_change_while_it_runs() {
    if !has(&["ip", "nsenter", "unshare"]) {
        return;
    }
    let lab = Lab::new();
    let program = netlab();
    let mut process = Running::spawn(&mut lab.host.command(&[program.to_str().unwrap(), "balance", "80"]));
    let (input, output) = (process.0.stdin.take().unwrap(), process.0.stdout.take().unwrap());
    let mut output = BufReader::new(output);
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let numbers: Vec<u32> = line.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect();
    let [one, other, port, routed] = numbers[..] else { panic!("{line}") };
    let mut balance = Balance { _process: process, input, output };
    let serve = |pid: u32| {
        let mut server = Running::spawn(&mut enter(pid, &[program.to_str().unwrap(), "serve", "tcp", "0.0.0.0:80"]));
        assert_eq!(server.first_line(), "ready");
        server
    };
    let (first, _second) = (serve(one), serve(other));
    let address = format!("127.0.0.1:{port}");
    let ask = || lab.host.lab(&["ask", "tcp", &address]).map(|answer| answer.rsplit_once(' ').unwrap().1.to_owned());

    assert!(ask().is_err(), "no back end yet");
    balance.tell("both");
    let answers: Vec<String> = (0..4).map(|_| ask().unwrap()).collect();
    assert_ne!(answers[0], answers[1], "in turn");
    assert_eq!((&answers[0], &answers[1]), (&answers[2], &answers[3]));
    balance.tell("second");
    let second = ask().unwrap();
    assert_eq!(ask().unwrap(), second);
    balance.tell("first");
    assert_ne!(ask().unwrap(), second);
    // One that is down is passed over.
    balance.tell("both");
    drop(first);
    for _ in 0..4 {
        assert_eq!(ask().unwrap(), second);
    }
    // Requests find their servers by their paths, each with the client's own address.
    let routed = format!("127.0.0.1:{routed}");
    let get = |path: &str| lab.host.lab(&["request", &routed, path]).unwrap();
    let answer = get("/second/x");
    assert!(answer.contains(&second) && answer.contains("GET /second/x HTTP/1.1"), "{answer}");
    assert!(answer.contains("X-Forwarded-For: 127.0.0.1") && answer.contains("Connection: close"), "{answer}");
    assert!(get("/first").starts_with("HTTP/1.1 503 "), "its server is down");
    assert!(get("/elsewhere").starts_with("HTTP/1.1 404 "));
    balance.tell("forget");
    assert!(ask().is_err());
    balance.tell("close");
}

/// A member of a named network, on the host of a lab.
struct Named {
    process: Running,
    report: serde_json::Value,
    dir: PathBuf,
}

impl Named {
    fn on(lab: &Lab) -> Named {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("creel-named-{}-{number}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let (program, place) = (netlab(), dir.to_str().unwrap());
        let words = ["unshare", "--user", "--map-root-user", program.to_str().unwrap(), "member", place];
        let mut process = Running::spawn(&mut lab.host.command(&words));
        let line = process.first_line();
        let report = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        Named { process, report, dir }
    }

    fn tell(&mut self, line: &str) -> u64 {
        writeln!(self.process.0.stdin.as_mut().unwrap(), "{line}").unwrap();
        let answer: serde_json::Value = serde_json::from_str(&self.process.first_line()).unwrap();
        answer["members"].as_u64().unwrap()
    }

    fn inside(&self, words: &[&str]) -> String {
        let program = netlab();
        let pid = self.report["pid"].as_u64().unwrap() as u32;
        let output = enter(pid, &[&[program.to_str().unwrap()], words].concat()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn lookup(&self, name: &str) -> String {
        let server = self.report["endpoint"]["dns"][0].as_str().unwrap();
        self.inside(&["lookup", &format!("{server}:53"), name])
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // The end of its input ends the member, and that the holder.
        drop(self.process.0.stdin.take());
        let _ = self.process.0.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn names_that_others_publish_are_found_and_changed_at_once() {
    if !has(&["ip", "nsenter", "unshare"]) {
        return;
    }
    let lab = Lab::new();
    let mut member = Named::on(&lab);
    assert_eq!(member.lookup("one"), "0 10.89.0.2");
    assert_eq!(member.lookup("ALIAS.dns.podman"), "0 10.89.0.2");
    assert_eq!(member.lookup("db.dns.podman"), "3");
    assert_eq!(member.tell("publish db.shop.svc 10.96.0.7 10.96.0.8"), 1);
    let (first, second) = (member.lookup("db.shop.svc"), member.lookup("db.shop.svc"));
    assert_ne!(first, second, "they take turns");
    assert_eq!(first.len(), "0 10.96.0.7 10.96.0.8".len());
    member.tell("publish db.shop.svc 10.96.0.9");
    assert_eq!(member.lookup("db.shop.svc"), "0 10.96.0.9");
    member.tell("publish db.shop.svc");
    assert_eq!(member.lookup("db.shop.svc"), "0", "known, without an address now");
    member.tell("publish db.shop.svc 10.96.0.10");
    // They are kept when the holder is made again.
    let state = std::fs::read_to_string(member.dir.join("run/networks/lab/state.json")).unwrap();
    assert!(state.contains("10.96.0.10"), "{state}");
    member.tell("withdraw");
    // The host of the lab has no name server to ask.
    assert_ne!(member.lookup("db.shop.svc").split(' ').next(), Some("0"));
    assert_eq!(member.tell("leave"), 0);
    assert_eq!(member.lookup("one"), "", "its interface is gone");
}

#[test]
fn a_network_of_the_host_that_comes_later_is_used() {
    if !has(&["slirp4netns", "ip", "nsenter", "unshare"]) {
        return;
    }
    let lab = Lab::new();
    let program = netlab();
    let mut servers = Vec::new();
    for address in [format!("{CLIENT4}:7000"), format!("[{CLIENT6}]:7000")] {
        let words = [program.to_str().unwrap(), "serve", "tcp", &address];
        let mut server = Running::spawn(&mut lab.client.command(&words));
        assert_eq!(server.first_line(), "ready");
        servers.push((server, address));
    }
    lab.host.ip("link set h0 down");
    let begun = Instant::now();
    let member = Named::on(&lab);
    // An uplink that is waited for has half a minute.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(member.inside(&["greet", &servers[0].1]), "");
    lab.host.ip("link set h0 up");
    // What is set down loses its IPv6 addresses.
    lab.host.ip(&format!("addr replace {HOST6}/64 dev h0 nodad"));
    for (_, address) in &servers {
        wait_for(address, || member.inside(&["greet", address]).contains(':'));
    }
}
