//! `creel network ls`

use super::{Filters, Keys, all, users, value};
use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::format::{Field, Format, Headings, Kind, Value};
use crate::output;

/// List networks
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show the networks that pass a filter
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Leave the headings out
    #[arg(short, long)]
    noheading: bool,
    /// Show names only
    #[arg(short, long)]
    quiet: bool,
    words: Vec<String>,
}

const HEADINGS: Headings = &[("ID", "NETWORK ID"), ("Name", "NAME"), ("Driver", "DRIVER")];

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "network ls")?;
    let engine = context.reader()?;
    let networks = super::networks(context, &engine)?;
    let filters = Filters::parse(&args.filter, Keys::List)?;
    let users = users(&engine)?;
    // The one that is always there is nobody's left-over.
    let used = users.keys().map(String::as_str).chain([networks.default_name()]).collect();
    let layout = match args.format.as_deref().filter(|format| *format != "table") {
        _ if args.quiet => "{{.Name}}",
        Some(format) => format,
        None => "table {{.ID}}\t{{.Name}}\t{{.Driver}}",
    };
    let values = all(&networks)?
        .iter()
        .filter(|network| filters.pass(network, &used))
        .map(|network| {
            let short = if args.no_trunc { network.id.as_str() } else { network.id.get(..12).unwrap_or(&network.id) };
            let mut value = value(network, short, None);
            if let Value::Struct(fields) = &mut value {
                // A template sees the labels as one word.
                let labels: Vec<String> = network.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                fields.retain_mut(|field| {
                    if field.name == "Labels" {
                        field.kind = Kind::JsonOnly;
                    }
                    field.name != "Labels" || !labels.is_empty()
                });
                Field::add(fields, "Labels", "Labels", Kind::Method, labels.join(",").into());
            }
            value
        })
        .collect();
    let format = Format::parse("network ls", layout)?.within(output::room(args.no_trunc, args.format.as_deref()));
    output::print(&format.list(values, HEADINGS, !args.noheading, 2)?)?;
    Ok(ExitCode::Success)
}
