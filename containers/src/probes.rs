//! Kubernetes' probes and hooks: what is asked of a container from its own network while it runs, and done at its start
//! and before its end.
//!
//! The monitor keeps the time and the score. Each single action runs in a process of its own (`creel __probe`), inside of
//! the container's network namespace, so nothing is needed in the image. What it comes to stands in `probes.json` beside
//! the container's record, written when it changes.

mod grpc;
mod http;
mod run;
mod schedule;
mod score;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::container::Container;
use crate::health::HealthStatus;
use crate::list;
use crate::state::State;

pub(crate) use run::before_stop;
pub use run::probe_main;
pub(crate) use schedule::Schedule;

/// The score, beside the container's record.
pub(crate) const LOG: &str = "probes.json";

/// The probes of a container and its hooks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Probes {
    /// Until it has succeeded the others wait. Failing, it ends the container.
    pub startup: Option<Probe>,
    /// Failing, it ends the container: the restart policy brings it back.
    pub liveness: Option<Probe>,
    /// Failing, the container is not ready: Services pass it by.
    pub readiness: Option<Probe>,
    /// Right after the start. Until it is done the container has not started; failing, it ends the container.
    pub post_start: Option<Action>,
    /// Before the stop signal, within the time to stop.
    pub pre_stop: Option<Action>,
}

impl Probes {
    pub fn is_empty(&self) -> bool {
        *self == Probes::default()
    }

    /// Whether there is anything to keep a score of.
    pub(crate) fn is_watched(&self) -> bool {
        self.startup.is_some() || self.liveness.is_some() || self.readiness.is_some() || self.post_start.is_some()
    }
}

/// One probe, with Kubernetes' fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Probe {
    pub action: Action,
    /// After the container's start.
    pub initial_delay: Duration,
    pub period: Duration,
    pub timeout: Duration,
    /// Successes in a row that count as one.
    pub success_threshold: u32,
    /// Failures in a row that count as one.
    pub failure_threshold: u32,
    /// Seconds to end in, when this probe ends the container; its own where `None`.
    pub grace: Option<u32>,
}

impl Default for Probe {
    fn default() -> Probe {
        Probe {
            action: Action::Sleep { seconds: 0 },
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            success_threshold: 1,
            failure_threshold: 3,
            grace: None,
        }
    }
}

/// What is done once. Addresses default to the pod's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// A program in the container, without a shell: exit code 0 is success.
    Exec {
        command: Vec<String>,
    },
    /// A GET: a status from 200 to 399 is success.
    Http {
        tls: bool,
        host: Option<String>,
        port: u16,
        path: String,
        headers: Vec<(String, String)>,
    },
    /// A connection.
    Tcp {
        host: Option<String>,
        port: u16,
    },
    /// grpc.health.v1.Health/Check without TLS: SERVING is success.
    Grpc {
        port: u16,
        service: String,
    },
    Sleep {
        seconds: u32,
    },
}

/// The pause between restarts by policy: none before the first, then `first`, doubling up to `longest`. A run that lasted
/// `settled` starts the count anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    pub first: Duration,
    pub longest: Duration,
    pub settled: Duration,
}

impl Backoff {
    /// Kubernetes' CrashLoopBackOff.
    pub fn kubernetes() -> Backoff {
        let seconds = Duration::from_secs;
        Backoff { first: seconds(10), longest: seconds(300), settled: seconds(600) }
    }

    /// Pure: after so many restarts in a row.
    pub(crate) fn pause(&self, restarts: u32) -> Duration {
        match restarts {
            0 | 1 => Duration::ZERO,
            more => self.first.saturating_mul(2u32.saturating_pow(more - 2)).min(self.longest),
        }
    }
}

/// `probes.json`, version 1: how the container's probes stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProbeStatus {
    /// The hook after the start and the startup probe have succeeded.
    pub started: bool,
    /// And the readiness probe.
    pub ready: bool,
    /// The liveness probe failed as often as it may.
    pub unhealthy: bool,
    /// What the last failure was.
    pub message: String,
}

impl storage::record::Record for ProbeStatus {
    const VERSION: u32 = 1;
}

impl ProbeStatus {
    pub(crate) fn health(&self) -> HealthStatus {
        match self {
            ProbeStatus { unhealthy: true, .. } => HealthStatus::Unhealthy,
            ProbeStatus { started: false, .. } => HealthStatus::Starting,
            ProbeStatus { ready: false, .. } => HealthStatus::Unhealthy,
            ProbeStatus { .. } => HealthStatus::Healthy,
        }
    }
}

/// Whether it runs and has started, as its probes see it.
pub fn started(container: &Container) -> bool {
    list::running(container) && container.status.probes.as_ref().is_none_or(|probes| probes.started)
}

/// Whether it is to get traffic.
pub fn ready(container: &Container) -> bool {
    list::running(container) && container.status.probes.as_ref().is_none_or(|probes| probes.ready)
}

/// Whether it has ended and its monitor waits to start it again: CrashLoopBackOff.
pub fn in_backoff(container: &Container) -> bool {
    matches!(container.state(), State::Exited(_))
        && container.status.restarting.as_ref().is_some_and(|monitor| monitor.alive())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_then_it_takes_twice_as_long_each_time() {
        let backoff = Backoff::kubernetes();
        let pauses: Vec<u64> = (1..=8).map(|restarts| backoff.pause(restarts).as_secs()).collect();
        assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff.pause(u32::MAX).as_secs(), 300);
    }
}
