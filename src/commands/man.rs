//! `creel man`, for who makes a package.

use std::path::PathBuf;

use crate::arguments;
use crate::cli::{self, GROUPS};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{globals, help};

/// Write the man pages of all commands into a directory
#[derive(clap::Args)]
pub struct Args {
    #[arg(value_name = "DIRECTORY")]
    directory: Vec<PathBuf>,
}

pub fn run(_context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let words: Vec<String> = args.directory.iter().map(|path| path.display().to_string()).collect();
    arguments::exactly(&words, 1)?;
    let directory = &args.directory[0];
    std::fs::create_dir_all(directory).map_err(crate::error::on_path("mkdir", directory))?;
    for (name, text) in pages() {
        let path = directory.join(name);
        std::fs::write(&path, text).map_err(crate::error::on_path("open", &path))?;
    }
    Ok(ExitCode::Success)
}

/// All pages with their files' names. A second name of a command is a page that refers to the first.
fn pages() -> Vec<(String, String)> {
    let commands = cli::command_names(None);
    let mut pages = Vec::new();
    let groups: Vec<String> = GROUPS.iter().map(|(group, _)| format!("creel-{group}")).collect();
    let about = "containers without root and without a daemon";
    let text = help::man_overview("creel", about, &commands, Some(&globals::command()), &groups);
    pages.push(("creel.1".to_owned(), text));
    for (group, about) in GROUPS {
        let members = cli::command_names(Some(group));
        let text = help::man_overview(&format!("creel {group}"), about, &members, None, &["creel".to_owned()]);
        pages.push((format!("creel-{group}.1"), text));
    }
    for verb in cli::VERBS.iter().filter(|verb| !verb.hidden) {
        let first = verb.names[0];
        let also = match first.split_once(' ') {
            Some((group, _)) => vec!["creel".to_owned(), format!("creel-{group}")],
            None => vec!["creel".to_owned()],
        };
        pages.push((file_of(first), help::man_page(&format!("creel {first}"), &verb.command(), &also)));
        for name in &verb.names[1..] {
            pages.push((file_of(name), format!(".so man1/{}\n", file_of(first))));
        }
    }
    pages
}

fn file_of(name: &str) -> String {
    format!("creel-{}.1", name.replace(' ', "-"))
}
