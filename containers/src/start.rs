//! Starting a container: spawn its monitor, hand it the request, wait for "it runs" or for why it does not.

use std::fs::TryLockError;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use runtime::cgroup::Manager;
use serde::{Deserialize, Serialize};
use storage::{Dirs, StoreOptions};
use sys::channel::Channel;
use sys::lock::FileLock;
use sys::process::Process;
use sys::task::Numbered;

use crate::attach::{Attached, Streams, own_terminal_size};
use crate::container::Container;
use crate::engine::{Engine, Settings};
use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::needed::{Kept, start_needed};
use crate::spec::SdNotify;
use crate::spec::{CgroupsMode, ContainerSpec};
use crate::state::State;
use crate::wait::Condition;
use crate::wire::{FromClient, FromMonitor};
use crate::{list, notify};

#[derive(Debug, Default)]
pub struct StartRequest {
    /// Stay connected to the container's streams.
    pub attach: Option<Streams>,
    /// Descriptors that the container's program gets, at these numbers.
    pub preserve_fds: Vec<Numbered>,
}

#[derive(Debug)]
pub struct Started {
    pub init: Process,
    /// Present when the request asked for it.
    pub attached: Option<Attached>,
}

/// What the monitor is told, the first message on its channel. Descriptors ride along: with `passthrough` the caller's
/// three standard streams, then those to preserve.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MonitorRequest {
    pub(crate) id: ContainerId,
    pub(crate) dirs: Dirs,
    pub(crate) options: StoreOptions,
    pub(crate) settings: Settings,
    pub(crate) attach: Option<Streams>,
    pub(crate) passthrough: bool,
    /// The numbers of the descriptors to preserve.
    pub(crate) preserve_fds: Vec<u32>,
    /// Where our own file is: the monitor runs from a view of it that has no path.
    pub(crate) executable: PathBuf,
    /// Stop before the program (`creel init`); it goes on at `start`.
    pub(crate) hold: bool,
    /// Columns and rows of the starter's terminal, where that is to become the container's.
    pub(crate) console_size: Option<(u16, u16)>,
}

/// Starts a container that is created, initialized or exited, and those it needs. One that runs already is left alone.
///
/// With `--sdnotify=healthy` and nobody attached it returns when the container is healthy.
pub fn start(engine: &Engine, container: &Container, request: StartRequest) -> Result<Started> {
    let waits = container.spec().starts_healthy() && request.attach.is_none();
    let started = launch(engine, container, request)?.wait()?;
    if waits {
        until_healthy(engine, container)?;
    }
    Ok(started)
}

/// As Podman, which then has nothing better to say than that it is over.
fn until_healthy(engine: &Engine, container: &Container) -> Result<()> {
    let over = || Error::StartFailed { message: "container is stopped".into(), exit_code: 126 };
    match crate::wait::wait(engine, container, &[Condition::Healthy, Condition::Stopped], Duration::ZERO) {
        Err(Error::NotFound { .. }) => Err(over()),
        Err(error) => Err(error),
        Ok(_) => match list::read(engine, container.id())? {
            Some(now) if list::running(&now) => Ok(()),
            Some(_) | None => Err(over()),
        },
    }
}

/// Prepares everything but does not run the program.
pub fn init(engine: &Engine, container: &Container) -> Result<()> {
    let needed = start_needed(engine, container)?;
    begin(engine, container, StartRequest::default(), true, needed)?.wait().map(drop)
}

/// A start under way. Several of them go on side by side.
#[derive(Debug)]
pub struct Launch(Stage);

#[derive(Debug)]
enum Stage {
    Done(Started),
    Waiting {
        id: ContainerId,
        channel: Channel,
        attach: Option<Streams>,
        /// For the service manager, once the container runs: its socket and the message.
        news: Option<(String, String)>,
        _lock: FileLock,
        /// Those it needs have to stay until it runs.
        _needed: Vec<Kept>,
    },
}

impl Launch {
    /// Until the container runs, or for why it does not.
    pub fn wait(self) -> Result<Started> {
        let (id, channel, attach, news, _lock, _needed) = match self.0 {
            Stage::Done(started) => return Ok(started),
            Stage::Waiting { id, channel, attach, news, _lock, _needed } => (id, channel, attach, news, _lock, _needed),
        };
        let gone = |detail: String| Error::MonitorGone { id: id.to_string(), detail };
        match answer(&channel).map_err(|error| gone(format!(": {error}")))? {
            Some(FromMonitor::Started { init }) => {
                if let Some((socket, message)) = news {
                    notify::tell(socket.as_ref(), &message);
                }
                let attached = attach.map(|streams| Attached::new(channel, streams));
                Ok(Started { init, attached })
            }
            Some(FromMonitor::Failed { exit_code, message }) => Err(Error::StartFailed { message, exit_code }),
            Some(_) | None => Err(gone(String::new())),
        }
    }
}

/// Begins what [`start`] does: those it needs run when this returns, the container itself when [`Launch::wait`] does.
pub fn launch(engine: &Engine, container: &Container, request: StartRequest) -> Result<Launch> {
    let needed = if list::running(container) { Vec::new() } else { start_needed(engine, container)? };
    begin(engine, container, request, false, needed)
}

fn begin(
    engine: &Engine,
    container: &Container,
    request: StartRequest,
    hold: bool,
    needed: Vec<Kept>,
) -> Result<Launch> {
    let id = container.id();
    // Two starts at once: the second waits here and then finds it running.
    let lock = crate::mount::lock_closed(engine, id)?;
    let container = list::find(engine, id.as_str())?;
    // It would start the container too, later; from here on it is our turn.
    crate::stop::give_up_restart(engine, &container)?;
    let container = settled(engine, id)?;
    match container.state() {
        State::Created | State::Exited(_) => {
            crate::mount::check_free(engine, &container)?;
            crate::mount::take_away(engine, id);
        }
        State::Initialized { .. } if hold => {
            return Err(Error::StateImproper { what: format!("container {id} has already been created in runtime") });
        }
        State::Initialized { init, .. } => {
            let monitor = container.state().monitor().map(|monitor| monitor.pid.unsigned_abs()).unwrap_or_default();
            notify(engine, &container, notify::before_start, monitor);
            let attached = let_go(engine, &container, request.attach)?;
            notify(engine, &container, notify::after_start, monitor);
            return Ok(Launch(Stage::Done(Started { init: init.clone(), attached })));
        }
        State::Running { .. } if hold => {
            return Err(Error::StateImproper { what: format!("container {id} has already been created in runtime") });
        }
        State::Running { .. } if crate::pause::paused(&container) => {
            let what = format!("container {id} must be in Created or Stopped state to be started");
            return Err(Error::StateImproper { what });
        }
        State::Running { init, .. } => {
            let attached =
                request.attach.map(|streams| crate::attach::attach(engine, &container, streams)).transpose()?;
            return Ok(Launch(Stage::Done(Started { init: init.clone(), attached })));
        }
        State::Removing => return Err(Error::StateImproper { what: format!("container {id} is being removed") }),
    }
    if container.record.single_id != engine.settings.single_id {
        return Err(Error::StateImproper {
            what: format!(
                "container {id} was made {} sub-ids and cannot run {} them",
                if container.record.single_id { "without" } else { "with" },
                if container.record.single_id { "with" } else { "without" },
            ),
        });
    }
    let manager = cgroup_manager(engine, container.spec());
    if let Err(error) = manager.and_then(|manager| Ok(manager.step_aside()?)) {
        // The monitor meets it again, and says so where a limit was asked for.
        tracing::debug!(%error, "cannot move within the delegated cgroup");
    }
    let (channel, request_message, passthrough, monitor) = spawn(engine, &container, &request, hold)?;
    if !hold {
        notify(engine, &container, notify::before_start, monitor);
    }
    let stdio = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let mut fds: Vec<BorrowedFd<'_>> = if passthrough { stdio.to_vec() } else { Vec::new() };
    fds.extend(request.preserve_fds.iter().map(|preserved| preserved.fd.as_fd()));
    let gone = |detail: String| Error::MonitorGone { id: id.to_string(), detail };
    channel.send(&request_message, &fds).map_err(|error| gone(format!(": {error}")))?;
    let socket = notify::manager(engine, container.spec()).filter(|_| !hold).cloned();
    let news = socket.zip(notify::after_start(container.spec().sdnotify, monitor));
    Ok(Launch(Stage::Waiting { id: id.clone(), channel, attach: request.attach, news, _lock: lock, _needed: needed }))
}

/// Tells the service manager, where there is one, what a start has to say.
fn notify(engine: &Engine, container: &Container, say: fn(SdNotify, u32) -> Option<String>, monitor: u32) {
    let socket = notify::manager(engine, container.spec());
    if let (Some(socket), Some(message)) = (socket, say(container.spec().sdnotify, monitor)) {
        notify::tell(socket.as_ref(), &message);
    }
}

/// How often to look whether a monitor has come to something.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The container when no monitor is between two states of it. One that ends answers before it takes down what the run had,
/// and holds its lock until that is done; one whose client was killed goes on to start the container, and holds the lock
/// for as long as that runs.
pub(crate) fn settled(engine: &Engine, id: &ContainerId) -> Result<Container> {
    let path = engine.run_dir(id).join(crate::stop::MONITOR_LOCK);
    loop {
        let container = list::find(engine, id.as_str())?;
        if !matches!(container.state(), State::Created | State::Exited(_)) {
            return Ok(container);
        }
        match std::fs::File::open(&path).map(|lock| lock.try_lock_shared()) {
            Ok(Ok(())) => return Ok(container),
            Ok(Err(TryLockError::WouldBlock)) => std::thread::sleep(LOOK_AGAIN),
            Ok(Err(TryLockError::Error(error))) => return Err(Error::io(&path)(error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(container),
            Err(error) => return Err(Error::io(&path)(error)),
        }
    }
}

/// Who makes the container's cgroup.
pub(crate) fn cgroup_manager(engine: &Engine, spec: &ContainerSpec) -> Result<Manager> {
    match spec.resources.cgroups {
        CgroupsMode::Split => Ok(Manager::own()?),
        CgroupsMode::Enabled | CgroupsMode::NoConmon | CgroupsMode::Disabled => {
            Ok(Manager::choose(engine.settings.cgroup_manager.as_deref(), engine.settings.uid)?)
        }
    }
}

/// Why no container of this machine can be given limits, where that is so.
pub fn why_no_limits(engine: &Engine) -> Result<Option<&'static str>> {
    match Manager::choose(engine.settings.cgroup_manager.as_deref(), engine.settings.uid)? {
        Manager::None { why } => Ok(Some(why)),
        Manager::Systemd { .. } | Manager::Cgroupfs { .. } => Ok(None),
    }
}

/// `None` when the monitor closed the channel without a word.
fn answer(channel: &Channel) -> std::io::Result<Option<FromMonitor>> {
    let (message, _) = channel.recv()?;
    if message.is_empty() { Ok(None) } else { FromMonitor::decode(&message).map(Some) }
}

fn spawn(
    engine: &Engine,
    container: &Container,
    request: &StartRequest,
    hold: bool,
) -> Result<(Channel, Vec<u8>, bool, u32)> {
    use crate::spec::LogDriver;
    let (ours, theirs) = Channel::pair().map_err(Error::io("socketpair"))?;
    let driver = container.spec().log.driver;
    let passthrough = matches!(driver, LogDriver::Passthrough | LogDriver::PassthroughTty);
    let message = MonitorRequest {
        id: container.id().clone(),
        dirs: engine.store.dirs().clone(),
        options: engine.store.options().clone(),
        settings: engine.settings.clone(),
        attach: request.attach,
        passthrough,
        preserve_fds: request.preserve_fds.iter().map(|preserved| preserved.number).collect(),
        executable: sys::exe::path().map_err(Error::io("/proc/self/exe"))?,
        hold,
        console_size: console_size(container, request.attach),
    };
    let message = serde_json::to_vec(&message).map_err(|error| Error::Invalid(error.to_string()))?;
    // The monitor's end is meant to be inherited, by this child alone.
    rustix::io::fcntl_setfd(theirs.as_fd(), rustix::io::FdFlags::empty())
        .map_err(|error| Error::Io { path: "socketpair".into(), source: error.into() })?;
    let words = [container.id().to_string(), theirs.as_fd().as_raw_fd().to_string()];
    let monitor = match engine.settings.notify_socket {
        Some(_) => spawn_through_another(&words),
        // Not waited for: it outlives us.
        None => monitor_command("monitor", &words).stdout(Stdio::null()).spawn().map(|child| child.id()),
    };
    drop(theirs);
    Ok((ours, message, passthrough, monitor.map_err(Error::io("/proc/self/exe"))?))
}

fn monitor_command(mode: &str, words: &[String]) -> Command {
    let mut command = Command::new("/proc/self/exe");
    sys::memory::frugal(&mut command).arg0("creel").arg(mode).args(words).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// A service manager waits for the end of its main process only where that is its own child when it is told of it, and
/// kills what it does not wait for. So the monitor's parent is a process that ends first.
fn spawn_through_another(words: &[String]) -> std::io::Result<u32> {
    let output = monitor_command("__orphan", words).stdout(Stdio::piped()).output()?;
    let monitor = String::from_utf8_lossy(&output.stdout).trim().parse();
    monitor.map_err(|_| std::io::Error::other("the monitor was not started"))
}

/// Starts the monitor that these words are for, says its number and ends.
pub fn orphan_main(words: impl Iterator<Item = std::ffi::OsString>) -> std::process::ExitCode {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let spawned = monitor_command("monitor", &words).stdout(Stdio::null()).spawn();
    let said = spawned
        .and_then(|monitor| std::io::Write::write_all(&mut std::io::stdout(), monitor.id().to_string().as_bytes()));
    if said.is_ok() { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

/// The program's first look at its terminal must find the size: told later, it would see that as a change.
fn console_size(container: &Container, attach: Option<Streams>) -> Option<(u16, u16)> {
    attach.filter(|_| container.spec().tty).and_then(|_| own_terminal_size())
}

/// An initialized container's monitor waits for this on its attach socket.
fn let_go(engine: &Engine, container: &Container, streams: Option<Streams>) -> Result<Option<Attached>> {
    let channel = crate::attach::connect(engine, container)?;
    let gone =
        |error: std::io::Error| Error::MonitorGone { id: container.id().to_string(), detail: format!(": {error}") };
    let hello = streams.unwrap_or_default();
    if let Some((columns, rows)) = console_size(container, streams) {
        channel.send(&FromClient::Resize { rows, columns }.encode(), &[]).map_err(gone)?;
    }
    channel.send(&FromClient::Start(hello).encode(), &[]).map_err(gone)?;
    match answer(&channel).map_err(gone)? {
        Some(FromMonitor::Started { .. }) => Ok(streams.map(|streams| Attached::new(channel, streams))),
        Some(FromMonitor::Failed { exit_code, message }) => Err(Error::StartFailed { message, exit_code }),
        Some(_) | None => Err(Error::MonitorGone { id: container.id().to_string(), detail: String::new() }),
    }
}
