//! `creel mount`

use std::path::Path;

use containers::{Container, Engine};

use crate::caller;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::Value;
use crate::select::conclude;
use crate::{object, output, select};

/// Mount the root file systems of containers and say where; without a name, show what is mounted
///
/// Only inside of "creel unshare", whose mounts they are. That of a running container is where its processes see it.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Mount all containers
    #[arg(short, long)]
    all: bool,
    /// Show as JSON
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Mount the newest container
    #[arg(short, long)]
    latest: bool,
    /// Show ids in full
    #[arg(long, alias = "notruncate")]
    no_trunc: bool,
    /// Names or ids
    #[arg(value_name = "[CONTAINER...]")]
    containers: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let choices = [args.all, args.latest, !args.containers.is_empty()];
    if choices.iter().filter(|chosen| **chosen).count() > 1 {
        return Err(Failure::plain("--all, --latest and containers cannot be used together"));
    }
    let json = is_json(args.format.as_deref())?;
    caller::must_be_inside("mount")?;
    let engine = context.engine()?;
    if !choices.contains(&true) {
        return show(&engine, json, args.no_trunc);
    }
    let chosen: Vec<Container> = match (args.all, args.latest) {
        (true, _) => containers::list(&engine)?,
        (_, true) => vec![select::latest(&engine)?],
        // One that is not there undoes nothing: it is known before anything is mounted.
        _ => args.containers.iter().map(|name| containers::find(&engine, name)).collect::<Result<_, _>>()?,
    };
    let mut failures = Vec::new();
    let mut mounted = Vec::new();
    for container in chosen {
        match containers::mount(&engine, &container) {
            Ok(path) if json => mounted.push(value(container.id().as_str(), vec![container.name().into()], &path)),
            Ok(path) => output::line(path.display())?,
            Err(error) => failures.push(error.into()),
        }
    }
    if json {
        output::print(&(Value::List(mounted).json_indented(1) + "\n"))?;
    }
    conclude(failures)
}

fn show(engine: &Engine, json: bool, full: bool) -> Result<ExitCode, Failure> {
    let mounted = containers::mounted(engine)?;
    if json {
        let all =
            mounted.iter().map(|(container, path)| value(container.id().as_str(), vec![container.name().into()], path));
        output::print(&(Value::List(all.collect()).json_indented(1) + "\n"))?;
        return Ok(ExitCode::Success);
    }
    for (container, path) in mounted {
        let id = if full { container.id().as_str() } else { container.id().short() };
        output::line(format!("{id}  {}", path.display()))?;
    }
    Ok(ExitCode::Success)
}

fn value(id: &str, names: Vec<Value>, path: &Path) -> Value {
    object! { "id" as "ID": id, "Names": Value::List(names), "mountpoint" as "Mountpoint": path }
}

/// Tables have no other form here.
pub fn is_json(format: Option<&str>) -> Result<bool, Failure> {
    match format {
        None | Some("") => Ok(false),
        Some("json") => Ok(true),
        Some(other) => Err(Failure::plain(format!("unknown --format argument: {}", crate::arguments::go_quote(other)))),
    }
}
