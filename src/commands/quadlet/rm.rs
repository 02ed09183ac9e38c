//! `creel quadlet rm`

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use units::quadlet::Kind;

use super::search::{self, Manager};
use super::{list, unsupported};
use crate::arguments::go_quote;
use crate::context::Context;
use crate::error::{ExitCode, Failure, on_path};
use crate::{output, systemctl};

/// Remove Quadlets, each with what was installed together with it
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Remove all Quadlets of the user
    #[arg(short, long)]
    all: bool,
    /// Stop the services of those that run
    #[arg(short, long)]
    force: bool,
    /// No error for Quadlets that are not there
    #[arg(short, long)]
    ignore: bool,
    /// Have systemd read its units again
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true")]
    reload_systemd: bool,
    /// Names of Quadlets, or of applications
    #[arg(value_name = "QUADLET [QUADLET...]")]
    quadlets: Vec<String>,
}

pub fn run(_: &Context, args: Args) -> Result<ExitCode, Failure> {
    if args.quadlets.is_empty() && !args.all {
        return Err(Failure::plain("at least one quadlet file must be selected"));
    }
    let there = search::paths(&search::directories(Manager::User)?);
    let wanted: Vec<String> = match args.all {
        // What an administrator gave all users is not the caller's to remove.
        true => there.iter().filter(|(_, path)| !path.starts_with("/etc")).map(|(name, _)| name.clone()).collect(),
        false => args.quadlets.iter().flat_map(|word| members(word).unwrap_or_else(|| vec![word.clone()])).collect(),
    };
    let (mut failed, mut gone) = (false, BTreeSet::new());
    for name in &wanted {
        match remove(name, &there, &args, &mut gone) {
            Ok(()) => output::line(name)?,
            Err(failure) => {
                output::note(&format!("Error: unable to remove Quadlet {name}: {failure}"));
                failed = true;
            }
        }
    }
    if args.reload_systemd && !gone.is_empty() {
        super::install::reload()?;
    }
    match failed {
        true => Err(Failure::plain("some quadlets could not be removed")),
        false => Ok(ExitCode::Success),
    }
}

/// The Quadlets of an application.
fn members(application: &str) -> Option<Vec<String>> {
    let name = application.trim_start_matches('.').trim_end_matches(".app");
    if Kind::of(name).is_some() || name.contains('/') {
        return None;
    }
    let list = fs::read_to_string(search::install_directory().ok()?.join(format!(".{name}.app"))).ok()?;
    Some(list.lines().filter(|line| Kind::of(line).is_some()).map(str::to_owned).collect())
}

/// The list of files that were installed together with this one: the list's name, and the files' names.
pub(super) fn application_of(path: &Path) -> Option<(String, Vec<String>)> {
    let (directory, name) = (path.parent()?, path.file_name()?.to_str()?);
    let lists = fs::read_dir(directory).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut lists: Vec<String> = lists.filter(|list| list.starts_with('.') && list.ends_with(".app")).collect();
    lists.sort();
    lists.into_iter().find_map(|list| {
        let text = fs::read_to_string(directory.join(&list)).ok()?;
        let files: Vec<String> = text.lines().map(str::to_owned).collect();
        files.iter().any(|file| file == name).then_some((list, files))
    })
}

fn remove(
    name: &str,
    there: &BTreeMap<String, PathBuf>,
    args: &Args,
    gone: &mut BTreeSet<PathBuf>,
) -> Result<(), Failure> {
    if Kind::of(name).is_none() {
        return Err(unsupported(name));
    }
    let Some(path) = there.get(name) else {
        return match args.ignore {
            true => Ok(()),
            false => Err(Failure::plain(format!(
                "could not locate quadlet {} in any supported quadlet directory: no such quadlet",
                go_quote(name)
            ))),
        };
    };
    if gone.contains(path) {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let (files, list) = match application_of(path) {
        Some((list, files)) => (files, Some(list)),
        None => (vec![name.to_owned()], None),
    };
    // Everything that runs is looked at before anything goes.
    let quadlets = files.iter().filter(|file| Kind::of(file).is_some() && directory.join(file).is_file());
    let units: Vec<String> = quadlets.map(|file| list::unit_of(file, &directory.join(file))).collect();
    let states = systemctl::states(&units).unwrap_or_default();
    for (unit, state) in &states {
        if state.starts_with("active/") || state.starts_with("activating/") {
            if !args.force {
                let text =
                    format!("quadlet {name} is running and force is not set, refusing to remove: quadlet is running");
                return Err(Failure::plain(format!("{text} ({unit})")).hint("--force stops it first"));
            }
            systemctl::stop(unit).map_err(|why| Failure::plain(format!("stopping {unit}: {why}")))?;
        }
    }
    for file in files.iter().filter(|file| !file.contains('/')).chain(&list) {
        let file = directory.join(file);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(on_path("remove", &file)(error)),
            _ => {
                gone.insert(file);
            }
        }
    }
    Ok(())
}
