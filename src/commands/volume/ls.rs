//! `creel volume ls`

use super::{Filters, all, users, value};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Format, Headings};
use crate::output;

/// List volumes
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show the volumes that pass a filter
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Leave the headings out
    #[arg(short, long)]
    noheading: bool,
    /// Show names only
    #[arg(short, long)]
    quiet: bool,
    words: Vec<String>,
}

const HEADINGS: Headings = &[("Name", "VOLUME NAME")];

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "volume ls")?;
    if args.quiet && args.format.is_some() {
        return Err(Failure::plain("quiet and format flags cannot be used together"));
    }
    let engine = context.reader()?;
    let filters = Filters::parse(&engine, &args.filter)?;
    let users = users(&engine)?;
    let layout = match args.format.as_deref().filter(|format| *format != "table") {
        Some(format) => format,
        None if args.quiet => "{{.Name}}",
        None => "table {{.Driver}}\t{{.Name}}",
    };
    let values = all(&engine)?
        .iter()
        .filter(|volume| filters.pass(volume, users.contains_key(&volume.name)))
        .map(|volume| value(&engine, volume))
        .collect();
    let format = Format::parse("volume ls", layout)?.within(output::room(false, args.format.as_deref()));
    output::print(&format.list(values, HEADINGS, !args.noheading, 2)?)?;
    Ok(ExitCode::Success)
}
