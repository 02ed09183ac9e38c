//! One table for each kind.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;

use super::age::{age, span};
use super::table::Table;
use crate::plan::{
    AccessMode, AutoscalerPlan, CronJobPlan, HostPathType, IngressPlan, Kind, Meta, MetricTargetPlan, PodTemplate,
    ServicePlan, ServiceType, VolumePlan, WorkloadPlan,
};
use crate::steps::{JobCondition, JobStatus, PodStatus, WorkloadStatus};

const NONE: &str = "<none>";

/// How a table is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// `-o wide`.
    pub wide: bool,
    /// `-A`: with a column for the namespace.
    pub namespaces: bool,
    /// `--show-labels`.
    pub labels: bool,
}

/// What every row begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowHead {
    pub namespace: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub created: Timestamp,
}

impl RowHead {
    pub fn new(meta: &Meta, created: Timestamp) -> RowHead {
        RowHead {
            namespace: meta.id.namespace.clone(),
            name: meta.id.name.clone(),
            labels: meta.labels.clone(),
            created,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PodRow {
    pub head: RowHead,
    pub status: PodStatus,
    /// When a container was restarted last.
    pub last_restart: Option<Timestamp>,
    pub address: Option<IpAddr>,
    pub node: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadRow<'a> {
    pub plan: &'a WorkloadPlan,
    pub created: Timestamp,
    pub status: WorkloadStatus,
}

#[derive(Clone, Debug, PartialEq)]
pub struct JobRow<'a> {
    pub head: RowHead,
    pub template: &'a PodTemplate,
    pub status: JobStatus,
    pub parallelism: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CronJobRow<'a> {
    pub plan: &'a CronJobPlan,
    pub created: Timestamp,
    pub active: u32,
    pub last: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ServiceRow<'a> {
    pub plan: &'a ServicePlan,
    pub created: Timestamp,
    /// What it was given.
    pub address: Option<IpAddr>,
    /// Of the host, where it is a LoadBalancer that listens.
    pub outside: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct IngressRow<'a> {
    pub plan: &'a IngressPlan,
    pub created: Timestamp,
    pub outside: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ConfigRow {
    pub head: RowHead,
    /// A Secret's.
    pub kind: String,
    pub keys: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ClaimRow<'a> {
    pub plan: &'a VolumePlan,
    pub created: Timestamp,
    /// The volume is there.
    pub bound: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AutoscalerRow<'a> {
    pub plan: &'a AutoscalerPlan,
    pub created: Timestamp,
    /// As [`crate::steps::AutoscaleStep::current`].
    pub current: Vec<Option<u64>>,
    pub replicas: u32,
}

/// Adds what `-A` and `--show-labels` ask for.
fn finish(mut table: Table, heads: &[RowHead], look: Look) -> Table {
    if look.labels {
        table.trail("LABELS", heads.iter().map(|head| labels(&head.labels)));
    }
    if look.namespaces {
        table.lead("NAMESPACE", heads.iter().map(|head| head.namespace.clone()));
    }
    table
}

/// `app=web,tier=front`, or `<none>`.
pub(super) fn labels(labels: &BTreeMap<String, String>) -> String {
    let words: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if words.is_empty() { NONE.to_owned() } else { words.join(",") }
}

fn or_none(text: String) -> String {
    if text.is_empty() { NONE.to_owned() } else { text }
}

fn headers(plain: &[&'static str], wide: &[&'static str], look: Look) -> Table {
    Table::new(plain.iter().chain(wide.iter().filter(|_| look.wide)).copied())
}

/// CONTAINERS, IMAGES of a template.
fn images(template: &PodTemplate) -> [String; 2] {
    let list = |word: &dyn Fn(&crate::plan::ContainerPlan) -> String| {
        template.containers.iter().map(word).collect::<Vec<_>>().join(",")
    };
    [list(&|container| container.name.clone()), list(&|container| container.image.clone())]
}

pub fn pods(rows: &[PodRow], look: Look, now: Timestamp) -> Table {
    let mut table = headers(
        &["NAME", "READY", "STATUS", "RESTARTS", "AGE"],
        &["IP", "NODE", "NOMINATED NODE", "READINESS GATES"],
        look,
    );
    for row in rows {
        let status = &row.status;
        let restarts = match row.last_restart.filter(|_| status.restarts > 0) {
            Some(last) => format!("{} ({} ago)", status.restarts, age(last, now)),
            None => status.restarts.to_string(),
        };
        let mut cells = vec![
            row.head.name.clone(),
            format!("{}/{}", status.ready_containers, status.containers),
            status.shown.clone(),
            restarts,
            age(row.head.created, now),
        ];
        if look.wide {
            cells.push(row.address.map_or_else(|| NONE.to_owned(), |address| address.to_string()));
            cells.extend([or_none(row.node.clone()), NONE.to_owned(), NONE.to_owned()]);
        }
        table.row(cells);
    }
    finish(table, &rows.iter().map(|row| row.head.clone()).collect::<Vec<_>>(), look)
}

/// Deployments, ReplicaSets, ReplicationControllers, DaemonSets or StatefulSets: one kind at a time.
pub fn workloads(kind: Kind, rows: &[WorkloadRow<'_>], look: Look, now: Timestamp) -> Table {
    let (plain, selector): (&[&str], bool) = match kind {
        Kind::Deployment => (&["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"], true),
        Kind::DaemonSet => {
            (&["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE SELECTOR", "AGE"], true)
        }
        Kind::StatefulSet => (&["NAME", "READY", "AGE"], false),
        _ => (&["NAME", "DESIRED", "CURRENT", "READY", "AGE"], true),
    };
    let wide: &[&str] = if selector { &["CONTAINERS", "IMAGES", "SELECTOR"] } else { &["CONTAINERS", "IMAGES"] };
    let mut table = headers(plain, wide, look);
    for row in rows {
        let WorkloadStatus { desired, current, updated, ready, available, .. } = row.status;
        let number = |number: u32| number.to_string();
        let mut cells = vec![row.plan.meta.id.name.clone()];
        match kind {
            Kind::Deployment => cells.extend([format!("{ready}/{desired}"), number(updated), number(available)]),
            Kind::StatefulSet => cells.push(format!("{ready}/{desired}")),
            Kind::DaemonSet => {
                cells.extend([desired, current, ready, updated, available].map(number));
                cells.push(NONE.to_owned());
            }
            _ => cells.extend([desired, current, ready].map(number)),
        }
        cells.push(age(row.created, now));
        if look.wide {
            cells.extend(images(&row.plan.template));
            cells.extend(selector.then(|| row.plan.selector.to_string()));
        }
        table.row(cells);
    }
    let heads: Vec<RowHead> = rows.iter().map(|row| RowHead::new(&row.plan.meta, row.created)).collect();
    finish(table, &heads, look)
}

pub fn jobs(rows: &[JobRow<'_>], look: Look, now: Timestamp) -> Table {
    let mut table =
        headers(&["NAME", "STATUS", "COMPLETIONS", "DURATION", "AGE"], &["CONTAINERS", "IMAGES", "SELECTOR"], look);
    for row in rows {
        let status = &row.status;
        let completions = match status.completions {
            Some(completions) => format!("{}/{completions}", status.succeeded),
            None if row.parallelism > 1 => format!("{}/1 of {}", status.succeeded, row.parallelism),
            None => format!("{}/1", status.succeeded),
        };
        let duration = match (status.started, status.ended) {
            (None, _) => String::new(),
            (Some(started), ended) => age(started, ended.unwrap_or(now)),
        };
        let mut cells =
            vec![row.head.name.clone(), job_word(status).to_owned(), completions, duration, age(row.head.created, now)];
        if look.wide {
            cells.extend(images(row.template));
            cells.push(format!("job-name={}", row.head.name));
        }
        table.row(cells);
    }
    finish(table, &rows.iter().map(|row| row.head.clone()).collect::<Vec<_>>(), look)
}

/// kubectl's word for where a Job is.
pub fn job_word(status: &JobStatus) -> &'static str {
    match &status.condition {
        Some(JobCondition::Complete) => "Complete",
        Some(JobCondition::Failed { .. }) => "Failed",
        Some(JobCondition::Suspended) => "Suspended",
        None => "Running",
    }
}

pub fn cron_jobs(rows: &[CronJobRow<'_>], look: Look, now: Timestamp) -> Table {
    let mut table = headers(
        &["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "AGE"],
        &["CONTAINERS", "IMAGES", "SELECTOR"],
        look,
    );
    for row in rows {
        let plan = row.plan;
        let mut cells = vec![
            plan.meta.id.name.clone(),
            plan.schedule.text().to_owned(),
            plan.schedule.zone_name().unwrap_or(NONE).to_owned(),
            if plan.suspend { "True" } else { "False" }.to_owned(),
            row.active.to_string(),
            row.last.map_or_else(|| NONE.to_owned(), |last| age(last, now)),
            age(row.created, now),
        ];
        if look.wide {
            cells.extend(images(&plan.run.template));
            cells.push(NONE.to_owned());
        }
        table.row(cells);
    }
    let heads: Vec<RowHead> = rows.iter().map(|row| RowHead::new(&row.plan.meta, row.created)).collect();
    finish(table, &heads, look)
}

/// `80:30080/TCP,443/TCP`.
pub(super) fn service_ports(plan: &ServicePlan) -> String {
    let ports = plan.ports.iter().map(|port| match port.node_port {
        Some(node_port) => format!("{}:{node_port}/{}", port.port, port.protocol),
        None => format!("{}/{}", port.port, port.protocol),
    });
    or_none(ports.collect::<Vec<_>>().join(","))
}

pub(super) fn cluster_ip(plan: &ServicePlan, address: Option<IpAddr>) -> String {
    match (plan.kind, plan.headless, address.or(plan.address)) {
        (ServiceType::ExternalName, _, _) => NONE.to_owned(),
        (_, true, _) => "None".to_owned(),
        (_, false, Some(address)) => address.to_string(),
        (_, false, None) => "<pending>".to_owned(),
    }
}

pub fn services(rows: &[ServiceRow<'_>], look: Look, now: Timestamp) -> Table {
    let mut table = headers(&["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"], &["SELECTOR"], look);
    for row in rows {
        let plan = row.plan;
        let mut outside: Vec<String> = row.outside.clone();
        outside.extend(plan.external_addresses.iter().map(ToString::to_string));
        let external = match (plan.kind, &plan.external_name) {
            (ServiceType::ExternalName, Some(name)) => name.clone(),
            (ServiceType::LoadBalancer, _) if outside.is_empty() => "<pending>".to_owned(),
            _ => or_none(outside.join(",")),
        };
        let mut cells = vec![
            plan.meta.id.name.clone(),
            plan.kind.word().to_owned(),
            cluster_ip(plan, row.address),
            external,
            service_ports(plan),
            age(row.created, now),
        ];
        if look.wide {
            cells.push(labels(&plan.selector));
        }
        table.row(cells);
    }
    let heads: Vec<RowHead> = rows.iter().map(|row| RowHead::new(&row.plan.meta, row.created)).collect();
    finish(table, &heads, look)
}

pub fn ingresses(rows: &[IngressRow<'_>], look: Look, now: Timestamp) -> Table {
    let mut table = headers(&["NAME", "CLASS", "HOSTS", "ADDRESS", "PORTS", "AGE"], &[], look);
    for row in rows {
        let mut hosts: Vec<&str> = Vec::new();
        for host in row.plan.rules.iter().filter_map(|rule| rule.host.as_deref()) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        // kubectl shows three and how many more there are.
        let shown = match hosts.len() {
            0 => "*".to_owned(),
            1..=3 => hosts.join(","),
            more => format!("{} + {} more...", hosts[..3].join(","), more - 3),
        };
        let class = row.plan.meta.manifest.pointer("/spec/ingressClassName").and_then(|class| class.as_str());
        table.row([
            row.plan.meta.id.name.clone(),
            class.unwrap_or(NONE).to_owned(),
            shown,
            row.outside.join(","),
            if row.plan.tls.is_empty() { "80" } else { "80, 443" }.to_owned(),
            age(row.created, now),
        ]);
    }
    let heads: Vec<RowHead> = rows.iter().map(|row| RowHead::new(&row.plan.meta, row.created)).collect();
    finish(table, &heads, look)
}

/// ConfigMaps, or Secrets with their type.
pub fn configs(kind: Kind, rows: &[ConfigRow], look: Look, now: Timestamp) -> Table {
    let plain: &[&str] = if kind == Kind::Secret { &["NAME", "TYPE", "DATA", "AGE"] } else { &["NAME", "DATA", "AGE"] };
    let mut table = headers(plain, &[], look);
    for row in rows {
        let mut cells = vec![row.head.name.clone()];
        cells.extend((kind == Kind::Secret).then(|| row.kind.clone()));
        cells.extend([row.keys.to_string(), age(row.head.created, now)]);
        table.row(cells);
    }
    finish(table, &rows.iter().map(|row| row.head.clone()).collect::<Vec<_>>(), look)
}

/// `RWO,ROX`.
pub(super) fn access(modes: &[AccessMode]) -> String {
    let words = modes.iter().map(|mode| match mode {
        AccessMode::ReadWriteOnce => "RWO",
        AccessMode::ReadOnlyMany => "ROX",
        AccessMode::ReadWriteMany => "RWX",
        AccessMode::ReadWriteOncePod => "RWOP",
    });
    words.collect::<Vec<_>>().join(",")
}

pub fn claims(rows: &[ClaimRow<'_>], look: Look, now: Timestamp) -> Table {
    let mut table = headers(
        &["NAME", "STATUS", "VOLUME", "CAPACITY", "ACCESS MODES", "STORAGECLASS", "VOLUMEATTRIBUTESCLASS", "AGE"],
        &["VOLUMEMODE"],
        look,
    );
    for row in rows {
        let plan = row.plan;
        let volume = plan.bound.as_ref().map_or(&plan.volume, |bound| &bound.name);
        let mut cells = vec![
            plan.meta.id.name.clone(),
            if row.bound { "Bound" } else { "Pending" }.to_owned(),
            if row.bound { volume.clone() } else { String::new() },
            plan.size.as_ref().filter(|_| row.bound).map_or_else(String::new, ToString::to_string),
            if row.bound { access(&plan.access) } else { String::new() },
            plan.storage_class.clone().unwrap_or_default(),
            "<unset>".to_owned(),
            age(row.created, now),
        ];
        cells.extend(look.wide.then(|| "Filesystem".to_owned()));
        table.row(cells);
    }
    let heads: Vec<RowHead> = rows.iter().map(|row| RowHead::new(&row.plan.meta, row.created)).collect();
    finish(table, &heads, look)
}

pub fn namespaces(rows: &[RowHead], look: Look, now: Timestamp) -> Table {
    let mut table = headers(&["NAME", "STATUS", "AGE"], &[], look);
    for row in rows {
        table.row([row.name.clone(), "Active".to_owned(), age(row.created, now)]);
    }
    finish(table, rows, Look { namespaces: false, ..look })
}

pub fn autoscalers(rows: &[AutoscalerRow<'_>], look: Look, now: Timestamp) -> Table {
    let mut table = headers(&["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"], &[], look);
    for row in rows {
        let plan = row.plan;
        let targets = plan.metrics.iter().enumerate().map(|(index, metric)| {
            let current = row.current.get(index).copied().flatten();
            match &metric.target {
                MetricTargetPlan::Utilization(percent) => {
                    let current = current.map_or_else(|| "<unknown>".to_owned(), |current| format!("{current}%"));
                    format!("{}: {current}/{percent}%", metric.resource)
                }
                MetricTargetPlan::Value(value) => {
                    let current = current.map_or_else(|| "<unknown>".to_owned(), amount);
                    format!("{}: {current}/{value}", metric.resource)
                }
            }
        });
        table.row([
            plan.meta.id.name.clone(),
            format!("{}/{}", plan.target.kind, plan.target.name),
            targets.collect::<Vec<_>>().join(", "),
            plan.least.to_string(),
            plan.most.to_string(),
            row.replicas.to_string(),
            age(row.created, now),
        ]);
    }
    let heads: Vec<RowHead> = rows.iter().map(|row| RowHead::new(&row.plan.meta, row.created)).collect();
    finish(table, &heads, look)
}

/// Thousandths as a quantity: `250m`, `3`, `104857600`.
fn amount(millis: u64) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

/// How long something took, for `describe`.
pub(super) fn took(from: Timestamp, to: Timestamp) -> String {
    span(to.as_second() - from.as_second())
}

/// `hostPath` types as `describe` shows them.
pub(super) fn host_path_type(kind: HostPathType) -> &'static str {
    kind.word()
}
