//! `creel kube top`

use std::collections::BTreeSet;
use std::time::Duration;

use containers::{Container, Usage};
use kube_play::act::{self, Seen};
use kube_play::show::Table;
use kube_play::{Kind, Selector};

use super::{DEFAULT_NAMESPACE, none_found, not_found};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Show what played pods use now: processor and memory
///
/// The processor is measured for a second.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// All namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// A row for each container
    #[arg(long)]
    containers: bool,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// No headings
    #[arg(long)]
    no_headers: bool,
    /// Only pods with these labels (app=web,tier!=db)
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// The greatest first: cpu or memory
    #[arg(long, value_name = "WHAT")]
    sort_by: Option<SortBy>,
    /// Show the sum, too
    #[arg(long)]
    sum: bool,
    /// pod, then a name or none
    #[arg(value_name = "KIND [POD]")]
    words: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum SortBy {
    Cpu,
    Memory,
}

impl std::str::FromStr for SortBy {
    type Err = String;

    fn from_str(text: &str) -> Result<SortBy, String> {
        match text {
            "cpu" => Ok(SortBy::Cpu),
            "memory" => Ok(SortBy::Memory),
            _ => Err("--sort-by accepts only cpu or memory".to_owned()),
        }
    }
}

/// For how long the processor is measured.
const WINDOW: Duration = Duration::from_secs(1);

/// What something used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Load {
    /// Thousandths of a processor.
    cpu: u64,
    /// Bytes.
    memory: u64,
}

impl Load {
    /// `None`: it did not run through all of the time between the two looks.
    fn between(before: &Usage, after: &Usage) -> Option<Load> {
        let passed = after.at.duration_since(before.at).as_secs_f64();
        if after.since.is_none() || after.since != before.since || passed <= 0.0 {
            return None;
        }
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64() / passed * 1000.0;
        // What uses a little is not shown as if it used nothing.
        Some(Load { cpu: cpu.ceil() as u64, memory: after.memory })
    }

    fn cells(self) -> [String; 2] {
        [format!("{}m", self.cpu), format!("{}Mi", self.memory >> 20)]
    }
}

impl std::iter::Sum for Load {
    fn sum<I: Iterator<Item = Load>>(all: I) -> Load {
        all.fold(Load::default(), |sum, one| Load { cpu: sum.cpu + one.cpu, memory: sum.memory + one.memory })
    }
}

/// A pod and what its containers used, by their own names.
struct Measured<'a> {
    pod: &'a Seen,
    containers: Vec<(&'a str, Load)>,
}

impl Measured<'_> {
    fn load(&self) -> Load {
        self.containers.iter().map(|(_, load)| *load).sum()
    }
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 1)?;
    match args.words[0].as_str() {
        "node" | "nodes" | "no" => {
            return Err(Failure::plain("there are no nodes: this machine is all there is").hint("creel kube top pod"));
        }
        word if Kind::typed(word) == Some(Kind::Pod) => {}
        other => {
            return Err(
                Failure::plain(format!("unknown command {other:?} for \"kube top\"")).hint("creel kube top pod")
            );
        }
    }
    let name = match &args.words[1..] {
        [] => None,
        [name] => Some(name),
        _ => return Err(Failure::plain("name one pod, or none")),
    };
    let selector = args.selector.as_deref().map(Selector::parse).transpose().map_err(Failure::plain)?;
    if name.is_some() && selector.is_some() {
        return Err(Failure::plain("only one of NAME or --selector can be provided"));
    }
    // Not a reader: processes of other users than ours are seen from inside of the user namespace alone.
    let engine = context.engine()?;
    let mut seen = act::pods(&engine)?;
    seen.retain(|pod| {
        (args.all_namespaces || pod.namespace == args.namespace)
            && name.is_none_or(|name| *name == pod.name)
            && selector.as_ref().is_none_or(|selector| selector.matches(pod.labels()))
    });
    if seen.is_empty() {
        return match name {
            Some(name) => Err(not_found(Kind::Pod, name)),
            None => {
                none_found(args.all_namespaces, &args.namespace);
                Ok(ExitCode::Success)
            }
        };
    }
    let mut measured = measure(&seen)?;
    if measured.is_empty() {
        return Err(Failure::plain("metrics not available: no container of these pods runs"));
    }
    measured.sort_by(|a, b| (&a.pod.namespace, &a.pod.name).cmp(&(&b.pod.namespace, &b.pod.name)));
    if let Some(by) = args.sort_by {
        let key = |load: Load| match by {
            SortBy::Cpu => std::cmp::Reverse(load.cpu),
            SortBy::Memory => std::cmp::Reverse(load.memory),
        };
        measured.sort_by_key(|pod| key(pod.load()));
        measured.iter_mut().for_each(|pod| pod.containers.sort_by_key(|(_, load)| key(*load)));
    }
    output::print(&table(&measured, &args).text(!args.no_headers))?;
    Ok(ExitCode::Success)
}

/// Those of them that run.
fn measure(seen: &[Seen]) -> Result<Vec<Measured<'_>>, Failure> {
    let look = |container: &Container| Ok::<_, Failure>(containers::usage(container)?);
    let members: Vec<(&Seen, &Container)> = seen
        .iter()
        .flat_map(|pod| pod.pod.members().map(move |member| (pod, member)))
        .filter(|(_, member)| containers::running(member))
        .collect();
    let before: Vec<Usage> = members.iter().map(|(_, member)| look(member)).collect::<Result<_, _>>()?;
    if !members.is_empty() {
        std::thread::sleep(WINDOW);
    }
    let mut measured: Vec<Measured<'_>> = Vec::new();
    let mut estimated = BTreeSet::new();
    for ((pod, member), before) in members.into_iter().zip(&before) {
        let after = look(member)?;
        estimated.extend(after.estimated.iter().filter(|what| ["cpu", "memory"].contains(what)).copied());
        let Some(load) = Load::between(before, &after) else { continue };
        let name = pod.name_of(member);
        match measured.last_mut().filter(|last| last.pod.pod.id() == pod.pod.id()) {
            Some(last) => last.containers.push((name, load)),
            None => measured.push(Measured { pod, containers: vec![(name, load)] }),
        }
    }
    if !estimated.is_empty() && output::stdout_is_terminal() {
        let what = estimated.into_iter().collect::<Vec<_>>().join(", ");
        output::warn(&format!("{what}: summed up over the processes, no cgroup counts it"));
    }
    Ok(measured)
}

fn table(measured: &[Measured<'_>], args: &Args) -> Table {
    const LINE: &str = "________";
    let space = args.all_namespaces.then_some("NAMESPACE");
    let names: &[&str] = if args.containers { &["POD", "NAME"] } else { &["NAME"] };
    let mut table = Table::new(space.into_iter().chain(names.iter().copied()).chain(["CPU(cores)", "MEMORY(bytes)"]));
    for one in measured {
        let pod = args.all_namespaces.then(|| one.pod.namespace.clone()).into_iter().chain([one.pod.name.clone()]);
        match args.containers {
            false => table.row(pod.chain(one.load().cells())),
            true => {
                for (name, load) in &one.containers {
                    table.row(pod.clone().chain([(*name).to_owned()]).chain(load.cells()));
                }
            }
        }
    }
    if args.sum {
        let blank = || std::iter::repeat_n(String::new(), names.len() + usize::from(args.all_namespaces));
        table.row(blank().chain([LINE.to_owned(), LINE.to_owned()]));
        table.row(blank().chain(measured.iter().map(Measured::load).sum::<Load>().cells()));
    }
    table
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_load_is_what_was_used_between_two_looks() {
        let at = |seconds: i64, cpu: u64| Usage {
            at: Timestamp::from_second(seconds).unwrap(),
            since: Some(Timestamp::UNIX_EPOCH),
            cpu: Duration::from_millis(cpu),
            memory: 5 << 20,
            ..Usage::default()
        };
        let load = Load::between(&at(10, 1000), &at(12, 1500)).unwrap();
        assert_eq!(load.cells(), ["250m", "5Mi"]);
        assert_eq!(Load::between(&at(10, 1000), &at(12, 1001)).unwrap().cpu, 1);
        // Another run of it, or none.
        let again = Usage { since: Some(Timestamp::from_second(11).unwrap()), ..at(12, 3) };
        assert_eq!(Load::between(&at(10, 1000), &again), None);
        assert_eq!(Load::between(&at(10, 1000), &Usage { since: None, ..at(12, 0) }), None);
        assert_eq!([load, load].into_iter().sum::<Load>(), Load { cpu: 500, memory: 10 << 20 });
    }
}
