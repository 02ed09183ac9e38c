//! One pod: what its containers say together.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::{ContainerPlan, PodRestartPolicy, PodTemplate};

/// Kubernetes' word for where a pod is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PodPhase {
    #[default]
    Pending,
    Running,
    Succeeded,
    Failed,
    Unknown,
}

impl PodPhase {
    pub fn word(self) -> &'static str {
        match self {
            PodPhase::Pending => "Pending",
            PodPhase::Running => "Running",
            PodPhase::Succeeded => "Succeeded",
            PodPhase::Failed => "Failed",
            PodPhase::Unknown => "Unknown",
        }
    }
}

/// A container of a pod as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedContainer {
    pub name: String,
    pub state: ContainerState,
    pub restarts: u32,
    /// How it ended the time before.
    pub last: Option<Ended>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerState {
    /// Never started, or waiting to be started again.
    Waiting(WaitReason),
    Running {
        since: Timestamp,
        /// Its startup probe has succeeded, or it has none.
        started: bool,
        /// Its readiness probe says so, or it has none and has started.
        ready: bool,
    },
    Ended(Ended),
}

/// Why a container is not running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitReason {
    /// Its turn has not come: init containers first.
    PodInitializing,
    ContainerCreating,
    CrashLoopBackOff,
    ErrImagePull,
    ImagePullBackOff,
    ErrImageNeverPull,
    InvalidImageName,
    CreateContainerConfigError,
    CreateContainerError,
    RunContainerError,
}

impl WaitReason {
    pub fn word(self) -> &'static str {
        match self {
            WaitReason::PodInitializing => "PodInitializing",
            WaitReason::ContainerCreating => "ContainerCreating",
            WaitReason::CrashLoopBackOff => "CrashLoopBackOff",
            WaitReason::ErrImagePull => "ErrImagePull",
            WaitReason::ImagePullBackOff => "ImagePullBackOff",
            WaitReason::ErrImageNeverPull => "ErrImageNeverPull",
            WaitReason::InvalidImageName => "InvalidImageName",
            WaitReason::CreateContainerConfigError => "CreateContainerConfigError",
            WaitReason::CreateContainerError => "CreateContainerError",
            WaitReason::RunContainerError => "RunContainerError",
        }
    }
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// 128 and the signal's number for one that was killed.
    pub code: i32,
    pub oom_killed: bool,
    pub started: Option<Timestamp>,
    pub at: Timestamp,
}

impl Ended {
    /// kubectl's word for it.
    pub fn reason(&self) -> &'static str {
        match (self.oom_killed, self.code) {
            (true, _) => "OOMKilled",
            (false, 0) => "Completed",
            (false, _) => "Error",
        }
    }
}

/// What `kube get pods` shows of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodStatus {
    pub phase: PodPhase,
    /// The column STATUS: the phase, or what is more to the point (`CrashLoopBackOff`, `Init:1/2`, `Terminating`).
    pub shown: String,
    /// Containers and sidecars that are ready, and all of them.
    pub ready_containers: u32,
    pub containers: u32,
    pub restarts: u32,
    /// All init containers are through.
    pub initialized: bool,
    /// All containers are ready.
    pub ready: bool,
}

fn find<'a>(containers: &'a [ObservedContainer], plan: &ContainerPlan) -> Option<&'a ObservedContainer> {
    containers.iter().find(|container| container.name == plan.name)
}

fn ended(container: Option<&ObservedContainer>) -> Option<&Ended> {
    match container.map(|container| &container.state) {
        Some(ContainerState::Ended(ended)) => Some(ended),
        Some(ContainerState::Waiting(_) | ContainerState::Running { .. }) | None => None,
    }
}

/// It has ended and will not be started again.
fn done(policy: PodRestartPolicy, plan: &ContainerPlan, ended: &Ended) -> bool {
    match policy {
        _ if plan.sidecar => false,
        PodRestartPolicy::Always => plan.auto_remove,
        PodRestartPolicy::OnFailure => ended.code == 0,
        PodRestartPolicy::Never => true,
    }
}

/// Phase and numbers from the containers alone.
pub fn pod_status(template: &PodTemplate, containers: &[ObservedContainer], stopping: bool) -> PodStatus {
    let mains: Vec<Option<&ObservedContainer>> =
        template.containers.iter().map(|plan| find(containers, plan)).collect();
    let sidecars: Vec<Option<&ObservedContainer>> =
        template.init.iter().filter(|plan| plan.sidecar).map(|plan| find(containers, plan)).collect();
    let is_ready = |container: &&Option<&ObservedContainer>| {
        matches!(container.map(|container| &container.state), Some(ContainerState::Running { ready: true, .. }))
    };
    let ready_containers = mains.iter().chain(&sidecars).filter(is_ready).count() as u32;
    let total = (mains.len() + sidecars.len()) as u32;
    let begun = mains
        .iter()
        .flatten()
        .any(|container| container.restarts > 0 || !matches!(container.state, ContainerState::Waiting(_)));
    let initializing = if begun { None } else { initializing(template, containers) };
    let phase = phase(template, containers, &mains, initializing.is_some());
    let ready = phase == PodPhase::Running && ready_containers == total && !stopping;
    let shown = match &initializing {
        _ if stopping => "Terminating".to_owned(),
        Some(shown) => shown.clone(),
        None => shown(template, &mains, phase, ready),
    };
    let restarts = match initializing.is_some() {
        true => containers.iter().map(|container| container.restarts).sum(),
        false => mains.iter().chain(&sidecars).flatten().map(|container| container.restarts).sum(),
    };
    let initialized = initializing.is_none();
    PodStatus { phase, shown, ready_containers, containers: total, restarts, initialized, ready }
}

/// `Init:1/3` and the like while init containers are not through.
fn initializing(template: &PodTemplate, containers: &[ObservedContainer]) -> Option<String> {
    let total = template.init.len();
    for (index, plan) in template.init.iter().enumerate() {
        let state = find(containers, plan).map(|container| &container.state);
        return Some(match state {
            Some(ContainerState::Ended(ended)) if ended.code == 0 && !plan.sidecar => continue,
            Some(ContainerState::Running { started: true, .. }) if plan.sidecar => continue,
            // They are made in their order: it has been there.
            None if plan.once && !containers.is_empty() => continue,
            Some(ContainerState::Ended(ended)) => format!("Init:{}", ended.reason()),
            Some(ContainerState::Waiting(WaitReason::PodInitializing | WaitReason::ContainerCreating)) | None => {
                format!("Init:{index}/{total}")
            }
            Some(ContainerState::Waiting(reason)) => format!("Init:{}", reason.word()),
            Some(ContainerState::Running { .. }) => format!("Init:{index}/{total}"),
        });
    }
    None
}

fn phase(
    template: &PodTemplate,
    containers: &[ObservedContainer],
    mains: &[Option<&ObservedContainer>],
    initializing: bool,
) -> PodPhase {
    if initializing {
        let failed = template.init.iter().any(|plan| {
            template.restart == PodRestartPolicy::Never
                && !plan.sidecar
                && ended(find(containers, plan)).is_some_and(|ended| ended.code != 0)
        });
        return if failed { PodPhase::Failed } else { PodPhase::Pending };
    }
    let fresh = |container: &Option<&ObservedContainer>| match container {
        None => true,
        Some(container) => {
            container.restarts == 0 && matches!(container.state, ContainerState::Waiting(_)) && container.last.is_none()
        }
    };
    if mains.iter().any(fresh) {
        return PodPhase::Pending;
    }
    let ends: Option<Vec<&Ended>> = mains
        .iter()
        .zip(&template.containers)
        .map(|(container, plan)| ended(*container).filter(|ended| done(template.restart, plan, ended)))
        .collect();
    match ends {
        None => PodPhase::Running,
        Some(ends) if ends.iter().all(|ended| ended.code == 0) => PodPhase::Succeeded,
        Some(_) => PodPhase::Failed,
    }
}

/// The word of the first container that has something to say.
fn shown(template: &PodTemplate, mains: &[Option<&ObservedContainer>], phase: PodPhase, ready: bool) -> String {
    let mut word = phase.word().to_owned();
    let mut running = false;
    for container in mains.iter().rev() {
        match container.map(|container| &container.state) {
            None => word = waiting(template).to_owned(),
            Some(ContainerState::Waiting(WaitReason::PodInitializing)) => word = waiting(template).to_owned(),
            Some(ContainerState::Waiting(reason)) => word = reason.word().to_owned(),
            Some(ContainerState::Ended(ended)) => word = ended.reason().to_owned(),
            Some(ContainerState::Running { ready, .. }) => running |= *ready,
        }
    }
    match word.as_str() {
        "Completed" if running && ready => "Running".to_owned(),
        "Completed" if running => "NotReady".to_owned(),
        _ => word,
    }
}

fn waiting(template: &PodTemplate) -> &'static str {
    if template.init.is_empty() { WaitReason::ContainerCreating.word() } else { WaitReason::PodInitializing.word() }
}
