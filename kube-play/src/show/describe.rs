//! `kube describe`: one object with all that is known of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;

use super::events::Event;
use super::rows::{access, cluster_ip, host_path_type, labels, took};
use crate::ephemeral::Ephemeral;
use crate::generate::yaml;
use crate::plan::{
    ContainerPlan, EnvEntry, FieldRef, Handler, Meta, PodTemplate, PortRef, ProbePlan, ProjectedSource, ServicePlan,
    UpdateStrategy, VolumeSource, WorkloadPlan,
};
use crate::steps::{ContainerState, Ended, ObservedContainer, PodStatus, Progress, WorkloadStatus};

/// A text of names and values that line up, deeper by two blanks for each level.
#[derive(Default)]
struct Page {
    lines: Vec<(usize, String, String)>,
}

impl Page {
    fn put(&mut self, level: usize, name: &str, value: impl Into<String>) {
        self.lines.push((level, format!("{name}:"), value.into()));
    }

    /// A line of its own.
    fn line(&mut self, level: usize, text: impl Into<String>) {
        self.lines.push((level, text.into(), String::new()));
    }

    /// `name:` and one value a line, the further ones below the first.
    fn list(&mut self, level: usize, name: &str, values: impl IntoIterator<Item = String>) {
        let mut values = values.into_iter();
        self.put(level, name, values.next().unwrap_or_else(|| "<none>".to_owned()));
        for value in values {
            self.lines.push((level, String::new(), value));
        }
    }

    /// Values line up within a level, two blanks behind the longest name.
    fn text(&self) -> String {
        let mut widths: BTreeMap<usize, usize> = BTreeMap::new();
        for (level, name, value) in &self.lines {
            if !value.is_empty() {
                let width = widths.entry(*level).or_default();
                *width = (*width).max(name.chars().count());
            }
        }
        let mut text = String::new();
        for (level, name, value) in &self.lines {
            let line = match value.is_empty() {
                true => name.clone(),
                false => format!("{name:<width$}  {value}", width = widths.get(level).copied().unwrap_or(0)),
            };
            text.push_str(format!("{}{line}", "  ".repeat(*level)).trim_end());
            text.push('\n');
        }
        text
    }
}

fn pairs(map: &BTreeMap<String, String>, sign: &str) -> Vec<String> {
    map.iter().map(|(key, value)| format!("{key}{sign}{}", value.replace('\n', "\\n"))).collect()
}

fn head(page: &mut Page, meta: &Meta) {
    page.put(0, "Name", meta.id.name.clone());
    if !meta.id.namespace.is_empty() {
        page.put(0, "Namespace", meta.id.namespace.clone());
    }
}

fn time(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

fn events(page: &mut Page, events: &[Event], now: Timestamp) {
    if events.is_empty() {
        page.put(0, "Events", "<none>");
        return;
    }
    page.line(0, "Events:");
    let mut table = super::Table::new(["Type", "Reason", "Age", "From", "Message"]);
    table.row(["----", "------", "----", "----", "-------"].map(str::to_owned));
    for event in events {
        table.row([
            event.kind().to_owned(),
            event.reason.clone(),
            event.seen(now),
            event.from.clone(),
            event.message.clone(),
        ]);
    }
    for line in table.text(true).lines() {
        page.line(1, line);
    }
}

/// A pod, its containers one by one.
#[expect(clippy::too_many_arguments, reason = "all that is known of a pod")]
pub fn describe_pod(
    meta: &Meta,
    template: &PodTemplate,
    status: &PodStatus,
    containers: &[ObservedContainer],
    ephemeral: &[Ephemeral],
    created: Timestamp,
    node: &str,
    address: Option<IpAddr>,
    controlled_by: Option<&crate::plan::ObjectId>,
    happened: &[Event],
    now: Timestamp,
) -> String {
    let mut page = Page::default();
    head(&mut page, meta);
    page.put(0, "Service Account", template.service_account.clone());
    page.put(0, "Node", node);
    page.put(0, "Start Time", time(created));
    page.list(0, "Labels", pairs(&meta.labels, "="));
    page.list(0, "Annotations", pairs(&meta.annotations, ": "));
    page.put(0, "Status", if status.shown == "Terminating" { "Terminating" } else { status.phase.word() });
    page.put(0, "IP", address.map(|address| address.to_string()).unwrap_or_default());
    if let Some(owner) = controlled_by {
        page.put(0, "Controlled By", format!("{}/{}", owner.kind, owner.name));
    }
    for (word, list) in [("Init Containers", &template.init), ("Containers", &template.containers)] {
        if list.is_empty() {
            continue;
        }
        page.line(0, format!("{word}:"));
        for container in list {
            let observed = containers.iter().find(|observed| observed.name == container.name);
            describe_container(&mut page, container, observed);
        }
    }
    if !ephemeral.is_empty() {
        page.line(0, "Ephemeral Containers:");
        for one in ephemeral {
            describe_container(&mut page, &one.plan, Some(&one.observed));
        }
    }
    page.line(0, "Conditions:");
    page.lines.push((1, "Type".to_owned(), "Status".to_owned()));
    for (word, value) in
        [("Initialized", status.initialized), ("Ready", status.ready), ("ContainersReady", status.ready)]
    {
        page.lines.push((1, word.to_owned(), truth(value).to_owned()));
    }
    describe_volumes(&mut page, template);
    events(&mut page, happened, now);
    page.text()
}

fn describe_container(page: &mut Page, container: &ContainerPlan, observed: Option<&ObservedContainer>) {
    page.line(1, format!("{}:", container.name));
    page.put(2, "Image", container.image.clone());
    let ports = container.ports.iter().map(|port| match &port.name {
        Some(name) => format!("{}/{} ({name})", port.number, port.protocol),
        None => format!("{}/{}", port.number, port.protocol),
    });
    page.put(2, "Ports", or_none(ports.collect::<Vec<_>>().join(", ")));
    for (word, list) in [("Command", &container.command), ("Args", &container.args)] {
        if !list.is_empty() {
            page.line(2, format!("{word}:"));
            for text in list {
                page.line(3, text.replace('\n', "\\n"));
            }
        }
    }
    if let Some(observed) = observed {
        state(page, "State", &observed.state);
        if let Some(last) = &observed.last {
            state(page, "Last State", &ContainerState::Ended(last.clone()));
        }
        let ready = matches!(observed.state, ContainerState::Running { ready: true, .. });
        page.put(2, "Ready", truth(ready));
        page.put(2, "Restart Count", observed.restarts.to_string());
    }
    for (word, map) in [("Limits", &container.limits), ("Requests", &container.requests)] {
        if !map.is_empty() {
            page.line(2, format!("{word}:"));
            for (name, amount) in map {
                page.put(3, name, amount.to_string());
            }
        }
    }
    for (word, probe) in
        [("Liveness", &container.liveness), ("Readiness", &container.readiness), ("Startup", &container.startup)]
    {
        if let Some(probe) = probe {
            page.put(2, word, describe_probe(probe));
        }
    }
    describe_environment(page, &container.env);
    if container.mounts.is_empty() {
        page.put(2, "Mounts", "<none>");
    } else {
        page.line(2, "Mounts:");
        for mount in &container.mounts {
            let mode = if mount.read_only { "ro" } else { "rw" };
            let path = mount.sub_path.as_ref().map(|path| format!(",path=\"{path}\"")).unwrap_or_default();
            page.line(3, format!("{} from {} ({mode}{path})", mount.path, mount.volume));
        }
    }
}

fn state(page: &mut Page, word: &str, state: &ContainerState) {
    match state {
        ContainerState::Waiting(reason) => {
            page.put(2, word, "Waiting");
            page.put(3, "Reason", reason.word());
        }
        ContainerState::Running { since, .. } => {
            page.put(2, word, "Running");
            page.put(3, "Started", time(*since));
        }
        ContainerState::Ended(ended) => {
            let Ended { code, started, at, .. } = ended;
            page.put(2, word, "Terminated");
            page.put(3, "Reason", ended.reason());
            page.put(3, "Exit Code", code.to_string());
            if let Some(started) = started {
                page.put(3, "Started", time(*started));
            }
            page.put(3, "Finished", time(*at));
        }
    }
}

fn describe_probe(probe: &ProbePlan) -> String {
    let host = |host: &Option<String>| host.clone().unwrap_or_default();
    let what = match &probe.handler {
        Handler::Exec { command } => format!("exec [{}]", command.join(" ")),
        Handler::Http { scheme, host: to, port, path, .. } => {
            format!("http-get {}://{}:{port}{path}", scheme.word().to_ascii_lowercase(), host(to))
        }
        Handler::Tcp { host: to, port } => format!("tcp-socket {}:{port}", host(to)),
        Handler::Grpc { port, service } => format!("grpc <pod>:{port} {service}"),
        Handler::Sleep { seconds } => format!("sleep {seconds}s"),
    };
    format!(
        "{what} delay={}s timeout={}s period={}s #success={} #failure={}",
        probe.initial_delay, probe.timeout, probe.period, probe.success_threshold, probe.failure_threshold
    )
}

fn describe_environment(page: &mut Page, env: &[EnvEntry]) {
    let from: Vec<(String, &str, bool)> = env
        .iter()
        .filter_map(|entry| match entry {
            EnvEntry::ConfigMap { object, optional, .. } => Some((object.clone(), "ConfigMap", *optional)),
            EnvEntry::Secret { object, optional, .. } => Some((object.clone(), "Secret", *optional)),
            _ => None,
        })
        .collect();
    if !from.is_empty() {
        page.line(2, "Environment Variables from:");
        for (object, word, optional) in &from {
            page.line(3, format!("{object}  {word}  Optional: {optional}"));
        }
    }
    if env.len() == from.len() {
        page.put(2, "Environment", "<none>");
        return;
    }
    page.line(2, "Environment:");
    for entry in env {
        match entry {
            EnvEntry::Value { name, value } => page.put(3, name, value.replace('\n', "\\n")),
            EnvEntry::ConfigMapKey { name, object, key, optional } => {
                page.put(3, name, format!("<set to the key '{key}' of config map '{object}'>  Optional: {optional}"));
            }
            EnvEntry::SecretKey { name, object, key, optional } => {
                page.put(3, name, format!("<set to the key '{key}' in secret '{object}'>  Optional: {optional}"));
            }
            EnvEntry::Field { name, field } => page.put(3, name, format!("({})", field_path(field))),
            EnvEntry::Resource { name, resource } => page.put(
                3,
                name,
                resource.amount.as_ref().map_or_else(|| "node allocatable".to_owned(), ToString::to_string),
            ),
            EnvEntry::ConfigMap { .. } | EnvEntry::Secret { .. } => {}
        }
    }
}

fn field_path(field: &FieldRef) -> String {
    match field {
        FieldRef::Name => "v1:metadata.name".to_owned(),
        FieldRef::Namespace => "v1:metadata.namespace".to_owned(),
        FieldRef::Uid => "v1:metadata.uid".to_owned(),
        FieldRef::Label(key) => format!("v1:metadata.labels['{key}']"),
        FieldRef::Annotation(key) => format!("v1:metadata.annotations['{key}']"),
        FieldRef::Labels => "v1:metadata.labels".to_owned(),
        FieldRef::Annotations => "v1:metadata.annotations".to_owned(),
        FieldRef::NodeName => "v1:spec.nodeName".to_owned(),
        FieldRef::ServiceAccountName => "v1:spec.serviceAccountName".to_owned(),
        FieldRef::PodIp => "v1:status.podIP".to_owned(),
        FieldRef::PodIps => "v1:status.podIPs".to_owned(),
        FieldRef::HostIp => "v1:status.hostIP".to_owned(),
        FieldRef::HostIps => "v1:status.hostIPs".to_owned(),
    }
}

fn describe_volumes(page: &mut Page, template: &PodTemplate) {
    if template.volumes.is_empty() {
        page.put(0, "Volumes", "<none>");
        return;
    }
    page.line(0, "Volumes:");
    for volume in &template.volumes {
        page.line(1, format!("{}:", volume.name));
        match &volume.source {
            VolumeSource::EmptyDir { memory, limit } => {
                page.put(2, "Type", "EmptyDir (a temporary directory that shares a pod's lifetime)");
                page.put(2, "Medium", if *memory { "Memory" } else { "" });
                page.put(2, "SizeLimit", limit.map_or_else(|| "<unset>".to_owned(), |limit| limit.to_string()));
            }
            VolumeSource::HostPath { path, kind } => {
                page.put(2, "Type", "HostPath (bare host directory volume)");
                page.put(2, "Path", path.clone());
                page.put(2, "HostPathType", host_path_type(*kind));
            }
            VolumeSource::Claim { claim, read_only } => {
                page.put(
                    2,
                    "Type",
                    "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
                );
                page.put(2, "ClaimName", claim.clone());
                page.put(2, "ReadOnly", read_only.to_string());
            }
            VolumeSource::OwnClaim { template } => {
                page.put(
                    2,
                    "Type",
                    "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
                );
                page.put(2, "ClaimName", format!("{template}-<pod>"));
            }
            VolumeSource::Files(projection) => {
                page.put(2, "Type", "Projected (a volume that contains injected data from multiple sources)");
                for source in &projection.sources {
                    let (word, name, optional) = match source {
                        ProjectedSource::ConfigMap { name, optional, .. } => {
                            ("ConfigMapName", name.as_str(), *optional)
                        }
                        ProjectedSource::Secret { name, optional, .. } => ("SecretName", name.as_str(), *optional),
                        ProjectedSource::Downward { .. } => ("DownwardAPI", "true", false),
                    };
                    page.put(2, word, name);
                    page.put(2, "Optional", optional.to_string());
                }
            }
            VolumeSource::Image { reference, .. } => {
                page.put(2, "Type", "Image (a container image or OCI artifact)");
                page.put(2, "Reference", reference.clone());
            }
            VolumeSource::Ephemeral(claim) => {
                page.put(
                    2,
                    "Type",
                    "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)",
                );
                page.put(2, "Capacity", claim.size.as_ref().map(ToString::to_string).unwrap_or_default());
                page.put(2, "Access Modes", access(&claim.access));
            }
        }
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".to_owned() } else { text }
}

/// A Deployment or another of its like.
pub fn describe_workload(
    plan: &WorkloadPlan,
    status: &WorkloadStatus,
    created: Timestamp,
    happened: &[Event],
    now: Timestamp,
) -> String {
    let mut page = Page::default();
    head(&mut page, &plan.meta);
    page.put(0, "CreationTimestamp", time(created));
    page.list(0, "Labels", pairs(&plan.meta.labels, "="));
    page.list(0, "Annotations", pairs(&plan.meta.annotations, ": "));
    page.put(0, "Selector", plan.selector.to_string());
    let WorkloadStatus { desired, current, updated, ready, available, progress } = *status;
    let missing = desired.saturating_sub(available);
    page.put(
        0,
        "Replicas",
        format!(
            "{desired} desired | {updated} updated | {current} total | {available} available | {missing} unavailable"
        ),
    );
    page.put(0, "Pods Ready", format!("{ready}/{desired}"));
    page.put(
        0,
        "StrategyType",
        match plan.update {
            UpdateStrategy::Recreate => "Recreate",
            UpdateStrategy::OnDelete => "OnDelete",
            UpdateStrategy::RollingUpdate { .. } | UpdateStrategy::Ordinal { .. } => "RollingUpdate",
        },
    );
    page.put(0, "MinReadySeconds", plan.min_ready.to_string());
    match plan.update {
        UpdateStrategy::RollingUpdate { max_surge, max_unavailable } => {
            let text = format!("{} max unavailable, {} max surge", share(max_unavailable), share(max_surge));
            page.put(0, "RollingUpdateStrategy", text);
        }
        UpdateStrategy::Ordinal { partition, .. } => page.put(0, "Partition", partition.to_string()),
        UpdateStrategy::Recreate | UpdateStrategy::OnDelete => {}
    }
    page.line(0, "Pod Template:");
    page.list(1, "Labels", pairs(&plan.template.labels, "="));
    for (word, list) in [("Init Containers", &plan.template.init), ("Containers", &plan.template.containers)] {
        if !list.is_empty() {
            page.line(1, format!("{word}:"));
            for container in list {
                describe_container(&mut page, container, None);
            }
        }
    }
    describe_volumes(&mut page, &plan.template);
    page.line(0, "Conditions:");
    page.lines.push((1, "Type".to_owned(), "Status  Reason".to_owned()));
    let enough = available >= desired.saturating_sub(desired / 4);
    let reason = if enough { "MinimumReplicasAvailable" } else { "MinimumReplicasUnavailable" };
    page.lines.push((1, "Available".to_owned(), format!("{:<6}  {reason}", truth(enough))));
    let (value, reason) = match progress {
        Progress::Complete => (true, "NewReplicaSetAvailable"),
        Progress::Progressing => (true, "ReplicaSetUpdated"),
        Progress::Paused => (false, "DeploymentPaused"),
        Progress::DeadlineExceeded => (false, "ProgressDeadlineExceeded"),
    };
    page.lines.push((1, "Progressing".to_owned(), format!("{:<6}  {reason}", truth(value))));
    events(&mut page, happened, now);
    page.text()
}

fn share(share: crate::plan::CountOrPercent) -> String {
    match share {
        crate::plan::CountOrPercent::Count(count) => count.to_string(),
        crate::plan::CountOrPercent::Percent(percent) => format!("{percent}%"),
    }
}

fn joined<T: ToString>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

/// A Service and where it leads.
pub fn describe_service(
    plan: &ServicePlan,
    address: Option<IpAddr>,
    endpoints: &[(u16, Vec<String>)],
    outside: &[String],
    happened: &[Event],
    now: Timestamp,
) -> String {
    let mut page = Page::default();
    head(&mut page, &plan.meta);
    page.list(0, "Labels", pairs(&plan.meta.labels, "="));
    page.list(0, "Annotations", pairs(&plan.meta.annotations, ": "));
    page.put(0, "Selector", labels(&plan.selector));
    page.put(0, "Type", plan.kind.word());
    page.put(0, "IP", cluster_ip(plan, address));
    if !plan.external_addresses.is_empty() {
        page.put(0, "External IPs", joined(&plan.external_addresses));
    }
    if let Some(name) = &plan.external_name {
        page.put(0, "External Name", name.clone());
    }
    if !outside.is_empty() {
        page.put(0, "LoadBalancer Ingress", outside.join(", "));
    }
    for port in &plan.ports {
        page.put(0, "Port", format!("{}  {}/{}", port.name.as_deref().unwrap_or("<unset>"), port.port, port.protocol));
        let target = match &port.target {
            PortRef::Number(number) => number.to_string(),
            PortRef::Name(name) => name.clone(),
        };
        page.put(0, "TargetPort", format!("{target}/{}", port.protocol));
        if let Some(node_port) = port.node_port {
            page.put(
                0,
                "NodePort",
                format!("{}  {node_port}/{}", port.name.as_deref().unwrap_or("<unset>"), port.protocol),
            );
        }
        let found = endpoints.iter().find(|(number, _)| *number == port.port);
        page.put(0, "Endpoints", or_none(found.map(|(_, list)| list.join(",")).unwrap_or_default()));
    }
    page.put(0, "Session Affinity", if plan.affinity.is_some() { "ClientIP" } else { "None" });
    if !plan.sources.is_empty() {
        page.put(0, "LoadBalancer Source Ranges", joined(&plan.sources));
    }
    events(&mut page, happened, now);
    page.text()
}

/// Any other object: its head, and what was written. A Secret's values are counted, not shown.
pub fn describe_object(meta: &Meta, created: Timestamp, happened: &[Event], now: Timestamp) -> String {
    let mut page = Page::default();
    head(&mut page, meta);
    page.list(0, "Labels", pairs(&meta.labels, "="));
    page.list(0, "Annotations", pairs(&meta.annotations, ": "));
    page.put(0, "Age", took(created, now));
    let mut manifest = meta.manifest.clone();
    if let Some(object) = manifest.as_object_mut() {
        for field in ["apiVersion", "kind", "metadata"] {
            object.remove(field);
        }
        for field in ["data", "stringData"] {
            if meta.id.kind == crate::plan::Kind::Secret
                && let Some(values) = object.get_mut(field).and_then(serde_json::Value::as_object_mut)
            {
                for value in values.values_mut() {
                    let text = value.as_str().unwrap_or_default();
                    let bytes = match field {
                        "data" => crate::model::decoded(text).map_or(0, |bytes| bytes.len()),
                        _ => text.len(),
                    };
                    *value = format!("{bytes} bytes").into();
                }
            }
        }
        if !object.is_empty() {
            for line in yaml::text(&manifest).lines() {
                page.line(0, line);
            }
        }
    }
    events(&mut page, happened, now);
    page.text()
}
