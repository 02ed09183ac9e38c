//! `creel secret ls`

use jiff::Timestamp;

use crate::arguments::{self, go_quote};
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::filters::Pattern;
use crate::format::{Format, Headings, human};
use crate::{object, output};

/// List secrets
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show the secrets that pass a filter (name=, id=)
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show as JSON or through a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Leave the headings out
    #[arg(short, long)]
    noheading: bool,
    /// Show ids only
    #[arg(short, long)]
    quiet: bool,
    words: Vec<String>,
}

const HEADINGS: Headings = &[("CreatedAt", "CREATED"), ("UpdatedAt", "UPDATED")];

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::none(&args.words, "secret ls")?;
    let engine = context.reader()?;
    let (mut names, mut ids) = (Vec::new(), Vec::new());
    for text in &args.filter {
        match text.split_once('=') {
            Some(("name", value)) => names.push(Pattern::lenient(value)),
            Some(("id", value)) => ids.push(value.to_owned()),
            Some((key, _)) => return Err(Failure::plain(format!("invalid filter {}", go_quote(key)))),
            None => {
                return Err(Failure::plain(format!(
                    "filter input must be in the form of filter=value: {text} is invalid"
                )));
            }
        }
    }
    let layout = match args.format.as_deref().filter(|format| *format != "table") {
        _ if args.quiet => "{{.ID}}",
        Some(format) => format,
        None => "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}",
    };
    let now = Timestamp::now();
    let values = super::all(&engine)?
        .iter()
        .filter(|secret| names.is_empty() || names.iter().any(|name| name.fits(&secret.name)))
        .filter(|secret| ids.is_empty() || ids.iter().any(|id| secret.id.starts_with(id)))
        .map(|secret| {
            object! {
                "ID": secret.id.clone(),
                "Name": secret.name.clone(),
                "Driver": containers::secret_driver_name(secret.driver),
                "CreatedAt": human::ago(super::time(secret.created), now),
                "UpdatedAt": human::ago(super::time(secret.updated), now),
            }
        })
        .collect();
    let format = Format::parse("secret ls", layout)?.within(output::room(false, args.format.as_deref()));
    output::print(&format.list(values, HEADINGS, !args.noheading, 4)?)?;
    Ok(ExitCode::Success)
}
