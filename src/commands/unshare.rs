use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use containers::Settings;
use nix::sched::CloneFlags;

use crate::context::{Context, identity, variable};
use crate::error::{ExitCode, Failure, folded};

/// Run a command in the user namespace of the containers
#[derive(clap::Args)]
pub struct Args {
    #[arg(value_name = "COMMAND [ARG...]")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let shell = variable("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let (program, rest) = match args.words.split_first() {
        Some((program, rest)) => (program.clone(), rest),
        None => (shell, [].as_slice()),
    };
    let mut settings = Settings { userns_dir: context.userns_dir(), ..Settings::default() };
    context.enter(&mut settings)?;
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
