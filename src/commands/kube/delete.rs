//! `creel kube delete`

use kube_play::act::{self, Claims, Down, Meant, Seen, Shelf};
use kube_play::{Kind, ObjectId, Severity, Unknown, Validate};

use super::chosen::{self, Chosen, Which};
use super::{DEFAULT_NAMESPACE, down, not_found, parse, read, refuse};
use crate::arguments::{self, number};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Remove what was played, by kind and name, by label or as files name it
#[derive(clap::Args, Debug)]
pub struct Args {
    /// All objects of these kinds
    #[arg(long)]
    all: bool,
    /// What these files name
    #[arg(short, long, value_name = "FILE")]
    filename: Vec<String>,
    /// Kill containers at once
    #[arg(long)]
    force: bool,
    /// Seconds that containers have to end; a pod's own where it is negative
    #[arg(long, value_name = "SECONDS", value_parser = number::i64, default_value_t = -1)]
    grace_period: i64,
    /// What is not there is no error
    #[arg(long)]
    ignore_not_found: bool,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// Give containers one second to end
    #[arg(long)]
    now: bool,
    /// name
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<String>,
    /// Objects with these labels (app=web,tier!=db)
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Kinds (pods, deploy, svc,all) and names, or KIND/NAME
    #[arg(value_name = "KIND [NAME...]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    if let Some(other) = args.output.as_deref().filter(|format| *format != "name") {
        return Err(Failure::plain(format!("unexpected -o output mode: {other}. We only support '-o name'")));
    }
    let engine = context.engine()?;
    let shelf = super::shelf(&engine)?;
    let (chosen, mut failures) = if args.filename.is_empty() {
        arguments::at_least(&args.words, 1)?;
        let which = match (&args.selector, args.all) {
            (Some(_), true) => return Err(Failure::plain("cannot set --all and --selector at the same time")),
            (Some(labels), false) => Which::Labelled(labels),
            (None, true) => Which::All,
            (None, false) => Which::Named,
        };
        chosen::choose(&engine, &shelf, &args.words, &args.namespace, &which)?
    } else if args.words.is_empty() && args.selector.is_none() && !args.all {
        named_in(&engine, &shelf, &args.filename)?
    } else {
        return Err(Failure::plain("--filename cannot be used together with kinds, --selector or --all"));
    };
    if chosen.is_empty() && failures.is_empty() {
        output::note("No resources found");
    }
    let timeout = match (args.force, args.now) {
        (true, _) => Some(0),
        (false, true) => Some(1),
        (false, false) => u32::try_from(args.grace_period).ok(),
    };
    let ids: Vec<ObjectId> = chosen.iter().map(Chosen::id).collect();
    // Their owners make others.
    let is_kept = |one: Chosen| match one {
        Chosen::Pod(pod) if pod.owner.is_some() => Some(*pod),
        Chosen::Pod(_) | Chosen::Stored(..) => None,
    };
    let kept: Vec<Seen> = chosen.into_iter().filter_map(is_kept).collect();
    let is_alone = |id: &ObjectId| id.kind != Kind::Pod || !kept.iter().any(|pod| is_pod(pod, id));
    let mut alone: Vec<ObjectId> = ids.iter().filter(|id| is_alone(id)).cloned().collect();
    for namespace in ids.iter().filter(|id| id.kind == Kind::Namespace) {
        alone.extend(all_in(&engine, &shelf, &namespace.name)?);
    }
    let meant = Meant { ids: alone, sources: Vec::new(), timeout };
    let mut done = act::down(&engine, super::pod_program, &meant, Claims::Remove, &super::waits)?;
    // Those of what goes itself have gone with it.
    let (_, kept): (Vec<Seen>, Vec<Seen>) =
        kept.into_iter().partition(|pod| pod.owner_id().is_some_and(|owner| meant.ids.contains(&owner)));
    replace(&engine, &kept, timeout, &mut done)?;
    for id in &ids {
        match args.output {
            Some(_) => output::line(id.resource())?,
            None => {
                let word = if args.force { "force deleted" } else { "deleted" };
                output::line(format_args!("{} {:?} {word}", id.kind.resource(), id.name))?;
            }
        }
    }
    if args.ignore_not_found {
        failures.clear();
    }
    crate::select::conclude(failures)?;
    down::conclude(&done)
}

fn is_pod(pod: &Seen, id: &ObjectId) -> bool {
    pod.name == id.name && pod.namespace == id.namespace
}

/// Removes pods that workloads keep: the supervisor makes others.
fn replace(engine: &containers::Engine, pods: &[Seen], timeout: Option<u32>, done: &mut Down) -> Result<(), Failure> {
    if !pods.is_empty() {
        act::start_supervisor(engine, super::supervisor_program())?;
        act::remove_pods(engine, super::pod_program, pods, timeout, done);
    }
    Ok(())
}

/// What files name and is there. Unlike `kube down`, what was played from there before stays.
fn named_in(
    engine: &containers::Engine,
    shelf: &Shelf,
    names: &[String],
) -> Result<(Vec<Chosen>, Vec<Failure>), Failure> {
    let files = names.iter().map(|name| read(name)).collect::<Result<Vec<_>, _>>()?;
    let manifests = parse(&files, &[], Validate::Ignore, Unknown::Skip);
    let (mut chosen, mut failures) = (Vec::new(), Vec::new());
    for id in manifests.ids() {
        match chosen::find(engine, shelf, id)? {
            Some(one) => chosen.push(one),
            None => failures.push(not_found(id.kind, &id.name)),
        }
    }
    if manifests.ids().next().is_none() && manifests.problems().iter().any(|it| it.severity == Severity::Error) {
        return Err(refuse(manifests.problems()));
    }
    Ok((chosen, failures))
}

/// With a namespace goes all that lies in it.
fn all_in(engine: &containers::Engine, shelf: &Shelf, namespace: &str) -> Result<Vec<ObjectId>, Failure> {
    let mut ids = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.global() && *kind != Kind::Pod) {
        ids.extend(chosen::of_kind(engine, shelf, kind, namespace, &[])?.iter().map(Chosen::id));
    }
    let pods = act::pods(engine)?;
    let alone = pods.iter().filter(|pod| pod.namespace == namespace && pod.owner.is_none());
    ids.extend(alone.map(|pod| ObjectId::new(Kind::Pod, namespace, &pod.name)));
    Ok(ids)
}
