//! Waiting for something to become true of a container: told by its monitor and its records, not by looking again.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use sys::channel::Channel;
use sys::process::Process;

use crate::attach::Streams;
use crate::container::Container;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::health::{self, HealthStatus};
use crate::notice::Notice;
use crate::state::State;
use crate::wire::{FromClient, FromMonitor};
use crate::{events, list, pause, probes};

/// What to wait for, in Podman's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Created,
    Initialized,
    Running,
    Paused,
    Stopping,
    Stopped,
    Exited,
    Removing,
    Healthy,
    Unhealthy,
}

impl std::str::FromStr for Condition {
    type Err = Error;

    fn from_str(text: &str) -> Result<Condition> {
        Ok(match text {
            "created" => Condition::Created,
            "initialized" => Condition::Initialized,
            "running" => Condition::Running,
            "paused" => Condition::Paused,
            "stopping" => Condition::Stopping,
            "stopped" => Condition::Stopped,
            "exited" => Condition::Exited,
            "removing" => Condition::Removing,
            "healthy" => Condition::Healthy,
            "unhealthy" => Condition::Unhealthy,
            _ => return Err(Error::Invalid(format!("unknown container state: {text}: invalid argument"))),
        })
    }
}

/// What `wait` prints where there is no exit code.
const NO_CODE: i32 = -1;

/// Refuses what can never come true.
pub fn check_conditions(container: &Container, conditions: &[Condition]) -> Result<()> {
    let word = match conditions.iter().find(|condition| matches!(condition, Condition::Healthy | Condition::Unhealthy))
    {
        Some(Condition::Healthy) => "healthy",
        Some(_) => "unhealthy",
        None => return Ok(()),
    };
    if health::spec_of(container).is_some() {
        return Ok(());
    }
    Err(Error::Invalid(format!("cannot use condition \"{word}\": container {} has no healthcheck", container.id())))
}

/// Whether one of the conditions holds now, without waiting; the code as [`wait`] returns it.
pub fn holds_now(engine: &Engine, container: &Container, conditions: &[Condition]) -> Result<Option<i32>> {
    let conditions = if conditions.is_empty() { &[Condition::Stopped] } else { conditions };
    let Some(now) = list::read(engine, container.id())? else { return Ok(Some(code_of_gone(engine, container))) };
    let met = conditions.iter().find(|condition| holds(engine, &now, **condition));
    Ok(met.map(|met| match (met, now.state()) {
        (Condition::Stopped | Condition::Exited, State::Exited(exit)) => exit.code,
        _ => NO_CODE,
    }))
}

/// Waits until one of the conditions holds (none given: until it has ended). Returns the exit code for an end, else -1.
/// `interval` is how often to look for what tells nobody: whether it is paused, or being stopped.
pub fn wait(engine: &Engine, container: &Container, conditions: &[Condition], interval: Duration) -> Result<i32> {
    wait_and_tell(engine, container, conditions, interval, &mut || ())
}

/// As [`wait`]; `listening` is called when nothing that happens from then on is missed, and at every look since.
pub fn wait_and_tell(
    engine: &Engine,
    container: &Container,
    conditions: &[Condition],
    interval: Duration,
    listening: &mut dyn FnMut(),
) -> Result<i32> {
    let conditions = if conditions.is_empty() { &[Condition::Stopped] } else { conditions };
    let has = |condition| conditions.contains(&condition);
    let for_end = has(Condition::Stopped) || has(Condition::Exited);
    let mut known_code = None;
    let mut connection: Option<(Process, Channel)> = None;
    loop {
        let notice = Notice::of(engine, container.id())?;
        let now = list::read(engine, container.id())?;
        let (Some(notice), Some(now)) = (notice, now) else {
            // Removed: it has ended, and its monitor may still be about to say how.
            return match known_code.or_else(|| last_word(&connection)) {
                Some(code) if for_end => Ok(code),
                None if for_end => Ok(code_of_gone(engine, container)),
                _ if has(Condition::Removing) => Ok(NO_CODE),
                _ => Err(Error::NotFound { name: container.name().to_owned() }),
            };
        };
        if let Some(met) = conditions.iter().find(|condition| holds(engine, &now, **condition)) {
            return Ok(match (met, now.state()) {
                (Condition::Stopped | Condition::Exited, State::Exited(exit)) => known_code.unwrap_or(exit.code),
                _ => NO_CODE,
            });
        }
        // The monitor says the code even where its record goes with the container (`--rm`), or with the next run.
        if let State::Initialized { init, .. } | State::Running { init, .. } = now.state()
            && for_end
            && connection.as_ref().is_none_or(|(connected, _)| connected != init)
        {
            connection = listen(engine, &now).map(|channel| (init.clone(), channel));
        }
        let state = now.state();
        // The end of the monitor, or of what it left behind when it was killed.
        let processes = [state.monitor(), now.status.restarting.as_ref(), state.init()];
        let process = processes.into_iter().flatten().find_map(Process::open);
        let mut others = Vec::new();
        others.extend(connection.as_ref().map(|(_, channel)| channel.as_fd()));
        others.extend(process.as_ref().map(AsFd::as_fd));
        listening();
        let is_silent = has(Condition::Paused) || has(Condition::Stopping);
        let until = is_silent.then(|| Instant::now() + interval);
        let ready = notice.wait(&others, until)?;
        if connection.is_some() && ready[0] {
            match connection.as_ref().map(|(_, channel)| exit_code(channel)) {
                Some(Heard::Code(code)) => {
                    if conditions.iter().all(|condition| matches!(condition, Condition::Stopped | Condition::Exited)) {
                        return Ok(code);
                    }
                    known_code = Some(code);
                    connection = None;
                }
                Some(Heard::End) => connection = None,
                Some(Heard::Other) | None => {}
            }
        }
    }
}

/// The exit code of a container that went before we could ask it, or its monitor.
fn code_of_gone(engine: &Engine, container: &Container) -> i32 {
    events::last_code(engine, container.id()).unwrap_or(NO_CODE)
}

fn holds(engine: &Engine, container: &Container, condition: Condition) -> bool {
    let state = container.state();
    match condition {
        Condition::Created => matches!(state, State::Created),
        Condition::Initialized => matches!(state, State::Initialized { .. }),
        Condition::Running => list::running(container) && !pause::paused(container),
        Condition::Paused => pause::paused(container),
        Condition::Stopping => list::running(container) && engine.run_dir(container.id()).join("stopped").exists(),
        Condition::Stopped | Condition::Exited => matches!(state, State::Exited(_)),
        Condition::Removing => matches!(state, State::Removing),
        Condition::Healthy => health_is(engine, container, HealthStatus::Healthy),
        Condition::Unhealthy => health_is(engine, container, HealthStatus::Unhealthy),
    }
}

fn health_is(engine: &Engine, container: &Container, wanted: HealthStatus) -> bool {
    list::running(container) && health::read_log(engine, container).is_some_and(|log| log.status == wanted)
}

/// A connection that only hears the end. `None` where the monitor cannot be reached: its record will do.
fn listen(engine: &Engine, container: &Container) -> Option<Channel> {
    let channel = crate::attach::connect(engine, container).ok()?;
    channel.send(&FromClient::Hello(Streams::default()).encode(), &[]).ok()?;
    Some(channel)
}

/// Everything the monitor still says, up to the exit code.
fn last_word(connection: &Option<(Process, Channel)>) -> Option<i32> {
    let (_, channel) = connection.as_ref()?;
    loop {
        match exit_code(channel) {
            Heard::Code(code) => return Some(code),
            Heard::Other => {}
            Heard::End => return None,
        }
    }
}

enum Heard {
    Code(i32),
    Other,
    End,
}

fn exit_code(channel: &Channel) -> Heard {
    match crate::attach::recv(channel) {
        Ok(message) if !message.is_empty() => match FromMonitor::decode(&message) {
            Ok(FromMonitor::Exited { code }) => Heard::Code(code),
            Ok(_) => Heard::Other,
            Err(_) => Heard::End,
        },
        Ok(_) | Err(_) => Heard::End,
    }
}
/// Waits until it has started as its probes see it. False when it has ended instead and does not come back by itself.
pub fn wait_started(engine: &Engine, container: &Container) -> Result<bool> {
    until(engine, container, |now| match now {
        Some(now) if probes::started(now) => Some(true),
        Some(now) if list::running(now) || probes::in_backoff(now) => None,
        Some(_) | None => Some(false),
    })
}

/// Waits until it has ended and no restart policy brings it back; the exit code of its last run.
pub fn wait_for_good(engine: &Engine, container: &Container) -> Result<i32> {
    until(engine, container, |now| match now.map(|now| (now, now.state())) {
        None => Some(code_of_gone(engine, container)),
        Some((now, State::Exited(exit))) if !probes::in_backoff(now) => Some(exit.code),
        Some((_, State::Created | State::Removing)) => Some(NO_CODE),
        Some((_, State::Exited(_) | State::Initialized { .. } | State::Running { .. })) => None,
    })
}

/// Until the record as it is now answers the question. `None` is a container that is gone.
pub(crate) fn until<T>(
    engine: &Engine,
    container: &Container,
    answer: impl Fn(Option<&Container>) -> Option<T>,
) -> Result<T> {
    // A restart writes its pause and then its start: both are changes of the record.
    let notice = Notice::of(engine, container.id())?;
    loop {
        let now = list::read(engine, container.id())?;
        if let Some(answer) = answer(now.as_ref()) {
            return Ok(answer);
        }
        let (Some(notice), Some(now)) = (&notice, now) else { continue };
        let monitor = now.state().monitor().or(now.status.restarting.as_ref()).and_then(Process::open);
        let monitor: Vec<_> = monitor.iter().map(AsFd::as_fd).collect();
        notice.wait(&monitor, None)?;
    }
}
