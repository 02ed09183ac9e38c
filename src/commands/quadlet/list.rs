//! `creel quadlet list`

use std::collections::BTreeMap;
use std::path::Path;

use units::UnitFile;
use units::quadlet::{Kind, service_stem};

use super::search::{self, Manager};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::filters::Pattern;
use crate::format::{Format, Headings};
use crate::{object, output, systemctl};

/// List Quadlets
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show the Quadlets that pass a filter (name=)
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    words: Vec<String>,
}

const HEADINGS: Headings = &[("UnitName", "UNIT NAME"), ("Path", "PATH ON DISK"), ("App", "APPLICATION")];

pub fn run(_: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "quadlet list")?;
    let mut names = Vec::new();
    for filter in &args.filter {
        match filter.split_once('=') {
            Some(("name", value)) => names.push(Pattern::lenient(value)),
            Some((key, _)) => return Err(Failure::plain(format!("{key} is not a valid filter"))),
            None => return Err(Failure::plain(format!("invalid filter {filter:?}: it must be KEY=VALUE"))),
        }
    }
    let quadlets: Vec<_> = search::paths(&search::directories(Manager::User)?)
        .into_iter()
        .filter(|(name, _)| names.is_empty() || names.iter().any(|pattern| pattern.fits(name)))
        .map(|(name, path)| (unit_of(&name, &path), name, path))
        .collect();
    let units: Vec<String> = quadlets.iter().map(|(unit, ..)| unit.clone()).collect();
    // Without systemd nothing is loaded.
    let states = systemctl::states(&units).unwrap_or_else(|why| {
        tracing::debug!(why, "no word from systemd");
        BTreeMap::new()
    });
    let layout = match args.format.as_deref().filter(|format| *format != "table") {
        // Podman puts headings above every template.
        Some(format) if format == "json" || format.contains("{{range") || format.starts_with("table") => {
            format.to_owned()
        }
        Some(format) => format!("table {format}"),
        None => "table {{.Name}}\t{{.UnitName}}\t{{.Path}}\t{{.Status}}\t{{.App}}".to_owned(),
    };
    let values = quadlets
        .iter()
        .map(|(unit, name, path)| {
            object! {
                "Name": name.clone(),
                "UnitName": unit.clone(),
                "Path": path.display().to_string(),
                "Status": states.get(unit).cloned().unwrap_or_else(|| "Not loaded".to_owned()),
                "App": super::rm::application_of(path).map(|(list, _)| list).unwrap_or_default(),
            }
        })
        .collect();
    let format = Format::parse("quadlet list", &layout)?.within(output::room(false, args.format.as_deref()));
    output::print(&format.list(values, HEADINGS, true, 2)?)?;
    Ok(ExitCode::Success)
}

/// The service that a Quadlet becomes, which it may name itself.
pub(super) fn unit_of(name: &str, path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let unit = UnitFile::parse(name, &text).or_else(|_| UnitFile::parse(name, ""));
    match (Kind::of(name), unit) {
        (Some(kind), Ok(unit)) => format!("{}.service", service_stem(name, kind, &unit)),
        _ => String::new(),
    }
}
