//! The life cycle of a container: one enum, on disk and in memory the same.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sys::process::Process;

/// What is so, as its monitor wrote it. `Paused` is not here: the cgroup knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    Created,
    /// Its namespaces and mounts stand, its program does not run yet (`creel init`).
    Initialized {
        init: Process,
        monitor: Process,
    },
    Running {
        init: Process,
        monitor: Process,
        since: Timestamp,
    },
    Exited(Exit),
    /// Being taken away; whoever finds it goes on removing.
    Removing,
}

/// How a container's last run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// The program's code, or 128 + the signal that ended it; -1 when the monitor died before it could know.
    pub code: i32,
    pub started: Option<Timestamp>,
    pub at: Timestamp,
    #[serde(default)]
    pub oom_killed: bool,
    /// Why it could not be started, in words.
    #[serde(default)]
    pub error: Option<String>,
    /// Ended by `stop` or `kill`, not on its own.
    #[serde(default)]
    pub stopped_by_user: bool,
}

impl State {
    /// The one place where a record meets the kernel: whether nobody is left who could write how it went on.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            State::Initialized { init, monitor } | State::Running { init, monitor, .. } => {
                !init.alive() && !monitor.alive()
            }
            State::Created | State::Exited(_) | State::Removing => false,
        }
    }

    /// What an abandoned one has come to: a process that is gone is an exit nobody wrote down.
    pub(crate) fn after_the_monitor(self) -> State {
        match self {
            State::Initialized { .. } => State::Created,
            State::Running { since, .. } => State::Exited(Exit {
                code: -1,
                started: Some(since),
                at: since,
                oom_killed: false,
                error: Some("the monitor died before the container's exit could be recorded".into()),
                stopped_by_user: false,
            }),
            State::Created | State::Exited(_) | State::Removing => self,
        }
    }

    /// Podman's word for it, `paused` aside.
    pub fn word(&self) -> &'static str {
        match self {
            State::Created => "created",
            State::Initialized { .. } => "initialized",
            State::Running { .. } => "running",
            State::Exited(_) => "exited",
            State::Removing => "removing",
        }
    }

    /// The container's first process, while there is one.
    pub fn init(&self) -> Option<&Process> {
        match self {
            State::Initialized { init, .. } | State::Running { init, .. } => Some(init),
            State::Created | State::Exited(_) | State::Removing => None,
        }
    }

    /// The monitor, while there is one.
    pub fn monitor(&self) -> Option<&Process> {
        match self {
            State::Initialized { monitor, .. } | State::Running { monitor, .. } => Some(monitor),
            State::Created | State::Exited(_) | State::Removing => None,
        }
    }

    pub fn exit(&self) -> Option<&Exit> {
        match self {
            State::Exited(exit) => Some(exit),
            State::Created | State::Initialized { .. } | State::Running { .. } | State::Removing => None,
        }
    }
}
