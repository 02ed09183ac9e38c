use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use containers::{Engine, Settings};
use nix::sched::CloneFlags;

use crate::caller::{identity, variable};
use crate::context::Context;
use crate::error::{ExitCode, Failure, folded};

/// Run a command in the user namespace of the containers
#[derive(clap::Args)]
pub struct Args {
    /// In the network namespace of the named network that is in use, too
    #[arg(long)]
    rootless_netns: bool,
    #[arg(value_name = "[COMMAND [ARG...]]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let shell = variable("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let (program, rest) = match args.words.split_first() {
        Some((program, rest)) => (program.clone(), rest),
        None => (shell, [].as_slice()),
    };
    let settings = if args.rootless_netns {
        let engine = context.engine()?;
        let netns = network_namespace(context, &engine)?;
        nix::sched::setns(netns, CloneFlags::CLONE_NEWNET)
            .map_err(|error| Failure::plain(format!("enter the network namespace: {}", error.desc())))?;
        engine.settings
    } else {
        let mut settings = Settings { userns_dir: context.userns_dir(), ..Settings::default() };
        context.enter(&mut settings)?;
        settings
    };
    // Mounts of the command are its own.
    nix::sched::unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|error| Failure::plain(format!("unshare: {}", error.desc())))?;
    let error = Command::new(&program).args(rest).envs(identity(&settings)).exec();
    // A directory of PATH that may not be looked into gives "permission denied" for what is nowhere.
    let is_name = !program.contains('/');
    let nowhere = is_name
        && !variable("PATH").is_some_and(|path| path.split(':').any(|dir| Path::new(dir).join(&program).is_file()));
    if nowhere {
        let text = format!("exec: {}: executable file not found in $PATH", crate::arguments::go_quote(&program));
        return Err(Failure::plain(text).code(ExitCode::NotFound));
    }
    let code = match error.kind() {
        std::io::ErrorKind::NotFound => ExitCode::NotFound,
        std::io::ErrorKind::PermissionDenied => ExitCode::NotExecutable,
        _ => ExitCode::Failed,
    };
    Err(Failure::plain(format!("exec {program:?}: {}", folded(&error))).code(code))
}

/// The network namespace of the only network in use: each has one of its own.
fn network_namespace(context: &Context, engine: &Engine) -> Result<OwnedFd, Failure> {
    let networks = super::network::networks(context, engine)?;
    let mut in_use = Vec::new();
    for network in super::network::all(&networks)? {
        in_use.extend(networks.connect(&network.name)?);
    }
    match in_use.as_mut_slice() {
        [one] => Ok(one.namespace()?),
        [] => Err(Failure::plain("there is no network namespace: nothing is connected to a named network")),
        several => {
            let names: Vec<&str> = several.iter().map(|link| link.network()).collect();
            let count = names.len();
            let text = format!("each network has a namespace of its own, and {count} are in use: {}", names.join(", "));
            Err(Failure::plain(text))
        }
    }
}
