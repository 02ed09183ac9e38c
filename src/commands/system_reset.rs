use std::path::Path;

use containers::RemoveRequest;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure, on_path};
use crate::output;

/// Remove all containers, images, networks and volumes, and the store itself
#[derive(clap::Args)]
pub struct Args {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "system reset")?;
    let dirs = context.dirs()?;
    if !args.force {
        let warning = format!(
            "WARNING! This will remove:\n        - all containers\n        - all pods\n        - all images\n        \
             - all networks\n        - all build cache\n        - all volumes\n        \
             - the graphRoot directory: {:?}\n        - the runRoot directory: {:?}",
            dirs.root, dirs.runroot
        );
        if !output::confirm(&warning)? {
            return Ok(ExitCode::Success);
        }
    }
    let engine = context.engine()?;
    // First who would make things again.
    kube_play::act::end_supervisor(&engine)?;
    let request = RemoveRequest { force: true, volumes: true, depend: true, timeout: Some(0), with_pod: true };
    for container in containers::list_with_working(&engine)? {
        match containers::remove(&engine, &container, &request) {
            Ok(_) | Err(containers::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    remove(&dirs.root)?;
    // The user namespace's own record is not the store's.
    let userns = context.userns_dir();
    if let Ok(entries) = std::fs::read_dir(&dirs.runroot) {
        for entry in entries.flatten().filter(|entry| !userns.starts_with(entry.path())) {
            remove(&entry.path())?;
        }
    }
    Ok(ExitCode::Success)
}

fn remove(path: &Path) -> Result<(), Failure> {
    let result = match path.is_dir() {
        true => std::fs::remove_dir_all(path),
        false => std::fs::remove_file(path),
    };
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(on_path("remove", path)(error)),
        _ => Ok(()),
    }
}
