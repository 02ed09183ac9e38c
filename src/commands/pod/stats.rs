//! `creel pod stats`

use std::time::Duration;

use containers::{Container, Engine};
use pods::Pod;

use crate::commands::stats::{self, Again, Measured, percentage};
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
    let again = (!args.no_stream).then_some(Again { after: INTERVAL, below: args.no_reset });
    stats::watch(again, |looks| {
        let mut rows = Vec::new();
        for pod in chosen(&engine, &args)? {
            for container in &pod.containers {
                rows.push(value(&pod, container, &looks.measure(container)?));
            }
        }
        format.list(rows, headings, true, 5)
    })
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

fn value(pod: &Pod, container: &Container, measured: &Measured<'_>) -> Value {
    let usage = measured.usage;
    let (received, sent) = measured.traffic();
    let running = containers::running(container);
    let pair = |a: u64, b: u64, shown: fn(u64) -> String| match running {
        true => format!("{} / {}", shown(a), shown(b)),
        false => "-- / --".to_owned(),
    };
    object! {
        "CPU": percentage(measured.cpu),
        "MemUsage": pair(usage.memory, usage.memory_limit, human::size4),
        "MemUsageBytes": pair(usage.memory, usage.memory_limit, human::binary_size),
        "Mem": percentage(measured.memory_share()),
        "NetIO": pair(received, sent, human::size4),
        "BlockIO": pair(usage.block_read, usage.block_written, human::size4),
        "PIDS": if running { usage.pids.to_string() } else { "--".to_owned() },
        "Pod": pod.id().short(),
        "CID": container.id().short(),
        "Name": container.name(),
    }
}
