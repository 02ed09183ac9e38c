//! `quadlet ...`: one file for each, and here what they share. The generator that systemd calls is `generator.rs`.

pub mod check;
mod generator;
pub mod install;
pub mod list;
pub mod print;
pub mod rm;
mod search;

pub use generator::{call as generator_call, main as generator_main};

use std::path::PathBuf;

use sys::passwd;
use units::UnitFile;
use units::quadlet::{Host, Kind, Outcome, Setting, translate};

use crate::arguments::go_quote;
use crate::error::Failure;
use search::Manager;

/// The services of these Quadlets, as they are on this machine.
fn services(quadlets: Vec<(String, UnitFile)>, program: &str, network: &str) -> Vec<Outcome> {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let user =
        |name: &str| passwd::parse_users(&text("/etc/passwd")).find(|user| user.name == name).map(|user| user.uid);
    let group =
        |name: &str| passwd::parse_groups(&text("/etc/group")).find(|group| group.name == name).map(|group| group.gid);
    let exists = |path: &str| std::path::Path::new(path).exists();
    translate(quadlets, &Setting { program, network, host: Host { exists: &exists, user: &user, group: &group } })
}

/// The file of the Quadlet of that name.
fn find(name: &str) -> Result<PathBuf, Failure> {
    if Kind::of(name).is_none() {
        return Err(unsupported(name));
    }
    search::paths(&search::directories(Manager::User)?).remove(name).ok_or_else(|| {
        let text =
            format!("could not locate quadlet {} in any supported quadlet directory: no such quadlet", go_quote(name));
        Failure::plain(text).hint("`quadlet list` shows those that are there")
    })
}

fn unsupported(name: &str) -> Failure {
    let extension = name.rsplit_once('.').map(|(_, extension)| format!(".{extension}")).unwrap_or_default();
    Failure::plain(format!("{} is not a supported quadlet file type", go_quote(&extension)))
}
