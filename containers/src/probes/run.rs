//! A single action, in a process of its own.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::LinkNameSpaceType;
use serde::{Deserialize, Serialize};
use sys::process::Pidfd;

use super::{Action, grpc, http};
use crate::checker;
use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::exec::{Captured, capture};
use crate::spec::ContainerSpec;

/// Bytes of what a failed action says that are kept.
const MAX_MESSAGE: usize = 1024;
/// How long a process may take longer than its action.
const LATE: Duration = Duration::from_secs(2);
/// Where curl is, which speaks TLS for us. The caller's PATH is not asked.
const CURL: [&str; 3] = ["/usr/bin/curl", "/bin/curl", "/usr/local/bin/curl"];

/// What the process is told.
#[derive(Serialize, Deserialize)]
struct Task {
    action: Action,
    timeout: Duration,
}

/// An action that runs. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    end: Pidfd,
    until: Instant,
}

impl Running {
    pub(super) fn spawn(engine: &Engine, container: &Container, action: &Action, timeout: Duration) -> Result<Running> {
        let task = Task { action: action.clone(), timeout };
        let (child, end) = checker::spawn(engine, container, "__probe", task, Stdio::piped())?;
        Ok(Running { child, end, until: Instant::now() + timeout + LATE })
    }

    /// Readable when it has ended.
    pub(super) fn end(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// When it is given up.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Its result, once it has ended or is given up.
    pub(super) fn result(&mut self) -> Option<std::result::Result<(), String>> {
        match self.child.try_wait() {
            Ok(None) if Instant::now() < self.until => None,
            Ok(None) => Some(Err("it did not end in time".into())),
            Ok(Some(status)) if status.success() => Some(Ok(())),
            Ok(Some(_)) | Err(_) => {
                let mut message = String::new();
                if let Some(output) = self.child.stdout.take() {
                    // What is not text is no message.
                    let _ = output.take(MAX_MESSAGE as u64).read_to_string(&mut message);
                }
                Some(Err(message))
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Before the stop signal: the hook, for as long as there is time. How it ends makes no difference, as in Kubernetes.
pub(crate) fn before_stop(engine: &Engine, container: &Container, patience: Duration) {
    let Some(action) = &container.spec().probes.pre_stop else { return };
    let done = Running::spawn(engine, container, action, patience).and_then(|running| {
        let init = container_end(container);
        let end = [running.end(), init.as_ref().map_or(running.end(), AsFd::as_fd)];
        let mut entries: Vec<_> =
            end.iter().map(|fd| rustix::event::PollFd::from_borrowed_fd(*fd, rustix::event::PollFlags::IN)).collect();
        let until = Instant::now() + patience;
        crate::notice::poll_until(&mut entries, Some(until)).map(drop).map_err(Error::io("poll"))
    });
    if let Err(error) = done {
        tracing::warn!(id = %container.id(), %error, "the hook before the end could not run");
    }
}

/// A container that ends by itself ends the wait for its hook.
fn container_end(container: &Container) -> Option<Pidfd> {
    container.state().init().and_then(sys::process::Process::open)
}

/// What the hidden command `__probe` runs.
pub fn probe_main() -> ExitCode {
    // Inherited from the monitor's start where that could do it.
    let _ = sys::exe::seal(&[]);
    let told = checker::told().map_err(|error| error.to_string());
    match told.and_then(|(engine, container, Task { action, timeout })| perform(&engine, &container, &action, timeout))
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let message: String = message.chars().take(MAX_MESSAGE / 4).collect();
            // Whoever asked may be gone.
            let _ = rustix::io::write(rustix::stdio::stdout(), message.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn perform(
    engine: &Engine,
    container: &Container,
    action: &Action,
    timeout: Duration,
) -> std::result::Result<(), String> {
    match action {
        Action::Sleep { seconds } => {
            std::thread::sleep(Duration::from_secs((*seconds).into()).min(timeout));
            Ok(())
        }
        Action::Exec { command } => match capture(engine, container, command.clone(), Some(timeout), MAX_MESSAGE) {
            Ok(Captured { code: Some(0), .. }) => Ok(()),
            Ok(Captured { code: Some(code), output }) => {
                Err(format!("exit code {code}: {}", String::from_utf8_lossy(&output).trim()))
            }
            Ok(Captured { code: None, .. }) => Err(format!("it took longer than {timeout:?}")),
            Err(error) => Err(error.to_string()),
        },
        Action::Tcp { host, port } => {
            enter_network(container)?;
            connect(host.as_deref(), *port, timeout).map(drop)
        }
        Action::Http { tls: false, host, port, path, headers } => {
            enter_network(container)?;
            let mut stream = connect(host.as_deref(), *port, timeout)?;
            let name = authority(host.as_deref(), &stream, *port);
            good(http::get(&mut stream, &name, path, headers)?)
        }
        Action::Http { tls: true, host, port, path, headers } => {
            enter_network(container)?;
            let stream = connect(host.as_deref(), *port, timeout)?;
            let name = authority(host.as_deref(), &stream, *port);
            good(get_with_tls(&name, path, headers, timeout)?)
        }
        Action::Grpc { port, service } => {
            enter_network(container)?;
            let mut stream = connect(None, *port, timeout)?;
            let name = authority(None, &stream, *port);
            grpc::check(&mut stream, &name, service)
        }
    }
}

fn good(status: u16) -> std::result::Result<(), String> {
    match status {
        200..400 => Ok(()),
        other => Err(format!("HTTP status {other}")),
    }
}

/// From here on this process's sockets are the container's.
fn enter_network(container: &Container) -> std::result::Result<(), String> {
    let init = container.state().init().filter(|init| init.alive()).ok_or("the container does not run")?;
    let path = Path::new("/proc").join(init.pid.to_string()).join("ns/net");
    let place = |path: &Path| std::fs::metadata(path).map(|found| std::os::unix::fs::MetadataExt::ino(&found)).ok();
    if place(&path) == place(Path::new("/proc/self/ns/net")) {
        return Ok(());
    }
    let namespace = std::fs::File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|error| format!("cannot enter the container's network: {error}"))
}

/// Where to look for the server: the pod's own addresses, as from outside, then the loopback interface.
fn candidates(host: Option<&str>) -> std::result::Result<Vec<IpAddr>, String> {
    let mut all = match host {
        // In its network namespace: its own.
        None | Some("") => network::host_addresses().unwrap_or_default(),
        Some("localhost") => Vec::new(),
        Some(host) => {
            let address = host
                .trim_matches(['[', ']'])
                .parse()
                .map_err(|_| format!("the host {host} is no address: probes ask no name server"))?;
            return Ok(vec![address]);
        }
    };
    all.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    all.push(IpAddr::V6(Ipv6Addr::LOCALHOST));
    Ok(all)
}

/// The last refusal is the error.
fn connect(host: Option<&str>, port: u16, timeout: Duration) -> std::result::Result<TcpStream, String> {
    let until = Instant::now() + timeout;
    let mut last = "there is no address".to_owned();
    for address in candidates(host)? {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("it took longer than {timeout:?}"));
        }
        let address = SocketAddr::new(address, port);
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                let left = Some(until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
                let limited = stream.set_read_timeout(left).and_then(|()| stream.set_write_timeout(left));
                return limited.map(|()| stream).map_err(|error| error.to_string());
            }
            Err(error) => last = format!("dial tcp {address}: {error}"),
        }
    }
    Err(last)
}

/// What the server is called in the request.
fn authority(host: Option<&str>, stream: &TcpStream, port: u16) -> String {
    match (host, stream.peer_addr()) {
        (Some(host), _) if !host.is_empty() => format!("{host}:{port}"),
        (_, Ok(address)) => address.to_string(),
        (_, Err(_)) => format!("localhost:{port}"),
    }
}

/// The host's curl speaks TLS, without a look at the certificate, as Kubernetes does.
fn get_with_tls(
    authority: &str,
    path: &str,
    headers: &[(String, String)],
    timeout: Duration,
) -> std::result::Result<u16, String> {
    let curl = CURL.iter().find(|path| Path::new(path).exists());
    let curl = curl.ok_or("a probe over HTTPS needs curl on this machine: install the package curl")?;
    let mut command = Command::new(curl);
    command.args(["--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}", "--noproxy", "*"]);
    command.args(["--max-time", &timeout.as_secs_f64().to_string()]);
    for (name, value) in headers {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    command.arg(format!("https://{authority}{path}")).env_clear().stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().map_err(|error| error.to_string())?;
    match String::from_utf8_lossy(&output.stdout).trim().parse::<u16>() {
        Ok(status) if output.status.success() => Ok(status),
        _ => Err(format!("no answer over TLS (curl ended with {})", output.status.code().unwrap_or(-1))),
    }
}

impl ContainerSpec {
    /// What creel cannot do, found out before the container is made.
    pub(crate) fn check_probes(&self) -> Result<()> {
        let probes = &self.probes;
        let actions = [&probes.startup, &probes.liveness, &probes.readiness].into_iter().flatten();
        let actions = actions.map(|probe| &probe.action).chain(&probes.post_start).chain(&probes.pre_stop);
        for action in actions {
            if let Action::Exec { command } = action
                && command.is_empty()
            {
                return Err(Error::Invalid("a probe without a command".into()));
            }
        }
        Ok(())
    }
}
