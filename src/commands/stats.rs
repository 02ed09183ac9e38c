use std::collections::BTreeMap;
use std::time::Duration;

use containers::{Container, Engine, Usage};
use jiff::Timestamp;

use crate::arguments::number;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Format, Headings, Nil, Value, go_duration, human};
use crate::{object, output, select};

/// Show what containers use: processor, memory, network, disk
#[derive(clap::Args)]
pub struct Args {
    /// Show all containers, not only those that run
    #[arg(short, long)]
    all: bool,
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Seconds between two looks
    #[arg(short, long, value_name = "SECONDS", value_parser = number::i64, default_value_t = 5)]
    interval: i64,
    /// Show the newest container
    #[arg(short, long)]
    latest: bool,
    /// Write each table below the one before
    #[arg(long)]
    no_reset: bool,
    /// Look once and end
    #[arg(long)]
    no_stream: bool,
    /// Show ids in full
    #[arg(long, alias = "notruncate")]
    no_trunc: bool,
    /// Names or ids; those that run where none is given
    #[arg(value_name = "[CONTAINER...]")]
    containers: Vec<String>,
}

const LAYOUT: &str = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t\
                      {{.PIDS}}\t{{.UpTime}}\t{{.AVGCPU}}";

const HEADINGS: Headings = &[
    ("ID", "ID"),
    ("UpTime", "CPU TIME"),
    ("CPUPerc", "CPU %"),
    ("AVGCPU", "AVG CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemUsageBytes", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET IO"),
    ("BlockIO", "BLOCK IO"),
    ("PIDS", "PIDS"),
];

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let choices = [args.all, args.latest, !args.containers.is_empty()];
    if choices.iter().filter(|chosen| **chosen).count() > 1 {
        return Err(Failure::plain("--all, --latest and containers cannot be used together"));
    }
    let Some(interval) = u64::try_from(args.interval).ok().filter(|interval| *interval > 0) else {
        return Err(Failure::plain("invalid interval, must be a positive number greater zero"));
    };
    let layout = args.format.as_deref().filter(|format| *format != "table").unwrap_or(LAYOUT);
    let format = Format::parse("stats", layout)?.within(output::room(args.no_trunc, args.format.as_deref()));
    let engine = context.engine()?;
    let mut told = false;
    let again = (!args.no_stream).then_some(Again { after: Duration::from_secs(interval), below: args.no_reset });
    watch(again, |looks| {
        let mut rows = Vec::new();
        for container in chosen(&engine, &args)? {
            let measured = looks.measure(&container)?;
            let estimated = &measured.usage.estimated;
            if !estimated.is_empty() && !std::mem::replace(&mut told, true) && output::stdout_is_terminal() {
                let what = estimated.join(", ");
                output::warn(&format!("{what}: summed up over the processes, no cgroup counts it"));
            }
            rows.push(match format {
                Format::Json => measured.shown(args.no_trunc),
                _ => measured.value(args.no_trunc),
            });
        }
        format.list(rows, HEADINGS, true, 1)
    })
}

/// How a table of what is used is shown more than once.
pub struct Again {
    pub after: Duration,
    /// Each below the one before, also on a terminal.
    pub below: bool,
}

/// Prints what `look` makes of what is used: once, or until somebody ends it.
pub fn watch(
    again: Option<Again>,
    mut look: impl FnMut(&mut Looks) -> Result<String, Failure>,
) -> Result<ExitCode, Failure> {
    let mut looks = Looks::default();
    loop {
        let table = look(&mut looks)?;
        if again.as_ref().is_some_and(|again| !again.below) && output::stdout_is_terminal() {
            output::painted("\x1b[H\x1b[2J")?;
        }
        output::print(&table)?;
        let Some(again) = &again else { return Ok(ExitCode::Success) };
        looks.before = std::mem::take(&mut looks.now);
        std::thread::sleep(again.after);
    }
}

/// What containers had used, by id.
#[derive(Default)]
pub struct Looks {
    before: BTreeMap<String, Usage>,
    now: BTreeMap<String, Usage>,
}

impl Looks {
    pub fn measure<'a>(&'a mut self, container: &'a Container) -> Result<Measured<'a>, Failure> {
        let id = container.id();
        self.now.insert(id.to_string(), containers::usage(container)?);
        Ok(Measured::new(container, &self.now[id.as_str()], self.before.get(id.as_str())))
    }
}

/// Those that are asked for, anew each time: containers come and go meanwhile.
fn chosen(engine: &Engine, args: &Args) -> Result<Vec<Container>, Failure> {
    if args.latest {
        return Ok(vec![select::latest(engine)?]);
    }
    if args.containers.is_empty() {
        let mut all = containers::list(engine)?;
        all.retain(|container| args.all || containers::running(container));
        return Ok(all);
    }
    let find = |name: &String| {
        let unknown = format!("unable to get list of containers: unable to look up container {name}");
        containers::find(engine, name).map_err(|error| Failure::from(error).context(unknown))
    };
    args.containers.iter().map(find).collect()
}

/// What one look at a container has found.
pub struct Measured<'a> {
    container: &'a Container,
    pub usage: &'a Usage,
    /// Percent of one processor since the start.
    average: f64,
    /// Percent of one processor since the last look.
    pub cpu: f64,
}

impl Measured<'_> {
    /// `before` is the last look at it: the share of the processor is that since then, at first that since its start.
    fn new<'a>(container: &'a Container, usage: &'a Usage, before: Option<&Usage>) -> Measured<'a> {
        let percent = |cpu: Duration, since: Timestamp| {
            let passed = usage.at.duration_since(since).as_secs_f64();
            if passed > 0.0 { cpu.as_secs_f64() / passed * 100.0 } else { 0.0 }
        };
        let average = usage.since.map_or(0.0, |since| percent(usage.cpu, since));
        let last = before.filter(|before| before.since == usage.since && before.since.is_some());
        let cpu = last.map_or(average, |before| percent(usage.cpu.saturating_sub(before.cpu), before.at));
        Measured { container, usage, average, cpu }
    }

    /// In `full` or short.
    fn id(&self, full: bool) -> &str {
        let id = self.container.id();
        if full { id.as_str() } else { id.short() }
    }

    /// Percent of the limit.
    pub fn memory_share(&self) -> f64 {
        match self.usage.memory_limit {
            0 => 0.0,
            limit => self.usage.memory as f64 / limit as f64 * 100.0,
        }
    }

    fn memory(&self) -> String {
        pair(self.usage.memory, self.usage.memory_limit)
    }

    /// Bytes received and sent, over all its interfaces.
    pub fn traffic(&self) -> (u64, u64) {
        let sum = |count: fn(&containers::Interface) -> u64| self.usage.network.values().map(count).sum::<u64>();
        (sum(|interface| interface.received[0]), sum(|interface| interface.sent[0]))
    }

    fn network(&self) -> String {
        let (received, sent) = self.traffic();
        pair(received, sent)
    }

    fn disk(&self) -> String {
        pair(self.usage.block_read, self.usage.block_written)
    }

    /// For `--format json`: what the table shows.
    fn shown(&self, full: bool) -> Value {
        object! {
            "id": self.id(full),
            "name": self.container.name(),
            "cpu_time": go_duration(self.usage.cpu),
            "cpu_percent": percentage(self.cpu),
            "avg_cpu": percentage(self.average),
            "mem_usage": self.memory(),
            "mem_percent": percentage(self.memory_share()),
            "net_io": self.network(),
            "block_io": self.disk(),
            "pids": self.usage.pids.to_string(),
        }
    }

    /// For templates: the figures, and methods for what the table shows.
    fn value(&self, full: bool) -> Value {
        let usage = self.usage;
        let network = usage.network.iter().map(|(name, interface)| {
            let [rx_bytes, rx_packets, rx_errors, rx_dropped] = interface.received;
            let [tx_bytes, tx_packets, tx_errors, tx_dropped] = interface.sent;
            let counters = object! {
                "RxBytes": rx_bytes, "RxDropped": rx_dropped, "RxErrors": rx_errors, "RxPackets": rx_packets,
                "TxBytes": tx_bytes, "TxDropped": tx_dropped, "TxErrors": tx_errors, "TxPackets": tx_packets,
            };
            (name.clone(), counters)
        });
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        object! {
            "AvgCPU": Value::Float(self.average),
            "ContainerID": self.container.id().as_str(),
            "Name": self.container.name(),
            "PerCPU": Value::Nil(Nil::List),
            "CPU": Value::Float(self.cpu),
            "CPUNano": nanoseconds(usage.cpu),
            "CPUSystemNano": nanoseconds(usage.cpu_system),
            "SystemNano": u64::try_from(usage.at.as_nanosecond()).unwrap_or_default(),
            "MemUsage": usage.memory,
            "MemLimit": usage.memory_limit,
            "MemPerc": Value::Float(self.memory_share()),
            "Network": Value::Map(network.collect()),
            "BlockInput": usage.block_read,
            "BlockOutput": usage.block_written,
            "PIDs": usage.pids,
            "UpTime": Value::Duration(usage.cpu),
            "Duration": nanoseconds(usage.cpu),
            fn "Up": Value::Duration(usage.cpu),
            fn "ID": self.id(full),
            fn "CPUPerc": percentage(self.cpu),
            fn "AVGCPU": percentage(self.average),
            fn "MemUsage": self.memory(),
            fn "MemUsageBytes": format!(
                "{} / {}",
                human::binary_size(usage.memory),
                human::binary_size(usage.memory_limit)
            ),
            fn "MemPerc": percentage(self.memory_share()),
            fn "NetIO": self.network(),
            fn "BlockIO": self.disk(),
            fn "PIDS": usage.pids.to_string(),
        }
    }
}

fn pair(a: u64, b: u64) -> String {
    format!("{} / {}", human::size4(a), human::size4(b))
}

pub fn percentage(percent: f64) -> String {
    format!("{percent:.2}%")
}
