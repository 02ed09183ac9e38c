//! Health checks: a program run in the container now and then, and what its results add up to.
//!
//! The monitor runs them, each in a process of its own, so that a check that hangs does not hold up the container's
//! streams. The results stand in `health.json` beside the container's record.

use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, ExitCode, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use storage::events::{Event, Health};
use storage::record::{self, Durability};
use sys::lock::FileLock;
use sys::process::Pidfd;

use crate::container::{Container, ImageDefaults};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::exec::{Captured, capture};
use crate::spec::{ContainerSpec, HealthAction, HealthSpec};
use crate::state::State;
use crate::{checker, events, list, pause, stop};

const SIGKILL: i32 = 9;
/// The results, beside the container's record.
pub(crate) const LOG: &str = "health.json";

/// What a container's checks add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthStatus {
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

impl HealthStatus {
    /// Podman's word for it.
    pub fn word(self) -> &'static str {
        match self {
            HealthStatus::Starting => "starting",
            HealthStatus::Healthy => "healthy",
            HealthStatus::Unhealthy => "unhealthy",
        }
    }
}

/// `health.json`, version 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthLog {
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: u32,
    /// Oldest first.
    pub log: Vec<HealthEntry>,
    /// The startup check has succeeded often enough, or there is none.
    pub started_up: bool,
    /// Of the startup check, in a row.
    pub startup_successes: u32,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthEntry {
    pub start: Timestamp,
    pub end: Timestamp,
    pub exit_code: i32,
    pub output: String,
}

impl record::Record for HealthLog {
    const VERSION: u32 = 1;
}

/// The container's check: the user's, else the image's; `None` where there is none or it was switched off.
pub(crate) fn spec_of(container: &Container) -> Option<&HealthSpec> {
    chosen(container.spec(), container.record.image.as_ref())
}

/// The same before there is a container.
pub(crate) fn chosen<'a>(spec: &'a ContainerSpec, image: Option<&'a ImageDefaults>) -> Option<&'a HealthSpec> {
    let image = || image.and_then(|image| image.health.as_ref());
    spec.health.as_ref().or_else(image).filter(|check| !spec.no_healthcheck && command(&check.test).is_some())
}

/// The results so far.
pub fn read_log(engine: &Engine, container: &Container) -> Option<HealthLog> {
    spec_of(container)?;
    let path = engine.container_dir(container.id()).join(LOG);
    // A damaged log is begun anew by the next check.
    record::read_optional(&path).ok().flatten()
}

/// `["CMD", ...]`, `["CMD-SHELL", line]`, or a program without either word; `None` for no check.
fn command(test: &[String]) -> Option<Vec<String>> {
    let (kind, rest) = test.split_first()?;
    match kind.as_str() {
        "NONE" | "none" | "" => None,
        "CMD" => Some(rest.to_vec()).filter(|rest| !rest.is_empty()),
        "CMD-SHELL" => Some(["/bin/sh".to_owned(), "-c".to_owned()].into_iter().chain(rest.iter().cloned()).collect()),
        _ => Some(test.to_vec()),
    }
}

/// Runs the container's check once, writes the result down and does what is to be done about it.
pub fn check_health(engine: &Engine, container: &Container) -> Result<HealthStatus> {
    let container = list::again(engine, container)?;
    let check = spec_of(&container)
        .ok_or_else(|| Error::Invalid(format!("container {} has no defined healthcheck", container.id())))?;
    let State::Running { since, .. } = container.state() else {
        return Err(Error::Invalid(format!("container {} is not running", container.id())));
    };
    if pause::paused(&container) {
        return Ok(read_log(engine, &container).unwrap_or_default().status);
    }
    let started_up = read_log(engine, &container).is_some_and(|log| log.started_up) || check.startup.is_none();
    let startup = check.startup.as_ref().filter(|_| !started_up);
    let (test, timeout) = match startup {
        Some(startup) => (&startup.test, startup.timeout),
        None => (&check.test, check.timeout),
    };
    let start = Timestamp::now();
    let entry = run_test(engine, &container, test, timeout, check, start);
    let in_start_period = Duration::try_from(start.duration_since(*since)).unwrap_or_default() < check.start_period;

    let path = engine.container_dir(container.id()).join(LOG);
    let lock = path.with_file_name("health.lock");
    // Two checks at once, one of them by hand: both results count.
    let _lock = FileLock::exclusive(&lock).map_err(Error::io(&lock))?;
    let mut log = read_log(engine, &container).unwrap_or_default();
    let succeeded = entry.exit_code == 0;
    let before = log.status;
    let told = Entry::of(&entry);
    let give_up = log.add(check, entry, in_start_period);
    record::write(&path, &log, Durability::Visible)?;
    drop(_lock);
    if let Err(error) = tell(engine, &container, check, &log, &told) {
        tracing::warn!(id = %container.id(), %error, "cannot tell the result of a health check");
    }
    if give_up || (log.status == HealthStatus::Unhealthy && before != HealthStatus::Unhealthy) {
        act(engine, &container, if give_up { HealthAction::Restart } else { check.on_failure });
    }
    // The answer is about this check, the status about them all.
    Ok(match log.status {
        HealthStatus::Starting if in_start_period => HealthStatus::Starting,
        _ if !succeeded => HealthStatus::Unhealthy,
        status => status,
    })
}

/// Where results go beside the container's record, when neither is the name of a directory.
const LOCAL: &str = "local";
const EVENTS: &str = "events_logger";

/// Refuses a destination for results that is not there.
pub(crate) fn check_destination(destination: &str) -> Result<()> {
    if matches!(destination, "" | LOCAL | EVENTS) {
        return Ok(());
    }
    let wrong = |why: String| {
        Error::Invalid(format!("running container create option: HealthCheck Log '{destination}' destination {why}"))
    };
    match std::fs::metadata(destination) {
        Ok(stat) if stat.is_dir() => Ok(()),
        Ok(_) => Err(wrong("must be directory".into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(wrong(format!("error: stat {destination}: no such file or directory")))
        }
        Err(error) => Err(wrong(format!("error: stat {destination}: {error}"))),
    }
}

/// A result as Podman writes it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    start: Timestamp,
    end: Timestamp,
    exit_code: i32,
    output: String,
}

impl Entry {
    fn of(entry: &HealthEntry) -> Entry {
        let HealthEntry { start, end, exit_code, output } = entry.clone();
        Entry { start, end, exit_code, output }
    }
}

/// The whole log as Podman writes it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Published {
    status: &'static str,
    failing_streak: u32,
    log: Vec<Entry>,
}

/// An event for each result, and a file where the user wanted one.
fn tell(engine: &Engine, container: &Container, check: &HealthSpec, log: &HealthLog, entry: &Entry) -> Result<()> {
    let invalid = |error: serde_json::Error| Error::Invalid(error.to_string());
    let mut output = String::new();
    match check.log_destination.as_str() {
        "" | LOCAL => {}
        EVENTS => output = serde_json::to_string(entry).map_err(invalid)?,
        directory => {
            let entries = log.log.iter().map(Entry::of).collect();
            let all = Published { status: log.status.word(), failing_streak: log.failing_streak, log: entries };
            let path = std::path::Path::new(directory).join(format!("{}-healthcheck.log", container.id()));
            let text = serde_json::to_vec(&all).map_err(invalid)?;
            record::write_bytes(&path, &text, Durability::Visible)?;
        }
    }
    let health = Health { status: log.status.word().to_owned(), failing_streak: log.failing_streak, output };
    let event = Event { health: Some(health), ..events::event(container, "health_status") };
    storage::events::record(&engine.store, event);
    Ok(())
}

fn run_test(
    engine: &Engine,
    container: &Container,
    test: &[String],
    timeout: Duration,
    check: &HealthSpec,
    start: Timestamp,
) -> HealthEntry {
    let max = usize::try_from(check.max_log_size).unwrap_or(usize::MAX);
    // Characters have up to four bytes; 0 is no limit of the user's, but there is one of ours.
    let room = if max == 0 { 1024 * 1024 } else { max.saturating_mul(4) };
    let limit = Some(timeout).filter(|timeout| !timeout.is_zero());
    let ran = match command(test) {
        Some(command) => capture(engine, container, command, limit, room),
        None => Err(Error::Invalid("the health check has no command".into())),
    };
    let (exit_code, output) = match ran {
        Ok(Captured { code: Some(code), output }) => (code, String::from_utf8_lossy(&output).into_owned()),
        Ok(Captured { code: None, .. }) => {
            (-1, format!("Healthcheck command exceeded timeout ({}s)", timeout.as_secs_f64()))
        }
        Err(Error::Runtime(error)) => (error.exit_code().into(), error.to_string()),
        Err(error) => (125, error.to_string()),
    };
    let output = if max == 0 { output } else { output.chars().take(max).collect() };
    HealthEntry { start, end: Timestamp::now(), exit_code, output }
}

impl HealthLog {
    /// Pure: one more result. True when the startup check has failed too often.
    fn add(&mut self, check: &HealthSpec, entry: HealthEntry, in_start_period: bool) -> bool {
        let succeeded = entry.exit_code == 0;
        self.log.push(entry);
        if check.max_log_count > 0 {
            let surplus = self.log.len().saturating_sub(check.max_log_count as usize);
            self.log.drain(..surplus);
        }
        if let Some(startup) = check.startup.as_ref().filter(|_| !self.started_up) {
            if succeeded {
                self.failing_streak = 0;
                self.startup_successes += 1;
                self.started_up = self.startup_successes >= startup.successes.max(1);
                return false;
            }
            self.startup_successes = 0;
            self.failing_streak += 1;
            return startup.retries > 0 && self.failing_streak >= startup.retries;
        }
        self.started_up = true;
        if succeeded {
            self.status = HealthStatus::Healthy;
            self.failing_streak = 0;
        } else if !in_start_period {
            self.failing_streak += 1;
            if self.failing_streak >= check.retries.max(1) {
                self.status = HealthStatus::Unhealthy;
            }
        }
        false
    }
}

/// What the user wants to happen to an unhealthy container. A failure is reported; the container is no worse for it.
fn act(engine: &Engine, container: &Container, action: HealthAction) {
    let done = match action {
        HealthAction::None => Ok(()),
        // Without the mark of a user's stop: a restart policy may bring it back.
        HealthAction::Kill => match container.state().init().and_then(sys::process::Process::open) {
            Some(init) => init.signal(SIGKILL).map_err(Error::io("the container's first process")),
            None => Ok(()),
        },
        HealthAction::Stop => stop::stop(engine, container, None),
        HealthAction::Restart => stop::restart(engine, container, None),
    };
    if let Err(error) = done {
        tracing::warn!(id = %container.id(), %error, "cannot act on an unhealthy container");
    }
}

/// When the monitor is to run the next check.
pub(crate) struct Schedule {
    interval: Option<Duration>,
    startup_interval: Option<Duration>,
    /// Instead of `interval` until one succeeds, for the time of the start period.
    start: Option<(Duration, Instant)>,
    began: Instant,
    next: Option<Instant>,
    /// Nothing of this run is written down yet.
    fresh: bool,
    running: Option<(Child, Pidfd)>,
    /// Who waits for the container to be healthy, see [`crate::notify`].
    waiting: Option<String>,
}

impl Schedule {
    /// At the beginning of a run: the first check is due at once.
    pub(crate) fn new(engine: &Engine, container: &Container) -> Schedule {
        let check = spec_of(container);
        let spec = container.spec();
        let waiting = crate::notify::manager(engine, spec).filter(|_| spec.starts_healthy()).cloned();
        let interval = check.and_then(|check| check.interval).filter(|interval| !interval.is_zero());
        let startup_interval = check.and_then(|check| check.startup.as_ref()).and_then(|startup| startup.interval);
        let began = Instant::now();
        let start = check.and_then(|check| start_interval(check, began));
        let next = check.map(|_| began);
        Schedule { interval, startup_interval, start, began, next, fresh: true, running: None, waiting }
    }

    /// The container's record says something else now.
    pub(crate) fn change(&mut self, container: &Container) {
        let check = spec_of(container);
        let interval = check.and_then(|check| check.interval).filter(|interval| !interval.is_zero());
        self.startup_interval = check.and_then(|check| check.startup.as_ref()).and_then(|startup| startup.interval);
        self.start = check.and_then(|check| start_interval(check, self.began));
        if interval != self.interval || self.next.is_some() != check.is_some() {
            self.next = check.map(|_| Instant::now() + interval.unwrap_or_default());
        }
        self.interval = interval;
    }

    /// When to call [`Schedule::run_due`].
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// The check that runs now; when it is ready, call [`Schedule::end`].
    pub(crate) fn running(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|(_, end)| end.as_fd())
    }

    /// A check is over.
    pub(crate) fn end(&mut self, engine: &Engine, container: &Container) {
        let Some((child, _)) = &mut self.running else { return };
        if matches!(child.try_wait(), Ok(None)) {
            return;
        }
        self.running = None;
        let is_healthy = || read_log(engine, container).is_some_and(|log| log.status == HealthStatus::Healthy);
        if let Some(manager) = self.waiting.take_if(|_| is_healthy()) {
            crate::notify::tell(manager.as_ref(), "READY=1");
        }
    }

    /// Begins a check if it is time for one and the last one is over.
    pub(crate) fn run_due(&mut self, engine: &Engine, container: &Container) {
        let report = |error: Error| tracing::warn!(id = %container.id(), %error, "cannot check the container's health");
        match self.next {
            Some(next) if Instant::now() >= next => {}
            Some(_) | None => return,
        }
        if std::mem::take(&mut self.fresh)
            && let Err(error) = begin_run(engine, container)
        {
            report(error);
        }
        // Without an interval it is only checked by hand.
        let Some(interval) = self.interval else {
            self.next = None;
            return;
        };
        let log = read_log(engine, container);
        let starting_up = log.as_ref().is_none_or(|log| !log.started_up);
        let starting = log.is_none_or(|log| log.status == HealthStatus::Starting);
        let now = Instant::now();
        let at_start = self.start.filter(|(_, until)| starting && now < *until).map(|(interval, _)| interval);
        self.next = Some(now + self.startup_interval.filter(|_| starting_up).or(at_start).unwrap_or(interval));
        if self.running.is_none() {
            match checker::spawn(engine, container, "__health", (), Stdio::null()) {
                Ok(child) => self.running = Some(child),
                Err(error) => report(error),
            }
        }
    }
}

/// The interval of the start period, and when that is over.
fn start_interval(check: &HealthSpec, began: Instant) -> Option<(Duration, Instant)> {
    let interval = check.start_interval.filter(|interval| !interval.is_zero())?;
    Some((interval, began.checked_add(check.start_period)?))
}

/// What the hidden command `__health` runs: one check.
pub fn health_main() -> ExitCode {
    // Inherited from the monitor's start where that could do it.
    let _ = sys::exe::seal(&[]);
    let done = checker::told().and_then(|(engine, container, ())| check_health(&engine, &container));
    match done {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::warn!(%error, "cannot check a container's health");
            ExitCode::FAILURE
        }
    }
}

/// At the beginning of a run: nothing is known yet, the log of earlier runs stays.
fn begin_run(engine: &Engine, container: &Container) -> Result<()> {
    let Some(check) = spec_of(container) else { return Ok(()) };
    let log = read_log(engine, container).unwrap_or_default().log;
    let fresh = HealthLog { log, started_up: check.startup.is_none(), ..HealthLog::default() };
    Ok(record::write(&engine.container_dir(container.id()).join(LOG), &fresh, Durability::Visible)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::StartupHealth;

    fn check(startup: Option<StartupHealth>) -> HealthSpec {
        HealthSpec {
            test: vec!["CMD".into(), "true".into()],
            interval: None,
            timeout: Duration::from_secs(1),
            start_period: Duration::ZERO,
            start_interval: None,
            retries: 2,
            on_failure: HealthAction::None,
            startup,
            log_destination: "local".into(),
            max_log_count: 3,
            max_log_size: 500,
        }
    }

    fn entry(exit_code: i32) -> HealthEntry {
        HealthEntry { start: Timestamp::UNIX_EPOCH, end: Timestamp::UNIX_EPOCH, exit_code, output: String::new() }
    }

    fn words(check: &HealthSpec, results: &[(i32, bool)]) -> Vec<&'static str> {
        let mut log = HealthLog::default();
        results
            .iter()
            .map(|(code, in_start_period)| {
                log.add(check, entry(*code), *in_start_period);
                assert!(log.log.len() <= 3);
                log.status.word()
            })
            .collect()
    }

    #[test]
    fn it_takes_as_many_failures_as_retries() {
        let results = [(1, false), (0, false), (1, false), (1, false), (0, false)];
        assert_eq!(words(&check(None), &results), ["starting", "healthy", "healthy", "unhealthy", "healthy"]);
    }

    #[test]
    fn failures_in_the_start_period_do_not_count() {
        let results = [(1, true), (1, true), (1, false), (1, false)];
        assert_eq!(words(&check(None), &results), ["starting", "starting", "starting", "unhealthy"]);
        assert_eq!(words(&check(None), &[(0, true)]), ["healthy"]);
    }

    #[test]
    fn a_startup_check_comes_first_and_may_give_up() {
        let startup = StartupHealth {
            test: vec!["CMD".into(), "true".into()],
            interval: None,
            timeout: Duration::ZERO,
            retries: 2,
            successes: 2,
        };
        let check = check(Some(startup));
        assert_eq!(words(&check, &[(0, false), (0, false), (0, false)]), ["starting", "starting", "healthy"]);
        let mut log = HealthLog::default();
        assert!(!log.add(&check, entry(1), false));
        assert!(log.add(&check, entry(1), false));
    }

    #[test]
    fn tests_are_programs_or_lines() {
        let read = |test: &[&str]| command(&test.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["CMD", "a", "b"]).unwrap(), ["a", "b"]);
        assert_eq!(read(&["CMD-SHELL", "a | b"]).unwrap(), ["/bin/sh", "-c", "a | b"]);
        assert_eq!(read(&["NONE"]), None);
        assert_eq!(read(&[]), None);
    }
}
