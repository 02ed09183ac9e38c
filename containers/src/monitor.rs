//! The resident process of one running container: it owns the container's streams, log, exit code and clean-up.
//!
//! `creel monitor ID FD`, re-executed from the same binary. Its input is the record on disk and one request on FD; it
//! can be run by hand in a debugger. It has no threads, and it is the parent of the container's first process.

mod clients;
mod connectivity;
mod door;
mod files;
mod made;
mod pipes;
pub(crate) mod prepare;
mod watch;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use storage::Store;
use sys::channel::Channel;
use sys::lock::FileLock;
use sys::signals::SignalFd;
use sys::task::Numbered;

use crate::container::{Container, Status};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::remove;
use crate::spec::{ContainerSpec, PodRole, Remove, RestartPolicy};
use crate::start::MonitorRequest;
use crate::state::{Exit, State};
use crate::stop::{MONITOR_LOCK, Plan};
use crate::wire::FromMonitor;
use watch::End;

/// signal(7).
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
pub(crate) const SIGTERM: i32 = 15;

/// The first wait before a restart by policy; it doubles up to [`LONGEST_BACKOFF`].
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// A run this long counts as healthy: the next restart is quick again.
const SETTLED: Duration = Duration::from_secs(10);

/// What a monitor has for its whole life.
struct Resident {
    /// Whoever wants to know whether a monitor is there tries it.
    lock: FileLock,
    signals: SignalFd,
}

impl Resident {
    /// Says what comes next, before the record says that the container does not run.
    fn tell_plan(&self, plan: Plan) -> Result<()> {
        let write = || {
            rustix::fs::ftruncate(&self.lock, 0)?;
            rustix::io::pwrite(&self.lock, plan.word(), 0).map(drop)
        };
        write().map_err(|error| Error::Io { path: MONITOR_LOCK.into(), source: error.into() })
    }
}

/// The whole life of a monitor. `channel` is the descriptor named on the command line.
pub fn monitor_main(channel: std::os::fd::RawFd) -> ExitCode {
    // An old kernel without the calls for it cannot; what starts the program refuses our own file all the same.
    let _ = sys::exe::seal(&[]);
    sys::memory::settle();
    let Some(channel) = sys::task::inherited_descriptor(channel) else { return ExitCode::FAILURE };
    let mut channel = Some(Channel::from(channel));
    match run(&mut channel) {
        // A service manager that has it for the main process takes it for the container's.
        Ok(code) => u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            let failed = FromMonitor::Failed { exit_code: exit_code(&error), message: message(&error) };
            if let Some(channel) = channel {
                // Nobody listens any more: then nobody needs to know.
                let _ = channel.send(&failed.encode(), &[]);
            }
            ExitCode::FAILURE
        }
    }
}

/// Returns the exit code of the container's last run.
fn run(starter: &mut Option<Channel>) -> Result<i32> {
    // Away from the terminal of whoever started us; our own signals arrive as reads.
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    let _ = rustix::thread::set_name(c"creel-monitor");
    let channel = starter.as_ref().ok_or_else(|| Error::Invalid("no channel".into()))?;
    let (message, mut fds) = channel.recv().map_err(Error::io("the starter's channel"))?;
    let request: MonitorRequest =
        serde_json::from_slice(&message).map_err(|error| Error::Invalid(error.to_string()))?;
    drop(message);
    let MonitorRequest {
        id,
        dirs,
        options,
        settings,
        attach,
        passthrough,
        preserve_fds,
        executable,
        hold,
        console_size,
    } = request;
    let engine = Engine { store: Store::open(dirs, options)?, settings };

    let run_dir = engine.run_dir(&id);
    std::fs::create_dir_all(&run_dir).map_err(Error::io(&run_dir))?;
    let lock = FileLock::try_exclusive(&run_dir.join(MONITOR_LOCK)).map_err(Error::io(&run_dir))?;
    let Some(lock) = lock else {
        return Err(Error::StateImproper { what: format!("container {id} already has a monitor") });
    };
    let handled = [SIGTERM, SIGINT, SIGHUP];
    let me = Resident { lock, signals: SignalFd::new(&handled).map_err(Error::io("signalfd"))? };
    me.tell_plan(Plan::Start)?;
    remove_if_there(&run_dir.join("stopped"))?;
    sys::userns::hold(&engine.settings.userns_dir).map_err(Error::io(&engine.settings.userns_dir))?;

    let mut container = crate::list::find(&engine, id.as_str())?;
    let passthrough: Vec<_> = if passthrough { fds.drain(..3.min(fds.len())).collect() } else { Vec::new() };
    let preserved = preserve_fds.iter().zip(fds).map(|(&number, fd)| Numbered { number, fd }).collect();
    let mut streams = prepare::Inherited { passthrough, preserved, executable, console_size };
    let (mut restarts, mut in_a_row) = (0, 0);
    let mut backoff = FIRST_BACKOFF;
    let code = loop {
        let begun = Instant::now();
        let hold = hold && restarts == 0;
        let prepared = match prepare::prepare(&engine, &container, &mut streams, restarts) {
            Ok(prepared) => prepared,
            Err(error) => {
                give_up(&engine, &container, &error, restarts);
                return Err(error);
            }
        };
        let attach = attach.filter(|_| restarts == 0);
        let end = match watch::watch(&engine, &mut container, prepared, starter, attach, hold, &me) {
            Ok(end) => end,
            Err(error) => {
                give_up(&engine, &container, &error, restarts);
                return Err(error);
            }
        };
        let End { exit, is_wanted, released, clients } = end;
        let own = container.spec().backoff;
        if exit.started.is_some() && begun.elapsed() > own.map_or(SETTLED, |own| own.settled) {
            (in_a_row, backoff) = (0, FIRST_BACKOFF);
            // Kubernetes goes on counting.
            restarts = if own.is_some() { restarts } else { 0 };
        }
        watch::reread(&engine, &mut container);
        let again = !is_wanted && restart_wanted(container.spec(), &exit, restarts);
        let code = exit.code;
        if !again {
            finish(&engine, &container, exit, clients, released);
            break code;
        }
        released.tear_down();
        clients.close(code);
        restarts += 1;
        in_a_row += 1;
        let pause = own.map_or(backoff, |own| own.pause(in_a_row));
        if !watch::pause_before_restart(&engine, &container, pause, &me)? {
            break code;
        }
        watch::reread(&engine, &mut container);
        crate::events::record(&engine, &container, "restart");
        backoff = (backoff * 2).min(LONGEST_BACKOFF);
    };
    sys::userns::release(&engine.settings.userns_dir);
    Ok(code)
}

/// A pod's infra container does not run again by itself: its namespaces are gone, and the members that are left would stay
/// in them, cut off from everything. The pod is degraded, which whoever keeps it sees.
fn restart_wanted(spec: &ContainerSpec, exit: &Exit, restarts: u32) -> bool {
    match spec.restart {
        _ if spec.pod_role == Some(PodRole::Infra) => false,
        RestartPolicy::No => false,
        RestartPolicy::OnFailure { max_retries } => exit.code != 0 && (max_retries == 0 || restarts < max_retries),
        RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
    }
}

/// The order matters: the record is written (by `watch`) and the name is free before the waiting command is answered;
/// the slow part, taking mounts and directories down, comes after.
fn finish(engine: &Engine, container: &Container, exit: Exit, clients: clients::Clients, released: prepare::Released) {
    let removed = match container.spec().remove {
        Remove::Nothing => None,
        _ if crate::stop::is_kept(engine, container) => None,
        Remove::Container | Remove::ContainerAndImage => Some(remove::take_away(engine, container)),
    };
    let removed = removed.map(|taken| {
        let mut taken = taken?;
        // Whoever waits for the end may look for them at once. Their files go later.
        taken.remove_volumes(engine);
        if let (Remove::ContainerAndImage, Some(image)) = (container.spec().remove, &container.record.image) {
            remove::remove_image_if_unused(engine, &image.id);
        }
        Ok::<_, Error>(taken)
    });
    clients.close(exit.code);
    // The starter's channel is among the clients, or closed by now: only clean-up is left.
    released.tear_down();
    if removed.is_none() && !crate::stop::goes_on(engine, container) {
        crate::events::record(engine, container, "cleanup");
    }
    if let Err(error) = crate::needed::end_unneeded(engine, container) {
        tracing::warn!(id = %container.id(), %error, "cannot end what this container was the last to need");
    }
    // By rename, so that the next run's files are never taken for ours; it waits for our lock, which goes along.
    if let Err(error) = engine.store.trash(&engine.run_dir(container.id())).and_then(|()| engine.store.empty_trash()) {
        tracing::warn!(id = %container.id(), %error, "cannot remove the run directory");
    }
    if let Some(removed) = removed {
        match removed {
            Ok(taken) => taken.discard(engine),
            Err(error) => tracing::warn!(id = %container.id(), %error, "cannot remove the container"),
        }
    }
}

/// A container that could not be started says why. Where its restart policy or Kubernetes' back-off wanted it to run again,
/// that was an end; else its last end stays what it was.
fn give_up(engine: &Engine, container: &Container, error: &Error, restarts: u32) {
    if container.spec().remove != Remove::Nothing {
        if let Ok(taken) = remove::take_away(engine, container) {
            taken.discard(engine);
        }
        let _ = std::fs::remove_dir_all(engine.run_dir(container.id()));
        return;
    }
    let mut status = container.status.clone();
    let has_exited = matches!(container.state(), State::Exited(_));
    if restarts > 0 || (has_exited && container.spec().backoff.is_some()) {
        let exit = Exit {
            code: exit_code(error),
            started: None,
            at: jiff::Timestamp::now(),
            oom_killed: false,
            error: Some(message(error)),
            stopped_by_user: false,
        };
        status = Status::new(State::Exited(exit));
        status.restarts = restarts;
    } else {
        status.start_error = Some(message(error));
    }
    if let Err(error) = write_status(engine, container, &status) {
        tracing::warn!(%error, "cannot write why the container did not start");
    }
    let _ = std::fs::remove_dir_all(engine.run_dir(container.id()));
}

/// Replaces `state.json`. Only the monitor calls it while it lives.
pub(crate) fn write_status(engine: &Engine, container: &Container, status: &Status) -> Result<()> {
    let path = engine.container_dir(container.id()).join("state.json");
    storage::record::write(&path, status, storage::record::Durability::Visible)?;
    engine.store.tell();
    Ok(())
}

pub(crate) fn remove_if_there(path: &std::path::Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Io { path: path.to_owned(), source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What `run` exits with: 127 where something is not there, else 126; 125 for what Podman finds before it begins, in the
/// specification, in other containers, or in a store that is not whole.
fn exit_code(error: &Error) -> i32 {
    use storage::Error::{Damaged, TooNew};

    match error {
        Error::Runtime(error) => error.start_exit_code().into(),
        Error::StartFailed { exit_code, .. } => *exit_code,
        Error::Invalid(_) | Error::StateImproper { .. } | Error::NotFound { .. } => 125,
        Error::Storage(storage::Error::NotFound { kind: "layer", .. } | Damaged { .. } | TooNew { .. }) => 125,
        _ => 126,
    }
}

/// The error with its causes, on one line.
fn message(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        // Transparent wrappers say the same as what they wrap.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    let (before, behind) = match error {
        Error::Runtime(error) => error.podmans_words(),
        _ => ("", ""),
    };
    format!("{before}{text}{behind}")
}
