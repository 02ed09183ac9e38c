//! One probe over time: single answers become a verdict.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::later;
use crate::plan::ProbePlan;

/// What is kept from answer to answer; a new one for each start of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeMemory {
    /// When to ask next.
    pub next: Timestamp,
    successes: u32,
    failures: u32,
    /// The verdict so far.
    pub good: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// The verdict stays what it was.
    Same,
    /// From now on good: the container has started, or is ready.
    Good,
    /// From now on bad: restart it (liveness, startup), or take it out of its Services (readiness).
    Bad,
}

impl ProbeMemory {
    /// For a container that started at `since`, or whose startup probe succeeded then.
    pub fn new(plan: &ProbePlan, since: Timestamp) -> ProbeMemory {
        let next = later(since, plan.initial_delay).unwrap_or(since);
        ProbeMemory { next, successes: 0, failures: 0, good: None }
    }

    /// Takes one answer.
    pub fn answered(&mut self, plan: &ProbePlan, good: bool, now: Timestamp) -> ProbeOutcome {
        self.next = later(now, plan.period).unwrap_or(now);
        if good {
            self.successes = self.successes.saturating_add(1);
            self.failures = 0;
        } else {
            self.failures = self.failures.saturating_add(1);
            self.successes = 0;
        }
        let verdict = match good {
            true => self.successes >= plan.success_threshold,
            false => self.failures >= plan.failure_threshold,
        };
        if !verdict || self.good == Some(good) {
            return ProbeOutcome::Same;
        }
        self.good = Some(good);
        if good { ProbeOutcome::Good } else { ProbeOutcome::Bad }
    }
}
