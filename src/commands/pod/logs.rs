//! `creel pod logs`

use containers::PodRole;

use crate::arguments::number;
use crate::commands::logs;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format;

/// Show the output of the containers of a pod
#[derive(clap::Args)]
pub struct Args {
    /// A colour for each container
    #[arg(long)]
    color: bool,
    /// Show this container's only
    #[arg(short, long, value_name = "CONTAINER")]
    container: Option<String>,
    /// Accepted for scripts; there are no details
    #[arg(long, hide = true)]
    details: bool,
    /// Go on until the containers end
    #[arg(short, long)]
    follow: bool,
    /// Show the newest pod's
    #[arg(short, long)]
    latest: bool,
    /// Put the containers' names before each line instead of their ids
    #[arg(short, long)]
    names: bool,
    /// Show what came after a time, or after a duration ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Show the last lines of each only
    #[arg(long, value_name = "NUMBER", value_parser = number::i64, default_value_t = -1)]
    tail: i64,
    /// Put the time before each line
    #[arg(short, long)]
    timestamps: bool,
    /// Show what came before a time, or before a duration ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[arg(value_name = "POD")]
    pods: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.latest && !args.pods.is_empty() {
        return Err(Failure::plain("--latest and pods cannot be used together"));
    }
    let engine = context.reader()?;
    let pod = match args.pods.as_slice() {
        [] if args.latest => super::latest(&engine)?,
        [name] => pods::find(&engine, name)?,
        [] => return Err(Failure::plain("specify at least one pod name or ID to log")),
        _ => return Err(Failure::plain("requires exactly 1 arg")),
    };
    let mut containers = pod.containers.clone();
    // It says nothing, and its end is not waited for.
    containers.retain(|container| container.spec().pod_role != Some(PodRole::Infra));
    if let Some(wanted) = &args.container {
        containers.retain(|one| one.name() == wanted || one.id().as_str().starts_with(wanted.as_str()));
        if containers.is_empty() {
            return Err(Failure::plain(format!("container {wanted} is not in pod {}: no such container", pod.name())));
        }
    }
    // One alone needs none, whatever `--names` says.
    let prefix = args.container.is_none();
    let of_containers = logs::Args {
        color: args.color,
        details: args.details,
        follow: args.follow,
        latest: false,
        names: args.names && prefix,
        since: args.since,
        tail: args.tail,
        timestamps: args.timestamps,
        until: args.until,
        containers: Vec::new(),
    };
    logs::show(&engine, &containers, &of_containers, prefix, format::rfc3339)
}
