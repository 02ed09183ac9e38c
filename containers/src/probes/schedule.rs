//! What a container's monitor keeps in mind about its probes while it runs.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use storage::events::{Event, Health};
use storage::record::{self, Durability};
use sys::process::Pidfd;

use super::run::Running;
use super::score::{Score, Verdict};
use super::{Action, LOG, Probe, ProbeStatus};
use crate::container::Container;
use crate::engine::Engine;
use crate::stop::{DEFAULT_TIMEOUT, stop_signal};
use crate::{events, pause};

const SIGKILL: i32 = 9;
/// A hook after the start may take its time.
const HOOK_TAKES: Duration = Duration::from_secs(24 * 60 * 60);
/// When a readiness probe is tried again that failed first, and twice as long after each failure, up to its period: programs
/// take a moment until they listen, and nobody should wait for a whole period then. As in Kubernetes the period is that of
/// a container that has been ready.
const FIRST_TRIES: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Startup,
    Liveness,
    Readiness,
}

/// One probe in time.
struct Timed {
    kind: Kind,
    probe: Probe,
    next: Instant,
    /// The pause after the next failure, where that is shorter than the period: of a readiness probe until it succeeds.
    early: Option<Duration>,
    score: Score,
    running: Option<Running>,
}

impl Timed {
    /// Whether its time comes sooner than its period says, by its last result.
    fn hurry(&mut self, succeeded: bool, now: Instant) {
        self.early = match self.early {
            Some(pause) if !succeeded => {
                self.next = self.next.min(now + pause);
                Some(pause.saturating_mul(2))
            }
            _ => None,
        };
    }
}

/// The container is being ended, by us.
struct Ending {
    hook: Option<Running>,
    signalled: bool,
    kill_at: Instant,
}

/// Empty for a container without probes: it costs nothing then.
pub(crate) struct Schedule {
    hook: Option<Running>,
    /// The hook after the start has not been begun.
    hook_due: Option<Action>,
    probes: Vec<Timed>,
    status: ProbeStatus,
    ending: Option<Ending>,
    /// Something is to be written down that is not yet.
    dirty: bool,
}

impl Schedule {
    /// At the beginning of a run.
    pub(crate) fn new(container: &Container) -> Schedule {
        let wanted = &container.spec().probes;
        let now = Instant::now();
        let timed = |kind: Kind, probe: &Option<Probe>| {
            let probe = probe.clone()?;
            let next = now + probe.initial_delay;
            let early = (kind == Kind::Readiness).then_some(FIRST_TRIES);
            Some(Timed { kind, next, early, probe, score: Score::default(), running: None })
        };
        let probes = [
            timed(Kind::Startup, &wanted.startup),
            timed(Kind::Liveness, &wanted.liveness),
            timed(Kind::Readiness, &wanted.readiness),
        ];
        let started = wanted.startup.is_none() && wanted.post_start.is_none();
        Schedule {
            hook: None,
            hook_due: wanted.post_start.clone(),
            probes: probes.into_iter().flatten().collect(),
            status: ProbeStatus { started, ready: started && wanted.readiness.is_none(), ..ProbeStatus::default() },
            ending: None,
            dirty: wanted.is_watched(),
        }
    }

    /// When to call [`Schedule::tick`] although nothing has ended.
    pub(crate) fn next(&self) -> Option<Instant> {
        if self.dirty || self.hook_due.is_some() {
            return Some(Instant::now());
        }
        let due = self.probes.iter().filter(|probe| self.is_its_turn(probe)).map(|probe| match &probe.running {
            Some(running) => running.until(),
            None => probe.next,
        });
        let hook = self.hook.as_ref().map(Running::until);
        let ending = self.ending.as_ref().map(|ending| ending.kill_at);
        match ending {
            Some(_) => ending,
            None => due.chain(hook).min(),
        }
    }

    /// Those that run; when one is readable, call [`Schedule::tick`].
    pub(crate) fn running(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let probes = self.probes.iter().filter_map(|probe| probe.running.as_ref());
        let ending = self.ending.as_ref().and_then(|ending| ending.hook.as_ref());
        probes.chain(&self.hook).chain(ending).map(Running::end)
    }

    /// The startup probe first, then the two others.
    fn is_its_turn(&self, timed: &Timed) -> bool {
        let hooked = self.hook.is_none() && self.hook_due.is_none();
        hooked && (timed.kind == Kind::Startup) != self.status.started
    }

    pub(crate) fn tick(&mut self, engine: &Engine, container: &Container, init: &Pidfd) {
        if let Some(action) = self.hook_due.take() {
            match Running::spawn(engine, container, &action, HOOK_TAKES) {
                Ok(running) => self.hook = Some(running),
                Err(error) => self.fail(engine, container, format!("postStart: {error}"), None),
            }
        }
        self.hear_of_hook(engine, container);
        if self.ending.is_none() {
            self.hear_of_probes(engine, container);
            self.begin_due(engine, container);
        }
        self.go_on_ending(container, init);
        if std::mem::take(&mut self.dirty) {
            let path = engine.container_dir(container.id()).join(LOG);
            match record::write(&path, &self.status, Durability::Visible) {
                Ok(()) => engine.store.tell(),
                // Gone with the container, where it was removed.
                Err(error) => tracing::debug!(id = %container.id(), %error, "cannot write how the probes stand"),
            }
        }
    }

    fn hear_of_hook(&mut self, engine: &Engine, container: &Container) {
        let Some(result) = self.hook.as_mut().and_then(Running::result) else { return };
        self.hook = None;
        match result {
            Ok(()) if container.spec().probes.startup.is_none() => self.set_started(container),
            Ok(()) => {}
            Err(message) => self.fail(engine, container, format!("postStart: {message}"), None),
        }
    }

    fn set_started(&mut self, container: &Container) {
        self.status.started = true;
        self.status.ready = container.spec().probes.readiness.is_none();
        self.dirty = true;
    }

    fn hear_of_probes(&mut self, engine: &Engine, container: &Container) {
        for index in 0..self.probes.len() {
            let timed = &mut self.probes[index];
            let Some(result) = timed.running.as_mut().and_then(Running::result) else { continue };
            timed.running = None;
            timed.hurry(result.is_ok(), Instant::now());
            let (kind, grace) = (timed.kind, timed.probe.grace);
            let verdict = timed.score.add(&timed.probe, result.is_ok());
            let message = result.err().unwrap_or_default();
            match (kind, verdict) {
                (_, Verdict::Undecided) => {}
                (Kind::Startup, Verdict::Succeeded) => self.set_started(container),
                (Kind::Startup, Verdict::Failed) => {
                    self.fail(engine, container, format!("startup probe failed: {message}"), grace);
                }
                (Kind::Liveness, Verdict::Succeeded) => {}
                (Kind::Liveness, Verdict::Failed) => {
                    self.status.unhealthy = true;
                    self.fail(engine, container, format!("liveness probe failed: {message}"), grace);
                }
                (Kind::Readiness, verdict) => {
                    let ready = verdict == Verdict::Succeeded;
                    if self.status.ready != ready {
                        self.status.ready = ready;
                        if !ready {
                            self.status.message = format!("readiness probe failed: {message}");
                        }
                        self.dirty = true;
                        self.tell(engine, container);
                    }
                }
            }
        }
    }

    fn begin_due(&mut self, engine: &Engine, container: &Container) {
        let now = Instant::now();
        for index in 0..self.probes.len() {
            let timed = &self.probes[index];
            if timed.running.is_some() || timed.next > now || !self.is_its_turn(timed) {
                continue;
            }
            let timed = &mut self.probes[index];
            timed.next = now + timed.probe.period.max(Duration::from_millis(100));
            if pause::paused(container) {
                continue;
            }
            match Running::spawn(engine, container, &timed.probe.action, timed.probe.timeout) {
                Ok(running) => timed.running = Some(running),
                Err(error) => tracing::warn!(id = %container.id(), %error, "cannot run a probe"),
            }
        }
    }

    /// The container is to end: its hook, its signal, then SIGKILL.
    fn fail(&mut self, engine: &Engine, container: &Container, message: String, grace: Option<u32>) {
        self.status.message = message;
        self.status.ready = false;
        self.dirty = true;
        self.tell(engine, container);
        if self.ending.is_some() {
            return;
        }
        let seconds = grace.or(container.spec().stop_timeout).unwrap_or(DEFAULT_TIMEOUT);
        let grace = Duration::from_secs(seconds.into());
        let hook = container.spec().probes.pre_stop.as_ref().and_then(|action| {
            Running::spawn(engine, container, action, grace)
                .inspect_err(|error| tracing::warn!(id = %container.id(), %error, "the hook could not run"))
                .ok()
        });
        self.ending = Some(Ending { hook, signalled: false, kill_at: Instant::now() + grace });
    }

    fn go_on_ending(&mut self, container: &Container, init: &Pidfd) {
        let Some(ending) = &mut self.ending else { return };
        if let Some(hook) = &mut ending.hook {
            match hook.result() {
                None if Instant::now() < ending.kill_at => return,
                _ => ending.hook = None,
            }
        }
        // It may have ended in this moment, which is the aim.
        if !std::mem::replace(&mut ending.signalled, true) {
            let _ = init.signal(stop_signal(container));
        } else if Instant::now() >= ending.kill_at {
            let _ = init.signal(SIGKILL);
            ending.kill_at = Instant::now() + Duration::from_secs(1);
        }
    }

    fn tell(&self, engine: &Engine, container: &Container) {
        let health = Health {
            status: self.status.health().word().to_owned(),
            failing_streak: u32::from(!self.status.ready),
            output: self.status.message.clone(),
        };
        let event = Event { health: Some(health), ..events::event(container, "health_status") };
        storage::events::record(&engine.store, event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_not_been_ready_is_asked_sooner_than_its_period_says() {
        let now = Instant::now();
        let period = Duration::from_secs(1);
        let mut timed = Timed {
            kind: Kind::Readiness,
            probe: Probe::default(),
            next: now,
            early: Some(FIRST_TRIES),
            score: Score::default(),
            running: None,
        };
        let mut pauses = |results: &[bool]| -> Vec<u128> {
            let after = |succeeded: &bool| {
                timed.next = now + period;
                timed.hurry(*succeeded, now);
                (timed.next - now).as_millis()
            };
            results.iter().map(after).collect()
        };
        assert_eq!(pauses(&[false, false, false, false]), [250, 500, 1000, 1000]);
        assert_eq!(pauses(&[true, false, false]), [1000, 1000, 1000]);
    }
}
