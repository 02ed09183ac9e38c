//! `creel quadlet check`

use super::search::{self, Manager, Unreadable};
use super::services;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::output;

/// Say what is wrong with Quadlets
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Names or paths of Quadlets; all if none are given
    #[arg(value_name = "[QUADLET...]")]
    quadlets: Vec<String>,
}

pub fn run(_: &Context, args: Args) -> Result<ExitCode, Failure> {
    let wanted: Vec<&str> = args.quadlets.iter().map(|path| path.rsplit('/').next().unwrap_or(path)).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.contains(&name);
    // A path goes before what is found by its name: so it can be asked before it is installed.
    let mut directories = Vec::new();
    for path in args.quadlets.iter().filter(|path| path.contains('/')) {
        let path = std::path::absolute(path)?;
        if !path.is_file() {
            return Err(Failure::plain(format!("{} is no file", path.display())));
        }
        directories.extend(path.parent().map(ToOwned::to_owned));
    }
    directories.extend(search::directories(Manager::User)?);
    let found = search::load(&directories, |_| {});
    let (mut seen, mut failed) = (Vec::new(), false);
    for Unreadable { path, why } in &found.unreadable {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is_wanted(&name) || name.ends_with(".conf") {
            output::note(&format!("Error: loading \"{}\", {why}", path.display()));
            seen.push(name);
            failed = true;
        }
    }
    for outcome in
        services(found.quadlets, "creel", "network-online.target").iter().filter(|outcome| is_wanted(&outcome.name))
    {
        outcome.warnings.iter().for_each(|warning| output::warn(&format!("{}: {warning}", outcome.name)));
        if let Err(error) = &outcome.unit {
            output::note(&format!("Error: converting \"{}\": {error}", outcome.name));
            failed = true;
        }
        seen.push(outcome.name.clone());
    }
    if let Some(lost) = wanted.iter().find(|name| !seen.iter().any(|seen| seen == *name)) {
        return super::find(lost).map(|_| ExitCode::Failed);
    }
    match failed {
        true => Err(Failure::silent(ExitCode::No)),
        false => Ok(ExitCode::Success),
    }
}
