use std::collections::BTreeMap;
use std::time::Duration;

use containers::{Container, Engine, Remove};
use jiff::Timestamp;
use network::PortMapping;

use crate::arguments::{self, number};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::filters::Filters;
use crate::format::{Asked, Field, Format, Headings, Kind, Nil, Value, human};
use crate::{object, output, state};

/// List containers
#[derive(clap::Args)]
pub struct Args {
    /// Show all containers, not only those that run
    #[arg(short, long)]
    all: bool,
    /// Show containers of other tools, too (there are none here)
    #[arg(long, alias = "storage")]
    external: bool,
    /// Show the containers that pass a filter
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show the last N containers, whatever their state
    #[arg(short = 'n', long, value_name = "NUMBER", value_parser = number::i64)]
    last: Option<i64>,
    /// Show the newest container, whatever its state
    #[arg(short, long)]
    latest: bool,
    /// Cut nothing short
    #[arg(long, alias = "notruncate")]
    no_trunc: bool,
    /// Leave the headings out
    #[arg(long)]
    noheading: bool,
    /// Show the namespaces
    #[arg(long, alias = "namespace")]
    ns: bool,
    /// Show the pods, too
    #[arg(short, long)]
    pod: bool,
    /// Show ids only
    #[arg(short, long)]
    quiet: bool,
    /// Show the sizes, too
    #[arg(short, long)]
    size: bool,
    /// Sort by command, created, id, image, names, runningfor, size or status
    #[arg(long, value_name = "KEY", value_parser = sort_key)]
    sort: Option<String>,
    /// Look again at every container (creel does so always)
    #[arg(long)]
    sync: bool,
    /// Show again every N seconds
    #[arg(short, long, value_name = "SECONDS", value_parser = number::u32)]
    watch: Option<u32>,
    words: Vec<String>,
}

const HEADINGS: Headings = &[
    ("CGROUPNS", "CGROUPNS"),
    ("CreatedHuman", "CREATED"),
    ("ID", "CONTAINER ID"),
    ("Id", "CONTAINER ID"),
    ("IPC", "IPC"),
    ("MNT", "MNT"),
    ("NET", "NET"),
    ("PIDNS", "PIDNS"),
    ("Pod", "POD ID"),
    ("PodName", "PODNAME"),
    ("Restarts", "RESTARTS"),
    ("RunningFor", "RUNNING FOR"),
    ("USERNS", "USERNS"),
    ("UTS", "UTS"),
    ("User", "USERNS"),
    ("Cgroup", "CGROUPNS"),
];

fn sort_key(text: &str) -> Result<String, String> {
    const KEYS: &str = "command, created, id, image, names, runningfor, size, status";
    match KEYS.split(", ").any(|key| key == text) {
        true => Ok(text.to_owned()),
        false => Err(format!("{} is not a valid value.  Choose from: \"{KEYS}\"", arguments::go_quote(text))),
    }
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "ps")?;
    if args.quiet && (args.size || args.ns) {
        return Err(Failure::plain("quiet conflicts with size and namespace"));
    }
    if args.size && args.ns {
        return Err(Failure::plain("size and namespace options conflict"));
    }
    if args.last.is_some_and(|last| last >= 0) && args.latest {
        return Err(Failure::plain("last and latest are mutually exclusive"));
    }
    let engine = context.reader()?;
    match args.watch {
        None | Some(0) => show(&engine, &args)?,
        Some(seconds) => loop {
            output::painted("\x1b[H\x1b[2J")?;
            show(&engine, &args)?;
            std::thread::sleep(Duration::from_secs(seconds.into()));
        },
    }
    Ok(ExitCode::Success)
}

fn show(engine: &Engine, args: &Args) -> Result<(), Failure> {
    let format = Format::parse("ps", &layout(args))?.within(output::room(args.no_trunc, args.format.as_deref()));
    let containers = chosen(engine, args)?;
    let now = Timestamp::now();
    // Their records are read only where a name is shown.
    let in_pods = containers.iter().any(|(container, _)| container.spec().pod.is_some());
    let pods = if in_pods && (args.pod || args.format.is_some()) { pods::names(engine)? } else { BTreeMap::new() };
    let rows = |asked: &Asked<'_>| -> Vec<Value> {
        let row = |(container, size): &Sized| {
            let value = value(engine, container, *size, args, now, &pods, asked);
            match format {
                Format::Json => value,
                _ => seen_by_templates(value, container.record.created),
            }
        };
        containers.iter().map(row).collect()
    };
    let heading = !args.noheading && !args.quiet;
    let listed = |values| format.list(values, HEADINGS, heading, 2);
    // What is wrong is said with all the fields that there are.
    let text = listed(rows(&format.asked())).or_else(|_| listed(rows(&Asked(None))))?;
    output::print(&text)
}

/// The template for the flags, or what `--format` says.
fn layout(args: &Args) -> String {
    match args.format.as_deref() {
        Some("table") => {}
        Some(format) => return format.to_owned(),
        None if args.quiet => return "{{.ID}}".into(),
        None => {}
    }
    if args.ns {
        let fields = "table {{.ID}}\t{{.Names}}\t{{.Pid}}\t{{.Namespaces.Cgroup}}\t{{.Namespaces.IPC}}\t{{.Namespaces.MNT}}\t\
                      {{.Namespaces.NET}}\t{{.Namespaces.PIDNS}}\t{{.Namespaces.User}}\t{{.Namespaces.UTS}}";
        return fields.to_owned();
    }
    let mut fields =
        "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.CreatedHuman}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}".to_owned();
    if args.pod {
        fields.push_str("\t{{.Pod}}\t{{.PodName}}");
    }
    if args.size {
        fields.push_str("\t{{.Size}}");
    }
    fields
}

/// A container and, where asked for, the bytes it wrote and its size in all.
type Sized = (Container, Option<(u64, u64)>);

fn chosen(engine: &Engine, args: &Args) -> Result<Vec<Sized>, Failure> {
    let filters = Filters::parse(engine, &args.filter)?;
    let mut containers = containers::list(engine)?;
    let whatever_state = args.all || args.latest || args.last.is_some_and(|last| last > 0) || filters.ask_for_state();
    containers.retain(|container| (whatever_state || containers::running(container)) && filters.pass(container));
    let last = if args.latest { Some(1) } else { args.last.and_then(|last| usize::try_from(last).ok()) };
    let last = last.filter(|last| *last > 0);
    if let Some(last) = last {
        containers.drain(..containers.len().saturating_sub(last));
    }
    let wants_size = args.size || args.sort.as_deref() == Some("size");
    let mut sized: Vec<Sized> = Vec::with_capacity(containers.len());
    for container in containers {
        let size = if wants_size { Some(containers::size(engine, &container)?) } else { None };
        sized.push((container, size));
    }
    if let Some(key) = &args.sort {
        sort(&mut sized, key);
    }
    Ok(sized)
}

fn sort(containers: &mut [Sized], key: &str) {
    let now = Timestamp::now();
    match key {
        "command" => containers.sort_by_cached_key(|(container, _)| state::command(container).to_vec()),
        "id" => containers.sort_by_key(|(container, _)| container.id().clone()),
        "image" => containers.sort_by_key(|(container, _)| state::image(container).0.to_owned()),
        "names" => containers.sort_by_key(|(container, _)| container.name().to_owned()),
        "runningfor" => containers.sort_by_key(|(container, _)| state::started(container)),
        "size" => containers.sort_by_key(|(_, size)| size.map(|(written, _)| written)),
        "status" => containers.sort_by_key(|(container, _)| state::sentence(container, now)),
        _ => containers.sort_by_key(|(container, _)| container.record.created),
    }
}

/// As a whole, templates see another thing than `--format json`: times that are times, and words only as methods.
fn seen_by_templates(mut value: Value, created: Timestamp) -> Value {
    if let Value::Struct(fields) = &mut value {
        fields.retain(|field| field.kind != Kind::JsonOnly);
        for field in fields.iter_mut().filter(|field| field.kind == Kind::Plain) {
            if matches!(field.name, "CreatedAt" | "Status" | "PodName") {
                field.value = "".into();
            }
        }
        let time = Field { json: "Created", name: "Created", kind: Kind::Plain, value: created.into() };
        fields.insert(fields.len().min(2), time);
    }
    value
}

fn value(
    engine: &Engine,
    container: &Container,
    size: Option<(u64, u64)>,
    args: &Args,
    now: Timestamp,
    pods: &BTreeMap<String, String>,
    asked: &Asked<'_>,
) -> Value {
    let (record, spec) = (&container.record, container.spec());
    let command = state::command(container);
    let infra = matches!(spec.pod_role, Some(containers::PodRole::Infra));
    let (image, image_id) = state::image(container);
    let created = || human::ago(record.created, now);
    let exit = container.state().exit();
    let pid = container.state().init().map_or(0, |init| init.pid);
    let seconds = |time: Option<Timestamp>| time.map_or(-62135596800, Timestamp::as_second);
    let namespaces = if args.ns { namespaces(pid) } else { BTreeMap::new() };
    let namespace = |name: &str| Value::from(namespaces.get(name).cloned().unwrap_or_default());
    let full_id = record.id.as_str();
    let shown_command = || match command.join(" ") {
        _ if infra => String::new(),
        text if !args.no_trunc && text.chars().count() > 20 => text.chars().take(17).chain("...".chars()).collect(),
        text => text,
    };
    let shown_size = size.map_or_else(String::new, |(written, all)| {
        format!("{} (virtual {})", human::size3(written), human::size3(all))
    });
    let pod_name = || spec.pod.as_ref().and_then(|pod| pods.get(pod)).cloned().unwrap_or_default();
    let mounts = || -> Vec<String> {
        state::mounts(container).iter().map(|mount| mount.destination.display().to_string()).collect()
    };
    let published = || state::published(engine, container);
    object! {
        asked asked;
        "AutoRemove": spec.remove != Remove::Nothing,
        "Command": if infra { Value::Nil(Nil::List) } else { Value::list(command) },
        "CreatedAt": created(),
        "CIDFile": spec.cidfile.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
        "Exited": exit.is_some(),
        "ExitedAt": seconds(exit.map(|exit| exit.at)),
        "ExitCode": exit.map_or(0, |exit| i64::from(exit.code)),
        "ExposedPorts": exposed(container),
        "Id": full_id,
        "Image": image,
        "ImageID": image_id,
        "IsInfra": infra,
        "Labels": Value::map_or_nil(&spec.labels),
        "Mounts": mounts(),
        "Names": vec![record.name.clone()],
        "Namespaces": object! {
            "Mnt" as "MNT"?: namespace("mnt"),
            "Cgroup"?: namespace("cgroup"),
            "Ipc" as "IPC"?: namespace("ipc"),
            "Net" as "NET"?: namespace("net"),
            "Pidns" as "PIDNS"?: namespace("pid"),
            "Uts" as "UTS"?: namespace("uts"),
            "User"?: namespace("user"),
        },
        "Networks": state::networks(container),
        "Pid": i64::from(pid),
        "Pod": spec.pod.clone().unwrap_or_default(),
        "PodName": pod_name(),
        fn "PodName": pod_name(),
        fn "Pod": match spec.pod.as_deref() {
            Some(pod) if !args.no_trunc => pod.chars().take(12).collect(),
            pod => pod.unwrap_or_default().to_owned(),
        },
        "Ports": ports(&published()),
        "Restarts": container.status.restarts,
        "Size": size.map(|(written, all)| object! { "rootFsSize" as "RootFsSize": all, "rwSize" as "RwSize": written }),
        "StartedAt": seconds(state::started(container)),
        "State": state::word(container),
        "Status": state::sentence(container, now),
        json "Created": record.created.as_second(),
        fn "Status": state::sentence(container, now),
        fn "ID": if args.no_trunc { full_id } else { record.id.short() },
        fn "ImageID": if args.no_trunc { image_id } else { image_id.get(..12).unwrap_or(image_id) },
        fn "Cgroup": namespace("cgroup"),
        fn "CGROUPNS": namespace("cgroup"),
        fn "IPC": namespace("ipc"),
        fn "MNT": namespace("mnt"),
        fn "NET": namespace("net"),
        fn "PIDNS": namespace("pid"),
        fn "USERNS": namespace("user"),
        fn "User": namespace("user"),
        fn "UTS": namespace("uts"),
        fn "Command": shown_command(),
        fn "CreatedAt": crate::format::go_time(record.created),
        fn "CreatedHuman": created(),
        fn "RunningFor": created(),
        fn "Names": record.name.clone(),
        fn "Networks": state::networks(container).join(","),
        fn "Ports": state::port_list(container, &published()),
        fn "Size": shown_size,
        fn "State": state::word(container),
    }
}

/// `{"80": ["tcp"]}`.
fn exposed(container: &Container) -> Value {
    let mut map: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for port in state::exposed(container) {
        if let Some((number, protocol)) = port.split_once('/') {
            map.entry(number.to_owned()).or_default().push(protocol.into());
        }
    }
    if map.is_empty() {
        return Value::Nil(Nil::Map);
    }
    Value::Map(map.into_iter().map(|(port, protocols)| (port, Value::List(protocols))).collect())
}

fn ports(published: &[PortMapping]) -> Value {
    let ports: Vec<Value> = published
        .iter()
        .map(|mapping| {
            object! {
                "host_ip" as "HostIP": mapping.host_ip.map(|ip| ip.to_string()).unwrap_or_default(),
                "container_port" as "ContainerPort": mapping.container_port,
                "host_port" as "HostPort": mapping.host_port,
                "range" as "Range": mapping.range.max(1),
                "protocol" as "Protocol": mapping.protocol.to_string(),
            }
        })
        .collect();
    if ports.is_empty() { Value::Nil(Nil::List) } else { Value::List(ports) }
}

/// The numbers of a process's namespaces, as /proc/PID/ns shows them.
fn namespaces(pid: i32) -> BTreeMap<&'static str, String> {
    if pid == 0 {
        return BTreeMap::new();
    }
    ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]
        .into_iter()
        .filter_map(|name| {
            let target = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).ok()?;
            let number = target.to_str()?.split_once('[')?.1.trim_end_matches(']').to_owned();
            Some((name, number))
        })
        .collect()
}
