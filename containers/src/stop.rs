//! Ending a container's program: asked first, then killed; and starting it again.
//!
//! Whoever ends it says so beforehand (`stopped` in the run directory), so that its monitor does not restart it. The
//! monitor writes the exit record; where it was killed itself, that is done here.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use storage::record::{self, Durability};
use sys::lock::FileLock;
use sys::process::Process;

use crate::container::{Container, Status};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::notice::Notice;
use crate::spec::Remove;
use crate::start::{StartRequest, start};
use crate::state::{Exit, State};
use crate::{events, list, needed, pause, remove};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
/// Seconds between the stop signal and SIGKILL where nobody said.
pub(crate) const DEFAULT_TIMEOUT: u32 = 10;
/// What is left after a hook that took all the time, as in Kubernetes.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);
/// A killed process that does not end within this time hangs in the kernel.
const KILL_TAKES: Duration = Duration::from_secs(10);

/// Stops a container: its stop signal, and SIGKILL after `timeout` seconds (its own where `None`). One that does not run
/// is left alone.
pub fn stop(engine: &Engine, container: &Container, timeout: Option<u32>) -> Result<()> {
    stop_with(engine, container, None, timeout, Afterwards::AsSpecified)
}

/// The same with another signal than the container's own.
pub fn stop_by(engine: &Engine, container: &Container, signal: i32, timeout: Option<u32>) -> Result<()> {
    stop_with(engine, container, Some(signal), timeout, Afterwards::AsSpecified)
}

/// Stops what is about to be removed.
pub fn stop_to_remove(engine: &Engine, container: &Container, timeout: Option<u32>) -> Result<()> {
    stop_with(engine, container, None, timeout, Afterwards::Removed)
}

/// What becomes of a container that is stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    /// With `--rm` it goes.
    AsSpecified,
    /// It stays: it is about to be started again.
    Kept,
    /// Whoever stops it removes it.
    Removed,
}

fn stop_with(
    engine: &Engine,
    container: &Container,
    signal: Option<i32>,
    timeout: Option<u32>,
    afterwards: Afterwards,
) -> Result<()> {
    let mut container = list::again(engine, container)?;
    if container.status.restarting.is_some() {
        if give_up_restart(engine, &container)? {
            return note_stop(engine, &container);
        }
        container = list::again(engine, &container)?;
    }
    match container.state() {
        State::Created | State::Exited(_) | State::Removing => Ok(()),
        State::Initialized { init, monitor } => match monitor.open() {
            // It takes down what it prepared and writes that the container is only created again.
            Some(pidfd) => {
                pidfd.signal(SIGTERM).map_err(Error::io("the container's monitor"))?;
                until_recorded(engine, &container, init, None, afterwards)
            }
            None => end(engine, &container, init, monitor, &[], Duration::ZERO, afterwards),
        },
        State::Running { init, monitor, .. } => {
            let seconds = timeout.or(container.spec().stop_timeout).unwrap_or(DEFAULT_TIMEOUT);
            let signals =
                if seconds == 0 { Vec::new() } else { vec![signal.unwrap_or_else(|| stop_signal(&container))] };
            let mut patience = Duration::from_secs(seconds.into());
            if seconds > 0 && container.spec().probes.pre_stop.is_some() {
                // An end during the hook is wanted, too.
                mark_stopped(engine, &container, "")?;
                let begun = Instant::now();
                crate::probes::before_stop(engine, &container, patience);
                patience = patience.saturating_sub(begun.elapsed()).max(LEAST_PATIENCE);
            }
            end(engine, &container, init, monitor, &signals, patience, afterwards)
        }
    }
}

/// Sends a signal to the container's first process. With SIGKILL it returns when the exit is recorded.
pub fn kill(engine: &Engine, container: &Container, signal: i32) -> Result<()> {
    let container = list::again(engine, container)?;
    let State::Running { init, monitor, .. } = container.state() else {
        return Err(Error::StateImproper {
            what: format!(
                "can only kill running containers. {} is in state {}",
                container.id(),
                container.state().word()
            ),
        });
    };
    if signal == SIGKILL {
        events::record(engine, &container, "kill");
        return end(engine, &container, init, monitor, &[], Duration::ZERO, Afterwards::AsSpecified);
    }
    if signal == stop_signal(&container) {
        mark_stopped(engine, &container, "")?;
    }
    match init.open() {
        Some(pidfd) => {
            // First: what ends the container is told before its end.
            events::record(engine, &container, "kill");
            pidfd.signal(signal).map_err(|error| signalling(&container, error))
        }
        // It has ended in this moment, on its own.
        None => Ok(()),
    }
}

/// Stops the container if it runs, and starts it.
pub fn restart(engine: &Engine, container: &Container, timeout: Option<u32>) -> Result<()> {
    let container = list::again(engine, container)?;
    if let State::Removing = container.state() {
        return Err(Error::StateImproper { what: format!("container {} is being removed", container.id()) });
    }
    events::record(engine, &container, "restart");
    // What it needs is not ended in between.
    let _kept = needed::start_needed(engine, &container)?;
    stop_and_keep(engine, &container, timeout)?;
    start(engine, &list::again(engine, &container)?, StartRequest::default()).map(drop)
}

/// Stops a container that stays also with `--rm`: it is to be started again.
pub(crate) fn stop_and_keep(engine: &Engine, container: &Container, timeout: Option<u32>) -> Result<()> {
    if list::running(container) {
        // The monitor reads it when the run is over.
        let mark = engine.run_dir(container.id()).join("keep");
        std::fs::write(&mark, "").map_err(Error::io(&mark))?;
    }
    stop_with(engine, container, None, timeout, Afterwards::Kept)
}

/// Whether whoever stops the container wants it to stay, `--rm` or not.
pub(crate) fn is_kept(engine: &Engine, container: &Container) -> bool {
    engine.run_dir(container.id()).join("keep").exists()
}

/// Whether the one who stops the container starts it again or removes it: then nobody has to hear that it was cleaned up.
pub(crate) fn goes_on(engine: &Engine, container: &Container) -> bool {
    is_kept(engine, container)
        || mark(engine, container).is_some_and(|mark| mark == BY_REMOVAL)
        // The removal was quicker, and has taken the mark along.
        || !engine.run_dir(container.id()).exists()
}

/// What stands between a container that does not run and its removal.
pub(crate) enum Claim {
    /// Nothing: there is no monitor, and while this lock is held none begins. `None` where a full disk has no room for it.
    Free { _lock: Option<FileLock> },
    /// A monitor that does no more than clean up.
    CleaningUp,
    /// A monitor that goes on to start it: whoever asked for that was killed.
    Starting,
}

/// To be asked under the container's lock, when its record says that it does not run.
pub(crate) fn claim(engine: &Engine, container: &Container) -> Result<Claim> {
    use std::io::ErrorKind::{AlreadyExists, NotFound, StorageFull};
    let dir = engine.run_dir(container.id());
    let path = dir.join(MONITOR_LOCK);
    let mut tries = 0;
    let lock = loop {
        match std::fs::create_dir_all(&dir).and_then(|()| FileLock::try_exclusive(&path)) {
            // A monitor that has cleaned up takes the directory away between two looks.
            Err(error) if matches!(error.kind(), AlreadyExists | NotFound) && tries < 1000 => tries += 1,
            Err(error) if error.kind() == StorageFull => return Ok(Claim::Free { _lock: None }),
            other => break other.map_err(Error::io(&path))?,
        }
    };
    match lock {
        Some(lock) => Ok(Claim::Free { _lock: Some(lock) }),
        None if std::fs::read(&path).is_ok_and(|said| said == Plan::CleanUp.word()) => Ok(Claim::CleaningUp),
        None => Ok(Claim::Starting),
    }
}

/// In the run directory. Held by the monitor for its whole life; in it stands what it is about to do.
pub(crate) const MONITOR_LOCK: &str = "monitor.lock";

/// What a monitor does next with a container that does not run.
#[derive(Clone, Copy)]
pub(crate) enum Plan {
    Start,
    CleanUp,
}

impl Plan {
    pub(crate) fn word(self) -> &'static [u8] {
        match self {
            Plan::Start => b"start",
            Plan::CleanUp => b"clean up",
        }
    }
}

/// Before a container is removed after which its monitor is still cleaning up: nothing more is to be told of that. True
/// where nothing has been told yet.
pub(crate) fn hush_monitor(engine: &Engine, container: &Container) -> Result<bool> {
    let is_news = mark(engine, container).as_deref() != Some(BY_REMOVAL);
    if is_news {
        mark_stopped(engine, container, BY_REMOVAL)?;
    }
    Ok(is_news)
}

/// Whether a monitor is at work for the container, be it only cleaning up.
pub(crate) fn has_monitor(engine: &Engine, container: &Container) -> bool {
    let lock = std::fs::File::open(engine.run_dir(container.id()).join(MONITOR_LOCK));
    lock.is_ok_and(|lock| lock.try_lock().is_err())
}

/// Whether the container was asked to end by a signal, for the sake of its end.
pub(crate) fn was_asked(engine: &Engine, container: &Container) -> bool {
    mark(engine, container).is_some_and(|mark| mark == BY_STOP)
}

/// In the mark of a stop by a signal.
const BY_STOP: &str = "stop";
/// In the mark of a stop before a removal.
const BY_REMOVAL: &str = "remove";
/// In the mark of a stop that nobody asked for: the machine, or the session, comes to its end.
const BY_MANAGER: &str = "manager";

/// A service manager ends the monitor: the container is to end and not to come back now, but its restart policy holds at
/// the next boot.
pub(crate) fn mark_ended_by_manager(engine: &Engine, container: &Container) -> Result<()> {
    let path = engine.run_dir(container.id()).join("stopped");
    let mark = std::fs::File::create_new(&path)
        .and_then(|mut mark| std::io::Write::write_all(&mut mark, BY_MANAGER.as_bytes()));
    match mark {
        // The user was first.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(Error::io(&path)),
    }
}

/// Whose wish the end of a run was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Nobodys,
    Manager,
    User,
}

/// Reads the mark.
pub(crate) fn wish(engine: &Engine, container: &Container) -> Wish {
    match mark(engine, container).as_deref() {
        Some(BY_MANAGER) => Wish::Manager,
        Some(_) => Wish::User,
        None => Wish::Nobodys,
    }
}

fn mark(engine: &Engine, container: &Container) -> Option<String> {
    std::fs::read_to_string(engine.run_dir(container.id()).join("stopped")).ok()
}

/// Tells the monitor that the coming end is wanted, and what for.
fn mark_stopped(engine: &Engine, container: &Container, what_for: &str) -> Result<()> {
    let dir = engine.run_dir(container.id());
    let path = dir.join("stopped");
    match std::fs::write(&path, what_for) {
        // The run is over already.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::io(&path)),
    }
}

/// The signal that asks this container to end.
pub(crate) fn stop_signal(container: &Container) -> i32 {
    let image = || container.record.image.as_ref()?.stop_signal.as_deref().and_then(sys::signals::parse);
    // To systemd SIGTERM means to start over; SIGRTMIN+3 is to end.
    let usual = || if crate::oci::runs_systemd(&container.record) { 37 } else { SIGTERM };
    container.spec().stop_signal.or_else(image).unwrap_or_else(usual)
}

/// A monitor that waits to start the container again, by policy, is told not to. False where none waits, or it has just
/// started the container: then that is what the signal was for.
pub(crate) fn give_up_restart(engine: &Engine, container: &Container) -> Result<bool> {
    const LOOK_AGAIN: Duration = Duration::from_millis(50);
    let Some(waiting) = container.status.restarting.as_ref().and_then(Process::open) else { return Ok(false) };
    let failed = Error::io("the waiting monitor");
    if let Err(error) = waiting.signal(SIGTERM) {
        return Err(failed(error));
    }
    loop {
        match waiting.wait_end(Some(LOOK_AGAIN)) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => return Err(failed(error)),
        }
        let now = list::read(engine, container.id())?;
        if now.is_some_and(|now| now.status.restarting.is_none()) {
            return Ok(false);
        }
    }
}

/// The container as it is now, under its lock. `None`: gone by its own `--rm`.
fn locked(engine: &Engine, id: &ContainerId) -> Result<Option<(FileLock, Container)>> {
    let lock = match engine.lock(id) {
        Err(Error::NotFound { .. }) => return Ok(None),
        other => other?,
    };
    Ok(list::read(engine, id)?.map(|now| (lock, now)))
}

/// The last exit of a container that was about to run again counts as the user's, so that it stays away after a reboot.
fn note_stop(engine: &Engine, container: &Container) -> Result<()> {
    let dir = engine.container_dir(container.id());
    let Some((_lock, mut now)) = locked(engine, container.id())? else { return Ok(()) };
    if let State::Exited(exit) = &mut now.status.state {
        exit.stopped_by_user = true;
        record::write(&dir.join("state.json"), &now.status, Durability::Visible)?;
        engine.store.tell();
    }
    Ok(())
}

fn signalling(container: &Container, source: std::io::Error) -> Error {
    Error::Io { path: format!("the first process of container {}", container.id()).into(), source }
}

/// Ends a run: the signals, then after `patience` SIGKILL, then the record.
fn end(
    engine: &Engine,
    container: &Container,
    init: &Process,
    monitor: &Process,
    signals: &[i32],
    patience: Duration,
    afterwards: Afterwards,
) -> Result<()> {
    let what_for = match afterwards {
        Afterwards::AsSpecified if !signals.is_empty() => BY_STOP,
        Afterwards::Removed => BY_REMOVAL,
        Afterwards::AsSpecified | Afterwards::Kept => "",
    };
    mark_stopped(engine, container, what_for)?;
    let mut killed = false;
    if let Some(pidfd) = init.open() {
        let send = |signal| match pidfd.signal(signal) {
            // No such process: it has ended.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => Ok(()),
            other => other.map_err(|error| signalling(container, error)),
        };
        for &signal in signals {
            send(signal)?;
        }
        // What is frozen takes no signal; SIGKILL reaches it only in cgroup v2.
        pause::thaw_if_frozen(container);
        let ended = |time| pidfd.wait_end(Some(time)).map_err(|error| signalling(container, error));
        if !ended(patience)? {
            killed = true;
            send(SIGKILL)?;
            if !ended(KILL_TAKES)? {
                return Err(Error::StateImproper {
                    what: format!("container {} did not end after SIGKILL", container.id()),
                });
            }
        }
    }
    if monitor.alive() {
        return until_recorded(engine, container, init, Some(monitor), afterwards);
    }
    record_orphan(engine, container, init, killed, afterwards)
}

/// Waits until the monitor has written that this run is over, and for a container with `--rm` until it is gone.
fn until_recorded(
    engine: &Engine,
    container: &Container,
    init: &Process,
    monitor: Option<&Process>,
    afterwards: Afterwards,
) -> Result<()> {
    let monitor = monitor.or(container.state().monitor());
    let monitor = monitor.and_then(Process::open);
    let Some(notice) = Notice::of(engine, container.id())? else { return Ok(()) };
    let mut until = Instant::now() + KILL_TAKES;
    // A removal by force needs nothing of it.
    let mut may_kill = afterwards == Afterwards::Removed;
    loop {
        let Some(now) = list::read(engine, container.id())? else { return Ok(()) };
        let over = now.state().init() != Some(init);
        let removed_on_exit = now.spec().remove != Remove::Nothing && afterwards != Afterwards::Kept;
        let Some(monitor) = &monitor else {
            return if over { Ok(()) } else { record_orphan(engine, &now, init, true, afterwards) };
        };
        if over && !removed_on_exit {
            return Ok(());
        }
        if notice.wait(&[monitor.as_fd()], Some(until))?[0] {
            // Whatever it has not done by now nobody will do but us.
            return match list::read(engine, container.id())? {
                Some(now) if now.state().init() == Some(init) => record_orphan(engine, &now, init, true, afterwards),
                Some(_) | None => Ok(()),
            };
        }
        if Instant::now() < until {
            continue;
        }
        if !may_kill {
            return Err(Error::StateImproper {
                what: format!("container {} has ended, but its monitor does not say so", container.id()),
            });
        }
        // Somebody has stopped it, or it is stuck. That it has ended is seen with the next turn.
        monitor.signal(SIGKILL).map_err(Error::io("the container's monitor"))?;
        may_kill = false;
        until += KILL_TAKES;
    }
}

/// The exit of a container whose monitor was killed: written here, with what only the monitor could know left open.
fn record_orphan(
    engine: &Engine,
    container: &Container,
    init: &Process,
    killed: bool,
    afterwards: Afterwards,
) -> Result<()> {
    let dir = engine.container_dir(container.id());
    let Some((_lock, now)) = locked(engine, container.id())? else { return Ok(()) };
    let started = match now.state() {
        State::Running { init: recorded, since, .. } if recorded == init => Some(*since),
        State::Initialized { init: recorded, .. } if recorded == init => None,
        // `observed` has seen the end before us: the record on disk still says that it runs.
        State::Exited(exit) if exit.code == -1 => exit.started,
        State::Created | State::Initialized { .. } | State::Running { .. } | State::Exited(_) | State::Removing => {
            return Ok(());
        }
    };
    let exit = Exit {
        code: if killed { 128 + SIGKILL } else { -1 },
        started,
        at: Timestamp::now(),
        oom_killed: false,
        error: Some("its monitor was killed".into()),
        stopped_by_user: true,
    };
    let status =
        Status { restarts: now.status.restarts, home: now.status.home.clone(), ..Status::new(State::Exited(exit)) };
    let ended = Container { status, record: now.record.clone() };
    events::tell(engine, &ended, events::ended(&ended, events::DIED));
    record::write(&dir.join("state.json"), &ended.status, Durability::Visible)?;
    engine.store.tell();
    tidy(engine, &now);
    if now.spec().remove != Remove::Nothing && afterwards == Afterwards::AsSpecified {
        remove::take_away(engine, &now)?.discard(engine);
    }
    Ok(())
}

/// What the monitor would have taken down: the cgroup and the run directory. Mounts went with their namespace.
pub(crate) fn tidy(engine: &Engine, container: &Container) {
    if let Ok(Some(cgroup)) = pause::cgroup_of(container)
        && let Err(error) = cgroup.remove()
    {
        tracing::warn!(id = %container.id(), %error, "cannot remove the cgroup");
    }
    if let Err(error) = engine.store.trash(&engine.run_dir(container.id())) {
        tracing::warn!(id = %container.id(), %error, "cannot remove the run directory");
    }
}
