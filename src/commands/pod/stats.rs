//! `creel pod stats`

use std::collections::BTreeMap;
use std::time::Duration;

use containers::{Container, Engine, Usage};
use pods::Pod;

use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Format, Headings, Value, human};
use crate::{object, output};

/// Show what the containers of pods use: processor, memory, network, disk
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show all pods, not only those that run
    #[arg(short, long)]
    all: bool,
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show the newest pod
    #[arg(short, long)]
    latest: bool,
    /// Write each table below the one before
    #[arg(long)]
    no_reset: bool,
    /// Look once and end
    #[arg(long)]
    no_stream: bool,
    /// Names or ids; those that run where none is given
    #[arg(value_name = "[POD...]")]
    pods: Vec<String>,
}

const LAYOUT: &str =
    "table {{.Pod}}\t{{.CID}}\t{{.Name}}\t{{.CPU}}\t{{.MemUsage}}\t{{.Mem}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDS}}";

const HEADINGS: Headings = &[
    ("Mem", "MEM %"),
    ("CID", "CID"),
    ("CPU", "CPU %"),
    ("MemUsage", "MEM USAGE/ LIMIT"),
    ("MemUsageBytes", "MEM USAGE/ LIMIT"),
    ("NetIO", "NET IO"),
    ("BlockIO", "BLOCK IO"),
    ("PIDS", "PIDS"),
];

/// Podman's heading of one column is another where the layout is the user's.
const OF_OWN_LAYOUT: Headings = HEADINGS.split_at(1).1;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(5);

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let choices = [args.all, args.latest, !args.pods.is_empty()];
    if choices.iter().filter(|chosen| **chosen).count() > 1 {
        return Err(Failure::plain("--all, --latest and arguments cannot be used together"));
    }
    let layout = args.format.as_deref().filter(|format| *format != "table").unwrap_or(LAYOUT);
    let format = match Format::parse("pod stats", layout)? {
        // Every layout gets its headings here.
        Format::Plain(template) => Format::Table(template, None),
        format => format,
    };
    let format = format.within(output::room(false, args.format.as_deref()));
    let headings = if layout == LAYOUT { HEADINGS } else { OF_OWN_LAYOUT };
    let engine = context.engine()?;
    let mut before: BTreeMap<String, Usage> = BTreeMap::new();
    loop {
        let (mut rows, mut now) = (Vec::new(), BTreeMap::new());
        for pod in chosen(&engine, &args)? {
            for container in &pod.containers {
                let usage = containers::usage(container)?;
                rows.push(value(&pod, container, &usage, before.get(container.id().as_str())));
                now.insert(container.id().to_string(), usage);
            }
        }
        if !args.no_stream && !args.no_reset && output::stdout_is_terminal() {
            output::painted("\x1b[H\x1b[2J")?;
        }
        output::print(&format.list(rows, headings, true, 5)?)?;
        if args.no_stream {
            return Ok(ExitCode::Success);
        }
        before = now;
        std::thread::sleep(INTERVAL);
    }
}

/// Those that are asked for, anew each time: containers come and go meanwhile.
fn chosen(engine: &Engine, args: &Args) -> Result<Vec<Pod>, Failure> {
    if args.latest {
        return Ok(vec![super::latest(engine)?]);
    }
    if args.pods.is_empty() {
        let mut all = pods::list(engine)?;
        all.retain(|pod| args.all || pod.containers.iter().any(containers::running));
        return Ok(all);
    }
    let find = |name: &String| {
        pods::find(engine, name).map_err(|error| Failure::from(error).context("unable to get list of pods"))
    };
    args.pods.iter().map(find).collect()
}

fn value(pod: &Pod, container: &Container, usage: &Usage, before: Option<&Usage>) -> Value {
    let last = before.filter(|before| before.since == usage.since && before.since.is_some());
    let (cpu, since) = match last {
        Some(before) => (usage.cpu.saturating_sub(before.cpu), Some(before.at)),
        None => (usage.cpu, usage.since),
    };
    let passed = since.map_or(0.0, |since| usage.at.duration_since(since).as_secs_f64());
    let cpu = if passed > 0.0 { cpu.as_secs_f64() / passed * 100.0 } else { 0.0 };
    let share = if usage.memory_limit > 0 { usage.memory as f64 / usage.memory_limit as f64 * 100.0 } else { 0.0 };
    let sum = |count: fn(&containers::Interface) -> u64| usage.network.values().map(count).sum::<u64>();
    let running = containers::running(container);
    let pair = |a: u64, b: u64, shown: fn(u64) -> String| match running {
        true => format!("{} / {}", shown(a), shown(b)),
        false => "-- / --".to_owned(),
    };
    object! {
        "CPU": format!("{cpu:.2}%"),
        "MemUsage": pair(usage.memory, usage.memory_limit, human::size4),
        "MemUsageBytes": pair(usage.memory, usage.memory_limit, human::binary_size),
        "Mem": format!("{share:.2}%"),
        "NetIO": pair(
            sum(|interface| interface.received[0]),
            sum(|interface| interface.sent[0]),
            human::size4,
        ),
        "BlockIO": pair(usage.block_read, usage.block_written, human::size4),
        "PIDS": if running { usage.pids.to_string() } else { "--".to_owned() },
        "Pod": pod.id().short(),
        "CID": container.id().short(),
        "Name": container.name(),
    }
}
