//! Containers: what they run, their ports, their mounts.

use std::collections::BTreeSet;

use containers::{ContainerSpec, RestartPolicy, SdNotify};

use super::resources::{devices, is_cdi_device, limit};
use super::{At, Lowering};
use crate::model::{self, PodRestartPolicy, PodSpec};
use crate::plan::{ContainerPlan, NamedPort, PodTemplate, PullPolicy, VolumeMountPlan, VolumeSource};

impl Lowering<'_> {
    pub(super) fn container(
        &mut self,
        container: &model::Container,
        pod: &PodSpec,
        init: bool,
        namespace: &str,
        template: &PodTemplate,
        at: &At<'_>,
    ) -> ContainerPlan {
        let image = match &container.image {
            Some(image) => image.to_string(),
            None => {
                let text = format!("container {:?} is missing the required 'image' field", &*container.name);
                self.wrong(&at.key("image"), text);
                String::new()
            }
        };
        let sidecar = self.sidecar(container, init, at);
        if init && !sidecar {
            for (written, word) in [
                (container.liveness_probe.is_some(), "livenessProbe"),
                (container.readiness_probe.is_some(), "readinessProbe"),
                (container.startup_probe.is_some(), "startupProbe"),
                (container.lifecycle.is_some(), "lifecycle"),
            ] {
                if written {
                    self.wrong(&at.key(word), "must not be set for init containers without restartPolicy: Always");
                }
            }
        }
        let (limits, requests) = match &container.resources {
            Some(resources) => self.resources(resources, &at.key("resources")),
            None => Default::default(),
        };
        let mut spec = ContainerSpec {
            workdir: container.working_dir.clone().filter(|path| !path.is_empty()),
            tty: container.tty.unwrap_or(false),
            stdin: container.stdin.unwrap_or(false),
            stop_timeout: Some(template.grace),
            timeout: template.active_deadline,
            restart: restart(pod.restart_policy.unwrap_or_default(), init, sidecar),
            log: self.options.log.clone().unwrap_or_default(),
            labels: template.labels.clone(),
            annotations: template.annotations.clone(),
            sdnotify: SdNotify::Ignore,
            ..ContainerSpec::default()
        };
        self.stop_signal(container, &mut spec, at);
        limit(&mut spec.resources, &limits, &requests);
        spec.devices = devices(&limits);
        spec.cdi_devices = limits.keys().filter(|name| is_cdi_device(name)).cloned().collect();
        let (run_as_non_root, group) = self.security(container, pod, &mut spec, at);
        let ports = self.ports(container, at);
        let probe = |lowering: &mut Self, probe: &Option<model::Probe>, word: &str| {
            probe.as_ref().and_then(|probe| lowering.probe(probe, word, &ports, &at.key(word)))
        };
        let liveness = probe(self, &container.liveness_probe, "livenessProbe");
        let readiness = probe(self, &container.readiness_probe, "readinessProbe");
        let startup = probe(self, &container.startup_probe, "startupProbe");
        let hook = |lowering: &mut Self, word: &str| {
            let lifecycle = container.lifecycle.as_ref()?;
            let handler = if word == "preStop" { &lifecycle.pre_stop } else { &lifecycle.post_start };
            lowering.hook(handler.as_ref()?, &ports, &at.key("lifecycle").key(word))
        };
        let post_start = hook(self, "postStart");
        let pre_stop = hook(self, "preStop");
        ContainerPlan {
            name: container.name.to_string(),
            pull: pull_policy(container.image_pull_policy, &image),
            image,
            env: self.environment(container, pod, namespace, at),
            mounts: self.mounts(container, template, at),
            spec,
            command: container.command.clone(),
            args: container.args.clone(),
            ports,
            limits,
            requests,
            liveness,
            readiness,
            startup,
            post_start,
            pre_stop,
            sidecar,
            run_as_non_root,
            group,
            once: false,
            auto_remove: false,
        }
    }

    fn sidecar(&mut self, container: &model::Container, init: bool, at: &At<'_>) -> bool {
        match (container.restart_policy, init) {
            (Some(_), true) => true,
            (Some(_), false) => {
                let hint = "write the pod's restartPolicy, one level up";
                self.wrong_with(&at.key("restartPolicy"), "may be set for init containers only", hint);
                false
            }
            (None, _) => false,
        }
    }

    fn stop_signal(&mut self, container: &model::Container, spec: &mut ContainerSpec, at: &At<'_>) {
        let Some(word) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.stop_signal.as_ref()) else {
            return;
        };
        match signal(word) {
            Some(number) => spec.stop_signal = Some(number),
            None => self.wrong(&at.keys("lifecycle.stopSignal"), format!("{word:?} is no signal like SIGTERM")),
        }
    }

    fn ports(&mut self, container: &model::Container, at: &At<'_>) -> Vec<NamedPort> {
        let mut seen = BTreeSet::new();
        let mut ports = Vec::new();
        for (index, port) in container.ports.iter().enumerate() {
            let protocol = port.protocol.unwrap_or_default();
            if !seen.insert((port.container_port.0, protocol, port.host_port.map(|port| port.0), port.host_ip)) {
                let text = format!("{}/{protocol} is there twice", port.container_port.0);
                self.wrong(&at.key("ports").index(index), text);
            }
            if port.host_ip.is_some() && port.host_port.is_none() && !self.options.publish_all {
                self.warn(&at.key("ports").index(index).key("hostIP"), "has no effect without hostPort");
            }
            let name = port.name.clone().map(Into::into);
            ports.push(NamedPort { name, number: port.container_port.0, protocol });
        }
        ports
    }

    fn mounts(&mut self, container: &model::Container, template: &PodTemplate, at: &At<'_>) -> Vec<VolumeMountPlan> {
        let mut paths = BTreeSet::new();
        let mut mounts = Vec::new();
        for (index, mount) in container.volume_mounts.iter().enumerate() {
            let at = at.key("volumeMounts").index(index);
            let volume = template.volumes.iter().find(|volume| volume.name == *mount.name);
            if volume.is_none() && !self.faulty_volumes.contains(&*mount.name) {
                let names: Vec<&str> = template.volumes.iter().map(|volume| volume.name.as_str()).collect();
                let hint = crate::problem::meant(&mount.name, names).map(|meant| format!("did you mean \"{meant}\"?"));
                let text =
                    format!("volume mount {} specified for container but not configured in volumes", &*mount.name);
                self.problems.push(at.key("name").problem(crate::problem::Severity::Error, text, hint));
            }
            let path = mount.mount_path.trim_end_matches('/');
            let path = if path.is_empty() { "/" } else { path };
            if path == "/" {
                self.wrong(&at.key("mountPath"), "a volume cannot be the root of the file system");
            }
            if !paths.insert(path.to_owned()) {
                self.wrong(&at.key("mountPath"), format!("{path:?} is there twice: duplicate mount destination"));
            }
            if mount.sub_path.is_some() && mount.sub_path_expr.is_some() {
                self.wrong(&at.key("subPathExpr"), "must not be set where subPath is");
            }
            let propagation = mount.mount_propagation.unwrap_or_default();
            let privileged = container.security_context.as_ref().is_some_and(|own| own.privileged == Some(true));
            if propagation == model::MountPropagation::Bidirectional && !privileged {
                self.wrong(&at.key("mountPropagation"), "Bidirectional is for privileged containers only");
            }
            let read_only = mount.read_only.unwrap_or(false);
            let recursive = mount.recursive_read_only.unwrap_or_default() != model::RecursiveReadOnly::Disabled;
            if recursive && !read_only {
                self.wrong(&at.key("recursiveReadOnly"), "may be set only where readOnly is true");
            }
            let fixed = volume.is_some_and(|volume| match &volume.source {
                VolumeSource::Image { .. } | VolumeSource::Files(_) => true,
                VolumeSource::Claim { read_only, .. } => *read_only,
                VolumeSource::EmptyDir { .. }
                | VolumeSource::HostPath { .. }
                | VolumeSource::Ephemeral(_)
                | VolumeSource::OwnClaim { .. } => false,
            });
            let sub_path = mount.sub_path.as_ref().or(mount.sub_path_expr.as_ref());
            mounts.push(VolumeMountPlan {
                volume: mount.name.to_string(),
                path: path.to_owned(),
                read_only: read_only || fixed,
                sub_path: sub_path.map(|path| path.to_string()).filter(|path| !path.is_empty()),
                expand_sub_path: mount.sub_path_expr.is_some(),
                propagation,
                recursive_read_only: recursive,
            });
        }
        mounts
    }
}

pub(super) fn pull_policy(written: Option<model::ImagePullPolicy>, image: &str) -> PullPolicy {
    match written {
        Some(model::ImagePullPolicy::Always) => PullPolicy::Always,
        Some(model::ImagePullPolicy::IfNotPresent) => PullPolicy::IfNotPresent,
        Some(model::ImagePullPolicy::Never) => PullPolicy::Never,
        None => usual_pull_policy(image),
    }
}

/// Where none is written: the newest where the tag is `latest` or none.
pub(crate) fn usual_pull_policy(image: &str) -> PullPolicy {
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    match name.split_once(':') {
        _ if image.contains('@') => PullPolicy::IfNotPresent,
        Some((_, tag)) if tag != "latest" => PullPolicy::IfNotPresent,
        Some(_) | None => PullPolicy::Newer,
    }
}

/// What the container's own monitor does when it ends.
fn restart(policy: PodRestartPolicy, init: bool, sidecar: bool) -> RestartPolicy {
    match (policy, init) {
        _ if sidecar => RestartPolicy::Always,
        (PodRestartPolicy::Always | PodRestartPolicy::OnFailure, true) | (PodRestartPolicy::OnFailure, false) => {
            RestartPolicy::OnFailure { max_retries: 0 }
        }
        (PodRestartPolicy::Always, false) => RestartPolicy::Always,
        (PodRestartPolicy::Never, _) => RestartPolicy::No,
    }
}

/// Kubernetes' names are whole and in capitals: `SIGTERM`, `SIGRTMIN+3`.
fn signal(word: &str) -> Option<i32> {
    let whole = word.starts_with("SIG") && !word.contains(|char: char| char.is_ascii_lowercase());
    sys::signals::parse(word).filter(|_| whole)
}
