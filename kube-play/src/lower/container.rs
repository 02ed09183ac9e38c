//! Containers: commands, environment, probes, limits, security.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use containers::{ContainerSpec, DeviceSpec, Resources, RestartPolicy, SdNotify, SeccompProfile};

use super::{At, Lowering};
use crate::model::{self, PodRestartPolicy, PodSpec, ResourceRequirements};
use crate::plan::{
    ContainerPlan, EnvEntry, FieldRef, Handler, Kind, NamedPort, PodTemplate, PortRef, ProbePlan, PullPolicy,
    ResourceName, ResourceRef, VolumeMountPlan, VolumeSource,
};
use crate::quantity::Quantity;

/// Where Kubernetes looks for profiles of type Localhost.
const SECCOMP_ROOT: &str = "/var/lib/kubelet/seccomp";
/// A device of the host among the limits: `podman.io/device=/dev/fuse: 1`.
const DEVICE: &str = "podman.io/device=";

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

    /// What all containers of a pod have together, as Kubernetes asks for it: no container may have more.
    pub(super) fn pod_resources(
        &mut self,
        written: &ResourceRequirements,
        template: &PodTemplate,
        at: &At<'_>,
    ) -> Resources {
        for (map, word) in [(&written.limits, "limits"), (&written.requests, "requests")] {
            for name in map.keys().filter(|name| !matches!(name.as_str(), "cpu" | "memory")) {
                let text = "is no resource of a whole pod: there are cpu, memory";
                self.unsupported(&at.key(word).key(name), text);
            }
        }
        let (limits, requests) = self.resources(written, at);
        for (name, limit) in &limits {
            for container in &template.containers {
                if let Some(own) = container.limits.get(name).filter(|own| *own > limit) {
                    let text = format!("{limit} is less than the limit of container {:?}, {own}", container.name);
                    self.wrong(&at.keys("limits").key(name), text);
                }
            }
        }
        let mut resources = Resources::default();
        limit(&mut resources, &limits, &requests);
        resources
    }

    /// Limits and requests; devices stand among the limits.
    fn resources(
        &mut self,
        resources: &ResourceRequirements,
        at: &At<'_>,
    ) -> (BTreeMap<String, Quantity>, BTreeMap<String, Quantity>) {
        for (map, word) in [(&resources.limits, "limits"), (&resources.requests, "requests")] {
            for name in map.keys() {
                let device = is_device(name) && word == "limits";
                let known = matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage");
                if !known && !device {
                    let text = "is no resource of this machine: there are cpu, memory, ephemeral-storage";
                    // A cluster's device plugins count what they give out; here devices have names.
                    let hint = "name a device among the limits: nvidia.com/gpu=all: 1 by CDI, or podman.io/device=/dev/PATH: 1";
                    self.unsupported_with(&at.key(word).key(name), text, name.contains('/').then_some(hint));
                }
            }
        }
        let mut requests = resources.requests.clone();
        for (name, limit) in &resources.limits {
            match resources.requests.get(name) {
                Some(request) if request > limit => {
                    let text = format!("{request} must be less than or equal to the limit of {limit}");
                    self.wrong(&at.key("requests").key(name), text);
                }
                Some(_) => {}
                None => drop(requests.insert(name.clone(), limit.clone())),
            }
        }
        requests.retain(|name, _| !is_device(name));
        (resources.limits.clone(), requests)
    }

    fn security(
        &mut self,
        container: &model::Container,
        pod: &PodSpec,
        spec: &mut ContainerSpec,
        at: &At<'_>,
    ) -> (bool, Option<u32>) {
        let of_pod = pod.security_context.as_ref();
        let own = container.security_context.as_ref();
        let user = own.and_then(|own| own.run_as_user).or(of_pod.and_then(|pod| pod.run_as_user)).map(|id| id.0);
        let group = own.and_then(|own| own.run_as_group).or(of_pod.and_then(|pod| pod.run_as_group)).map(|id| id.0);
        let non_root = own.and_then(|own| own.run_as_non_root).or(of_pod.and_then(|pod| pod.run_as_non_root));
        spec.user = match (user, group) {
            (Some(user), Some(group)) => Some(format!("{user}:{group}")),
            (Some(user), None) => Some(user.to_string()),
            (None, _) => None,
        };
        if non_root == Some(true) && user == Some(0) {
            let at = at.keys("securityContext.runAsNonRoot");
            self.wrong(&at, "runAsNonRoot and runAsUser: 0 contradict each other");
        }
        if let Some(pod) = of_pod {
            let groups = pod.supplemental_groups.iter().chain(&pod.fs_group);
            spec.group_add.extend(groups.map(|group| group.0.to_string()));
        }
        let seccomp = own.and_then(|own| own.seccomp_profile.as_ref());
        let seccomp_at = match seccomp {
            Some(_) => at.keys("securityContext.seccompProfile"),
            None => at.clone(),
        };
        if let Some(profile) = seccomp.or(of_pod.and_then(|pod| pod.seccomp_profile.as_ref())) {
            spec.security.seccomp = self.seccomp(profile, &seccomp_at);
        }
        let apparmor = own.and_then(|own| own.app_armor_profile.as_ref());
        if let Some(profile) = apparmor.or(of_pod.and_then(|pod| pod.app_armor_profile.as_ref())) {
            spec.security.apparmor = match (profile.kind, &profile.localhost_profile) {
                (model::ProfileType::Unconfined, _) => Some("unconfined".to_owned()),
                (model::ProfileType::Localhost, Some(name)) => Some(name.clone()),
                (model::ProfileType::RuntimeDefault, _) | (model::ProfileType::Localhost, None) => None,
            };
        }
        let selinux = own.and_then(|own| own.se_linux_options.as_ref());
        if let Some(options) = selinux.or(of_pod.and_then(|pod| pod.se_linux_options.as_ref())) {
            let parts =
                [("user", &options.user), ("role", &options.role), ("type", &options.kind), ("level", &options.level)];
            let labels = parts.iter().filter_map(|(word, value)| value.as_ref().map(|value| format!("{word}:{value}")));
            spec.security.labels.extend(labels);
        }
        let Some(own) = own else { return (non_root == Some(true), group.filter(|_| user.is_none())) };
        spec.security.privileged = own.privileged.unwrap_or(false);
        spec.security.read_only = own.read_only_root_filesystem.unwrap_or(false);
        // As `run --read-only`, of which `generate` makes this.
        spec.security.read_only_tmpfs = spec.security.read_only;
        if own.allow_privilege_escalation == Some(false) {
            if spec.security.privileged {
                let at = at.keys("securityContext.allowPrivilegeEscalation");
                self.wrong(&at, "cannot be false where privileged is true");
            }
            spec.security.no_new_privileges = true;
        }
        if own.proc_mount == Some(model::ProcMount::Unmasked) {
            spec.security.unmask.push("ALL".to_owned());
        }
        if let Some(capabilities) = &own.capabilities {
            for (list, word) in [(&capabilities.add, "add"), (&capabilities.drop, "drop")] {
                for (index, name) in list.iter().enumerate() {
                    let name = capability(name);
                    if name != "ALL" && !sys::capabilities::NAMES.contains(&format!("CAP_{name}").as_str()) {
                        let at = at.keys("securityContext.capabilities").key(word).index(index);
                        self.wrong(&at, format!("\"CAP_{name}\": unknown capability"));
                    }
                    match word {
                        "add" => spec.security.cap_add.push(name),
                        _ => spec.security.cap_drop.push(name),
                    }
                }
            }
        }
        (non_root == Some(true), group.filter(|_| user.is_none()))
    }

    fn seccomp(&mut self, profile: &model::SeccompProfile, at: &At<'_>) -> SeccompProfile {
        match (profile.kind, &profile.localhost_profile) {
            (model::ProfileType::RuntimeDefault, None) => SeccompProfile::Default,
            (model::ProfileType::Unconfined, None) => SeccompProfile::Unconfined,
            (model::ProfileType::Localhost, Some(path)) => {
                if path.starts_with('/') || path.split('/').any(|part| part == "..") {
                    self.wrong(&at.key("localhostProfile"), "must be a path below the profiles' directory");
                }
                let root = self.options.seccomp_root.as_deref().unwrap_or(Path::new(SECCOMP_ROOT));
                SeccompProfile::File(root.join(path))
            }
            (model::ProfileType::Localhost, None) => {
                self.wrong(&at.key("localhostProfile"), "is required where type is \"Localhost\"");
                SeccompProfile::Default
            }
            (model::ProfileType::RuntimeDefault | model::ProfileType::Unconfined, Some(_)) => {
                self.wrong(&at.key("localhostProfile"), "may be set only where type is \"Localhost\"");
                SeccompProfile::Default
            }
        }
    }

    fn environment(
        &mut self,
        container: &model::Container,
        pod: &PodSpec,
        namespace: &str,
        at: &At<'_>,
    ) -> Vec<EnvEntry> {
        let mut entries = Vec::new();
        for (index, source) in container.env_from.iter().enumerate() {
            let at = at.key("envFrom").index(index);
            let prefix = source.prefix.clone().unwrap_or_default();
            let (kind, reference, word) = match (&source.config_map_ref, &source.secret_ref) {
                (Some(reference), None) => (Kind::ConfigMap, reference, "configMapRef"),
                (None, Some(reference)) => (Kind::Secret, reference, "secretRef"),
                (Some(_), Some(_)) | (None, None) => {
                    self.wrong(&at, "must have configMapRef or secretRef");
                    continue;
                }
            };
            let (object, optional) = (reference.name.to_string(), reference.optional.unwrap_or(false));
            if !optional {
                self.refer(kind, namespace, &object, &at.key(word).key("name"));
            }
            entries.push(match kind {
                Kind::Secret => EnvEntry::Secret { prefix, object, optional },
                _ => EnvEntry::ConfigMap { prefix, object, optional },
            });
        }
        for (index, variable) in container.env.iter().enumerate() {
            let at = at.key("env").index(index);
            let name = variable.name.to_string();
            match (&variable.value, &variable.value_from) {
                (value, None) => entries.push(EnvEntry::Value { name, value: value.clone().unwrap_or_default() }),
                (Some(value), Some(_)) if !value.is_empty() => {
                    self.wrong(&at.key("valueFrom"), "must not be set where value is");
                }
                (_, Some(source)) => {
                    entries.extend(self.variable(name, source, container, pod, namespace, &at.key("valueFrom")))
                }
            }
        }
        entries
    }

    fn variable(
        &mut self,
        name: String,
        source: &model::EnvVarSource,
        container: &model::Container,
        pod: &PodSpec,
        namespace: &str,
        at: &At<'_>,
    ) -> Option<EnvEntry> {
        let model::EnvVarSource { config_map_key_ref, secret_key_ref, field_ref, resource_field_ref } = source;
        match (config_map_key_ref, secret_key_ref, field_ref, resource_field_ref) {
            (Some(selector), None, None, None) | (None, Some(selector), None, None) => {
                let (kind, word) = match config_map_key_ref {
                    Some(_) => (Kind::ConfigMap, "configMapKeyRef"),
                    None => (Kind::Secret, "secretKeyRef"),
                };
                let (object, key) = (selector.name.to_string(), selector.key.to_string());
                let optional = selector.optional.unwrap_or(false);
                if !optional {
                    self.refer(kind, namespace, &object, &at.key(word).key("name")).for_variable(&name);
                    let of_key = self.refer(kind, namespace, &object, &at.key(word).key("key"));
                    of_key.for_variable(&name).key = Some(key.clone());
                }
                Some(match kind {
                    Kind::Secret => EnvEntry::SecretKey { name, object, key, optional },
                    _ => EnvEntry::ConfigMapKey { name, object, key, optional },
                })
            }
            (None, None, Some(field), None) => match FieldRef::parse(&field.field_path, false) {
                Ok(field) => Some(EnvEntry::Field { name, field }),
                Err(text) => {
                    self.wrong(&at.keys("fieldRef.fieldPath"), format!("can not set env {name}. Reason: {text}"));
                    None
                }
            },
            (None, None, None, Some(resource)) => {
                let resource = self.resource_ref(resource, Some(container), pod, &at.key("resourceFieldRef"))?;
                Some(EnvEntry::Resource { name, resource })
            }
            (None, None, None, None) => {
                self.wrong(at, "must have one of configMapKeyRef, secretKeyRef, fieldRef, resourceFieldRef");
                None
            }
            _ => {
                self.wrong(at, "has more than one source: a variable has one");
                None
            }
        }
    }

    /// `limits.cpu` of a container; `own` is the one that asks, where no name is written.
    pub(super) fn resource_ref(
        &mut self,
        resource: &model::ResourceFieldSelector,
        own: Option<&model::Container>,
        pod: &PodSpec,
        at: &At<'_>,
    ) -> Option<ResourceRef> {
        let name = match resource.resource.as_str() {
            "limits.cpu" => ResourceName::LimitsCpu,
            "limits.memory" => ResourceName::LimitsMemory,
            "limits.ephemeral-storage" => ResourceName::LimitsStorage,
            "requests.cpu" => ResourceName::RequestsCpu,
            "requests.memory" => ResourceName::RequestsMemory,
            "requests.ephemeral-storage" => ResourceName::RequestsStorage,
            other => {
                let known = "limits.cpu, limits.memory, limits.ephemeral-storage, requests.cpu, requests.memory, \
                             requests.ephemeral-storage";
                self.wrong(&at.key("resource"), format!("unsupported value {other:?}: supported are {known}"));
                return None;
            }
        };
        let container = match (&resource.container_name, own) {
            (None, Some(own)) => own,
            (None, None) => {
                self.wrong(&at.key("containerName"), "is required in a volume");
                return None;
            }
            (Some(wanted), _) => {
                let mut all = pod.containers.iter().chain(&pod.init_containers);
                match all.find(|container| container.name == *wanted) {
                    Some(container) => container,
                    None => {
                        self.wrong(&at.key("containerName"), format!("the pod has no container {:?}", &**wanted));
                        return None;
                    }
                }
            }
        };
        let (section, word) = resource.resource.split_once('.').unwrap_or_default();
        let amount = container.resources.as_ref().and_then(|resources| {
            let limit = resources.limits.get(word);
            if section == "limits" { limit } else { resources.requests.get(word).or(limit) }
        });
        let divisor = resource.divisor.clone().filter(|divisor| !divisor.is_zero());
        Some(ResourceRef { resource: name, amount: amount.cloned(), divisor })
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

    fn probe(&mut self, probe: &model::Probe, word: &str, ports: &[NamedPort], at: &At<'_>) -> Option<ProbePlan> {
        let model::Probe { exec, http_get, tcp_socket, grpc, .. } = probe;
        let success_threshold = probe.success_threshold.map_or(1, |threshold| threshold.0);
        if word != "readinessProbe" && success_threshold != 1 {
            self.wrong(&at.key("successThreshold"), "must be 1");
        }
        if word == "readinessProbe" && probe.termination_grace_period_seconds.is_some() {
            self.wrong(&at.key("terminationGracePeriodSeconds"), "must not be set for readiness probes");
        }
        let handler = match (exec, http_get, tcp_socket, grpc) {
            (Some(exec), None, None, None) => self.exec(exec, &at.key("exec")),
            (None, Some(get), None, None) => self.http(get, ports, &at.key("httpGet")),
            (None, None, Some(socket), None) => self.tcp(socket, ports, &at.key("tcpSocket")),
            (None, None, None, Some(grpc)) => {
                Some(Handler::Grpc { port: grpc.port.0, service: grpc.service.clone().unwrap_or_default() })
            }
            (None, None, None, None) => {
                self.wrong(at, "must have one of exec, httpGet, tcpSocket, grpc");
                None
            }
            _ => {
                self.wrong(at, "must have only one of exec, httpGet, tcpSocket, grpc");
                None
            }
        };
        Some(ProbePlan {
            handler: handler?,
            initial_delay: probe.initial_delay_seconds.unwrap_or(0),
            period: probe.period_seconds.map_or(10, |seconds| seconds.0),
            timeout: probe.timeout_seconds.map_or(1, |seconds| seconds.0),
            success_threshold,
            failure_threshold: probe.failure_threshold.map_or(3, |threshold| threshold.0),
            grace: probe.termination_grace_period_seconds.map(|seconds| seconds.0),
        })
    }

    fn hook(&mut self, handler: &model::LifecycleHandler, ports: &[NamedPort], at: &At<'_>) -> Option<Handler> {
        let model::LifecycleHandler { exec, http_get, tcp_socket, sleep } = handler;
        match (exec, http_get, tcp_socket, sleep) {
            (Some(exec), None, None, None) => self.exec(exec, &at.key("exec")),
            (None, Some(get), None, None) => self.http(get, ports, &at.key("httpGet")),
            (None, None, Some(socket), None) => self.tcp(socket, ports, &at.key("tcpSocket")),
            (None, None, None, Some(sleep)) => Some(Handler::Sleep { seconds: sleep.seconds }),
            (None, None, None, None) => {
                self.wrong(at, "must have one of exec, httpGet, sleep");
                None
            }
            _ => {
                self.wrong(at, "must have only one of exec, httpGet, sleep");
                None
            }
        }
    }

    fn exec(&mut self, exec: &model::ExecAction, at: &At<'_>) -> Option<Handler> {
        if exec.command.is_empty() {
            self.wrong(&at.key("command"), "is required");
            return None;
        }
        Some(Handler::Exec { command: exec.command.clone() })
    }

    fn http(&mut self, get: &model::HttpGetAction, ports: &[NamedPort], at: &At<'_>) -> Option<Handler> {
        let path = get.path.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".to_owned());
        for (index, header) in get.http_headers.iter().enumerate() {
            let at = at.key("httpHeaders").index(index);
            let token = |char: char| char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char);
            if header.name.is_empty() || !header.name.chars().all(token) {
                self.wrong(&at.key("name"), format!("{:?} is no header's name", header.name));
            }
            if header.value.contains(['\r', '\n']) {
                self.wrong(&at.key("value"), "must be one line");
            }
        }
        if path.contains(|char: char| char.is_control() || char == ' ') {
            self.wrong(&at.key("path"), format!("{path:?} is no path of a URL"));
        }
        Some(Handler::Http {
            scheme: get.scheme.unwrap_or_default(),
            host: get.host.clone().filter(|host| !host.is_empty()),
            port: self.handler_port(&get.port, ports, &at.key("port"))?,
            path: if path.starts_with('/') { path } else { format!("/{path}") },
            headers: get.http_headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect(),
        })
    }

    fn tcp(&mut self, socket: &model::TcpSocketAction, ports: &[NamedPort], at: &At<'_>) -> Option<Handler> {
        let host = socket.host.clone().filter(|host| !host.is_empty());
        Some(Handler::Tcp { host, port: self.handler_port(&socket.port, ports, &at.key("port"))? })
    }

    /// A port's number; a name is one of the container's own ports.
    fn handler_port(&mut self, port: &PortRef, ports: &[NamedPort], at: &At<'_>) -> Option<u16> {
        match port {
            PortRef::Number(number) => Some(*number),
            PortRef::Name(name) => match ports.iter().find(|port| port.name.as_ref() == Some(name)) {
                Some(port) => Some(port.number),
                None => {
                    let names = ports.iter().filter_map(|port| port.name.as_deref());
                    let hint = crate::problem::meant(name, names).map(|meant| format!("did you mean \"{meant}\"?"));
                    let text = format!("the container has no port named {name:?}");
                    self.problems.push(at.problem(crate::problem::Severity::Error, text, hint));
                    None
                }
            },
        }
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

/// Limits become what the kernel enforces, requests weights and protected memory.
fn limit(resources: &mut Resources, limits: &BTreeMap<String, Quantity>, requests: &BTreeMap<String, Quantity>) {
    let bytes = |quantity: &Quantity| i64::try_from(quantity.units()).unwrap_or(i64::MAX);
    let some =
        |map: &'_ BTreeMap<String, Quantity>, name: &str| map.get(name).filter(|amount| !amount.is_zero()).cloned();
    resources.memory = some(limits, "memory").map(|limit| bytes(&limit));
    resources.memory_reservation = some(requests, "memory").map(|request| bytes(&request));
    if let Some(limit) = some(limits, "cpu") {
        resources.cpu_period = Some(100_000);
        // The kernel takes no quota below a millisecond.
        resources.cpu_quota = Some(i64::try_from(limit.millis().saturating_mul(100)).unwrap_or(i64::MAX).max(1000));
    }
    if let Some(request) = some(requests, "cpu") {
        resources.cpu_shares = Some((request.millis().saturating_mul(1024) / 1000).clamp(2, 262_144));
    }
}

/// Whether a limit is a device: a path of the host, or what a CDI specification of this machine names.
fn is_device(limit: &str) -> bool {
    limit.starts_with(DEVICE) || is_cdi_device(limit)
}

fn is_cdi_device(limit: &str) -> bool {
    !limit.starts_with(DEVICE) && containers::is_device_name(limit)
}

/// What limits name as Podman's kube play reads them.
fn devices(limits: &BTreeMap<String, Quantity>) -> Vec<DeviceSpec> {
    let paths = limits.keys().filter_map(|name| name.strip_prefix(DEVICE));
    let device = |path: &str| {
        let (host, container) = path.split_once(':').unwrap_or((path, path));
        let (container, permissions) = container.split_once(':').unwrap_or((container, "rwm"));
        DeviceSpec {
            host: PathBuf::from(host),
            container: PathBuf::from(container),
            permissions: permissions.to_owned(),
        }
    };
    paths.map(device).collect()
}

fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
}

/// The signals of Linux on x86-64 and arm64 (signal(7)).
fn signal(word: &str) -> Option<i32> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    let name = word.strip_prefix("SIG")?;
    if let Some(index) = NAMES.iter().position(|known| *known == name) {
        return i32::try_from(index + 1).ok();
    }
    let (base, sign, rest) = match name {
        "RTMIN" => return Some(34),
        "RTMAX" => return Some(64),
        _ => match (name.strip_prefix("RTMIN+"), name.strip_prefix("RTMAX-")) {
            (Some(rest), _) => (34, 1, rest),
            (_, Some(rest)) => (64, -1, rest),
            (None, None) => return None,
        },
    };
    let number = base + sign * rest.parse::<i32>().ok().filter(|offset| (1..=30).contains(offset))?;
    (34..=64).contains(&number).then_some(number)
}
