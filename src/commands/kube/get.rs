//! `creel kube get`

mod watch;

use std::net::IpAddr;
use std::str::FromStr;

use containers::Engine;
use jiff::Timestamp;
use kube_play::act::{self, Body, Seen, Shelf};
use kube_play::show::{self, Look, RowHead, Table};
use kube_play::{Kind, ObjectId, Selector, steps};

use super::chosen::{Chosen, meant, of_kind};
use super::{DEFAULT_NAMESPACE, not_found};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Show what was played, as kubectl does
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    pub showing: Showing,
    /// A kind (pods, deploy, svc,all) and names, or KIND/NAME
    #[arg(value_name = "KIND [NAME...]")]
    pub words: Vec<String>,
}

/// Which objects, and how they are shown.
#[derive(clap::Args, Debug)]
pub struct Showing {
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// No headings
    #[arg(long)]
    no_headers: bool,
    /// wide, json, yaml, name, jsonpath={.PATH} or custom-columns=HEADING:.PATH,...
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<String>,
    /// Only objects with these labels (app=web,tier!=db)
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// With --watch: say before each object what has become of it (ADDED, MODIFIED, DELETED)
    #[arg(long)]
    output_watch_events: bool,
    /// Show labels
    #[arg(long)]
    show_labels: bool,
    /// Go on and show what changes
    #[arg(short, long)]
    watch: bool,
    /// Show what changes, not what is there
    #[arg(long)]
    watch_only: bool,
}

/// `-o`
enum Form {
    Table { wide: bool },
    Name,
    Json,
    Yaml,
    JsonPath(show::JsonPath),
    Columns(String),
}

impl FromStr for Form {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Form, Failure> {
        Ok(match text.split_once('=').unwrap_or((text, "")) {
            ("wide", "") => Form::Table { wide: true },
            ("name", "") => Form::Name,
            ("json", "") => Form::Json,
            ("yaml", "") => Form::Yaml,
            ("jsonpath", "") => return Err(Failure::plain("template format specified but no template given")),
            ("jsonpath", template) => Form::JsonPath(
                show::JsonPath::parse(template)
                    .map_err(|why| Failure::plain(format!("error parsing jsonpath {template}, {why}")))?,
            ),
            ("custom-columns", "") => {
                return Err(Failure::plain("custom-columns format specified but no custom columns given"));
            }
            ("custom-columns", columns) => Form::Columns(columns.to_owned()),
            _ => {
                return Err(Failure::plain(format!(
                    "unable to match a printer suitable for the output format {text:?}, allowed formats are: \
                     custom-columns,json,jsonpath,name,wide,yaml"
                )));
            }
        })
    }
}

pub fn run(context: &Context, Args { showing: args, words }: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&words, 1)?;
    let form = args.output.as_deref().map_or(Ok(Form::Table { wide: false }), str::parse)?;
    let wanted = meant(&words)?;
    let selector = match &args.selector {
        Some(text) => Some(Selector::parse(text).map_err(Failure::plain)?),
        None => None,
    };
    let engine = context.reader()?;
    let view = View { shelf: super::shelf(&engine)?, engine, args: &args, selector };
    if args.watch || args.watch_only {
        return watch::run(&view, &wanted, &form);
    }
    if args.output_watch_events {
        return Err(Failure::plain("--output-watch-events option can only be used with --watch or --watch-only"));
    }
    let seen = act::pods(&view.engine)?;
    let (mut failures, mut texts, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, names) in &wanted {
        let (shown, missing) = view.meant(*kind, names, &seen)?;
        failures.extend(missing);
        match form {
            Form::Table { .. } if shown.is_empty() => {}
            Form::Table { wide } => {
                let table = view.table(*kind, &shown, &seen, wide, Timestamp::now())?;
                texts.push(table.text(!args.no_headers));
            }
            Form::Name => {
                for one in &shown {
                    output::line(one.id().resource())?;
                }
            }
            Form::Json | Form::Yaml | Form::JsonPath(_) | Form::Columns(_) => {
                values.extend(shown.iter().map(|one| value(&view.shelf, one)).collect::<Result<Vec<_>, _>>()?)
            }
        }
    }
    let named_one = matches!(&wanted[..], [(_, names)] if names.len() == 1);
    // Who asks for one object by its name gets that, all others a List.
    let root = match &values[..] {
        [object] if named_one => object.clone(),
        objects => show::list(objects),
    };
    match form {
        Form::Json | Form::Yaml | Form::JsonPath(_) | Form::Columns(_) if values.is_empty() && !failures.is_empty() => {
        }
        Form::Json => output::print(&show::object_json(&[root]))?,
        Form::Yaml => output::print(&show::object_yaml(&[root]))?,
        Form::JsonPath(template) => output::print(&template.text(&root))?,
        Form::Columns(columns) => {
            let table = show::custom_columns(&columns, &values).map_err(Failure::plain)?;
            output::print(&table.text(!args.no_headers))?;
        }
        Form::Name => {}
        Form::Table { .. } if texts.is_empty() && failures.is_empty() => {
            super::none_found(args.all_namespaces, &args.namespace)
        }
        Form::Table { .. } => output::print(&texts.join("\n"))?,
    }
    crate::select::conclude(failures)
}

/// What is looked at, and for whom.
struct View<'a> {
    engine: Engine,
    shelf: Shelf,
    args: &'a Showing,
    selector: Option<Selector>,
}

impl View<'_> {
    /// The objects of a kind that are asked for (with no names: all), and what is not there. `seen` are all played pods.
    fn meant(&self, kind: Kind, names: &[String], seen: &[Seen]) -> Result<(Vec<Chosen>, Vec<Failure>), Failure> {
        let namespaces = match self.args.all_namespaces && !kind.global() {
            true => self.shelf.namespaces()?,
            false => vec![self.args.namespace.clone()],
        };
        let mut found = Vec::new();
        for namespace in &namespaces {
            found.extend(of_kind(&self.engine, &self.shelf, kind, namespace, seen)?);
        }
        found.retain(|one| self.selector.as_ref().is_none_or(|selector| selector.matches(one.labels())));
        let is_missing = |name: &&String| !found.iter().any(|one| one.name() == name.as_str());
        let missing = names.iter().filter(is_missing).map(|name| not_found(kind, name)).collect();
        found.retain(|one| names.is_empty() || names.iter().any(|name| name == one.name()));
        Ok((found, missing))
    }

    fn table(&self, kind: Kind, shown: &[Chosen], seen: &[Seen], wide: bool, now: Timestamp) -> Result<Table, Failure> {
        let look = Look { wide, namespaces: self.args.all_namespaces, labels: self.args.show_labels };
        table(&self.engine, &self.shelf, kind, shown, seen, look, now)
    }
}

/// A pod's line, from what its containers do.
pub fn pod_status(shelf: &Shelf, pod: &Seen) -> Result<steps::PodStatus, Failure> {
    Ok(match act::template_of(shelf, pod)? {
        Some(template) => steps::pod_status(&template, &pod.containers(&template), false),
        None => steps::PodStatus {
            phase: pod.phase,
            shown: pod.phase.word().to_owned(),
            ready_containers: u32::from(pod.ready),
            containers: u32::try_from(pod.pod.members().count()).unwrap_or(u32::MAX),
            restarts: pod.restarts,
            initialized: true,
            ready: pod.ready,
        },
    })
}

fn table(
    engine: &Engine,
    shelf: &Shelf,
    kind: Kind,
    shown: &[Chosen],
    seen: &[Seen],
    look: Look,
    now: Timestamp,
) -> Result<Table, Failure> {
    let stored = || {
        shown.iter().filter_map(|one| match one {
            Chosen::Stored(id, object) => Some((id, object)),
            Chosen::Pod(_) => None,
        })
    };
    let kept = |id: &ObjectId| shelf.kept(id);
    Ok(match kind {
        Kind::Pod => {
            let mut rows = Vec::new();
            for one in shown {
                let Chosen::Pod(pod) = one else { continue };
                let restarted = pod.pod.members().filter(|member| member.status.restarts > 0);
                rows.push(show::PodRow {
                    head: RowHead {
                        namespace: pod.namespace.clone(),
                        name: pod.name.clone(),
                        labels: pod.labels().clone(),
                        created: pod.pod.record.created,
                    },
                    status: pod_status(shelf, pod)?,
                    last_restart: restarted
                        .filter_map(|member| member.status.last_exit.as_ref())
                        .map(|exit| exit.at)
                        .max(),
                    address: pod.addresses.first().copied(),
                    node: act::node_name(),
                });
            }
            show::pods(&rows, look, now)
        }
        Kind::Deployment | Kind::ReplicaSet | Kind::ReplicationController | Kind::DaemonSet | Kind::StatefulSet => {
            let mut rows = Vec::new();
            for (id, object) in stored() {
                if let Body::Workload { plan, .. } = &object.body {
                    rows.push(show::WorkloadRow {
                        plan,
                        created: object.created,
                        status: workload_status(plan, kept(id)?),
                    });
                }
            }
            show::workloads(kind, &rows, look, now)
        }
        Kind::Job => {
            let mut rows = Vec::new();
            for (id, object) in stored() {
                if let Body::Job { plan, .. } = &object.body {
                    rows.push(show::JobRow {
                        head: RowHead::new(&plan.meta, object.created),
                        template: &plan.run.template,
                        status: job_status(plan, kept(id)?),
                        parallelism: plan.run.parallelism,
                    });
                }
            }
            show::jobs(&rows, look, now)
        }
        Kind::CronJob => {
            let mut rows = Vec::new();
            for (id, object) in stored() {
                if let Body::CronJob(plan) = &object.body {
                    let mut active = 0;
                    for job in shelf.list(&id.namespace, Kind::Job)? {
                        if let Body::Job { plan: run, owner: Some(owner) } = &job.body
                            && owner == id
                            && kept(&run.meta.id)?.job.ended.is_none()
                        {
                            active += 1;
                        }
                    }
                    rows.push(show::CronJobRow { plan, created: object.created, active, last: kept(id)?.last });
                }
            }
            show::cron_jobs(&rows, look, now)
        }
        Kind::Service => {
            let rows: Vec<show::ServiceRow<'_>> = stored()
                .filter_map(|(_, object)| match &object.body {
                    Body::Service { plan, address } => Some(show::ServiceRow {
                        plan,
                        created: object.created,
                        address: *address,
                        outside: outside(plan),
                    }),
                    _ => None,
                })
                .collect();
            show::services(&rows, look, now)
        }
        Kind::Ingress => {
            let rows: Vec<show::IngressRow<'_>> = stored()
                .filter_map(|(_, object)| match &object.body {
                    Body::Ingress(plan) => Some(show::IngressRow {
                        plan,
                        created: object.created,
                        outside: host_addresses().into_iter().take(1).collect(),
                    }),
                    _ => None,
                })
                .collect();
            show::ingresses(&rows, look, now)
        }
        Kind::ConfigMap | Kind::Secret => {
            let rows: Vec<show::ConfigRow> = stored()
                .filter_map(|(_, object)| match &object.body {
                    Body::ConfigMap(map) => Some(show::ConfigRow {
                        head: RowHead::new(&map.meta, object.created),
                        kind: map.kind.clone(),
                        keys: map.data.len(),
                    }),
                    _ => None,
                })
                .collect();
            show::configs(kind, &rows, look, now)
        }
        Kind::PersistentVolumeClaim => {
            let mut rows = Vec::new();
            for (_, object) in stored() {
                if let Body::Volume(plan) = &object.body {
                    let bound = engine.store.volume(&plan.volume)?.is_some();
                    rows.push(show::ClaimRow { plan, created: object.created, bound });
                }
            }
            show::claims(&rows, look, now)
        }
        Kind::HorizontalPodAutoscaler => {
            let mut rows = Vec::new();
            for (id, object) in stored() {
                if let Body::Autoscaler(plan) = &object.body {
                    let owner = format!("{}/{}", plan.target.kind, plan.target.name);
                    let of_target = seen
                        .iter()
                        .filter(|pod| pod.namespace == id.namespace && pod.owner.as_deref() == Some(owner.as_str()));
                    let replicas = u32::try_from(of_target.count()).unwrap_or(u32::MAX);
                    rows.push(show::AutoscalerRow {
                        plan,
                        created: object.created,
                        current: kept(id)?.current,
                        replicas,
                    });
                }
            }
            show::autoscalers(&rows, look, now)
        }
        Kind::Namespace | Kind::PersistentVolume | Kind::StorageClass | Kind::IngressClass => {
            let heads: Vec<RowHead> = stored()
                .filter_map(|(_, object)| object.body.meta().map(|meta| RowHead::new(meta, object.created)))
                .collect();
            show::namespaces(&heads, look, now)
        }
    })
}

/// As the supervisor last saw it; nothing yet where it has not looked.
pub fn workload_status(plan: &kube_play::WorkloadPlan, kept: act::Kept) -> steps::WorkloadStatus {
    kept.workload.unwrap_or(steps::WorkloadStatus {
        desired: plan.replicas,
        current: 0,
        updated: 0,
        ready: 0,
        available: 0,
        progress: steps::Progress::Progressing,
    })
}

fn job_status(plan: &kube_play::JobPlan, kept: act::Kept) -> steps::JobStatus {
    kept.job_status
        .unwrap_or_else(|| steps::JobStatus { completions: plan.run.completions, ..steps::JobStatus::default() })
}

fn host_addresses() -> Vec<String> {
    network::host_addresses().unwrap_or_default().iter().map(IpAddr::to_string).collect()
}

/// Where a LoadBalancer is reached.
pub fn outside(plan: &kube_play::ServicePlan) -> Vec<String> {
    match plan.kind {
        kube_play::ServiceType::LoadBalancer => match plan.load_balancer_address {
            Some(address) => vec![address.to_string()],
            None => host_addresses().into_iter().take(1).collect(),
        },
        _ => plan.external_addresses.iter().map(IpAddr::to_string).collect(),
    }
}

/// An object as Kubernetes would show it.
pub fn value(shelf: &Shelf, shown: &Chosen) -> Result<serde_json::Value, Failure> {
    let uid = |id: &ObjectId| act::uid_of(id);
    Ok(match shown {
        Chosen::Stored(id, object) => {
            let Some(meta) = object.body.meta() else { return Ok(serde_json::Value::Null) };
            match &object.body {
                Body::Workload { plan, .. } => {
                    let status = workload_status(plan, shelf.kept(id)?);
                    show::object(meta, &uid(id), object.created, Some(show::workload_status_value(id.kind, &status)))
                }
                Body::Job { plan, .. } => {
                    let status = job_status(plan, shelf.kept(id)?);
                    show::object(meta, &uid(id), object.created, Some(show::job_status_value(&status)))
                }
                Body::Service { plan, address } => {
                    show::service_object(plan, &uid(id), object.created, *address, &outside(plan))
                }
                _ => show::object(meta, &uid(id), object.created, None),
            }
        }
        Chosen::Pod(pod) => {
            let template = act::template_of(shelf, pod)?;
            let owner = pod.owner_id();
            let mut spec = act::pod_manifest(shelf, pod)?.unwrap_or_default();
            let ephemeral = pod.ephemeral();
            if !ephemeral.is_empty() {
                spec["ephemeralContainers"] = ephemeral.iter().map(|one| one.manifest.clone()).collect();
            }
            let of_owner = owner.as_ref().map(|id| (id.clone(), serde_json::Value::from(uid(id))));
            let mut value = show::pod_object(
                &pod.name,
                &pod.namespace,
                pod.labels(),
                &pod.annotations(),
                of_owner.as_ref().map(|(id, uid)| (id, uid)),
                &spec,
            );
            value["metadata"]["uid"] = act::pod_uid(pod).into();
            if let Some(template) = template {
                let containers = pod.containers(&template);
                let status = steps::pod_status(&template, &containers, false);
                let host = network::host_addresses().unwrap_or_default().first().copied();
                let started = pod.pod.record.created;
                value["status"] =
                    show::pod_status_value(&template, &status, &containers, &ephemeral, &pod.addresses, host, started);
            }
            value
        }
    })
}
