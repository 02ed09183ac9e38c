//! `creel artifact inspect`

use images::artifacts;

use crate::arguments;
use crate::context::Context;
use crate::error::{ExitCode, Failure};
use crate::{format, output};

/// Show everything about an artifact
#[derive(clap::Args)]
pub struct Args {
    /// Show through a Go template, or as "json"
    #[arg(short, long, value_name = "FORMAT", default_value = "json")]
    format: String,
    #[arg(value_name = "ARTIFACT")]
    words: Vec<String>,
}

pub fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    arguments::exactly(&args.words, 1)?;
    let value = super::value(&artifacts::get(&context.store()?, &args.words[0])?);
    match args.format.trim() {
        "json" | "" => output::print(&(value.json_indented(5) + "\n"))?,
        template => output::print(&format::object("inspect", template, &value)?)?,
    }
    Ok(ExitCode::Success)
}
