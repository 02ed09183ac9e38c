//! `creel pod ps`

use jiff::Timestamp;
use pods::Pod;

use super::filters::Filters;
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Format, Headings, Value, human};
use crate::{object, output, state};

/// List pods
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show the containers' ids
    #[arg(long)]
    ctr_ids: bool,
    /// Show the containers' names
    #[arg(long)]
    ctr_names: bool,
    /// Show the containers' states
    #[arg(long)]
    ctr_status: bool,
    /// Show the pods that pass a filter
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show the newest pod
    #[arg(short, long)]
    latest: bool,
    /// Cut nothing short
    #[arg(long)]
    no_trunc: bool,
    /// Leave the headings out
    #[arg(short, long)]
    noheading: bool,
    /// Show the namespaces
    #[arg(long, alias = "namespace")]
    ns: bool,
    /// Show ids only
    #[arg(short, long)]
    quiet: bool,
    /// Sort by created, id, name, number or status
    #[arg(long, value_name = "KEY", default_value = "created")]
    sort: String,
    words: Vec<String>,
}

const HEADINGS: Headings = &[
    ("ContainerIds", "IDS"),
    ("ContainerNames", "NAMES"),
    ("ContainerStatuses", "STATUS"),
    ("Cgroup", "CGROUP"),
    ("Created", "CREATED"),
    ("ID", "POD ID"),
    ("Id", "POD ID"),
    ("InfraID", "INFRA ID"),
    ("Namespace", "NAMESPACES"),
    ("NumberOfContainers", "# OF CONTAINERS"),
];

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "pod ps")?;
    if args.quiet && args.format.is_some() {
        return Err(Failure::plain("quiet and format cannot be used together"));
    }
    if !matches!(args.sort.as_str(), "created" | "id" | "name" | "number" | "status") {
        return Err(Failure::plain("invalid option for --sort, options are: created, id, name, number, or status"));
    }
    let engine = context.reader()?;
    let format = Format::parse("pod ps", &layout(&args))?.within(output::room(args.no_trunc, args.format.as_deref()));
    let filters = Filters::parse(&args.filter)?;
    let mut pods = pods::list(&engine)?;
    pods.reverse();
    pods.retain(|pod| filters.pass(pod));
    if args.latest {
        pods.truncate(1);
    }
    sort(&mut pods, &args.sort);
    let now = Timestamp::now();
    let values = pods.iter().map(|pod| value(pod, args.no_trunc, now)).collect();
    output::print(&format.list(values, HEADINGS, !args.noheading && !args.quiet, 2)?)?;
    Ok(ExitCode::Success)
}

/// The template for the flags, or what `--format` says.
fn layout(args: &Args) -> String {
    match args.format.as_deref() {
        Some("table") => {}
        Some(format) => return format.to_owned(),
        None if args.quiet => return "{{.FullID}}".into(),
        None => {}
    }
    let fields = "table {{.ID}}\t{{.Name}}\t{{.Status}}\t{{.Created}}\t{{.InfraID}}".to_owned();
    let containers = [
        (args.ctr_ids, "\t{{.ContainerIds}}"),
        (args.ctr_names, "\t{{.ContainerNames}}"),
        (args.ctr_status, "\t{{.ContainerStatuses}}"),
    ];
    let wanted: String = containers.into_iter().filter_map(|(wanted, field)| wanted.then_some(field)).collect();
    let namespaces = if args.ns { "\t{{.Cgroup}}\t{{.Namespace}}" } else { "" };
    match wanted.as_str() {
        "" => fields + namespaces + "\t{{.NumberOfContainers}}",
        wanted => fields + wanted + namespaces,
    }
}

fn sort(pods: &mut [Pod], key: &str) {
    match key {
        "id" => pods.sort_by_key(|pod| pod.id().clone()),
        "name" => pods.sort_by_key(|pod| pod.name().to_owned()),
        "number" => pods.sort_by_key(|pod| pod.containers.len()),
        "status" => pods.sort_by_key(|pod| pod.state().word()),
        // The newest first, as they come.
        _ => {}
    }
}

fn value(pod: &Pod, no_trunc: bool, now: Timestamp) -> Value {
    let short = |id: &str| if no_trunc { id.to_owned() } else { id.chars().take(12).collect() };
    let infra = pod.infra().map(|infra| infra.id().to_string()).unwrap_or_default();
    let containers: Vec<Value> = pod
        .containers
        .iter()
        .map(|container| {
            object! {
                "Id": container.id().as_str(),
                "Names": container.name(),
                "Status": state::word(container),
                "RestartCount": container.status.restarts,
            }
        })
        .collect();
    let joined =
        |word: &dyn Fn(&containers::Container) -> String| pod.containers.iter().map(word).collect::<Vec<_>>().join(",");
    let restarts: u32 = pod.containers.iter().map(|container| container.status.restarts).sum();
    let networks = pod.infra().map(state::networks).unwrap_or_default();
    object! {
        "Cgroup": super::inspect::cgroup_parent(pod),
        "Containers": Value::List(containers),
        json "Created": pod.record.created,
        json "Id": pod.id().as_str(),
        json "InfraId": infra.clone(),
        "Name": pod.name(),
        "Namespace": "",
        "Networks": networks.clone(),
        "Status": pod.state().word(),
        "Labels": Value::map(&pod.spec().labels),
        fn "Created": human::ago(pod.record.created, now),
        fn "ID": short(pod.id().as_str()),
        fn "Id": short(pod.id().as_str()),
        fn "FullID": pod.id().as_str(),
        fn "InfraID": short(&infra),
        fn "InfraId": short(&infra),
        fn "NumberOfContainers": pod.containers.len(),
        fn "ContainerIds": joined(&|container| short(container.id().as_str())),
        fn "ContainerNames": joined(&|container| container.name().to_owned()),
        fn "ContainerStatuses": joined(&|container| state::word(container).to_owned()),
        fn "Networks": networks.join(","),
        fn "Restarts": restarts.to_string(),
    }
}
