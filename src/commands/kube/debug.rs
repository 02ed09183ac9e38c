//! `creel kube debug`

use containers::{AttachEnd, AttachRequest, RemoveRequest, StartRequest, Streams};
use images::PullOptions;
use kube_play::act::{self, Seen};
use kube_play::{DebugProfile, EphemeralContainer, Kind};

use super::{DEFAULT_NAMESPACE, not_found};
use crate::arguments;
use crate::context::Context;
use crate::create_args;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Add a container with tools to a pod that runs, to look into it
#[derive(clap::Args)]
pub struct Args {
    /// What is given are arguments of the image's own program
    #[arg(long)]
    arguments_only: bool,
    /// Stay with the container; always so with --stdin
    #[arg(long)]
    attach: bool,
    /// What the container is called
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Set a variable
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// The image that has the tools
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// When to fetch the image
    #[arg(long, value_name = "POLICY")]
    image_pull_policy: Option<String>,
    /// The namespace
    #[arg(short, long, value_name = "NAMESPACE", default_value = DEFAULT_NAMESPACE)]
    namespace: String,
    /// What it may do: general, baseline, restricted, netadmin, sysadmin
    #[arg(long, value_name = "PROFILE", default_value = "general")]
    profile: String,
    /// Say nothing beside what the container says
    #[arg(short, long)]
    quiet: bool,
    /// Pass stdin on
    #[arg(short = 'i', long)]
    stdin: bool,
    /// See the processes of this container of the pod
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Give the container a terminal
    #[arg(short, long)]
    tty: bool,
    #[arg(value_name = "POD [COMMAND] [ARG...]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::at_least(&args.words, 1)?;
    let Some(image) = args.image.clone().filter(|image| !image.is_empty()) else {
        return Err(Failure::plain("you must specify --image").hint("as in: creel kube debug POD -it --image busybox"));
    };
    if args.tty && !args.stdin {
        return Err(Failure::plain("-i is required for containers with -t/--tty=true"));
    }
    let detach_keys = crate::commands::attach::detach_keys(context, None)?;
    let mut wanted = EphemeralContainer {
        image,
        pull: args.image_pull_policy.clone(),
        target: args.target.clone(),
        env: variables(&args.env)?,
        stdin: args.stdin,
        tty: args.tty,
        profile: args.profile.parse::<DebugProfile>().map_err(Failure::plain)?,
        ..EphemeralContainer::default()
    };
    let words = args.words[1..].to_vec();
    match args.arguments_only {
        true => wanted.args = words,
        false => wanted.command = words,
    }
    let engine = context.engine()?;
    let pod = pod(&args, act::pods(&engine)?)?;
    wanted.name = match args.container {
        Some(name) => name,
        None => {
            let name = format!("debugger-{}", suffix()?);
            if !args.quiet {
                output::line(format!("Defaulting debug container name to {name}."))?;
            }
            name
        }
    };
    let find = |engine: &containers::Engine, image: &act::WantedImage<'_>| {
        super::image(engine, image, &PullOptions::default())
    };
    let container = act::debug(&engine, &find, &pod, &wanted)?;
    let attach = (args.attach || args.stdin).then_some(Streams { stdin: args.stdin, stdout: true, stderr: true });
    let request = StartRequest { attach, ..StartRequest::default() };
    let started = containers::start(&engine, &container, request).inspect_err(|_| {
        // What never ran is nothing to keep. The error that matters is the first.
        let _ = containers::remove(&engine, &container, &RemoveRequest { volumes: true, ..RemoveRequest::default() });
    })?;
    let Some(attached) = started.attached else { return Ok(ExitCode::Success) };
    let request = AttachRequest { detach_keys, sig_proxy: Some(started.init).filter(|_| !args.tty), tty: args.tty };
    Ok(match attached.run(request)? {
        AttachEnd::Exited(code) => ExitCode::from_number(code),
        AttachEnd::Detached => ExitCode::Success,
    })
}

/// `POD` or `pod/POD`.
fn pod(args: &Args, seen: Vec<Seen>) -> Result<Seen, Failure> {
    let word = args.words[0].as_str();
    let name = match word.split_once('/') {
        None => word,
        Some((kind, name)) if Kind::typed(kind) == Some(Kind::Pod) => name,
        Some((kind, _)) => return Err(Failure::plain(format!("{kind:?} cannot be debugged: name a pod"))),
    };
    let found = seen.into_iter().find(|pod| pod.namespace == args.namespace && pod.name == name);
    found.ok_or_else(|| not_found(Kind::Pod, name))
}

fn variables(texts: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let caller: Vec<(String, String)> = std::env::vars().collect();
    let mut all = Vec::new();
    for text in texts {
        create_args::add_variable(&mut all, text, &caller)?;
    }
    Ok(all)
}

/// Five letters and digits that spell no words, as Kubernetes draws them.
fn suffix() -> Result<String, Failure> {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let drawn = sys::random::bytes::<5>()?;
    Ok(drawn.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect())
}
